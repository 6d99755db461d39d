"""Meetings as scripts: what the host and the phones see."""

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
from tests.pages.app_script import said, settled
from tests.pages.groups_script import COOL, WARM, keys, opened
from tests.pages.test_values import NURSE, scored
from tests.tables import VALUES

pytestmark = pytest.mark.usefixtures("place")


def hosted(name: str = "Launch") -> AppTest:
    app = opened("groups")
    app.text_input(key="meeting_name").set_value(name)
    return app.button(key="meeting_open").click().run()


def test_a_meeting_opens_with_a_code_and_a_link():
    app = hosted("<i>Launch</i>")
    assert not app.exception
    code = app.session_state["meeting"]
    assert meetings.meeting(database(), code).name == "<i>Launch</i>"
    assert app.query_params["meeting"] == code
    assert meeting_numbers.spaced(meeting_numbers.number_of(code)) in said(app)
    secret = app.session_state["meeting_host"]
    assert secret not in str(dict(app.query_params)), "everybody in the room reads the address"
    assert "data:image/svg+xml" in said(app)
    assert "&lt;i&gt;Launch" in said(app)
    assert "0 people have joined" in said(app)
    assert said(app).count("Other devices cannot open this link: on any device, localhost means that device.") == 2
    assert "--server.address 0.0.0.0" in said(app)
    app.text_input(key="meeting_base").set_value("192.168.1.5:8501/").run()
    assert f"http://192.168.1.5:8501/join?meeting={code}" in app.code[0].value
    assert "Other devices cannot" not in said(app)


def test_what_was_taken_before_is_not_on_the_wall():
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


def test_members_join_the_picture_and_the_host_can_take_them_out():
    app = joined_by_two()
    code = app.session_state["meeting"]
    assert not app.exception
    assert "2 people have joined" in said(app)
    assert "&lt;b&gt;Ana&lt;/b&gt;" in said(app)
    assert "<b>Ana" not in said(app)
    assert "vp-agreed" in said(app)
    app.button(key="remove_member_two").click().run()
    assert [entry.member for entry in meetings.entries(database(), code)] == ["one"]
    meetings.join(database(), code, "two", "Ben again", COOL)
    app.run()
    assert "Ben again" in said(app)


def test_only_the_host_can_take_out_and_close():
    app = hosted()
    code = app.session_state["meeting"]
    meetings.join(database(), code, "one", "Ana", WARM)
    other = opened("groups", meeting=code, host="not the key")
    assert not other.exception
    assert "1 person has joined" in said(other)
    assert "remove_member_one" not in keys(other)
    assert "meeting_end" not in keys(other)
    again = opened("groups", meeting=code, host=app.session_state["meeting_host"])
    assert "remove_member_one" in keys(again)
    again.button(key="meeting_end").click().run()
    assert not again.exception
    assert meetings.meeting(database(), code) is None
    assert [group.name for group in again.session_state["groups"]] == ["Ana"]
    assert "meeting" not in again.query_params
    other.run()
    assert "This meeting is closed" in said(other)


def test_a_closed_meeting_is_told_to_the_phones_with_what_it_came_to():
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
        assert "This meeting is closed. 2 people took part; names and wishes are deleted." in said(page)
        assert "&lt;i&gt;Launch" in said(page)
        assert "Send again" not in said(page)
        assert not {"send", "leave"} & set(keys(page))
        assert "The common palette" in said(page)
        assert re.search(r"Together p\d+", said(page))
        assert ("of the way to what you ask for" in said(page) or "all that you ask for" in said(page)) is own
        assert "Ben" not in said(page)
    assert meetings.entries(database(), code) == ()


def test_who_sends_while_the_host_closes_is_counted_and_seated(monkeypatch):
    host = hosted()
    code = host.session_state["meeting"]
    meetings.join(database(), code, "one", "Ana", WARM)
    compute, late = meeting_result.final_result, deque(["Ben"])

    def computed(*given):
        if late:
            meetings.join(database(), code, "two", late.popleft(), COOL)
        return compute(*given)

    monkeypatch.setattr(meeting_result, "final_result", computed)
    host.button(key="meeting_end").click().run()
    assert not host.exception
    assert meetings.closed_meeting(database(), code).result.members == 2
    assert [group.name for group in host.session_state["groups"]] == ["Ana", "Ben"]


def test_a_meeting_in_which_somebody_sends_all_the_time_stays_open(monkeypatch):
    host = hosted()
    code = host.session_state["meeting"]

    def computed(*given):
        meetings.join(database(), code, "one", "Ana", WARM)
        return meetings.MeetingResult(0)

    monkeypatch.setattr(meeting_result, "final_result", computed)
    host.button(key="meeting_end").click().run()
    assert not host.exception
    assert "The meeting is still open" in said(host)
    assert [entry.name for entry in meetings.entries(database(), code)] == ["Ana"]


def test_a_meeting_that_nobody_joined_is_closed_without_a_result():
    host = hosted()
    code = host.session_state["meeting"]
    host.button(key="meeting_end").click().run()
    page = phone(code)
    assert "This meeting is closed. Nobody took part" in said(page)
    assert "The common palette" not in said(page)


def test_a_meeting_of_another_table_is_not_shown_on_this_one():
    made = meetings.open_meeting(database(), "Other", ALL, "another table")
    for page in ("groups", "join"):
        app = opened(page, meeting=made.code)
        assert not app.exception
        assert "another table" in said(app)


def phone(code: str, **told: str) -> AppTest:
    return opened("join", meeting=code, **told)


def test_a_phone_sends_changes_and_comes_back(place):
    made = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    app = phone(made.code)
    assert not app.exception
    assert [app.toggle(key=f"ask_{name}").value for name in VALUES] == [False] * 4
    assert "Switch on what matters to you" in said(app)
    app.button(key="send").click().run()
    assert any("who you are" in text.value for text in app.text)
    app.text_input(key="join_name").set_value("<b>Ana</b>")
    app.toggle(key="ask_humor").set_value(True).run()
    app.slider(key="wish_humor").set_value(70).run()
    assert "Reachable" in said(app)
    app.button(key="send").click().run()
    (entry,) = meetings.entries(database(), made.code)
    assert entry.name == "<b>Ana</b>"
    assert entry.palette.targets["humor"] == Target(70.0)
    assert {name for name in VALUES if not entry.palette.targets[name].free} == {"humor"}
    assert "You are in the picture, the first one." in said(app)
    assert app.button(key="send").disabled
    app.slider(key="wish_humor").set_value(60).run()
    assert "Not sent yet." in said(app)
    assert meetings.entries(database(), made.code)[0].palette.targets["humor"].percentile == 70
    app.button(key="send").click().run()
    assert meetings.entries(database(), made.code)[0].palette.targets["humor"].percentile == 60
    again = phone(made.code, me=entry.member)
    assert again.text_input(key="join_name").value == "<b>Ana</b>"
    assert again.slider(key="wish_humor").value == 60
    again.button(key="leave").click().run()
    assert meetings.entries(database(), made.code) == ()
    assert "Send again to come back" in said(app.run())


def test_wishes_out_of_reach_can_be_eased(place):
    made = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    app = phone(made.code)
    for name in VALUES[:2]:
        app.toggle(key=f"ask_{name}").set_value(True).run()
        app.slider(key=f"wish_{name}").set_value(app.slider(key=f"wish_{name}").max).run()
    assert "Not possible together" in said(app)
    app.button(key="ease").click().run()
    assert not app.exception
    assert "vp-out_of_reach" not in said(app)


def test_without_a_code_a_phone_is_asked_for_one():
    app = opened("join")
    assert "Type the six digits on the screen." in said(app)
    made = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    app.text_input(key="join_code").set_value(f"{made.code[:5]}-{made.code[5:]}".upper()).run()
    app.button(key="join_go").click().run()
    assert "Say what matters to you." in said(app)
    assert "no open meeting" in said(opened("join", meeting="nothing"))


def test_six_digits_lead_to_the_meeting_and_wrong_ones_are_not_tried_for_ever(monkeypatch):
    monkeypatch.setattr(seats, "_wrong", deque())
    made = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    number = meeting_numbers.number_of(made.code)
    app = opened("join")
    app.text_input(key="join_code").set_value(meeting_numbers.spaced(number)).run()
    app.button(key="join_go").click().run()
    assert "Say what matters to you." in said(app)
    other = opened("join")
    wrong = f"{(int(number) + 1) % 10**6:06d}"
    for _ in range(seats.OWN_TRIES):
        other.text_input(key="join_code").set_value(wrong).run()
        other.button(key="join_go").click().run()
        assert "Say what matters to you." not in said(other)
    assert any("Wait a minute" in text.value for text in other.text)
    other.text_input(key="join_code").set_value(number).run()
    other.button(key="join_go").click().run()
    assert "Say what matters to you." not in said(other)


def test_one_address_takes_so_many_seats_and_no_more(monkeypatch):
    monkeypatch.setenv("VALUE_PALETTE_MEETING_SEATS", "2")
    monkeypatch.setattr(seats, "_seats", {})
    taken = [takes("code", member, "10.0.0.9") for member in ("one", "two", "one", "three")]
    assert taken == [True, True, True, False]
    assert takes("code", "three", "10.0.0.10")
    assert takes("other", "three", "10.0.0.9")
    assert takes("code", "four", None), "a proxy on this machine stands for many people"


def takes(code: str, member: str, address: str | None) -> bool:
    try:
        with seats.seat(code, member, address):
            return True
    except InputError:
        return False


def test_a_seat_is_given_back_by_who_leaves_and_by_who_could_not_join(monkeypatch):
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
    """One seat for the address from which all phones come."""
    monkeypatch.setenv("VALUE_PALETTE_MEETING_SEATS", "1")
    monkeypatch.setattr(seats, "_seats", {})
    monkeypatch.setattr(remember, "network_address", lambda: "10.0.0.9")


@pytest.mark.usefixtures("one_seat")
def test_the_seat_of_a_phone_that_leaves_is_free_for_another():
    made = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    first, second = with_wish(phone(made.code, me="first"), "Ana"), with_wish(phone(made.code, me="second"), "Ben")
    assert any("No more people can join" in text.value for text in second.text)
    first.button(key="leave").click().run()
    second.button(key="send").click().run()
    assert [entry.name for entry in meetings.entries(database(), made.code)] == ["Ben"]


@pytest.mark.usefixtures("one_seat")
def test_a_phone_that_could_not_join_takes_no_seat(monkeypatch):
    made = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    with monkeypatch.context() as patch:
        patch.setattr(meetings, "MAX_MEMBERS", 0)
        first = with_wish(phone(made.code, me="first"), "Ana")
        assert any("full" in text.value for text in first.text)
    with_wish(phone(made.code, me="second"), "Ben")
    assert [entry.name for entry in meetings.entries(database(), made.code)] == ["Ben"]


@pytest.mark.usefixtures("one_seat")
def test_the_seat_of_a_member_whom_the_host_removed_stays_taken():
    wall = hosted()
    code = wall.session_state["meeting"]
    first = with_wish(phone(code, me="first"), "Ana")
    wall.run().button(key="remove_member_first").click().run()
    assert meetings.entries(database(), code) == ()
    first.button(key="leave").click().run()  # of a page that was drawn before
    second = with_wish(phone(code, me="second"), "Ana under another name")
    assert any("No more people can join" in text.value for text in second.text)
    first.run().button(key="send").click().run()
    assert [entry.name for entry in meetings.entries(database(), code)] == ["Ana"]


def test_a_link_that_a_phone_hands_on_is_not_the_member():
    made = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    app = phone(made.code)
    app.text_input(key="join_name").set_value("Ana")
    app.button(key="send").click().run()
    assert set(app.query_params) <= {"palette", "meeting"}
    handed = phone(made.code)
    assert handed.text_input(key="join_name").value == ""
    handed.text_input(key="join_name").set_value("Ben")
    handed.button(key="send").click().run()
    assert [entry.name for entry in meetings.entries(database(), made.code)] == ["Ana", "Ben"]


def test_a_full_meeting_says_so(place, monkeypatch):
    monkeypatch.setattr(meetings, "MAX_MEMBERS", 1)
    made = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    meetings.join(database(), made.code, "one", "Ana", WARM)
    app = phone(made.code)
    app.text_input(key="join_name").set_value("Ben").run()
    app.button(key="send").click().run()
    assert any("full" in text.value for text in app.text)


def test_an_agreement_that_failed_is_tried_again_later(monkeypatch):
    """Whatever was short for a moment must not take the agreement from a meeting until somebody wishes differently."""
    tries = []

    def work(job):
        tries.append(job)
        if len(tries) == 1:
            raise PaletteError("There is no memory left.")

    monkeypatch.setattr(results, "job_key", lambda *asked: "an agreement that fails once")
    monkeypatch.setattr(results, "agreement_work", lambda *asked: work)
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
    """What phones show of the common palettes: the line below each strip."""
    return re.findall(r"<small>(Together [^<]*)</small>", page)


def test_a_phone_shows_the_common_palette_of_all_members_as_the_wall_does():
    wall = joined_by_two()
    code = wall.session_state["meeting"]
    app = settled(phone(code, me="one"))
    assert not app.exception
    page = said(app.run())
    assert "The common palette" in page
    (headline,) = re.findall(r'class="vp-agreed"[^>]*>([^<]*)<', said(wall))
    assert headline in page
    assert "Most equal" in page
    assert "of the way to what you ask for" in page
    assert "; you ask for p" in page
    assert "Ben" not in page
    first = together(page)
    assert len(first) == 4, "one line a value that somebody asks for"
    # The host's budget is everybody's.
    wall.slider(key="groups_budget").set_value(0.2).run()
    assert meetings.meeting(database(), code).budget == 0.2
    settled(wall)
    wall.run()
    app.run()
    settled(app)
    assert together(said(app.run())) != first
    other = opened("groups", meeting=code)
    assert "Budget 0.2 nats" in said(other)
    assert "groups_budget" not in [slider.key for slider in other.slider]
    again = opened("groups", meeting=code, host=wall.session_state["meeting_host"])
    assert again.slider(key="groups_budget").value == 0.2


ANN = Visitor("id|ann", "Ann", Role.MEMBER)
BEN = Visitor("id|ben", "Ben", Role.MEMBER)


@pytest.fixture
def seen_by(place, table_file, monkeypatch):
    """Make a visitor the one who looks; Ann alone has a value of her own in use."""
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
    assert "You are in the picture, with 1 other." in said(app)
    assert together(said(app))
    assert NURSE.title not in said(app)
    seen_by(host)
    settled(wall)
    assert not wall.exception
    assert "2 people have joined" in said(wall)
    (headline,) = re.findall(r'class="vp-agreed"[^>]*>([^<]*)<', said(wall))
    assert headline in said(app)
    wall.button(key="meeting_end").click().run()
    assert not wall.exception
    seen_by(guest)
    app.run()
    assert not app.exception
    assert "2 people took part" in said(app)
    assert together(said(app))


def test_who_opens_a_meeting_is_told_which_values_are_left_out(seen_by: Callable[[Visitor], None]):
    seen_by(ANN)
    assert f"without {NURSE.title}" in html.unescape(said(opened("groups")))
    seen_by(BEN)
    assert "A meeting is about values that everybody sees" not in said(opened("groups"))


def test_a_value_that_everybody_sees_is_in_the_meeting_as_soon_as_it_is_shared(seen_by: Callable[[Visitor], None]):
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
    assert re.findall(r'class="vp-agreed"', said(settled(wall)))


def test_a_wish_for_a_value_that_the_meeting_does_not_have_is_not_counted(seen_by: Callable[[Visitor], None]):
    seen_by(ANN)
    wall = hosted()
    code = wall.session_state["meeting"]
    beyond = replace(WARM, targets={**WARM.targets, NURSE.name: Target(70.0)})
    meetings.join(database(), code, "one", "Ana", beyond)
    settled(wall)
    assert not wall.exception
    assert "1 person has joined" in said(wall)
    app = settled(phone(code, me="one"))
    assert not app.exception
    assert [app.toggle(key=f"ask_{name}").value for name in ("helpfulness", "humor")] == [True, True]
    assert "You are in the picture, the first one." in said(app)
    wall.button(key="meeting_end").click().run()
    assert not wall.exception
    assert NURSE.name not in meetings.closed_meeting(database(), code).result.asked
