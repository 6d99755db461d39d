"""Meetings and votes that people keep: the same tests on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from map_core.errors import InputError
from map_core.palettes.palette import ALL
from map_core.store import (
    meeting_numbers,
    meetings,
    votes,
)
from map_core.store.votes import Preference
from tests.store.examples import COOL, WARM


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
    meetings.close(opened, meeting.code, meetings.MeetingResult(0))
    meetings.set_budget(opened, meeting.code, 0.5)
    assert meetings.meeting(opened, meeting.code) is None


def test_a_host_can_show_that_a_meeting_is_theirs(opened):
    meeting = meetings.open_meeting(opened, "Launch", ALL, "t", host="kept by the host")
    assert meeting.code == meetings.code_of("kept by the host")
    assert meetings.code_of("kept by another") != meeting.code
    assert len(meeting.code) == meetings.CODE_LENGTH
    assert set(meeting.code) <= set(meetings.ALPHABET)


def test_meetings_are_apart_and_can_be_closed(opened):
    first, second = (meetings.open_meeting(opened, name, ALL, "t") for name in ("One", "Two"))
    meetings.join(opened, first.code, "a", "Support", WARM)
    kept = meetings.join(opened, second.code, "a", "Support", COOL)
    assert meetings.close(opened, first.code, meetings.MeetingResult(1))
    assert not meetings.close(opened, first.code, meetings.MeetingResult(1))
    assert meetings.meeting(opened, first.code) is None
    assert meetings.entries(opened, first.code) == ()
    assert meetings.entries(opened, second.code) == (kept,)
    with pytest.raises(InputError, match="was closed"):
        meetings.join(opened, first.code, "a", "Support", WARM)
    with pytest.raises(InputError, match="no meeting with the code"):
        meetings.join(opened, "another", "a", "Support", WARM)


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


def test_a_meeting_in_which_something_has_changed_since_it_was_counted_stays_open(opened):
    held = meetings.open_meeting(opened, "Launch", ALL, "t")
    nobody = meetings.entries(opened, held.code)
    meetings.join(opened, held.code, "one", "Ana", WARM)
    result = meetings.MeetingResult(0)
    assert not meetings.close(opened, held.code, result, nobody)
    counted = meetings.entries(opened, held.code)
    meetings.join(opened, held.code, "one", "Ana", COOL)  # another wish of the same member
    assert not meetings.close(opened, held.code, result, counted)
    counted = meetings.entries(opened, held.code)
    meetings.leave(opened, held.code, "one")
    assert not meetings.close(opened, held.code, result, counted)
    assert meetings.meeting(opened, held.code) is not None
    assert meetings.close(opened, held.code, result, meetings.entries(opened, held.code))
    meetings.set_budget(opened, held.code, 2.0)
    assert meetings.closed_meeting(opened, held.code).meeting.budget is None


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
