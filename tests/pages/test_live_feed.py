"""Tests of live feeds: pushed states, the latest only, at the reader's pace, to whoever knows the name."""

from __future__ import annotations

import gc
import json
import logging
import secrets
import threading

import pytest

from map_core.core.change_signal import ChangeSignal
from pages.view.shell import live_feed
from tests.pages.test_live_channel import connected
from tests.waiting import until


class Counter:
    """A feed of one number; a frame has the number and the one that the reader had before."""

    def __init__(self) -> None:
        self.changes = ChangeSignal()
        self.number = 0
        self.stopped = 0
        self.frames = 0
        self.broken = False

    def count(self, number: int) -> None:
        self.number = number
        self.changes.notify()

    def frame(self, shown):
        if self.broken:
            raise OverflowError("no frame")
        if shown == self.number:
            return None
        self.frames += 1
        return {"replies": {"number": self.number, "before": shown}}, self.number

    def pause(self):
        return 0.0

    def stop(self):
        self.stopped += 1


@pytest.fixture
def feed():
    counter = Counter()
    counter.name = secrets.token_hex(16)
    live_feed.register(counter.name, counter)
    return counter


@pytest.fixture
def socket():
    with connected("http://desk.example") as opened:
        yield opened


def say(socket, **message) -> None:
    socket.send_text(json.dumps(message))


def test_watched_feed_sends_its_state_and_continues_once_drawn(feed, socket):
    say(socket, watch=feed.name)
    assert socket.receive_json() == {"replies": {"number": 0, "before": None}, "frame": 1}
    feed.count(1)
    say(socket, got=1)
    assert socket.receive_json() == {"replies": {"number": 1, "before": 0}, "frame": 2}
    say(socket, got=2)
    feed.count(2)
    assert socket.receive_json() == {"replies": {"number": 2, "before": 1}, "frame": 3}


def test_slow_reader_gets_the_latest_state_only(feed, socket):
    say(socket, watch=feed.name)
    assert socket.receive_json()["frame"] == 1
    for number in range(1, 500):
        feed.count(number)
    say(socket, stop=feed.name)
    until(lambda: feed.stopped, message="the message that follows the changes has not arrived")
    assert feed.frames == 1, "nothing is made for a reader that has not drawn the last frame"
    say(socket, got=1)
    assert socket.receive_json()["replies"] == {"number": 499, "before": 0}
    assert feed.frames == 2


def test_unresponsive_reader_delays_nobody(feed):
    with connected("http://desk.example") as slow, connected("http://desk.example") as quick:
        for reader in (slow, quick):
            say(reader, watch=feed.name)
            assert reader.receive_json()["frame"] == 1
        for number in range(1, 20):
            feed.count(number)
            say(quick, got=number)
            assert quick.receive_json()["replies"]["number"] == number


def test_reconnected_socket_gets_the_whole_state(feed):
    with connected("http://desk.example") as first:
        say(first, watch=feed.name)
        first.receive_json()
    until(lambda: feed.changes.listeners == 0, message="a socket that is gone listens no more")
    feed.count(7)
    with connected("http://desk.example") as second:
        say(second, watch=feed.name)
        assert second.receive_json() == {"replies": {"number": 7, "before": None}, "frame": 1}


def test_reader_that_restarts_during_a_frame_gets_the_whole_state(socket):
    class Held(Counter):
        def frame(self, shown):
            entered.set()
            assert go.wait(30)
            return super().frame(shown)

    entered, go = threading.Event(), threading.Event()
    go.set()
    held, name = Held(), secrets.token_hex(16)
    live_feed.register(name, held)
    say(socket, watch=name)
    assert socket.receive_json()["frame"] == 1
    go.clear()
    entered.clear()
    held.count(1)
    say(socket, got=1)
    assert entered.wait(30)
    say(socket, watch=name)
    say(socket, stop=name)
    until(lambda: held.stopped == 1, message="it has heard both")
    go.set()
    assert socket.receive_json()["replies"] == {"number": 1, "before": None}


def test_unknown_feed_name_has_no_effect(feed, socket):
    say(socket, watch=secrets.token_hex(16))
    say(socket, stop=feed.name)  # known, but not watched by this socket
    say(socket, watch=feed.name)
    assert socket.receive_json()["replies"]["number"] == 0
    assert feed.stopped == 0
    say(socket, stop=secrets.token_hex(16))
    say(socket, stop=feed.name)
    until(lambda: feed.stopped == 1, message="who watches it may stop it")


def test_unwatched_feed_sends_nothing(feed, socket):
    second_feed = Counter()
    other_name = secrets.token_hex(16)
    live_feed.register(other_name, second_feed)
    say(socket, watch=feed.name)
    socket.receive_json()
    say(socket, watch=other_name)
    assert socket.receive_json()["replies"] == {"number": 0, "before": None}
    feed.count(3)
    second_feed.count(4)
    say(socket, got=2)
    assert socket.receive_json()["replies"] == {"number": 4, "before": 0}
    assert feed.changes.listeners == 0


def test_feed_watched_during_the_pause_of_another_sends_its_own_state(socket):
    class Paused(Counter):
        def pause(self):
            requested.set()
            return 0.5

    requested, paused, paused_name = threading.Event(), Paused(), secrets.token_hex(16)
    second_feed, other_name = Counter(), secrets.token_hex(16)
    live_feed.register(paused_name, paused)
    live_feed.register(other_name, second_feed)
    second_feed.number = 7
    say(socket, watch=paused_name)
    assert socket.receive_json() == {"replies": {"number": 0, "before": None}, "frame": 1}
    requested.clear()
    paused.count(1)
    say(socket, got=1)
    assert requested.wait(30)
    say(socket, watch=other_name)
    assert socket.receive_json() == {"replies": {"number": 7, "before": None}, "frame": 2}
    say(socket, got=2)
    second_feed.count(8)
    assert socket.receive_json() == {"replies": {"number": 8, "before": 7}, "frame": 3}


@pytest.mark.parametrize(
    "message",
    [
        {"watch": 3},
        {"watch": "x" * (live_feed.MAX_NAME_LENGTH + 1)},
        {"got": "1"},
        {"got": True},
        {"got": 99},
        {"stop": []},
    ],
)
def test_invalid_messages_change_nothing(feed, socket, message):
    say(socket, watch=feed.name)
    assert socket.receive_json()["frame"] == 1
    say(socket, got=1)
    say(socket, **message)
    feed.count(1)
    assert socket.receive_json()["replies"]["number"] == 1


def test_failed_frame_is_logged_and_the_next_follows(feed, socket, caplog):
    say(socket, watch=feed.name)
    socket.receive_json()
    say(socket, got=1)
    feed.broken = True
    with caplog.at_level(logging.ERROR):
        feed.count(1)
        until(lambda: "could not be made" in caplog.text, message="it is logged")
    feed.broken = False
    feed.count(2)
    assert socket.receive_json()["replies"] == {"number": 2, "before": 0}


def test_feed_is_freed_with_its_visit():
    counter, name = Counter(), secrets.token_hex(16)
    live_feed.register(name, counter)
    del counter
    gc.collect()
    with connected("http://desk.example") as socket:
        say(socket, watch=name)
        second_feed, other_name = Counter(), secrets.token_hex(16)
        live_feed.register(other_name, second_feed)
        say(socket, watch=other_name)
        assert socket.receive_json()["replies"]["number"] == 0


def test_signal_reaches_current_listeners_from_any_thread():
    signal, heard = ChangeSignal(), []
    end = signal.subscribe(lambda: heard.append("one"))
    signal.subscribe(lambda: heard.append("two"))
    thread = threading.Thread(target=signal.notify)
    thread.start()
    thread.join()
    end()
    end()
    signal.notify()
    assert heard == ["one", "two", "two"]
