"""Tests of the folder of tables: safe names, the descriptions in the list, and files that are no tables."""

from __future__ import annotations

import errno
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from map_core import catalog
from map_core.calibration.labels import labels_beside
from map_core.core.sidecars import LABELS, SIDECARS
from map_core.data import table_file, table_format
from map_core.errors import InputError
from tests.tables import VALUES, make_table


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(catalog.SETTING, str(tmp_path / "kept"))


def test_list_describes_each_table():
    assert catalog.list_tables() == ()
    table = make_table(prompts=5, candidates=3)
    metadata = {"model": {"name": "tiny"}, "source": {"file": "mine.csv"}}
    table_format.save(replace(table, metadata=metadata), catalog.path_of("My  replies "))
    (catalog.folder() / "broken.parquet").write_bytes(b"PAR1 and no more")
    (catalog.folder() / "notes.txt").write_text("left alone")
    entries = {entry.name: entry for entry in catalog.list_tables()}
    assert set(entries) == {"My replies", "broken"}
    entry = entries["My replies"]
    assert (entry.prompts, entry.replies, entry.values) == (5, 15, VALUES)
    assert (entry.model, entry.source, entry.fault) == ("tiny", "mine.csv", "")
    assert entry.bytes == entry.path.stat().st_size
    assert entries["broken"].fault.startswith("broken.parquet is not a Parquet file that can be read")
    catalog.delete("My replies")
    with pytest.raises(InputError, match="no table 'My replies' any more"):
        catalog.delete("My replies")


def test_transient_faults_are_not_cached(monkeypatch):
    """Running out of file descriptors makes tables unreadable without changing their files."""
    path = catalog.path_of("mine")
    table_format.save(make_table(prompts=5, candidates=3), path)

    def no_descriptors(*arguments: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as short:
        short.setattr(table_format.pq, "ParquetFile", no_descriptors)
        short.setattr(table_format.pq, "read_schema", no_descriptors)
        assert "Too many open files" in catalog.describe(path).fault
    assert catalog.describe(path).fault == ""
    assert catalog.describe(path).replies == 15
    assert catalog.describe(path) is catalog.describe(path), "what could be read is read once"


def test_faults_of_a_file_are_cached_until_it_changes(monkeypatch):
    """The whole of another program's file is read to find that it is no reward table."""
    path, read = catalog.folder() / "foreign.parquet", []
    pq.write_table(pa.table({"prompt": ["a", "a"], "reply": ["b", "c"]}), path)
    count = table_file.count
    monkeypatch.setattr(table_file, "count", lambda path: read.append(path) or count(path))
    first, second = catalog.describe(path), catalog.describe(path)
    assert first.fault.startswith("foreign.parquet")
    assert (second, read) == (first, [path])
    table_format.save(make_table(prompts=5, candidates=3), path)
    assert (catalog.describe(path).fault, len(read)) == ("", 2)


def test_table_too_large_for_memory_is_refused_with_a_message(tmp_path):
    table_format.save(make_table(prompts=50, candidates=40), tmp_path / "Large.parquet")
    catalog.check_memory(tmp_path / "Large.parquet")
    with pytest.raises(InputError, match=r"'Large' needs about 0.0 GB of memory here, and 0.0 GB are free"):
        catalog.check_memory(tmp_path / "Large.parquet", free=1000)
    catalog.check_memory(tmp_path / "none.parquet", free=0)


@pytest.mark.parametrize("name", ["", " ", "../x", "a/b", "a\\b", ".hidden", "a.b", "x" * 61, "a\0b", "-a", "a:b"])
def test_names_that_are_refused(name: str):
    with pytest.raises(InputError, match="expected 1 to 60 letters"):
        catalog.path_of(name)


@pytest.mark.parametrize("name", ["a", "Antworten für März", "2026-11 nurses_2", "患者"])
def test_names_cannot_leave_the_folder(name: str):
    assert catalog.path_of(name).parent == catalog.folder()


def test_folder_that_cannot_be_created(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(catalog.SETTING, str(tmp_path / "file" / "x"))
    with pytest.raises(InputError, match=f"Set {catalog.SETTING}"):
        catalog.folder()


def test_new_table_inherits_nothing_from_a_deleted_one_of_its_name(tmp_path):
    kept = [catalog.path_of("Other").with_suffix(LABELS), tmp_path / "Mine.csv"]
    table = catalog.path_of("Mine")
    gone = [table.with_suffix(ending) for ending in SIDECARS]
    table_format.save(make_table(prompts=4, candidates=4), table)
    for path in (*kept, *gone):
        path.write_text("{}")
    catalog.delete("Mine")
    assert not any(path.exists() for path in (table, *gone))
    assert all(path.exists() for path in kept)
    assert labels_beside(table) == ()
