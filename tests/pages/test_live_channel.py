"""Tests of the live channel of the desk: the newest move first, nothing stored, only the visit's own page."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import re
import threading
import weakref

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from map_core.oracle import MemoryOracle
from map_core.palettes.palette import ALL, Palette, Target
from pages.view.palette.drag_session import DragSession
from pages.view.session import live_answer
from pages.view.session.scene import Scene
from pages.view.shell import live_channel
from tests.tables import make_table
from tests.waiting import until

HELD: list[live_channel.LivePage] = []


class Echo:
    """A page that echoes messages, and can be blocked."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.go = threading.Event()

    def answer(self, number, changes):
        if changes.get("wait"):
            self.go.wait(10)
        if changes.get("fail"):
            raise RuntimeError("no answer to that")
        self.heard.append(number)
        return {"ack": number, "level": math.nan if changes.get("unknown") else 1.5}

    def later(self):
        if self.heard[-1] % 100 == 99:
            raise RuntimeError("nothing to add")
        return {"later": self.heard[-1]} if self.heard[-1] % 10 == 0 else None

    def failed(self, number, failure):
        return {"failed": number, "reference": failure.reference}


def connected(origin: str):
    client = TestClient(Starlette(routes=[live_channel.ROUTE]))
    return client.websocket_connect(f"ws://desk.example{live_channel.PATH}", headers={"origin": origin})


@pytest.fixture
def socket():
    with connected("http://desk.example") as opened:
        yield opened


def answer_as(name: str, page: live_channel.LivePage) -> None:
    """Register a page and hold it until the test ends, as a visit does."""
    HELD.append(page)
    live_channel.register(name, page)


def told(page: str, number: int, **changes) -> str:
    return json.dumps({"session": page, "seq": number, "changes": changes})


def test_message_is_answered_and_slow_results_follow(socket):
    answer_as("one", Echo())
    socket.send_text(told("one", 3))
    assert socket.receive_json() == {"ack": 3, "level": 1.5}
    socket.send_text(told("one", 10))
    assert [socket.receive_json(), socket.receive_json()] == [{"ack": 10, "level": 1.5}, {"later": 10}]


def test_superseded_messages_are_skipped(socket):
    page = Echo()
    answer_as("two", page)
    socket.send_text(told("two", 1, wait=True))
    for number in range(2, 9):
        socket.send_text(told("two", number))
    socket.send_text(told("nobody", 9))  # shows that all earlier messages were received
    page.go.set()
    answers = [socket.receive_json(), socket.receive_json()]
    assert answers[0] == {"ack": 1, "level": 1.5}
    assert answers[1] in ({"ack": 8, "level": 1.5}, {"unknown": 9})
    assert page.heard[-1] in (1, 8)


def test_unknown_page_is_reported(socket):
    socket.send_text(told("nobody", 4))
    assert socket.receive_json() == {"unknown": 4}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"session": 1, "seq": 1, "changes": {}}',
        '{"session": "a", "seq": "1", "changes": {}}',
        '{"session": "a", "seq": 1, "changes": []}',
        '"' + "x" * live_channel.MAX_MESSAGE_LENGTH + '"',
    ],
)
def test_invalid_messages_change_nothing(socket, text):
    answer_as("three", Echo())
    socket.send_text(text)
    socket.send_text(told("three", 7))
    assert socket.receive_json() == {"ack": 7, "level": 1.5}


def test_other_origins_are_refused():
    with pytest.raises(WebSocketDisconnect), connected("http://other.example"):
        pass


def test_cut_connection_is_no_error(monkeypatch):
    """A proxy closes its side without a close frame, so later messages cannot be delivered."""
    monkeypatch.setattr(live_channel, "admit", lambda _: True)
    heard = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1006}])

    async def receive():
        return next(heard)

    async def send(message):
        if message["type"] == "websocket.close":
            raise OSError

    asyncio.run(live_channel._serve(WebSocket({"type": "websocket"}, receive, send)))


def test_failed_answer_has_a_log_reference_and_the_next_follows(socket, caplog):
    answer_as("four", Echo())
    socket.send_text(told("four", 1, fail=True))
    message = socket.receive_json()
    assert message["failed"] == 1
    assert "no answer to that" in caplog.text
    assert f"reference {message['reference']}" in caplog.text
    socket.send_text(told("four", 10))
    assert [socket.receive_json(), socket.receive_json()] == [{"ack": 10, "level": 1.5}, {"later": 10}]


def test_repeated_fault_is_logged_once(socket, caplog):
    answer_as("five", Echo())
    messages = []
    for number in range(1, 6):
        socket.send_text(told("five", number, fail=True))
        messages.append(socket.receive_json())
    assert [message["failed"] for message in messages] == [1, 2, 3, 4, 5]
    assert len({message["reference"] for message in messages}) == 1
    assert len([record for record in caplog.records if "failed, reference" in record.getMessage()]) == 1


def test_failure_of_a_slow_result_keeps_the_answer(socket, caplog):
    answer_as("six", Echo())
    socket.send_text(told("six", 99))
    assert socket.receive_json() == {"ack": 99, "level": 1.5}
    until(lambda: "nothing to add" in caplog.text, message="the failure is logged")
    socket.send_text(told("six", 101))
    assert socket.receive_json() == {"ack": 101, "level": 1.5}


def test_non_finite_number_is_sent_as_null(socket):
    answer_as("seven", Echo())
    socket.send_text(told("seven", 3, unknown=True))
    assert socket.receive_text() == '{"ack":3,"level":null}'


def test_desk_reports_a_failed_answer_and_answers_the_next_move(scene, socket, monkeypatch, caplog):
    first = Palette(ALL, {name: Target(55.0, free=j > 1) for j, name in enumerate(scene.table.values)})
    name, follow = scene.table.values[0], live_answer.compute_answer
    answer_as("eight", DragSession("eight", follow(scene, first, None), prompt=0, viewer="somebody"))

    def broken(scene, palette, *rest, **options):
        if palette.targets[name].percentile == 66.0:
            raise OverflowError("math range error")
        return follow(scene, palette, *rest, **options)

    monkeypatch.setattr(live_answer, "compute_answer", broken)
    socket.send_text(told("eight", 1, **{name: {"percentile": 66.0}}))
    failed = socket.receive_json()["answer"]
    socket.send_text(told("eight", 2, **{name: {"percentile": 60.0}}))
    after = socket.receive_json()["answer"]
    assert (failed["ack"], failed["verdict"], failed["session"]) == (1, "failed", "eight")
    assert failed["headline"] == "Something went wrong here"
    assert "math range error" not in json.dumps(failed)
    assert re.search(r"reference ([0-9a-f]{6})", failed["sentence"])[1] in caplog.text
    assert (after["ack"], after["headline"]) == (2, "Reachable")
    assert set(after) == set(failed), "whatever an answer shows is taken back by one that failed"


def test_page_is_freed_when_its_visit_ends(socket):
    page = Echo()
    live_channel.register("nine", page)
    socket.send_text(told("nine", 1))
    assert socket.receive_json() == {"ack": 1, "level": 1.5}
    # The channel releases a page once it has answered the next one.
    answer_as("ten", Echo())
    socket.send_text(told("ten", 2))
    assert socket.receive_json() == {"ack": 2, "level": 1.5}
    reference = weakref.ref(page)
    del page
    # The answer arrives shortly before the channel's thread releases it.
    until(lambda: gc.collect() >= 0 and reference() is None, message="nothing holds it")
    socket.send_text(told("nine", 3))
    assert socket.receive_json() == {"unknown": 3}


@pytest.fixture(scope="module")
def scene():
    table = make_table(prompts=24, candidates=16, seed=3)
    oracle = MemoryOracle.of(table)
    names = tuple(table.values)
    return Scene(("test", 0.0, None), table, oracle, names, tuple("" for _ in names))


def test_drag_shows_the_answer_of_the_page_and_stores_nothing(scene):
    first = Palette(ALL, {name: Target(55.0, free=j > 1) for j, name in enumerate(scene.table.values)})
    expected = live_answer.compute_answer(scene, first, None)
    page = DragSession("desk", expected, prompt=0, viewer="somebody")
    name = scene.table.values[0]
    for number, percentile in enumerate((58.0, 61.0, 64.0), start=1):
        live_data = page.answer(number, {name: {"percentile": percentile}})
        exact = live_answer.compute_answer(scene, first.with_target(name, first.targets[name].at(percentile)), None)
        levels = [fader["level"] for fader in live_data["desk"]["faders"]]
        wanted = [scene.percentile(j, float(level)) for j, level in enumerate(exact.levels)]
        np.testing.assert_allclose(levels, wanted, atol=0.006)
        assert live_data["answer"]["headline"] == exact.answer.headline
        assert (live_data["desk"]["ack"], live_data["desk"]["settled"]) == (number, False)
    # Changes are relative to the saved palette: without changes it is that palette.
    repeated = page.answer(4, {})
    assert [f["level"] for f in repeated["desk"]["faders"]] == [
        round(scene.percentile(j, float(level)), 2) for j, level in enumerate(expected.levels)
    ]


def test_ranges_follow_when_they_are_old_enough(scene, monkeypatch):
    first = Palette(ALL, {name: Target(55.0, free=j > 1) for j, name in enumerate(scene.table.values)})
    page = DragSession("desk", live_answer.compute_answer(scene, first, None), prompt=0, viewer="somebody")
    name, other_value = scene.table.values[:2]
    changes = {name: {"percentile": 66.0}}
    before = page.answer(1, changes)["desk"]["faders"][1]["range"]
    monkeypatch.setattr(live_answer, "RANGE_SECONDS", 0.0)
    later = page.later()
    assert later["desk"]["ack"] == 1
    exact = live_answer.compute_answer(scene, first.with_target(name, first.targets[name].at(66.0)), None)
    wanted = [scene.percentile(1, float(end)) for end in exact.reach.ranges[1]]
    np.testing.assert_allclose(later["desk"]["faders"][1]["range"], wanted, atol=1.0)
    assert later["desk"]["faders"][1]["range"] != before
    assert page.later() is None, f"{other_value} has the ranges of now"
