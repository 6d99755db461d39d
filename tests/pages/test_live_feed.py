"""What the channel sends without being asked: the latest state, at the reader's pace, to whoever knows its name."""

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
    """A feed of one number; a frame says which one, and which one the reader had before."""

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
    made = Counter()
    made.name = secrets.token_hex(16)
    live_feed.register(made.name, made)
    return made


@pytest.fixture
def socket():
    with connected("http://desk.example") as opened:
        yield opened


def say(socket, **message) -> None:
    socket.send_text(json.dumps(message))


def test_a_watched_feed_begins_with_its_state_and_goes_on_once_that_is_drawn(feed, socket):
    say(socket, watch=feed.name)
    assert socket.receive_json() == {"replies": {"number": 0, "before": None}, "frame": 1}
    feed.count(1)
    say(socket, got=1)
    assert socket.receive_json() == {"replies": {"number": 1, "before": 0}, "frame": 2}
    say(socket, got=2)
    feed.count(2)
    assert socket.receive_json() == {"replies": {"number": 2, "before": 1}, "frame": 3}


def test_a_slow_reader_gets_the_latest_state_and_nothing_piles_up(feed, socket):
    say(socket, watch=feed.name)
    assert socket.receive_json()["frame"] == 1
    for number in range(1, 500):
        feed.count(number)
    say(socket, stop=feed.name)
    until(lambda: feed.stopped, what="the message that follows the changes has not arrived")
    assert feed.frames == 1, "nothing is made for a reader that has not drawn the last frame"
    say(socket, got=1)
    assert socket.receive_json()["replies"] == {"number": 499, "before": 0}
    assert feed.frames == 2


def test_a_reader_that_never_answers_holds_nobody_else_up(feed):
    with connected("http://desk.example") as slow, connected("http://desk.example") as quick:
        for reader in (slow, quick):
            say(reader, watch=feed.name)
            assert reader.receive_json()["frame"] == 1
        for number in range(1, 20):
            feed.count(number)
            say(quick, got=number)
            assert quick.receive_json()["replies"]["number"] == number


def test_a_lost_socket_begins_again_with_the_whole_state(feed):
    with connected("http://desk.example") as first:
        say(first, watch=feed.name)
        first.receive_json()
    until(lambda: feed.changes.listeners == 0, what="a socket that is gone listens no more")
    feed.count(7)
    with connected("http://desk.example") as second:
        say(second, watch=feed.name)
        assert second.receive_json() == {"replies": {"number": 7, "before": None}, "frame": 1}


def test_a_reader_that_begins_anew_while_a_frame_is_made_gets_the_whole_state(socket):
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
    until(lambda: held.stopped == 1, what="it has heard both")
    go.set()
    assert socket.receive_json()["replies"] == {"number": 1, "before": None}


def test_a_name_that_is_not_known_shows_and_stops_nothing(feed, socket):
    say(socket, watch=secrets.token_hex(16))
    say(socket, stop=feed.name)  # known, and not watched by this socket
    say(socket, watch=feed.name)
    assert socket.receive_json()["replies"]["number"] == 0
    assert feed.stopped == 0
    say(socket, stop=secrets.token_hex(16))
    say(socket, stop=feed.name)
    until(lambda: feed.stopped == 1, what="who watches it may stop it")


def test_nothing_more_comes_of_a_feed_that_is_no_longer_watched(feed, socket):
    other = Counter()
    other_name = secrets.token_hex(16)
    live_feed.register(other_name, other)
    say(socket, watch=feed.name)
    socket.receive_json()
    say(socket, watch=other_name)
    assert socket.receive_json()["replies"] == {"number": 0, "before": None}
    feed.count(3)
    other.count(4)
    say(socket, got=2)
    assert socket.receive_json()["replies"] == {"number": 4, "before": 0}
    assert feed.changes.listeners == 0


def test_a_feed_that_is_watched_during_the_pause_of_another_one_sends_its_own_state(socket):
    class Paused(Counter):
        def pause(self):
            asked.set()
            return 0.5

    asked, paused, paused_name = threading.Event(), Paused(), secrets.token_hex(16)
    other, other_name = Counter(), secrets.token_hex(16)
    live_feed.register(paused_name, paused)
    live_feed.register(other_name, other)
    other.number = 7
    say(socket, watch=paused_name)
    assert socket.receive_json() == {"replies": {"number": 0, "before": None}, "frame": 1}
    asked.clear()
    paused.count(1)
    say(socket, got=1)
    assert asked.wait(30)
    say(socket, watch=other_name)
    assert socket.receive_json() == {"replies": {"number": 7, "before": None}, "frame": 2}
    say(socket, got=2)
    other.count(8)
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
def test_what_cannot_be_read_changes_nothing(feed, socket, message):
    say(socket, watch=feed.name)
    assert socket.receive_json()["frame"] == 1
    say(socket, got=1)
    say(socket, **message)
    feed.count(1)
    assert socket.receive_json()["replies"]["number"] == 1


def test_a_frame_that_fails_is_logged_and_the_next_one_comes(feed, socket, caplog):
    say(socket, watch=feed.name)
    socket.receive_json()
    say(socket, got=1)
    feed.broken = True
    with caplog.at_level(logging.ERROR):
        feed.count(1)
        until(lambda: "could not be made" in caplog.text, what="it is logged")
    feed.broken = False
    feed.count(2)
    assert socket.receive_json()["replies"] == {"number": 2, "before": 0}


def test_a_feed_is_gone_with_its_visit():
    made, name = Counter(), secrets.token_hex(16)
    live_feed.register(name, made)
    del made
    gc.collect()
    with connected("http://desk.example") as socket:
        say(socket, watch=name)
        other, other_name = Counter(), secrets.token_hex(16)
        live_feed.register(other_name, other)
        say(socket, watch=other_name)
        assert socket.receive_json()["replies"]["number"] == 0


def test_a_signal_reaches_all_that_listen_from_any_thread_and_nobody_after():
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
