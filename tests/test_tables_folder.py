"""Tables that are kept: names that lead nowhere else, what a list says, and files that are no tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from map_core import rewards, tables
from map_core.errors import InputError
from tests.tables import VALUES, make_table


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(tables.SETTING, str(tmp_path / "kept"))


def test_a_list_says_what_a_table_holds():
    assert tables.listed() == ()
    made = make_table(prompts=5, candidates=3)
    metadata = {"model": {"name": "tiny"}, "source": {"file": "mine.csv"}}
    rewards.save(replace(made, metadata=metadata), tables.path_of("My  replies "))
    (tables.folder() / "broken.parquet").write_bytes(b"PAR1 and no more")
    (tables.folder() / "notes.txt").write_text("left alone")
    found = {one.name: one for one in tables.listed()}
    assert set(found) == {"My replies", "broken"}
    one = found["My replies"]
    assert (one.prompts, one.replies, one.values) == (5, 15, VALUES)
    assert (one.model, one.source, one.fault) == ("tiny", "mine.csv", "")
    assert one.bytes == one.path.stat().st_size
    assert found["broken"].fault.startswith("broken.parquet is not a Parquet file that can be read")
    tables.delete("My replies")
    with pytest.raises(InputError, match="no table 'My replies' any more"):
        tables.delete("My replies")


def test_a_table_that_would_fill_the_memory_is_refused_in_words(tmp_path):
    rewards.save(make_table(prompts=50, candidates=40), tmp_path / "Large.parquet")
    tables.check_memory(tmp_path / "Large.parquet")
    with pytest.raises(InputError, match=r"'Large' needs about 0.0 GB of memory here, and 0.0 GB are free"):
        tables.check_memory(tmp_path / "Large.parquet", free=1000)
    tables.check_memory(tmp_path / "none.parquet", free=0)


@pytest.mark.parametrize("name", ["", " ", "../x", "a/b", "a\\b", ".hidden", "a.b", "x" * 61, "a\0b", "-a", "a:b"])
def test_names_that_are_refused(name: str):
    with pytest.raises(InputError, match="expected 1 to 60 letters"):
        tables.path_of(name)


@pytest.mark.parametrize("name", ["a", "Antworten für März", "2026-11 nurses_2", "患者"])
def test_names_stay_within_the_folder(name: str):
    assert tables.path_of(name).parent == tables.folder()


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(tables.SETTING, str(tmp_path / "file" / "x"))
    with pytest.raises(InputError, match=f"Set {tables.SETTING}"):
        tables.folder()
