"""The panel of the verdict: what is possible, what it costs, what falls, how sure that is, and the repairs."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from map_core.core import amounts
from map_core.core.types import Verdict
from map_core.feasibility.repairs import Repairs
from map_core.text import repairs, sentences, verdict
from pages.view.palette import faders, protection_faders
from pages.view.session import live_answer, palette_state
from pages.view.session.live_answer import LiveAnswer
from pages.view.shell import component, errors
from pages.view.shell.session_keys import Key

REPAIRS: Key[tuple[np.ndarray, Repairs] | None] = Key("ways", None)
PANEL: Key[dict[str, Any]] = Key("answer_panel", {})
#: The last press that was answered, as the browser sent it.
PRESSED: Key[str] = Key("answer_pressed", "")

_mount = component.register(
    "answer",
    '<div class="vp-answer"></div>',
    isolated=False,
)
#: Milliseconds between polls for results of background jobs.
POLL_MILLISECONDS = 350
#: In place of the results of background jobs, while a fader moves.
PENDING: dict[str, Any] = {"why": "", "ways": [], "sure_verdict": "", "again": 0}


def draw_verdict(live: LiveAnswer) -> None:
    """Mount the panel."""
    _mount(key=PANEL.name, data=panel_data(live), on_pressed_change=_on_pressed, on_again_change=faders.on_rested)


def panel_data(live: LiveAnswer) -> dict[str, Any]:
    """Return the data of this viewer's panel, with the results of background jobs once they are there."""
    history = palette_state.history()
    position, steps = history.position, history.steps
    return (
        verdict_data(live)
        | _background_data(live)
        | faders.stamp()
        | {
            "undo": f"Undo: {palette_state.step_text(steps[position])}" if position > 0 else "",
            "redo": f"Redo: {palette_state.step_text(steps[position + 1])}" if position + 1 < len(steps) else "",
            "last": palette_state.step_text(steps[position]) if position > 0 else "",
            "pressed": PRESSED.get(),
        }
    )


def verdict_data(live: LiveAnswer) -> dict[str, Any]:
    """Return the data of the panel that is known without background jobs."""
    answer = live.answer
    out = live.assessment.verdict is Verdict.OUT_OF_REACH
    return {
        "verdict": answer.verdict.value,
        "headline": answer.headline,
        "sentence": answer.sentence,
        "cost": answer.cost,
        "cost_detail": answer.cost_detail,
        "share": amounts.rounded(answer.share, 4),
        "sure": answer.sure,
        "bottleneck": answer.bottleneck,
        "bottleneck_detail": answer.bottleneck_detail,
        "slack": answer.slack,
        "lines_title": "What the nearest palette gives" if out else "What you get",
        "lines": [
            asdict(line) | _value_label(live, line.value) for line in protection_faders.shown(live, answer.lines)
        ],
        "falls": [{"value": fall.value, "text": fall.text} for fall in answer.falls],
        "unasked": answer.unasked,
        "tags": [asdict(tag) | _value_label(live, tag.value) for tag in protection_faders.shown(live, answer.tags)],
        "form": verdict.form_sentence(live.scene.oracle, live.wording),
    }


def failure_data(failure: errors.Failure) -> dict[str, Any]:
    """Return the data of the panel after a failure: that something went wrong, and what helps."""
    fault = failure.words or "This is a fault of the app and not of your palette."
    nothing = dict.fromkeys(
        ("cost", "cost_detail", "sure", "bottleneck", "bottleneck_detail", "slack", "lines_title", "unasked", "form"),
        "",
    )
    return {
        "verdict": "failed",
        "headline": "Something went wrong here",
        "sentence": f"{fault} Move the fader elsewhere, and the answer is there again. {failure.who_to_tell}",
        "share": 0.0,
        "falls": [],
        "lines": [],
        "tags": [],
        **nothing,
        **PENDING,
    }


def _background_data(live: LiveAnswer) -> dict[str, Any]:
    """Return the repairs and how sure the verdict is, computed in the background once no fader moves."""
    scene = live.scene
    if not faders.is_rested():
        return PENDING | {"again": POLL_MILLISECONDS if faders.is_settled() else 0}
    why, sure = "", ""
    ways: tuple[repairs.RepairText, ...] = ()
    repaired, waiting_ways = _job_state(live_answer.repairs_job(live))
    most, waiting_most = faders.MOST.get()
    waiting_ways |= repaired is not None and waiting_most
    if isinstance(repaired, Repairs) and not waiting_most:
        facts = (repaired, live.assessment, scene.names, scene.percentile, most, live.wording)
        beyond = live_answer.beyond_averages(scene, live.palette)
        ways, why = repairs.repair_texts(*facts, beyond), repairs.conflict_sentence(*facts, beyond)
        REPAIRS.set((live.assessment.targets, repaired))
    elif waiting_ways:
        why = "Looking for what would work."
    confidence, waiting_sure = _job_state(live_answer.confidence_job(live))
    sure = "" if confidence is None else live_answer.confidence_sentence(confidence)
    if waiting_sure:
        sure = "Calculating how sure the verdict is."
    waiting = waiting_ways or waiting_sure or waiting_most
    if live.assessment.verdict is Verdict.OUT_OF_REACH and not ways and not waiting:
        why = why or "No palette near this one is possible. Unlock a value, lower a target, or take one away."
    return {
        "why": why,
        "ways": [asdict(way) for way in ways],
        "sure_verdict": sure,
        "again": POLL_MILLISECONDS if waiting else 0,
    }


def _value_label(live: LiveAnswer, value: int) -> dict[str, str]:
    return {"name": live.scene.title(value), "colour": live.scene.colour(value)}


def _job_state(job: Any) -> tuple[Any, bool]:
    """Return the result of a job, and whether it is still running."""
    return (None, False) if job is None else (job.result, not job.ended)


def _on_pressed() -> None:
    """Handle a button of the panel: undo, redo, keep a value that falls, or apply a repair."""
    PRESSED.set(str(PANEL.get().get("pressed") or ""))
    pressed = PRESSED.get().partition("#")[0]
    if pressed == "undo":
        palette_state.undo()
    elif pressed == "redo":
        palette_state.redo()
    elif pressed.startswith("keep "):
        scene, palette = palette_state.current()
        if (number := int(pressed.removeprefix("keep "))) < len(scene.names):
            name = scene.table.values[number]
            kept = replace(palette.targets[name], level=None, free=False, keep=True)
            palette_state.apply(palette.with_target(name, kept), f"Keep {scene.names[number]} as it is.")
    elif pressed.startswith("way "):
        if (stored := REPAIRS.get()) is None:
            return
        targets, repaired = stored
        scene, palette = palette_state.current_counted()
        number = int(pressed.removeprefix("way "))
        # The palette may have changed since the repairs were computed, which makes them invalid.
        if number >= len(repaired.ways):
            return
        if palette_state.standardised(scene, palette).tobytes() != targets.tobytes():
            return
        way = repaired.ways[number]
        for j, percentile in repairs.repaired_percentiles(way, scene.percentile, faders.MOST.get()[0]).items():
            palette = protection_faders.with_place(scene, palette, j, percentile)
        names = sentences.listed([scene.names[j] for j in way.values])
        palette_state.apply_with_undo(palette, f"{sentences.capitalised(names)} lowered.")
