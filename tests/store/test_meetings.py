"""Tests of stored meetings and votes, on SQLite and on a real PostgreSQL server."""

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
    rejoined = meetings.join(opened, meeting.code.upper(), "b", "Support team", COOL)
    assert (rejoined.joined, rejoined.palette, rejoined.name) == (first.joined, COOL, "Support team")
    assert meetings.entries(opened, meeting.code) == (rejoined, second)
    assert meetings.leave(opened, meeting.code, "b")
    assert not meetings.leave(opened, meeting.code, "b")
    assert meetings.entries(opened, meeting.code) == (second,)


def test_budget_of_a_meeting_is_the_same_for_all_members(opened):
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


def test_meetings_are_separate_and_can_be_closed(opened):
    first, second = (meetings.open_meeting(opened, name, ALL, "t") for name in ("One", "Two"))
    meetings.join(opened, first.code, "a", "Support", WARM)
    member = meetings.join(opened, second.code, "a", "Support", COOL)
    assert meetings.close(opened, first.code, meetings.MeetingResult(1))
    assert not meetings.close(opened, first.code, meetings.MeetingResult(1))
    assert meetings.meeting(opened, first.code) is None
    assert meetings.entries(opened, first.code) == ()
    assert meetings.entries(opened, second.code) == (member,)
    with pytest.raises(InputError, match="was closed"):
        meetings.join(opened, first.code, "a", "Support", WARM)
    with pytest.raises(InputError, match="no meeting with the code"):
        meetings.join(opened, "another", "a", "Support", WARM)


def test_six_digits_identify_an_open_meeting(opened):
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


def test_names_expire_in_a_meeting_that_nobody_closes(opened, monkeypatch):
    meeting = meetings.open_meeting(opened, "Launch", ALL, "t")
    meetings.join(opened, meeting.code, "one", "Ana", WARM)
    meetings.close_abandoned(opened)
    assert [entry.name for entry in meetings.entries(opened, meeting.code)] == ["Ana"]
    monkeypatch.setattr(meetings, "OPEN_HOURS", -1)
    assert meetings.meeting(opened, meeting.code) is None
    assert meetings.entries(opened, meeting.code) == ()
    assert meetings.closed_meeting(opened, meeting.code).result == meetings.MeetingResult(1, asked=[])
    with opened.engine.connect() as connection:
        assert "Ana" not in str(connection.execute(text("SELECT * FROM entries")).all())


def test_closed_meeting_keeps_its_result_and_no_members(opened, monkeypatch):
    meeting = meetings.open_meeting(opened, "Launch", ALL, "t")
    meetings.join(opened, meeting.code, "one", "Ana", WARM)
    result = meetings.MeetingResult(1, "All agree.", {"bargain": {"humor": 0.5}}, ["humor"])
    assert meetings.closed_meeting(opened, meeting.code) is None
    assert meetings.close(opened, meeting.code, result)
    assert not meetings.close(opened, meeting.code, meetings.MeetingResult(7))
    assert meetings.meeting(opened, meeting.code) is None
    assert meetings.entries(opened, meeting.code) == ()
    closed = meetings.closed_meeting(opened, meeting.code.upper())
    assert (closed.meeting, closed.result) == (meeting, result)
    assert closed.closed.tzinfo is not None
    with pytest.raises(InputError, match="closed meanwhile"):
        meetings.join(opened, meeting.code, "two", "Ben", WARM)
    with opened.engine.connect() as connection:
        assert "Ana" not in str(connection.execute(text("SELECT * FROM meetings")).all())
    monkeypatch.setattr(meetings, "RESULT_DAYS", -1)
    meetings.open_meeting(opened, "Another", ALL, "t")
    assert meetings.closed_meeting(opened, meeting.code) is None


def test_meeting_changed_since_its_count_stays_open(opened):
    meeting = meetings.open_meeting(opened, "Launch", ALL, "t")
    nobody = meetings.entries(opened, meeting.code)
    meetings.join(opened, meeting.code, "one", "Ana", WARM)
    result = meetings.MeetingResult(0)
    assert not meetings.close(opened, meeting.code, result, nobody)
    counted = meetings.entries(opened, meeting.code)
    meetings.join(opened, meeting.code, "one", "Ana", COOL)  # a changed target of the same member
    assert not meetings.close(opened, meeting.code, result, counted)
    counted = meetings.entries(opened, meeting.code)
    meetings.leave(opened, meeting.code, "one")
    assert not meetings.close(opened, meeting.code, result, counted)
    assert meetings.meeting(opened, meeting.code) is not None
    assert meetings.close(opened, meeting.code, result, meetings.entries(opened, meeting.code))
    meetings.set_budget(opened, meeting.code, 2.0)
    assert meetings.closed_meeting(opened, meeting.code).meeting.budget is None


def test_codes_are_unguessable():
    assert len(meetings.ALPHABET) ** meetings.CODE_LENGTH > 1e14


def test_full_meeting_admits_nobody_even_concurrently(opened, monkeypatch):
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


def test_votes_are_grouped_by_palette(opened):
    key, other_key = votes.palette_key(WARM, "t"), votes.palette_key(COOL, "t")
    first = votes.vote(opened, key, "How are you?", Preference.ALIGNED, "v")
    second = votes.vote(opened, key, "How are you?", Preference.TIE)
    votes.vote(opened, other_key, "How are you?", Preference.BASE)
    assert votes.list_votes(opened, key) == (first, second)
    assert votes.tally(opened, key) == votes.Tally(base=0, aligned=1, tie=1)
    assert votes.tally(opened, key).votes == 2
    assert not votes.withdraw(opened, first.id, "w")  # without knowledge of the owner
    assert not votes.withdraw(opened, first.id, "")
    assert votes.withdraw(opened, first.id, "v")
    assert not votes.withdraw(opened, first.id)
    assert votes.list_votes(opened, key) == (second,)
