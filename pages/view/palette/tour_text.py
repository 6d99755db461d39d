"""The texts of the tour's stops, with the figures that the page shows at that moment.

Constraint: every figure is computed from the stop and the answer that is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from map_core.analysis.examples import reply_example
from map_core.core.types import Verdict
from map_core.feasibility.ranges import smoothed_ranges
from map_core.palettes.palette import Palette
from map_core.text import sentences, verdict
from pages.view.palette.tour_stops import StopKind, TourStop
from pages.view.session import palette_state
from pages.view.session.live_answer import LiveAnswer
from pages.view.session.scene import Scene


def stop_title(stop: TourStop, names: Sequence[str]) -> str:
    """Return the headline of a stop."""
    of = [names[j] for j in stop.values]
    return {
        StopKind.UP: lambda: f"{sentences.capitalised(of[0])} goes up",
        StopKind.CONFLICT: lambda: f"Too much {sentences.listed(of)}",
        StopKind.REPAIR: lambda: "How to fix it",
        StopKind.DROP: lambda: f"{sentences.capitalised(of[1])} may drop",
        StopKind.HEAR: lambda: "What it sounds like",
        StopKind.NEXT: lambda: "Where to go next",
    }[stop.kind]()


def stop_sentences(stop: TourStop, live: LiveAnswer) -> list[str]:
    """Return the sentences of a stop.

    Args:
        stop: the current stop.
        live: the answer that the page shows, which is to the stop's palette until the viewer moves a fader.
    """
    if live.palette != stop.palette and stop.kind not in (StopKind.HEAR, StopKind.NEXT):
        return [f"You have moved a fader yourself. {_now(live)}", "Next continues with the tour's own palette."]
    return {
        StopKind.UP: _up,
        StopKind.CONFLICT: _conflict,
        StopKind.REPAIR: _repair,
        StopKind.DROP: _drop,
        StopKind.HEAR: _hear,
        StopKind.NEXT: _next,
    }[stop.kind](stop, live)


def _now(live: LiveAnswer) -> str:
    """Return the verdict and the price in a sentence each."""
    answer = live.answer
    price = f" The price: {_price(answer.cost)}." if answer.cost else ""
    return f"The verdict: {answer.headline.lower()}.{price}"


def _price(cost: str) -> str:
    return cost[:1].lower() + cost[1:]


def _at(live: LiveAnswer, palette: Palette, j: int) -> str:
    scene = live.scene
    target = palette.targets[scene.table.values[j]]
    if target.free:
        return "no preference"
    return live.wording.level(scene.percentile(j, 0.0) if target.keep else target.percentile)


def _up(stop: TourStop, live: LiveAnswer) -> list[str]:
    scene, j = live.scene, stop.values[0]
    before, after = (_at(live, palette, j) for palette in (stop.before, stop.palette))
    target = stop.palette.targets[scene.table.values[j]]
    moved = (
        f"Each fader stands for a value, and its handle is the level that you ask for: {scene.names[j]} went from "
        f"{before} to {after}, {sentences.better_than(target.percentile)}."
    )
    old = scene.assess(palette_state.standardised(scene, stop.before))
    was = "" if old.solution is None else f" Before: {_price(verdict.best_of_text(old.solution.kl, live.wording))}."
    return [
        moved,
        f"{_now(live)}{was}",
        "The triangle below each fader shows what you get. Move a fader yourself, and the text follows.",
    ]


def _conflict(stop: TourStop, live: LiveAnswer) -> list[str]:
    scene = live.scene
    targets = sentences.listed([f"{scene.names[j]} at {_at(live, stop.palette, j)}" for j in stop.values])
    answer = live.answer
    lines = [f"The tour asks for {targets}, and has no preference for the others. {_now(live)}", answer.sentence]
    if answer.verdict is Verdict.OUT_OF_REACH:
        lines.append(
            "This is proved, not guessed: no way of choosing among the replies gets there. The verdict offers ways to "
            "fix it, each with one click."
        )
    return lines


def _repair(stop: TourStop, live: LiveAnswer) -> list[str]:
    scene = live.scene
    gave = [
        f"{scene.names[j]} from {_at(live, stop.before, j)} to {_at(live, stop.palette, j)}"
        for j in stop.values
        if stop.before.targets[scene.table.values[j]] != stop.palette.targets[scene.table.values[j]]
    ]
    return [
        f"The nearest palette that is possible and reliable: {sentences.listed(gave)}.",
        _now(live),
        "A lock on a fader says that it must not be lowered. Undo is beside the verdict.",
    ]


def _drop(stop: TourStop, live: LiveAnswer) -> list[str]:
    scene, (kept_value, lowered_value) = live.scene, stop.values
    free = next((j for j, name in enumerate(scene.table.values) if stop.palette.targets[name].free), None)
    first = (
        f"{scene.title(lowered_value)} may drop to {_at(live, stop.palette, lowered_value)}; "
        f"the base model is at {live.wording.level(scene.percentile(lowered_value, 0.0))}."
    )
    tops = [_top(scene, palette, kept_value) for palette in (stop.before, stop.palette)]
    if all(math.isfinite(top) for top in tops):
        first += (
            f" With that, {scene.names[kept_value]} is possible up to {live.wording.level(tops[1], toward='down')} "
            f"instead of {live.wording.level(tops[0], toward='down')}; it is now at "
            f"{_at(live, stop.palette, kept_value)}."
        )
    lines = [first, _now(live)]
    if free is not None:
        lines.append(f"A value without a target, as {scene.names[free]} is here, may rise or fall with the others.")
    return lines


def _top(scene: Scene, palette: Palette, j: int) -> float:
    ends = smoothed_ranges(scene.oracle, palette_state.standardised(scene, palette)).ranges[j]
    return float("nan") if np.isnan(ends).any() else scene.percentile(j, float(ends[1]))


def _hear(stop: TourStop, live: LiveAnswer) -> list[str]:
    table = live.scene.table
    if not table.replies:
        return ["This table has scores but no replies. Listen asks a model, and shows its replies beside aligned ones."]
    example = reply_example(table, live.scene.oracle, live.weights, live.scene.examples[0])
    now, before = sentences.chance(example.probability), sentences.chance(1 / example.candidates)
    rise = (
        f"Of {example.candidates} replies to the first prompt the likeliest has a probability of {now} under this "
        f"palette, and {before} under the base model."
    )
    return [
        "Below the faders a prompt is answered twice: by the base model and by your palette.",
        rise,
        "Move a fader and the replies change with it. They come from the table; Listen writes new ones.",
    ]


def _next(stop: TourStop, live: LiveAnswer) -> list[str]:
    seen_all = "You have seen whether it is possible, what it costs, what has to be lowered and what it sounds like."
    return [f"{seen_all} {live.answer.sure}".strip(), "From here:"]
