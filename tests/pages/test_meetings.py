"""Tests of meetings as scripts: the pages of the host and the phones."""

from __future__ import annotations

import html
import re
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from map_core.access import Role, Visibility, Visitor
from map_core.custom_values.active import clear_cache
from map_core.data import table_format
from map_core.errors import InputError, PaletteError
from map_core.palettes.palette import ALL, Target
from map_core.store import custom_values, database, meeting_numbers, meetings, table_key
from pages.view.groups import meeting_agreement, meeting_result, results, seats
from pages.view.session import scene as scenes
from pages.view.shell import remember, visitor_header
from tests.pages.app_script import page_text, settled
from tests.pages.groups_script import COOL, WARM, keys, opened
from tests.pages.test_values import NURSE, scored
from tests.tables import VALUES

pytestmark = pytest.mark.usefixtures("place")


def hosted(name: str = "Launch") -> AppTest:
    app = opened("groups")
    app.text_input(key="meeting_name").set_value(name)
    return app.button(key="meeting_open").click().run()


def test_meeting_opens_with_a_code_and_a_link():
    app = hosted("<i>Launch</i>")
    assert not app.exception
    code = app.session_state["meeting"]
    assert meetings.meeting(database(), code).name == "<i>Launch</i>"
    assert app.query_params["meeting"] == code
    assert meeting_numbers.spaced(meeting_numbers.number_of(code)) in page_text(app)
    secret = app.session_state["meeting_host"]
    assert secret not in str(dict(app.query_params)), "everybody in the room reads the address"
    assert "data:image/svg+xml" in page_text(app)
    assert "&lt;i&gt;Launch" in page_text(app)
    assert "0 people have joined" in page_text(app)
    assert page_text(app).count("Other devices cannot open this link: on any device, localhost means that device.") == 2
    assert "--server.address 0.0.0.0" in page_text(app)
    app.text_input(key="meeting_base").set_value("192.168.1.5:8501/").run()
    assert f"http://192.168.1.5:8501/join?meeting={code}" in app.code[0].value
    assert "Other devices cannot" not in page_text(app)


def test_earlier_palette_is_not_on_the_wall():
    app = opened("groups")
    app.button(key="example").click().run()
    settled(app)
    app.run()
    app.button(key="page_use_bargain").click().run()
    assert [caption.value for caption in app.caption if "Switched to" in caption.value]
    app.button(key="meeting_open").click().run()
    assert "meeting" in app.query_params
    assert [caption.value for caption in app.caption if "Switched to" in caption.value] == []


def joined_by_two() -> AppTest:
    app = hosted()
    code = app.session_state["meeting"]
    meetings.join(database(), code, "one", "<b>Ana</b>", WARM)
    meetings.join(database(), code, "two", "Ben", COOL)
    settled(app)
    return app.run()


def test_members_appear_and_the_host_can_remove_them():
    app = joined_by_two()
    code = app.session_state["meeting"]
    assert not app.exception
    assert "2 people have joined" in page_text(app)
    assert "&lt;b&gt;Ana&lt;/b&gt;" in page_text(app)
    assert "<b>Ana" not in page_text(app)
    assert "vp-agreed" in page_text(app)
    app.button(key="remove_member_two").click().run()
    assert [entry.member for entry in meetings.entries(database(), code)] == ["one"]
    meetings.join(database(), code, "two", "Ben again", COOL)
    app.run()
    assert "Ben again" in page_text(app)


def test_only_the_host_can_remove_members_and_close():
    app = hosted()
    code = app.session_state["meeting"]
    meetings.join(database(), code, "one", "Ana", WARM)
    impostor = opened("groups", meeting=code, host="not the key")
    assert not impostor.exception
    assert "1 person has joined" in page_text(impostor)
    assert "remove_member_one" not in keys(impostor)
    assert "meeting_end" not in keys(impostor)
    host_page = opened("groups", meeting=code, host=app.session_state["meeting_host"])
    assert "remove_member_one" in keys(host_page)
    host_page.button(key="meeting_end").click().run()
    assert not host_page.exception
    assert meetings.meeting(database(), code) is None
    assert [group.name for group in host_page.session_state["groups"]] == ["Ana"]
    assert "meeting" not in host_page.query_params
    impostor.run()
    assert "This meeting is closed" in page_text(impostor)


def test_phones_show_the_result_of_a_closed_meeting():
    host = hosted("<i>Launch</i>")
    code = host.session_state["meeting"]
    ana = phone(code)
    ana.text_input(key="join_name").set_value("Ana")
    ana.toggle(key="ask_humor").set_value(True).run()
    ana.button(key="send").click().run()
    meetings.join(database(), code, "two", "Ben", COOL)
    host.button(key="meeting_end").click().run()
    assert not host.exception
    for page, own in ((ana.run(), True), (phone(code), False), (opened("groups", meeting=code), False)):
        assert not page.exception
        assert "This meeting is closed. 2 people took part; names and wishes are deleted." in page_text(page)
        assert "&lt;i&gt;Launch" in page_text(page)
        assert "Send again" not in page_text(page)
        assert not {"send", "leave"} & set(keys(page))
        assert "The common palette" in page_text(page)
        assert re.search(r"Together p\d+", page_text(page))
        assert ("of the way to what you ask for" in page_text(page) or "all that you ask for" in page_text(page)) is own
        assert "Ben" not in page_text(page)
    assert meetings.entries(database(), code) == ()


def test_message_sent_while_the_host_closes_is_counted(monkeypatch):
    host = hosted()
    code = host.session_state["meeting"]
    meetings.join(database(), code, "one", "Ana", WARM)
    compute, late = meeting_result.final_result, deque(["Ben"])

    def computed(*arguments):
        if late:
            meetings.join(database(), code, "two", late.popleft(), COOL)
        return compute(*arguments)

    monkeypatch.setattr(meeting_result, "final_result", computed)
    host.button(key="meeting_end").click().run()
    assert not host.exception
    assert meetings.closed_meeting(database(), code).result.members == 2
    assert [group.name for group in host.session_state["groups"]] == ["Ana", "Ben"]


def test_meeting_with_constant_changes_stays_open(monkeypatch):
    host = hosted()
    code = host.session_state["meeting"]

    def computed(*arguments):
        meetings.join(database(), code, "one", "Ana", WARM)
        return meetings.MeetingResult(0)

    monkeypatch.setattr(meeting_result, "final_result", computed)
    host.button(key="meeting_end").click().run()
    assert not host.exception
    assert "The meeting is still open" in page_text(host)
    assert [entry.name for entry in meetings.entries(database(), code)] == ["Ana"]


def test_a_meeting_that_nobody_joined_is_closed_without_a_result():
    host = hosted()
    code = host.session_state["meeting"]
    host.button(key="meeting_end").click().run()
    page = phone(code)
    assert "This meeting is closed. Nobody took part" in page_text(page)
    assert "The common palette" not in page_text(page)


def test_a_meeting_of_another_table_is_not_shown_on_this_one():
    meeting = meetings.open_meeting(database(), "Other", ALL, "another table")
    for page in ("groups", "join"):
        app = opened(page, meeting=meeting.code)
        assert not app.exception
        assert "another table" in page_text(app)


def phone(code: str, **parameters: str) -> AppTest:
    return opened("join", meeting=code, **parameters)


def test_phone_sends_changes_and_reconnects(place):
    meeting = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    app = phone(meeting.code)
    assert not app.exception
    assert [app.toggle(key=f"ask_{name}").value for name in VALUES] == [False] * 4
    assert "Switch on what matters to you" in page_text(app)
    app.button(key="send").click().run()
    assert any("who you are" in text.value for text in app.text)
    app.text_input(key="join_name").set_value("<b>Ana</b>")
    app.toggle(key="ask_humor").set_value(True).run()
    app.slider(key="wish_humor").set_value(70).run()
    assert "Reachable" in page_text(app)
    app.button(key="send").click().run()
    (entry,) = meetings.entries(database(), meeting.code)
    assert entry.name == "<b>Ana</b>"
    assert entry.palette.targets["humor"] == Target(70.0)
    assert {name for name in VALUES if not entry.palette.targets[name].free} == {"humor"}
    assert "You are in the picture, the first one." in page_text(app)
    assert app.button(key="send").disabled
    app.slider(key="wish_humor").set_value(60).run()
    assert "Not sent yet." in page_text(app)
    assert meetings.entries(database(), meeting.code)[0].palette.targets["humor"].percentile == 70
    app.button(key="send").click().run()
    assert meetings.entries(database(), meeting.code)[0].palette.targets["humor"].percentile == 60
    reconnected = phone(meeting.code, me=entry.member)
    assert reconnected.text_input(key="join_name").value == "<b>Ana</b>"
    assert reconnected.slider(key="wish_humor").value == 60
    reconnected.button(key="leave").click().run()
    assert meetings.entries(database(), meeting.code) == ()
    assert "Send again to come back" in page_text(app.run())


def test_targets_out_of_reach_can_be_lowered_on_a_phone(place):
    meeting = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    app = phone(meeting.code)
    for name in VALUES[:2]:
        app.toggle(key=f"ask_{name}").set_value(True).run()
        app.slider(key=f"wish_{name}").set_value(app.slider(key=f"wish_{name}").max).run()
    assert "Not possible together" in page_text(app)
    app.button(key="ease").click().run()
    assert not app.exception
    assert "vp-out_of_reach" not in page_text(app)


def test_without_a_code_a_phone_is_asked_for_one():
    app = opened("join")
    assert "Type the six digits on the screen." in page_text(app)
    meeting = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    app.text_input(key="join_code").set_value(f"{meeting.code[:5]}-{meeting.code[5:]}".upper()).run()
    app.button(key="join_go").click().run()
    assert "Say what matters to you." in page_text(app)
    assert "no open meeting" in page_text(opened("join", meeting="nothing"))


def test_six_digits_open_the_meeting_and_wrong_attempts_are_limited(monkeypatch):
    monkeypatch.setattr(seats, "_wrong", deque())
    meeting = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    number = meeting_numbers.number_of(meeting.code)
    app = opened("join")
    app.text_input(key="join_code").set_value(meeting_numbers.spaced(number)).run()
    app.button(key="join_go").click().run()
    assert "Say what matters to you." in page_text(app)
    join_page = opened("join")
    wrong = f"{(int(number) + 1) % 10**6:06d}"
    for _ in range(seats.OWN_TRIES):
        join_page.text_input(key="join_code").set_value(wrong).run()
        join_page.button(key="join_go").click().run()
        assert "Say what matters to you." not in page_text(join_page)
    assert any("Wait a minute" in text.value for text in join_page.text)
    join_page.text_input(key="join_code").set_value(number).run()
    join_page.button(key="join_go").click().run()
    assert "Say what matters to you." not in page_text(join_page)


def test_seats_per_address_are_limited(monkeypatch):
    monkeypatch.setenv("VALUE_PALETTE_MEETING_SEATS", "2")
    monkeypatch.setattr(seats, "_seats", {})
    results = [takes("code", member, "10.0.0.9") for member in ("one", "two", "one", "three")]
    assert results == [True, True, True, False]
    assert takes("code", "three", "10.0.0.10")
    assert takes("other", "three", "10.0.0.9")
    assert takes("code", "four", None), "a proxy on this machine stands for many people"


def takes(code: str, member: str, address: str | None) -> bool:
    try:
        with seats.seat(code, member, address):
            return True
    except InputError:
        return False


def test_seats_are_freed_by_leaving_and_failed_joins(monkeypatch):
    monkeypatch.setenv("VALUE_PALETTE_MEETING_SEATS", "1")
    monkeypatch.setattr(seats, "_seats", {})
    assert takes("code", "one", "10.0.0.9")
    assert takes("code", "one", "10.0.0.10"), "the phone is in another network now"
    seats.give_back("code", "one")
    assert seats._seats == {}
    with pytest.raises(InputError, match="full"), seats.seat("code", "two", "10.0.0.9"):
        raise InputError("The meeting is full.")
    assert seats._seats == {}
    assert takes("code", "one", "10.0.0.9")
    with pytest.raises(InputError, match="full"), seats.seat("code", "one", "10.0.0.9"):
        raise InputError("The meeting is full.")
    assert seats._seats == {("code", "10.0.0.9"): {"one"}}, "it was held before"


@pytest.fixture
def one_seat(place, monkeypatch):
    """Limit the common address of all phones to one seat."""
    monkeypatch.setenv("VALUE_PALETTE_MEETING_SEATS", "1")
    monkeypatch.setattr(seats, "_seats", {})
    monkeypatch.setattr(remember, "network_address", lambda: "10.0.0.9")


@pytest.mark.usefixtures("one_seat")
def test_the_seat_of_a_phone_that_leaves_is_free_for_another():
    meeting = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    first, second = (
        with_wish(phone(meeting.code, me="first"), "Ana"),
        with_wish(phone(meeting.code, me="second"), "Ben"),
    )
    assert any("No more people can join" in text.value for text in second.text)
    first.button(key="leave").click().run()
    second.button(key="send").click().run()
    assert [entry.name for entry in meetings.entries(database(), meeting.code)] == ["Ben"]


@pytest.mark.usefixtures("one_seat")
def test_a_phone_that_could_not_join_takes_no_seat(monkeypatch):
    meeting = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    with monkeypatch.context() as patch:
        patch.setattr(meetings, "MAX_MEMBERS", 0)
        first = with_wish(phone(meeting.code, me="first"), "Ana")
        assert any("full" in text.value for text in first.text)
    with_wish(phone(meeting.code, me="second"), "Ben")
    assert [entry.name for entry in meetings.entries(database(), meeting.code)] == ["Ben"]


@pytest.mark.usefixtures("one_seat")
def test_the_seat_of_a_member_whom_the_host_removed_stays_taken():
    wall = hosted()
    code = wall.session_state["meeting"]
    first = with_wish(phone(code, me="first"), "Ana")
    wall.run().button(key="remove_member_first").click().run()
    assert meetings.entries(database(), code) == ()
    first.button(key="leave").click().run()  # of a page that was drawn earlier
    second = with_wish(phone(code, me="second"), "Ana under another name")
    assert any("No more people can join" in text.value for text in second.text)
    first.run().button(key="send").click().run()
    assert [entry.name for entry in meetings.entries(database(), code)] == ["Ana"]


def test_forwarded_link_does_not_identify_the_member():
    meeting = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    app = phone(meeting.code)
    app.text_input(key="join_name").set_value("Ana")
    app.button(key="send").click().run()
    assert set(app.query_params) <= {"palette", "meeting"}
    handed = phone(meeting.code)
    assert handed.text_input(key="join_name").value == ""
    handed.text_input(key="join_name").set_value("Ben")
    handed.button(key="send").click().run()
    assert [entry.name for entry in meetings.entries(database(), meeting.code)] == ["Ana", "Ben"]


def test_full_meeting_is_reported(place, monkeypatch):
    monkeypatch.setattr(meetings, "MAX_MEMBERS", 1)
    meeting = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    meetings.join(database(), meeting.code, "one", "Ana", WARM)
    app = phone(meeting.code)
    app.text_input(key="join_name").set_value("Ben").run()
    app.button(key="send").click().run()
    assert any("full" in text.value for text in app.text)


def test_failed_agreement_is_retried_later(monkeypatch):
    """A transient failure must not leave a meeting without its agreement until a target changes."""
    tries = []

    def work(job):
        tries.append(job)
        if len(tries) == 1:
            raise PaletteError("There is no memory left.")

    monkeypatch.setattr(results, "job_key", lambda *arguments: "an agreement that fails once")
    monkeypatch.setattr(results, "agreement_work", lambda *arguments: work)
    shared = meeting_agreement.SharedAgreement()

    def look() -> str | None:
        shared.look(None, (), 1.0)
        assert shared._request.job.wait(10)
        return shared.look(None, (), 1.0).error

    for _ in range(3):
        assert look() == "There is no memory left."
    assert len(tries) == 1, "not at every look"
    monkeypatch.setattr(meeting_agreement, "RETRY_SECONDS", -1.0)
    for _ in range(3):
        assert look() is None
    assert len(tries) == 2, "what succeeded is not computed again"


def together(page: str) -> list[str]:
    """Return the lines with the common palettes on a phone."""
    return re.findall(r"<small>(Together [^<]*)</small>", page)


def test_phone_shows_the_same_common_palette_as_the_wall():
    wall = joined_by_two()
    code = wall.session_state["meeting"]
    app = settled(phone(code, me="one"))
    assert not app.exception
    page = page_text(app.run())
    assert "The common palette" in page
    (headline,) = re.findall(r'class="vp-agreed"[^>]*>([^<]*)<', page_text(wall))
    assert headline in page
    assert "Most equal" in page
    assert "of the way to what you ask for" in page
    assert "; you ask for p" in page
    assert "Ben" not in page
    first = together(page)
    assert len(first) == 4, "one line a value that somebody asks for"
    # All members have the host's budget.
    wall.slider(key="groups_budget").set_value(0.2).run()
    assert meetings.meeting(database(), code).budget == 0.2
    settled(wall)
    wall.run()
    app.run()
    settled(app)
    assert together(page_text(app.run())) != first
    second_screen = opened("groups", meeting=code)
    assert "Budget 0.2 nats" in page_text(second_screen)
    assert "groups_budget" not in [slider.key for slider in second_screen.slider]
    host_page = opened("groups", meeting=code, host=wall.session_state["meeting_host"])
    assert host_page.slider(key="groups_budget").value == 0.2


ANN = Visitor("id|ann", "Ann", Role.MEMBER)
BEN = Visitor("id|ben", "Ben", Role.MEMBER)


@pytest.fixture
def seen_by(place, table_file, monkeypatch):
    """Switch to a visitor; only Ann uses a custom value."""
    scored(table_format.load(table_file))
    own = database().as_visitor(ANN)
    custom_values.use(own, custom_values.define(own, NURSE).id, 1)
    clear_cache()

    def change(who: Visitor) -> None:
        monkeypatch.setattr(visitor_header, "read", lambda headers: who)

    yield change
    clear_cache()


def with_wish(app: AppTest, name: str) -> AppTest:
    app.text_input(key="join_name").set_value(name)
    app.toggle(key="ask_humor").set_value(True).run()
    return app.button(key="send").click().run()


@pytest.mark.parametrize(("host", "guest"), [(ANN, BEN), (BEN, ANN)])
def test_a_meeting_has_the_same_values_for_everybody(seen_by: Callable[[Visitor], None], host: Visitor, guest: Visitor):
    seen_by(host)
    wall = hosted()
    code = wall.session_state["meeting"]
    meetings.join(database(), code, "one", "Ana", WARM)
    settled(wall)
    seen_by(guest)
    app = phone(code)
    assert [toggle.key for toggle in app.toggle] == [f"ask_{name}" for name in VALUES]
    with_wish(app, "Ben")
    assert not app.exception, "until there is a newer agreement, the previous one is shown"
    settled(app)
    assert not app.exception
    assert "You are in the picture, with 1 other." in page_text(app)
    assert together(page_text(app))
    assert NURSE.title not in page_text(app)
    seen_by(host)
    settled(wall)
    assert not wall.exception
    assert "2 people have joined" in page_text(wall)
    (headline,) = re.findall(r'class="vp-agreed"[^>]*>([^<]*)<', page_text(wall))
    assert headline in page_text(app)
    wall.button(key="meeting_end").click().run()
    assert not wall.exception
    seen_by(guest)
    app.run()
    assert not app.exception
    assert "2 people took part" in page_text(app)
    assert together(page_text(app))


def test_host_reads_which_values_are_left_out(seen_by: Callable[[Visitor], None]):
    seen_by(ANN)
    assert f"without {NURSE.title}" in html.unescape(page_text(opened("groups")))
    seen_by(BEN)
    assert "A meeting is about values that everybody sees" not in page_text(opened("groups"))


def test_shared_value_joins_the_meeting_at_once(seen_by: Callable[[Visitor], None]):
    seen_by(BEN)
    wall = hosted()
    code = wall.session_state["meeting"]
    meetings.join(database(), code, "one", "Ana", WARM)
    settled(wall)
    (own,) = custom_values.list_values(database().as_visitor(ANN))
    custom_values.share(database().as_visitor(ANN), own.id, Visibility.EVERYONE)
    clear_cache()
    for app in (phone(code), wall):
        settled(app)
        assert not app.exception
    assert f"ask_{NURSE.name}" in [toggle.key for toggle in phone(code).toggle]
    assert re.findall(r'class="vp-agreed"', page_text(settled(wall)))


def test_target_for_a_missing_value_is_not_counted(seen_by: Callable[[Visitor], None]):
    seen_by(ANN)
    wall = hosted()
    code = wall.session_state["meeting"]
    beyond = replace(WARM, targets={**WARM.targets, NURSE.name: Target(70.0)})
    meetings.join(database(), code, "one", "Ana", beyond)
    settled(wall)
    assert not wall.exception
    assert "1 person has joined" in page_text(wall)
    app = settled(phone(code, me="one"))
    assert not app.exception
    assert [app.toggle(key=f"ask_{name}").value for name in ("helpfulness", "humor")] == [True, True]
    assert "You are in the picture, the first one." in page_text(app)
    wall.button(key="meeting_end").click().run()
    assert not wall.exception
    assert NURSE.name not in meetings.closed_meeting(database(), code).result.asked
