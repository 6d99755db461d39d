"""Tests of the database: migrations, several processes, faults and addresses; on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from textwrap import dedent

import platformdirs
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, inspect, text

from map_core.access import Visibility
from map_core.errors import InputError, StoreError
from map_core.palettes.palette import ALL, Palette, Target
from map_core.store import (
    SETTING,
    database,
    meetings,
    open_database,
    palettes,
    setting,
    votes,
)
from map_core.store.migrate import migrate, revision, scripts
from map_core.store.models import Base
from tests import ROOT
from tests.postgres import connected
from tests.store.examples import WARM


def test_failed_change_is_rolled_back(opened):
    def fails():
        with opened.writing() as session:
            columns = "id, palette_key, prompt, preferred, viewer, voted"
            row = "1, 'k', 'p', 'tie', '', '2026-01-01 00:00:00'"
            session.execute(text(f"INSERT INTO votes ({columns}) VALUES ({row})"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert votes.list_votes(opened, "k") == ()


def test_models_and_migrations_agree(opened):
    with opened.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_older_database_is_upgraded_with_its_content(address):
    first = next(revision.revision for revision in scripts().walk_revisions() if revision.is_base)
    with connected(address) as connection:
        migrate(connection, first)
        connection.execute(
            text(
                "INSERT INTO palettes (owner, name, colour, note, use_case, table_key, created, updated) VALUES "
                "('', 'Warm', 'teal', '', 'Care', 't', '2026-01-02 03:04:05', '2026-01-02 03:04:05')"
            )
        )
        palette_json = """{"use_case": "Care", "targets": {"humor": {"percentile": 70}}}"""
        number = connection.scalar(text("SELECT id FROM palettes"))
        row = {"id": number, "data": palette_json}
        connection.execute(text("INSERT INTO versions VALUES (:id, 1, :data, 'Saved.', '2026-01-02 03:04:05')"), row)
        assert "meetings" not in inspect(connection).get_table_names()
    upgraded = open_database(address)
    (saved,) = palettes.list_palettes(upgraded)
    assert (saved.name, saved.version) == ("Warm", 1)
    assert (saved.owner, saved.visibility) == ("", Visibility.EVERYONE), "what was there belongs to everybody"
    assert saved.palette == Palette("Care", {"humor": Target(70.0)})
    assert saved.created.tzinfo is not None
    assert meetings.open_meeting(upgraded, "Launch", ALL, "t")
    with upgraded.engine.connect() as connection:
        assert revision(connection) == scripts().get_current_head()
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    upgraded.close()


def test_newer_database_is_refused_and_unchanged(address):
    newer = open_database(address)
    palettes.save(newer, WARM, "Warm")
    newer.close()
    with connected(address) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InputError, match="made by a newer version") as refused:
        open_database(address)
    assert "9999" in str(refused.value)
    with connected(address) as connection:
        assert connection.scalar(text("SELECT count(*) FROM palettes")) == 1


@pytest.mark.slow
def test_concurrent_processes_create_a_database_once(address):
    code = """
        import multiprocessing, sys
        from map_core.palettes.palette import Palette
        from map_core.store import open_database, palettes

        def begin(barrier, name):
            barrier.wait()
            palettes.save(open_database(sys.argv[1]), Palette(), name)

        fork = multiprocessing.get_context("fork")
        barrier = fork.Barrier(4)
        started = [fork.Process(target=begin, args=(barrier, name)) for name in "abcd"]
        for process in started:
            process.start()
        for process in started:
            process.join()
        sys.exit(any(process.exitcode for process in started))
    """
    command = [sys.executable, "-c", dedent(code), address]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr
    opened = open_database(address)
    assert {palette.name for palette in palettes.list_palettes(opened)} == set("abcd")
    opened.close()


def test_writes_of_another_connection_are_visible(opened, address):
    other_connection = open_database(address)
    saved = palettes.save(other_connection, WARM, "Warm")
    assert palettes.list_palettes(opened) == (saved,)
    other_connection.close()


def test_empty_file_is_refused_and_unchanged(tmp_path):
    path = tmp_path / "palettes.sqlite"
    path.touch()
    with pytest.raises(InputError, match=r"palettes.sqlite is a file of 0 bytes.*Restore a backup") as refused:
        open_database(f"sqlite:///{path}")
    assert str(tmp_path) not in str(refused.value)
    assert path.stat().st_size == 0
    path.unlink()
    open_database(f"sqlite:///{path}").close()


def test_locked_database_is_reported_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[open_database.__module__], "BUSY_SECONDS", 0.2)
    path = tmp_path / "palettes.sqlite"
    opened = open_database(f"sqlite:///{path}")
    saved = palettes.save(opened, WARM, "Kept")
    with closing(sqlite3.connect(path, isolation_level=None)) as other_connection:
        other_connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"palettes.sqlite does not answer as it should: database is locked"):
            palettes.save(opened, WARM, "Refused")
        assert palettes.list_palettes(opened) == (saved,)
        other_connection.execute("ROLLBACK")
    assert palettes.save(opened, WARM, "Again").name == "Again"
    opened.close()


def test_read_only_database_is_readable_and_refuses_writes(tmp_path):
    path = tmp_path / "palettes.sqlite"
    opened = open_database(f"sqlite:///{path}")
    saved = palettes.save(opened, WARM, "Kept")
    event.listen(opened.engine, "connect", lambda connection, record: connection.execute("PRAGMA query_only=ON"))
    opened.engine.dispose()
    with pytest.raises(StoreError, match=r"palettes.sqlite does not answer as it should: .*readonly database"):
        palettes.save(opened, WARM, "Refused")
    assert palettes.list_palettes(opened) == (saved,)
    opened.close()


def test_errors_hide_the_folder_of_the_file(tmp_path):
    path = tmp_path / "palettes.sqlite"
    path.write_text("no database " * 100)
    with pytest.raises(StoreError, match=r"The database palettes.sqlite does not answer") as refused:
        open_database(f"sqlite:///{path}")
    assert str(tmp_path) not in str(refused.value)


def test_sqlite_reads_during_a_write(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path / 'palettes.sqlite'}")
    saved = palettes.save(opened, WARM, "Warm")
    with opened.writing() as session:
        session.execute(text("UPDATE palettes SET name = 'Cold'"))
        assert palettes.list_palettes(opened) == (saved,)
    assert palettes.load(opened, saved.id).name == "Cold"
    with opened.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    opened.close()


def test_the_setting_names_the_database(monkeypatch, tmp_path):
    monkeypatch.delenv(SETTING)
    assert setting() == f"sqlite:///{platformdirs.user_data_path('value-palette') / 'palettes.sqlite'}"
    monkeypatch.setenv(SETTING, f"sqlite:///{tmp_path / 'new' / 'mine.sqlite'}")
    opened = database()
    assert opened is database()
    palettes.save(opened, WARM, "Warm")
    assert (tmp_path / "new" / "mine.sqlite").exists()
    opened.close()


@pytest.mark.parametrize("address", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://a:secret@b/c"])
def test_invalid_address_is_refused(address):
    with pytest.raises(InputError, match=f"{SETTING}.*expected postgresql://") as refused:
        open_database(address)
    assert "secret" not in str(refused.value)


def test_missing_driver_is_reported():
    with pytest.raises(InputError, match="not installed"):
        open_database("postgresql+nothing://a/b")


def test_unreachable_server_is_reported_without_the_password(tmp_path):
    with pytest.raises(StoreError, match="does not answer") as refused:
        open_database(f"postgresql://me:secret@/palettes?host={tmp_path}")
    assert "secret" not in str(refused.value)


def test_folder_that_cannot_be_created_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be created"):
        open_database(f"sqlite:///{tmp_path / 'file' / 'palettes.sqlite'}")


def test_other_file_is_refused_and_unchanged(tmp_path):
    (tmp_path / "palettes.sqlite").write_text("These are not the tables you are looking for. " * 40)
    with pytest.raises(StoreError, match="not a database"):
        open_database(f"sqlite:///{tmp_path / 'palettes.sqlite'}")
    assert (tmp_path / "palettes.sqlite").read_text().startswith("These")
