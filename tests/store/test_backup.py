"""Tests of backup and restore: of a database in use, after its loss, for SQLite and PostgreSQL."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from map_core.cli import main
from map_core.errors import InputError
from map_core.store import SETTING, backup, open_database, palettes
from map_core.store.backup import MANIFEST, SQLITE_FILE, back_up, restore
from tests.postgres import find_postgres, server
from tests.store.examples import WARM


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'live' / 'palettes.sqlite'}"


def names(address: str) -> set[str]:
    opened = open_database(address)
    try:
        return {saved.name for saved in palettes.list_palettes(opened)}
    finally:
        opened.close()


def test_backup_and_restore(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    tables = tmp_path / "tables"
    tables.mkdir()
    kept_files = {
        "Mine.parquet": b"rewards",
        "Mine.labels.jsonl": b"what people said",
        ".access/Mine.json": b"whose it is",
        "tuned/Kind/tuning.json": b"{}",
        "tuned/Kind/adapter_model.safetensors": b"weights",
    }
    left_out = {"tuned/Half made/adapter_model.safetensors": b"", ".making/Mine/progress.json": b"{}"}
    for name, content in (kept_files | left_out).items():
        (tables / name).parent.mkdir(parents=True, exist_ok=True)
        (tables / name).write_bytes(content)
    monkeypatch.setenv(SETTING, address)
    monkeypatch.setenv("VALUE_PALETTE_TABLES", str(tables))
    opened, over = open_database(address), threading.Event()
    for number in range(5):
        palettes.save(opened, WARM, f"Before {number}")

    def write() -> None:
        number = 0
        while not over.is_set():
            palettes.save(opened, WARM, f"Meanwhile {number}")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert main(["backup", str(tmp_path / "kept")]) == 0
    finally:
        over.set()
        writer.join()
    opened.close()
    assert "6 files in" in capsys.readouterr().out
    names_before = names(address)
    shutil.rmtree(tmp_path / "live")
    shutil.rmtree(tables)
    assert main(["restore", str(tmp_path / "kept")]) == 0
    back = names(address)
    assert {f"Before {number}" for number in range(5)} <= back <= names_before
    assert {str(p.relative_to(tables)): p.read_bytes() for p in tables.rglob("*") if p.is_file()} == kept_files
    # An existing database is not replaced unless that is confirmed.
    assert main(["restore", str(tmp_path / "kept")]) == 1
    assert "already. Move it away, or use --replace." in capsys.readouterr().err
    assert main(["restore", str(tmp_path / "kept"), "--replace"]) == 0
    assert (tmp_path / "live" / "palettes.sqlite.before-restore").is_file()
    assert names(address) == back


def test_damaged_backup_changes_nothing(address: str, tmp_path: Path):
    opened = open_database(address)
    palettes.save(opened, WARM, "Kept")
    opened.close()
    back_up(address, None, tmp_path / "kept")
    with (tmp_path / "kept" / SQLITE_FILE).open("r+b") as file:
        file.seek(200)
        file.write(b"damage")
    with pytest.raises(InputError, match=r"is damaged: database\.sqlite"):
        restore(tmp_path / "kept", address, None, replace=True)
    assert names(address) == {"Kept"}
    (tmp_path / "kept" / MANIFEST).write_text(json.dumps({"made": "now", "files": {"../a": "0"}}))
    with pytest.raises(InputError, match="is damaged"):
        restore(tmp_path / "kept", address, None, replace=True)
    with pytest.raises(InputError, match="is not a backup"):
        restore(tmp_path, address, None)
    with pytest.raises(InputError, match="is there already"):
        back_up(address, None, tmp_path / "kept")
    with pytest.raises(InputError, match="There is no database"):
        back_up(f"sqlite:///{tmp_path / 'none.sqlite'}", None, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("place", ["_prepare_sqlite", "atomic_write", "_place_sqlite", "open_database"])
def test_interrupted_restore_is_reported_and_loses_nothing(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "Mine.parquet").write_bytes(b"rewards")
    for name in ("Before", "After"):
        opened = open_database(address)
        palettes.save(opened, WARM, name)
        opened.close()
        if name == "Before":
            back_up(address, tables, tmp_path / "kept")

    class Killed(BaseException):
        pass

    def kill(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(backup, place, kill)
        with pytest.raises(Killed):
            restore(tmp_path / "kept", address, tables, replace=True)
    if place in ("atomic_write", "_place_sqlite"):
        with pytest.raises(InputError, match="a restore of it was interrupted"):
            open_database(address)
    else:
        assert names(address) == ({"Before", "After"} if place == "_prepare_sqlite" else {"Before"})
    restore(tmp_path / "kept", address, tables, replace=True)
    assert names(address) == {"Before"}
    if place != "open_database":
        assert names(f"{address}.before-restore") == {"Before", "After"}


def test_write_ahead_log_is_kept_with_the_replaced_file(address: str, tmp_path: Path):
    live = Path(address.removeprefix("sqlite:///"))
    opened = open_database(address)
    palettes.save(opened, WARM, "Kept")
    back_up(address, None, tmp_path / "kept")
    palettes.save(opened, WARM, "Ahead")
    # As after a kill: the last writes are in the write-ahead log only.
    shutil.copytree(live.parent, tmp_path / "killed")
    opened.close()
    killed = f"sqlite:///{tmp_path / 'killed' / live.name}"
    restore(tmp_path / "kept", killed, None, replace=True)
    assert names(killed) == {"Kept"}
    assert names(f"{killed}.before-restore") == {"Kept", "Ahead"}


@pytest.mark.parametrize("named", ["nonsense", "mysql://host/database", "sqlite:///:memory:"])
def test_invalid_address_is_reported(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(SETTING, named)
    assert main(["backup", str(tmp_path / "kept")]) == 1
    assert SETTING in capsys.readouterr().err


def test_full_disk_is_reported_and_leaves_nothing(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    opened = open_database(address)
    palettes.save(opened, WARM, "Kept")
    opened.close()
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "Mine.parquet").write_bytes(b"rewards")
    back_up(address, tmp_path / "tables", tmp_path / "kept")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copy2", full)
        with pytest.raises(InputError, match="cannot be written"):
            back_up(address, tmp_path / "tables", tmp_path / "other")
        with pytest.raises(InputError, match="cannot be restored"):
            restore(tmp_path / "kept", address, tmp_path / "tables", replace=True)
    assert not list(tmp_path.glob("other*"))
    restore(tmp_path / "kept", address, tmp_path / "tables", replace=True)
    assert names(address) == {"Kept"}


@pytest.mark.slow
def test_backup_and_restore_with_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    binaries = find_postgres()
    if binaries is None or not (binaries / "pg_dump").exists():
        pytest.skip("no PostgreSQL with pg_dump here")
    monkeypatch.setenv("PATH", str(binaries), prepend=os.pathsep)
    with server(binaries) as address:
        opened = open_database(address)
        palettes.save(opened, WARM, "Before")
        back_up(address, None, tmp_path / "kept")
        palettes.save(opened, WARM, "After")
        opened.close()
        restore(tmp_path / "kept", address, None, replace=True)
        assert names(address) == {"Before"}
