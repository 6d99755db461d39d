"""The verdict, always in the same place: what can be had, what it costs, what gives, how sure, and the ways out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import streamlit as st

from map_core import answer, words
from map_core.figures import design
from map_core.glossary import Verdict
from map_core.repairs import Repairs
from pages.view import component, desk, live, state
from pages.view.live import Live

_mount = component.registered(
    "answer",
    '<div class="vp-answer"></div>',
    isolated=False,
)
#: Milliseconds after which what is computed in the background is asked for again.
AGAIN = 350


def show(seen: Live) -> None:
    """Mount the answer; where the hand rests, with what takes longer as soon as it is there."""
    _mount(key="answer_panel", data=data(seen), on_pressed_change=_pressed, on_again_change=desk.rest)


def data(seen: Live) -> dict[str, Any]:
    """What the answer shows."""
    said, scene, history = seen.answer, seen.scene, state.history()
    rests = desk.settled()
    rested = desk.rested()
    why, sure, waiting = "", "", False
    ways: tuple[answer.Way, ...] = ()
    if rested:
        found, waiting_ways = _result(live.ways_job(seen))
        if isinstance(found, Repairs):
            ways = answer.ways(found, seen.assessment, scene.names, scene.percentile)
            why = answer.conflict(found, seen.assessment, scene.names, scene.percentile)
            st.session_state["ways"] = (seen.assessment.targets, found)
        elif waiting_ways:
            why = "Looking for what would work."
        confidence, waiting_sure = _result(live.sure_job(seen))
        sure = "" if confidence is None else live.sure_of(confidence)
        waiting = waiting_ways or waiting_sure
        if waiting_sure:
            sure = "How sure the verdict is, is being computed."
    elif rests:
        waiting = True
    out = seen.assessment.verdict is Verdict.OUT_OF_REACH
    if out and not ways and not waiting and rested:
        why = why or "No palette near this one can be had. Unlock a value, lower a target, or leave one free."
    place, steps = history.place, history.steps
    return {
        "session": desk.session(),
        "ack": desk.acknowledged(),
        "settled": rests,
        "again": AGAIN if waiting else 0,
        "verdict": said.verdict.value,
        "headline": said.headline,
        "sentence": said.sentence,
        "cost": said.cost,
        "cost_detail": said.cost_detail,
        "share": round(said.share, 4),
        "sure": said.sure,
        "sure_verdict": sure,
        "bottleneck": said.bottleneck,
        "bottleneck_detail": said.bottleneck_detail,
        "slack": said.slack,
        "lines_title": "What the nearest palette gives" if out else "What you get",
        "lines": [asdict(line) | _of(seen, line.value) for line in said.lines],
        "unasked": said.unasked,
        "tags": [asdict(tag) | _of(seen, tag.value) for tag in said.tags],
        "why": why,
        "ways": [asdict(way) for way in ways],
        "undo": f"Undo: {steps[place].what}" if place > 0 else "",
        "redo": f"Redo: {steps[place + 1].what}" if place + 1 < len(steps) else "",
        "last": steps[place].what if place > 0 else "",
        "form": answer.form(scene.oracle),
    }


def _of(seen: Live, value: int) -> dict[str, str]:
    return {"name": words.capitalised(seen.scene.names[value]), "colour": design.colour(value)}


def _result(job: Any) -> tuple[Any, bool]:
    """What a job has come to, and whether it is worth asking again."""
    return (None, False) if job is None else (job.result, not job.ended)


def _pressed() -> None:
    """Callback: a button of the answer."""
    told = str(st.session_state["answer_panel"].get("pressed") or "").partition("#")[0]
    if told == "undo":
        state.undo()
    elif told == "redo":
        state.redo()
    elif told.startswith("way "):
        targets, found = st.session_state.get("ways", (None, None))
        scene, palette = state.current()
        number = int(told.removeprefix("way "))
        # The palette may have moved since the ways were found: then they are no ways any more.
        if found is None or number >= len(found.ways):
            return
        if state.standardised(scene, palette).tobytes() != targets.tobytes():
            return
        way = found.ways[number]
        names = words.listed([scene.names[j] for j in way.values])
        state.take(scene, way.targets, f"{words.capitalised(names)} gave way.")
