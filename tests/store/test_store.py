"""What people keep: the same tests on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from textwrap import dedent

import platformdirs
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, event, inspect, text

from map_core.access import Role, Visibility, Visitor
from map_core.errors import InputError, StoreError
from map_core.palettes.palette import ALL, Palette, Target
from map_core.scoring.definition import Definition
from map_core.scoring.pairwise import PairAnswer
from map_core.store import (
    SETTING,
    custom_values,
    database,
    meeting_numbers,
    meetings,
    open_database,
    palettes,
    setting,
    table_key,
    votes,
)
from map_core.store.migrate import migrate, revision, scripts
from map_core.store.models import Base
from map_core.store.votes import Preference
from tests import ROOT
from tests.postgres import find_postgres, server
from tests.tables import make_table

WARM = Palette(
    "Care", {"kindness": Target(70.0, locked=True), "humor": Target(50.0, 0.25), "helpfulness": Target(60.0)}
)
COOL = WARM.with_target("humor", Target(40.0, free=True))
NURSE = Definition("calm_nurse", "Calm nurse", ("sounds like a calm nurse",), ("sounds like a salesman",))
CALMER = Definition("calm_nurse", "Calm nurse", ("speaks softly, as a nurse does",), ("sounds like a salesman",))


@pytest.fixture(scope="session")
def postgres():
    binaries = find_postgres()
    if binaries is None:
        pytest.skip("no PostgreSQL here; tests/requirements.txt brings one")
    with server(binaries) as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    """Of a database in which nothing is yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'palettes.sqlite'}"
    server = request.getfixturevalue("postgres")
    with connected(server) as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    return server


@pytest.fixture
def opened(address):
    store = open_database(address)
    yield store
    store.close()


@contextmanager
def connected(address: str):
    """A transaction on a database that nothing of ours looks at."""
    engine = create_engine(address.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def test_a_palette_is_kept_as_it_is(opened):
    before = datetime.now(UTC)
    saved = palettes.save(opened, WARM, "  Warm\n and kind ", colour="teal", note=" Of the\nboard. ", table_key="t")
    assert (saved.name, saved.colour, saved.note, saved.table_key) == ("Warm and kind", "teal", "Of the\nboard.", "t")
    assert (saved.version, saved.palette, saved.owner, saved.meanwhile) == (1, WARM, "", ())
    assert before <= saved.created == saved.updated <= datetime.now(UTC)
    assert palettes.load(opened, saved.id) == saved
    assert palettes.list_palettes(opened) == (saved,)
    assert list(palettes.load(opened, saved.id).palette.targets) == ["kindness", "humor", "helpfulness"]


def test_every_version_stays(opened):
    saved = palettes.save(opened, WARM, "Warm", what="The first one.")
    later = palettes.update(opened, saved.id, COOL, "Less humor.", based_on=1)
    assert (later.version, later.palette, later.meanwhile) == (2, COOL, ())
    assert later.updated > saved.updated
    assert later.created == saved.created
    versions = [(version.number, version.palette, version.what) for version in palettes.versions(opened, saved.id)]
    assert versions == [(1, WARM, "The first one."), (2, COOL, "Less humor.")]
    assert palettes.load(opened, saved.id) == later


def test_saving_over_a_version_that_changed_meanwhile_keeps_both(opened):
    saved = palettes.save(opened, WARM, "Warm")
    first = palettes.update(opened, saved.id, COOL, based_on=saved.version)
    second = palettes.update(opened, saved.id, WARM, based_on=saved.version)
    assert (first.meanwhile, second.meanwhile, second.version) == ((), (2,), 3)
    assert [version.palette for version in palettes.versions(opened, saved.id)] == [WARM, COOL, WARM]
    assert palettes.update(opened, saved.id, COOL).meanwhile == ()


def test_many_who_save_at_once_lose_nothing(opened):
    saved = palettes.save(opened, WARM, "Warm")
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda k: palettes.update(opened, saved.id, COOL, f"Save {k}.").version, range(24)))
    assert sorted(numbers) == list(range(2, 26))
    assert {version.what for version in palettes.versions(opened, saved.id)} == {"Saved."} | {
        f"Save {k}." for k in range(24)
    }


def test_the_last_saved_is_listed_first_and_each_owner_sees_their_own(opened):
    first, second = palettes.save(opened, WARM, "One"), palettes.save(opened, WARM, "Two")
    somebody = opened.as_visitor(Visitor("somebody", "Some Body", Role.MEMBER))
    other = palettes.save(somebody, WARM, "Three")
    palettes.update(opened, first.id, COOL)
    assert [palette.name for palette in palettes.list_palettes(opened)] == ["One", "Two"]
    assert [palette for palette in palettes.list_palettes(somebody) if palette.owner] == [other]
    assert second.id != first.id


def test_a_name_belongs_to_one_palette(opened):
    warm = palettes.save(opened, WARM, "Warm")
    assert [palettes.save(opened, WARM, name).name for name in (" warm ", "Warm")] == ["warm (2)", "Warm (3)"]
    somebody = opened.as_visitor(Visitor("somebody", "Some Body", Role.MEMBER))
    assert palettes.save(somebody, WARM, "Warm").name == "Warm"
    assert palettes.named(opened, " WARM (2)").name == "warm (2)"
    assert palettes.named(opened, "Cold") is None
    assert palettes.free_name(opened, "Warm") == "Warm (4)"
    long = palettes.save(opened, WARM, "x" * 200)
    assert palettes.save(opened, WARM, long.name).name == "x" * 196 + " (2)"
    with pytest.raises(InputError, match="Another palette is called 'WARM \\(3\\)'"):
        palettes.rename(opened, warm.id, "WARM (3)")
    assert palettes.rename(opened, warm.id, "WARM").name == "WARM"
    deleted = palettes.delete(opened, warm.id)
    palettes.save(opened, WARM, "Warm")
    assert palettes.restore(opened, deleted).name == "WARM (4)"


def test_names_stay_apart_when_many_save_at_once(opened):
    with ThreadPoolExecutor(4) as pool:
        saved = list(pool.map(lambda _: palettes.save(opened, WARM, "Warm"), range(8)))
    assert len({palette.name for palette in saved}) == 8


def test_a_palette_can_have_another_name(opened):
    saved = palettes.save(opened, WARM, "Warm", colour="teal", note="A note.")
    assert palettes.rename(opened, saved.id, "Cold").colour == "teal"
    renamed = palettes.rename(opened, saved.id, "Cold", colour="plum", note="")
    assert (renamed.name, renamed.colour, renamed.note) == ("Cold", "plum", "")
    assert palettes.load(opened, saved.id) == renamed
    assert palettes.versions(opened, saved.id)[0].palette == WARM


def test_what_is_deleted_can_be_put_back_with_its_versions(opened):
    saved = palettes.save(opened, WARM, "Warm")
    palettes.update(opened, saved.id, COOL)
    before = palettes.load(opened, saved.id), palettes.versions(opened, saved.id)
    deleted = palettes.delete(opened, saved.id)
    assert palettes.load(opened, saved.id) is None
    assert palettes.list_palettes(opened) == palettes.versions(opened, saved.id) == ()
    with opened.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM versions")) == 0
    assert palettes.save(opened, WARM, "Another").id != saved.id
    palettes.restore(opened, deleted)
    palettes.restore(opened, deleted)
    assert (palettes.load(opened, saved.id), palettes.versions(opened, saved.id)) == before


def test_what_is_not_there_is_said(opened):
    assert palettes.load(opened, 7) is None
    for attempt in (
        lambda: palettes.update(opened, 7, WARM),
        lambda: palettes.rename(opened, 7, "Cold"),
        lambda: palettes.delete(opened, 7),
    ):
        with pytest.raises(InputError, match="no saved palette with the number 7"):
            attempt()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": " \n"}, "name of the palette is ''"),
        ({"name": "x" * 201}, "1 to 200 characters"),
        ({"note": "x" * 20_001}, "note has 20,001 characters"),
        ({"colour": "x" * 65}, "1 to 64 characters"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words(opened, changes, message):
    with pytest.raises(InputError, match=message):
        palettes.save(opened, WARM, **{"name": "Warm", **changes})
    assert palettes.list_palettes(opened) == ()


def test_any_text_that_people_type_is_kept(opened):
    saved = palettes.save(opened, WARM, "'; DROP TABLE palettes; -- <b>ü</b> 漢\0\ud800", note="%s {x} \\")
    assert saved.name == "'; DROP TABLE palettes; -- <b>ü</b> 漢?"
    assert palettes.load(opened, saved.id) == saved


def test_a_change_that_fails_leaves_nothing_behind(opened):
    def fails():
        with opened.writing() as session:
            columns = "id, palette_key, prompt, preferred, viewer, voted"
            row = "1, 'k', 'p', 'tie', '', '2026-01-01 00:00:00'"
            session.execute(text(f"INSERT INTO votes ({columns}) VALUES ({row})"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert votes.list_votes(opened, "k") == ()


def test_people_join_a_meeting_and_leave_it(opened):
    meeting = meetings.open_meeting(opened, "Launch", ALL, "t")
    assert len(meeting.code) == meetings.CODE_LENGTH
    assert set(meeting.code) <= set(meetings.ALPHABET)
    assert meetings.meeting(opened, f" {meeting.code[:5].upper()}-{meeting.code[5:]} ") == meeting
    assert meetings.entries(opened, meeting.code) == ()
    first = meetings.join(opened, meeting.code, "b", "Support", WARM)
    second = meetings.join(opened, meeting.code, "a", "Legal", COOL)
    assert meetings.entries(opened, meeting.code) == (first, second)
    again = meetings.join(opened, meeting.code.upper(), "b", "Support team", COOL)
    assert (again.joined, again.palette, again.name) == (first.joined, COOL, "Support team")
    assert meetings.entries(opened, meeting.code) == (again, second)
    assert meetings.leave(opened, meeting.code, "b")
    assert not meetings.leave(opened, meeting.code, "b")
    assert meetings.entries(opened, meeting.code) == (second,)


def test_what_a_meeting_may_spend_is_the_same_for_all_who_look(opened):
    meeting = meetings.open_meeting(opened, "Launch", ALL, "t")
    assert meetings.meeting(opened, meeting.code).budget is None
    meetings.set_budget(opened, meeting.code.upper(), 0.8)
    assert meetings.meeting(opened, meeting.code).budget == 0.8
    for bad in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="budget"):
            meetings.set_budget(opened, meeting.code, bad)
    meetings.end(opened, meeting.code)
    meetings.set_budget(opened, meeting.code, 0.5)
    assert meetings.meeting(opened, meeting.code) is None


def test_a_host_can_show_that_a_meeting_is_theirs(opened):
    meeting = meetings.open_meeting(opened, "Launch", ALL, "t", host="kept by the host")
    assert meeting.code == meetings.code_of("kept by the host")
    assert meetings.code_of("kept by another") != meeting.code
    assert len(meeting.code) == meetings.CODE_LENGTH
    assert set(meeting.code) <= set(meetings.ALPHABET)


def test_meetings_are_apart_and_can_be_ended(opened):
    first, second = (meetings.open_meeting(opened, name, ALL, "t") for name in ("One", "Two"))
    meetings.join(opened, first.code, "a", "Support", WARM)
    kept = meetings.join(opened, second.code, "a", "Support", COOL)
    assert meetings.end(opened, first.code)
    assert not meetings.end(opened, first.code)
    assert meetings.meeting(opened, first.code) is None
    assert meetings.entries(opened, first.code) == ()
    assert meetings.entries(opened, second.code) == (kept,)
    with pytest.raises(InputError, match="no meeting with the code"):
        meetings.join(opened, first.code, "a", "Support", WARM)


def test_six_digits_name_an_open_meeting(opened):
    first, second = (meetings.open_meeting(opened, name, ALL, "t") for name in ("One", "Two"))
    number = meeting_numbers.number_of(first.code)
    assert len(number) == 6
    assert number.isdecimal()
    assert meeting_numbers.find_code(opened, meeting_numbers.spaced(number)) == first.code
    assert meeting_numbers.find_code(opened, f"{first.code[:5].upper()}-{first.code[5:]}") == first.code
    assert meeting_numbers.find_code(opened, f"{(int(number) + 1) % 10**6:06d}") in ("", second.code)
    assert meeting_numbers.find_code(opened, "nothing") == ""
    assert not meeting_numbers.is_free(opened, first.code)
    meetings.close(opened, first.code, meetings.MeetingResult(0))
    assert meeting_numbers.find_code(opened, number) in ("", second.code)


def test_a_meeting_that_nobody_closes_does_not_keep_names(opened, monkeypatch):
    held = meetings.open_meeting(opened, "Launch", ALL, "t")
    meetings.join(opened, held.code, "one", "Ana", WARM)
    meetings.close_abandoned(opened)
    assert [entry.name for entry in meetings.entries(opened, held.code)] == ["Ana"]
    monkeypatch.setattr(meetings, "OPEN_HOURS", -1)
    assert meetings.meeting(opened, held.code) is None
    assert meetings.entries(opened, held.code) == ()
    assert meetings.closed_meeting(opened, held.code).result == meetings.MeetingResult(1, asked=[])
    with opened.engine.connect() as connection:
        assert "Ana" not in str(connection.execute(text("SELECT * FROM entries")).all())


def test_a_closed_meeting_keeps_what_it_came_to_and_nobody(opened, monkeypatch):
    held = meetings.open_meeting(opened, "Launch", ALL, "t")
    meetings.join(opened, held.code, "one", "Ana", WARM)
    result = meetings.MeetingResult(1, "All agree.", {"bargain": {"humor": 0.5}}, ["humor"])
    assert meetings.closed_meeting(opened, held.code) is None
    assert meetings.close(opened, held.code, result)
    assert not meetings.close(opened, held.code, meetings.MeetingResult(7))
    assert meetings.meeting(opened, held.code) is None
    assert meetings.entries(opened, held.code) == ()
    closed = meetings.closed_meeting(opened, held.code.upper())
    assert (closed.meeting, closed.result) == (held, result)
    assert closed.closed.tzinfo is not None
    with pytest.raises(InputError, match="closed meanwhile"):
        meetings.join(opened, held.code, "two", "Ben", WARM)
    with opened.engine.connect() as connection:
        assert "Ana" not in str(connection.execute(text("SELECT * FROM meetings")).all())
    monkeypatch.setattr(meetings, "RESULT_DAYS", -1)
    meetings.open_meeting(opened, "Another", ALL, "t")
    assert meetings.closed_meeting(opened, held.code) is None


def test_codes_are_not_guessed():
    assert len(meetings.ALPHABET) ** meetings.CODE_LENGTH > 1e14


def test_a_full_meeting_lets_nobody_in_even_at_once(opened, monkeypatch):
    monkeypatch.setattr(meetings, "MAX_MEMBERS", 3)
    meeting = meetings.open_meeting(opened, "Launch", ALL, "t")

    def join(k: int) -> bool:
        try:
            meetings.join(opened, meeting.code, f"m{k}", f"Member {k}", WARM)
        except InputError as error:
            assert "full" in str(error)  # noqa: PT017
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(join, range(9))) == 3
    inside = meetings.entries(opened, meeting.code)
    assert len(inside) == 3
    assert meetings.join(opened, meeting.code, inside[0].member, "Renamed", COOL).name == "Renamed"


def test_votes_of_a_palette_come_together(opened):
    key, other = votes.palette_key(WARM, "t"), votes.palette_key(COOL, "t")
    first = votes.vote(opened, key, "How are you?", Preference.ALIGNED, "v")
    second = votes.vote(opened, key, "How are you?", Preference.TIE)
    votes.vote(opened, other, "How are you?", Preference.BASE)
    assert votes.list_votes(opened, key) == (first, second)
    assert votes.tally(opened, key) == votes.Tally(base=0, aligned=1, tie=1)
    assert votes.tally(opened, key).votes == 2
    assert not votes.withdraw(opened, first.id, "w")  # who does not know whose it is
    assert not votes.withdraw(opened, first.id, "")
    assert votes.withdraw(opened, first.id, "v")
    assert not votes.withdraw(opened, first.id)
    assert votes.list_votes(opened, key) == (second,)


def test_the_key_of_a_palette_is_what_it_asks_for():
    key = votes.palette_key(WARM, "t")
    turned = Palette(WARM.use_case, dict(reversed(WARM.targets.items())))
    assert key == votes.palette_key(turned, "t")
    assert key == votes.palette_key(WARM.with_target("kindness", Target(70.0)), "t")
    assert key == votes.palette_key(WARM.with_target("new", Target(10.0, free=True)), "t")
    others = [votes.palette_key(COOL, "t"), votes.palette_key(WARM, "u"), votes.palette_key(Palette(ALL), "t")]
    others.append(votes.palette_key(WARM.with_target("kindness", Target(70.0, keep=True)), "t"))
    assert len({key, *others}) == 5


def test_the_key_of_a_table_is_its_content():
    assert table_key(make_table(seed=1)) == table_key(make_table(seed=1))
    assert table_key(make_table(seed=1)) != table_key(make_table(seed=2))


def test_models_and_migrations_agree(opened):
    with opened.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_an_older_database_is_upgraded_with_all_that_is_in_it(address):
    first = next(revision.revision for revision in scripts().walk_revisions() if revision.is_base)
    with connected(address) as connection:
        migrate(connection, first)
        connection.execute(
            text(
                "INSERT INTO palettes (owner, name, colour, note, use_case, table_key, created, updated) VALUES "
                "('', 'Warm', 'teal', '', 'Care', 't', '2026-01-02 03:04:05', '2026-01-02 03:04:05')"
            )
        )
        kept = """{"use_case": "Care", "targets": {"humor": {"percentile": 70}}}"""
        number = connection.scalar(text("SELECT id FROM palettes"))
        row = {"id": number, "data": kept}
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


def test_a_newer_database_is_left_alone_and_said(address):
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
def test_processes_that_open_a_new_database_at_once(address):
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


def test_what_another_connection_writes_is_seen(opened, address):
    beside = open_database(address)
    saved = palettes.save(beside, WARM, "Warm")
    assert palettes.list_palettes(opened) == (saved,)
    beside.close()


def test_an_empty_file_is_refused_and_stays(tmp_path):
    path = tmp_path / "palettes.sqlite"
    path.touch()
    with pytest.raises(InputError, match=r"palettes.sqlite is a file of 0 bytes.*Put a backup in its place") as refused:
        open_database(f"sqlite:///{path}")
    assert str(tmp_path) not in str(refused.value)
    assert path.stat().st_size == 0
    path.unlink()
    open_database(f"sqlite:///{path}").close()


def test_a_locked_database_is_said_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[open_database.__module__], "BUSY_SECONDS", 0.2)
    path = tmp_path / "palettes.sqlite"
    opened = open_database(f"sqlite:///{path}")
    held = palettes.save(opened, WARM, "Kept")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"palettes.sqlite does not answer as it should: database is locked"):
            palettes.save(opened, WARM, "Refused")
        assert palettes.list_palettes(opened) == (held,)
        other.execute("ROLLBACK")
    assert palettes.save(opened, WARM, "Again").name == "Again"
    opened.close()


def test_a_read_only_database_is_read_and_its_refusal_said(tmp_path):
    path = tmp_path / "palettes.sqlite"
    opened = open_database(f"sqlite:///{path}")
    held = palettes.save(opened, WARM, "Kept")
    event.listen(opened.engine, "connect", lambda connection, record: connection.execute("PRAGMA query_only=ON"))
    opened.engine.dispose()
    with pytest.raises(StoreError, match=r"palettes.sqlite does not answer as it should: .*readonly database"):
        palettes.save(opened, WARM, "Refused")
    assert palettes.list_palettes(opened) == (held,)
    opened.close()


def test_an_error_does_not_show_where_the_file_is(tmp_path):
    path = tmp_path / "palettes.sqlite"
    path.write_text("no database " * 100)
    with pytest.raises(StoreError, match=r"The database palettes.sqlite does not answer") as refused:
        open_database(f"sqlite:///{path}")
    assert str(tmp_path) not in str(refused.value)


def test_sqlite_reads_while_somebody_writes(tmp_path):
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
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(InputError, match=f"{SETTING}.*expected postgresql://") as refused:
        open_database(address)
    assert "secret" not in str(refused.value)


def test_a_driver_that_is_not_here_is_said():
    with pytest.raises(InputError, match="not here"):
        open_database("postgresql+nothing://a/b")


def test_a_server_that_does_not_answer_is_said_without_the_password(tmp_path):
    with pytest.raises(StoreError, match="does not answer") as refused:
        open_database(f"postgresql://me:secret@/palettes?host={tmp_path}")
    assert "secret" not in str(refused.value)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        open_database(f"sqlite:///{tmp_path / 'file' / 'palettes.sqlite'}")


def test_a_file_that_is_no_database_is_said_and_left_alone(tmp_path):
    (tmp_path / "palettes.sqlite").write_text("These are not the tables you are looking for. " * 40)
    with pytest.raises(StoreError, match="not a database"):
        open_database(f"sqlite:///{tmp_path / 'palettes.sqlite'}")
    assert (tmp_path / "palettes.sqlite").read_text().startswith("These")


def test_deletion_of_a_palette_row_takes_its_versions_in_the_database_itself(opened):
    saved = palettes.save(opened, WARM, "Warm")
    with opened.writing() as session:
        session.execute(text("DELETE FROM palettes"))
    assert palettes.versions(opened, saved.id) == ()


def test_a_value_is_kept_as_it_was_defined(opened):
    value = custom_values.define(opened, NURSE)
    assert value.definition == NURSE
    assert (value.version, value.in_use, value.used) == (1, 0, None)
    assert custom_values.list_values(opened) == (value,)
    assert custom_values.load(opened, value.id) == value


def test_other_words_are_a_new_version_and_another_title_is_not(opened):
    value = custom_values.define(opened, NURSE)
    titled = custom_values.revise(
        opened, value.id, Definition("calm_nurse", "Nurse", NURSE.more, NURSE.less, colour="#112233")
    )
    assert (titled.version, titled.definition.title) == (1, "Nurse")
    assert custom_values.use(opened, value.id, 1).used == titled.definition
    changed = custom_values.revise(opened, value.id, CALMER)
    assert (changed.version, changed.definition) == (2, CALMER)
    assert changed.used == titled.definition  # until somebody says otherwise
    assert custom_values.use(opened, value.id, 2).used == CALMER
    assert custom_values.use(opened, value.id, 0).used is None


def test_judgements_belong_to_a_version_and_a_table(opened):
    value = custom_values.define(opened, NURSE)
    pair = (("p01", 3), ("p01", 0))
    kept = custom_values.judge(opened, value.id, 1, "abc", pair, PairAnswer.SECOND, "me")
    assert custom_values.judgements(opened, value.id, 1, "abc") == (kept,)
    assert (kept.first, kept.second, kept.answer) == (*pair, PairAnswer.SECOND)
    assert custom_values.judgements(opened, value.id, 2, "abc") == ()
    assert custom_values.judgements(opened, value.id, 1, "other") == ()
    assert custom_values.withdraw(opened, kept.id)
    assert not custom_values.withdraw(opened, kept.id)
    assert custom_values.judgements(opened, value.id, 1, "abc") == ()


def test_deleting_a_value_takes_the_judgements_along_and_frees_the_name(opened):
    value = custom_values.define(opened, NURSE)
    custom_values.judge(opened, value.id, 1, "abc", (("a", 0), ("a", 1)), PairAnswer.FIRST)
    custom_values.delete(opened, value.id)
    assert custom_values.list_values(opened) == ()
    again = custom_values.define(opened, NURSE)
    assert again.id != value.id
    assert custom_values.judgements(opened, value.id, 1, "abc") == ()


def test_what_cannot_be_done_to_a_value_is_refused_in_words(opened):
    value = custom_values.define(opened, NURSE)
    with pytest.raises(InputError, match="There is a value named 'calm_nurse' already"):
        custom_values.define(opened, NURSE)
    with pytest.raises(InputError, match="keeps that name"):
        custom_values.revise(opened, value.id, Definition("other", "Other", ("a",), ("b",)))
    with pytest.raises(InputError, match="Version 7 of 'calm_nurse' is not there"):
        custom_values.use(opened, value.id, 7)
    for call in (
        lambda: custom_values.delete(opened, 99),
        lambda: custom_values.use(opened, 99, 0),
        lambda: custom_values.revise(opened, 99, NURSE),
        lambda: custom_values.judge(opened, 99, 1, "abc", (("a", 0), ("a", 1)), PairAnswer.FIRST),
    ):
        with pytest.raises(InputError, match="no value of one's own with the number 99"):
            call()
