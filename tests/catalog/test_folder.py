"""Tests of the folder of tables: names that stay within it, the list of its tables, and files that are no tables."""

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


def test_the_list_describes_each_table():
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


def test_a_temporary_fault_is_not_cached(monkeypatch):
    """When file descriptors run out, no table can be read, although the files are unchanged."""
    path = catalog.path_of("mine")
    table_format.save(make_table(prompts=5, candidates=3), path)

    def no_descriptors(*args: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(table_format.pq, "ParquetFile", no_descriptors)
        patched.setattr(table_format.pq, "read_schema", no_descriptors)
        assert "Too many open files" in catalog.describe(path).fault
    assert catalog.describe(path).fault == ""
    assert catalog.describe(path).replies == 15
    assert catalog.describe(path) is catalog.describe(path), "what could be read is read once"


def test_a_fault_of_a_file_is_cached_until_the_file_changes(monkeypatch):
    """To find out that another program's file is no reward table, the whole file is read."""
    path, paths_read = catalog.folder() / "foreign.parquet", []
    pq.write_table(pa.table({"prompt": ["a", "a"], "reply": ["b", "c"]}), path)
    count = table_file.count
    monkeypatch.setattr(table_file, "count", lambda path: paths_read.append(path) or count(path))
    first, second = catalog.describe(path), catalog.describe(path)
    assert first.fault.startswith("foreign.parquet")
    assert (second, paths_read) == (first, [path])
    table_format.save(make_table(prompts=5, candidates=3), path)
    assert (catalog.describe(path).fault, len(paths_read)) == ("", 2)


def test_a_table_larger_than_the_memory_is_refused(tmp_path):
    table_format.save(make_table(prompts=50, candidates=40), tmp_path / "Large.parquet")
    catalog.check_memory(tmp_path / "Large.parquet")
    with pytest.raises(InputError, match=r"'Large' needs about 0.0 GB of memory here, and 0.0 GB are free"):
        catalog.check_memory(tmp_path / "Large.parquet", free=1000)
    catalog.check_memory(tmp_path / "none.parquet", free=0)


@pytest.mark.parametrize("name", ["", " ", "../x", "a/b", "a\\b", ".hidden", "a.b", "x" * 61, "a\0b", "-a", "a:b"])
def test_invalid_names_are_refused(name: str):
    with pytest.raises(InputError, match="expected 1 to 60 letters"):
        catalog.path_of(name)


@pytest.mark.parametrize("name", ["a", "Antworten für März", "2026-11 nurses_2", "患者"])
def test_names_stay_within_the_folder(name: str):
    assert catalog.path_of(name).parent == catalog.folder()


def test_a_folder_that_cannot_be_created_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(catalog.SETTING, str(tmp_path / "file" / "x"))
    with pytest.raises(InputError, match=f"Set {catalog.SETTING}"):
        catalog.folder()


def test_deleting_a_table_deletes_its_sidecar_files(tmp_path):
    kept = [catalog.path_of("Other").with_suffix(LABELS), tmp_path / "Mine.csv"]
    table = catalog.path_of("Mine")
    sidecars = [table.with_suffix(ending) for ending in SIDECARS]
    table_format.save(make_table(prompts=4, candidates=4), table)
    for path in (*kept, *sidecars):
        path.write_text("{}")
    catalog.delete("Mine")
    assert not any(path.exists() for path in (table, *sidecars))
    assert all(path.exists() for path in kept)
    assert labels_beside(table) == ()
