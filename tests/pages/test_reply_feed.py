"""Tests of the feed of replies: only what a reader lacks, only for its own visit, and no covered replies."""

from __future__ import annotations

import gc
import json
import secrets

import pytest

from map_core.engines.tokens import Token
from map_core.generation.events import Begun, Scored, Tokens
from map_core.generation.request import GenerationRequest
from map_core.oracle import MemoryOracle
from map_core.palettes.palette import ALL, Palette, Target
from map_core.service.generation import Generation
from map_core.service.snapshot import Phase
from pages.view.compare import reply_feed, reply_panel
from pages.view.compare.generator import SteeringWeights
from pages.view.compare.pinned import PaletteColumn
from pages.view.session import palette_state
from pages.view.session.scene import Scene
from pages.view.shell import live_channel
from tests.pages.app_script import text_of
from tests.pages.compare_script import finish
from tests.pages.test_live_channel import connected
from tests.tables import make_table


@pytest.fixture(scope="module")
def scene():
    table = make_table(prompts=16, candidates=16, seed=3)
    oracle = MemoryOracle.of(table)
    names = tuple(table.values)
    return Scene(("test", 0.0, None), table, oracle, names, tuple("" for _ in names))


@pytest.fixture
def stopped():
    return []


@pytest.fixture
def generation(scene, stopped):
    request = GenerationRequest("How are you?", {scene.table.values[0]: 1.0}, candidates=4, seed=3)
    generation_started = Generation(request, stopped.append, viewer="somebody")
    generation_started.apply(Begun(request.base))
    return generation_started


def shown(scene, generation, **changes) -> reply_feed._Shown:
    palette = Palette(ALL, {name: Target(60.0, free=j > 0) for j, name in enumerate(scene.table.values)})
    assessment = scene.assess(palette_state.standardised(scene, palette))
    weights = SteeringWeights({scene.table.values[0]: 1.0}, "", assessment.targets)
    columns = (PaletteColumn("Aligned model", "aligned", weights),)
    state = {"owned": True, "covered": False, "drawn": False} | changes
    return reply_feed._Shown(scene, assessment, columns, generation, **state)


@pytest.fixture
def feed(scene, generation):
    reply_feed_of_visit = reply_feed.ReplyFeed()
    reply_feed_of_visit.show(shown(scene, generation))
    return reply_feed_of_visit


def write(generation: Generation, words: str) -> None:
    generation.apply(Tokens(1, tuple(Token(k, 1, words, -1.0, False, False) for k in range(4))))


def read(feed, sent=None, known=None):
    """Read the next frame as the browser does; return its content, the slots, and the state to acknowledge."""
    frame, sent = feed.frame(sent)
    slots = {}
    for slot in frame["replies"]["slots"]:
        slots[slot["key"]] = [*((known or {}).get(slot["key"], [])[: slot["keep"]]), *slot["nodes"]]
    return frame["replies"], slots, sent


def test_frame_has_only_new_blocks(feed, generation):
    write(generation, "One.\n\nTwo")
    first, slots, sent = read(feed)
    assert [slot["keep"] for slot in first["slots"]] == [0, 0]
    assert text_of(slots["base"]) == "One.Two"
    write(generation, " three.")
    second, slots, sent = read(feed, sent, slots)
    assert [slot["keep"] for slot in second["slots"]] == [1, 1]
    assert second["slots"][0]["nodes"] == [["p", "Two three."]]
    assert text_of(slots["base"]) == "One.Two three."
    assert second["n"] > first["n"]
    assert feed.frame(sent) is None, "nothing is said twice"


def test_the_live_choice_moves_to_another_candidate(feed, generation, scene):
    write(generation, "A reply.")
    _, _, sent = read(feed)
    name, leader = scene.table.values[0], (generation.request.base + 2) % 4
    generation.apply(Scored(name, tuple(5.0 * (k == leader) for k in range(4)), provisional=True))
    frame, _, sent = read(feed, sent)
    assert frame["slots"][1]["caption"].startswith(f"Candidate {leader + 1}, provisional leader")
    assert frame["bars"]
    leader = (leader + 1) % 4
    generation.apply(Scored(name, tuple(5.0 * (k == leader) for k in range(4)), provisional=True))
    frame, _, _ = read(feed, sent)
    assert frame["slots"][1]["caption"].startswith(f"Candidate {leader + 1}, provisional leader")


def test_new_generation_is_shown_from_its_click(feed, generation, scene):
    write(generation, "An old reply.")
    _, slots, sent = read(feed)
    heard = []
    feed.changes.subscribe(lambda: heard.append(True))
    second = Generation(GenerationRequest("And now?", {scene.table.values[0]: 1.0}, candidates=4), lambda _: None)
    feed.follow(second)
    assert heard, "the channel hears of it before the page's script has drawn it"
    frame, slots, _ = read(feed, sent, slots)
    assert (frame["generation"], frame["prompt"], frame["ended"]) == (second.id, "And now?", False)
    assert text_of(slots["base"]) == ""
    count = len(heard)
    write(generation, " More of the old one.")
    assert len(heard) == count, "the one before is listened to no more"


def test_covered_replies_are_not_sent(feed, generation, scene):
    write(generation, "A secret.")
    finish(generation, {scene.table.values[0]: [1.0, 2.0, 3.0, 4.0]}, "A secret")
    feed.other_pieces = lambda view: {"field": view.shown.base}
    assert feed.frame(None)[0]["field"] == generation.request.base
    feed.show(shown(scene, generation, covered=True))
    frame, _ = feed.frame(None)
    assert set(frame) == {"replies"}
    assert "secret" not in json.dumps(frame)
    assert not frame["replies"]["bars"]
    assert frame["replies"]["status"].startswith("Done")


def test_only_the_visit_that_started_a_generation_stops_it(feed, generation, scene, stopped):
    feed.show(shown(scene, generation, owned=False))
    feed.stop()
    assert not stopped
    feed.show(shown(scene, generation))
    feed.stop()
    assert stopped == [generation.id]
    generation.end(Phase.CANCELLED)
    feed.stop()
    assert len(stopped) == 1


def test_other_viewers_need_the_name_of_the_feed(feed, generation, stopped):
    write(generation, "Mine.")
    with connected("http://desk.example") as socket:
        for name in (generation.id, generation.viewer, feed.name[:-1], secrets.token_hex(16)):
            socket.send_text(json.dumps({"watch": name}))
            socket.send_text(json.dumps({"stop": name}))
        socket.send_text(json.dumps({"stop": feed.name}))  # known, but not watched by this socket
        socket.send_text(json.dumps({"session": "nobody", "seq": 1, "changes": {}}))
        assert socket.receive_json() == {"unknown": 1}, "there is no frame before it"
    assert not stopped
    with connected("http://desk.example") as socket:
        socket.send_text(json.dumps({"watch": feed.name}))
        assert socket.receive_json()["replies"]["slots"][0]["nodes"] == [["p", "Mine."]]


def test_feed_is_freed_with_its_visit(scene, generation):
    visit_feed = reply_feed.ReplyFeed()
    name = visit_feed.name
    visit_feed.show(shown(scene, generation))
    del visit_feed
    gc.collect()
    with connected("http://desk.example") as socket:
        socket.send_text(json.dumps({"watch": name}))
        socket.send_text(json.dumps({"session": "nobody", "seq": 1, "changes": {}}))
        assert socket.receive_json() == {"unknown": 1}


def test_size_of_a_frame_is_bounded(scene):
    request = GenerationRequest("Why? " * 40_000, {scene.table.values[0]: 1.0}, candidates=4)
    generation, feed = Generation(request, lambda _: None), reply_feed.ReplyFeed()
    generation.apply(Begun(request.base))
    feed.show(shown(scene, generation))
    write(generation, "word " * 100_000)
    frame, _ = feed.frame(None)
    assert frame["replies"]["prompt"].startswith("Why? Why?")
    assert len(json.dumps(frame)) < 5 * reply_panel.MAX_REPLY_LENGTH
    assert frame["replies"]["slots"][0]["whole"] is not None or len(frame["replies"]["slots"][0]["nodes"]) == 1


def test_frame_rate_falls_with_many_generations_or_a_drag(feed, generation, monkeypatch):
    monkeypatch.setattr(live_channel, "is_busy", lambda: False)
    assert feed.pause() == reply_feed.EAGER_SECONDS, "the first words come as soon as there are any"
    write(generation, "A word.")
    feed.frame(None)
    assert feed.pause() == reply_feed.PAUSE_SECONDS[0][1]
    monkeypatch.setattr(live_channel, "is_busy", lambda: True)
    assert feed.pause() == reply_feed.PATIENT_SECONDS
