"""The faders for targets beyond averages: how many of 100 replies, or the level of a use case.

A target in every use case has a column for each; its fader shows the lowest of them and moves them all. Constraint: as
in :mod:`pages.view.palette.faders`, a change that cannot be read changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from map_core.core import amounts
from map_core.data.derived_columns import ColumnKind
from map_core.feasibility.aim import AskedColumn
from map_core.feasibility.limits import Limits
from map_core.palettes.palette import Palette
from map_core.text import protections, sentences, verdict
from map_core.text.verdict import LevelText, PriceTag
from pages.view.palette import fader_text
from pages.view.session import live_answer, palette_state
from pages.view.session.live_answer import LiveAnswer
from pages.view.session.scene import Scene


def faders(live: LiveAnswer, most: Limits | None) -> list[dict[str, Any]]:
    """Return the data of these faders; the limits ``most`` are known only while no fader moves."""
    aim = live.scene.aim
    return [] if aim is None else [_fader(live, requested, most) for requested in aim.asked]


def moved(scene: Scene, palette: Palette, name: str, change: dict[str, Any]) -> tuple[Palette, str] | None:
    """Return a palette after a change of one of these faders, and the change in words; None for another fader."""
    aim = scene.aim
    requested = None if aim is None else next((column for column in aim.asked if column.name == name), None)
    if aim is None or requested is None:
        return None
    percentile = fader_text.number_of(change.get("percentile"))
    if percentile is None or not 0 <= percentile <= 100 or name not in palette.columns:
        return palette, ""
    if abs(percentile - place(scene, palette, requested)) <= 1e-6:
        return palette, ""
    return aim.with_place(palette, name, percentile), sentence(scene, requested, percentile)


def place(scene: Scene, palette: Palette, requested: AskedColumn) -> float:
    """Return the position of a target's fader: replies of 100, or a percentile."""
    targets = palette_state.standardised(scene, palette)
    j = max(requested.members, key=lambda member: float(targets[member])) if requested.members else None
    return float("nan") if j is None else scene.percentile(j, float(targets[j]))


def sentence(scene: Scene, requested: AskedColumn, percentile: float) -> str:
    """Return a target as one sentence."""
    return protections.target_sentence(
        requested.parts, percentile, scene.names[scene.table.index(requested.parts.value)]
    )


def title(scene: Scene, requested: AskedColumn) -> str:
    """Return the title of a fader."""
    value = scene.names[scene.table.index(requested.parts.value)]
    return sentences.capitalised(protections.column_name(requested.parts, value))


def with_place(scene: Scene, palette: Palette, j: int, percentile: float) -> Palette:
    """Return a palette with the target of one value or column at a place, as a repair sets it."""
    if scene.aim is None or j < scene.plain:
        name = scene.table.values[j]
        return palette.with_target(name, palette.targets[name].at(percentile))
    return scene.aim.with_level(
        palette, j, percentile / 100.0 if j in scene.shares else f"p{amounts.significant(percentile)}"
    )


Shown = TypeVar("Shown", LevelText, PriceTag)


def shown(live: LiveAnswer, texts: Sequence[Shown]) -> list[Shown]:
    """Return the lines or price tags to show: for a target in every use case only that of the lowest."""
    aim = live.scene.aim
    if aim is None:
        return list(texts)
    positions = set(range(aim.plain)) | {live_answer.lowest(live, requested.members) for requested in aim.asked}
    return [text for text in texts if text.value in positions]


def _fader(live: LiveAnswer, requested: AskedColumn, most: Limits | None) -> dict[str, Any]:
    scene, wording = live.scene, live.wording
    share = requested.parts.kind is ColumnKind.SHARE
    near = live.assessment.solution is None
    lowest = live_answer.lowest(live, requested.members)
    weakest = min(requested.members, key=lambda j: scene.percentile(j, 0.0))
    base = scene.percentile(weakest, 0.0)
    level = None if live.levels is None else scene.percentile(lowest, float(live.levels[lowest]))
    shown = None if level is None else verdict.shown_percentile(level, near)
    error = None
    if live.errors is not None and live.levels is not None:
        error = [scene.percentile(lowest, float(live.levels[lowest] + s * live.errors[lowest])) for s in (-1, 1)]
    span, reliable = _ends(live, requested, most)
    top = fader_text.most_text(span, reliable, wording, share)
    where = "" if len(requested.members) == 1 else f" (the lowest: {_cohort(scene, lowest)})"
    parts = [f"base model {wording.level(base, share=share)}"]
    if shown is not None:
        parts.append(f"{'the nearest palette gives' if near else 'you get'} {wording.level(shown, share=share)}{where}")
    parts.append(f"at most {top}" if top else "the others conflict")
    now = place(scene, live.palette, requested)
    spoken = [sentence(scene, requested, now), f"Base model {wording.level(base, share=share)}."]
    if shown is not None:
        spoken.append(f"The palette gives {wording.level(shown, share=share)}{where}.")
    return {
        "name": requested.name,
        "title": title(scene, requested),
        "card": sentence(scene, requested, now),
        "colour": scene.colour(scene.table.index(requested.parts.value)),
        "constant": False,
        "protection": True,
        "share": share,
        "mark": "" if share else wording.mark,
        "percentile": amounts.rounded(now, 4),
        "shown": f"{'' if share else wording.mark}{amounts.significant(amounts.rounded(now, 1))}",
        "free": False,
        "keep": False,
        "locked": False,
        "base": amounts.rounded(base, 2),
        "level": amounts.rounded(level, 2),
        "near": near,
        "error": fader_text.bar_ends(error),
        "range": fader_text.bar_ends(span),
        "ever": [
            max(scene.ranges[j][0] for j in requested.members),
            min(scene.ranges[j][1] for j in requested.members),
        ],
        "said": ", ".join(parts),
        "spoken": " ".join(spoken),
    }


def _ends(live: LiveAnswer, requested: AskedColumn, most: Limits | None) -> tuple[list[float] | None, float | None]:
    """Return the lowest and the highest position that every column can reach, and the highest that is reliable."""
    members, scene = list(requested.members), live.scene
    ends = (live.reach if most is None else most).ranges[members]
    span = None
    if not np.isnan(ends).any():
        member_ends = [[scene.percentile(j, float(end)) for end in pair] for j, pair in zip(members, ends, strict=True)]
        span = [max(low for low, _ in member_ends), min(high for _, high in member_ends)]
    if most is None:
        return span, None
    return span, min(scene.percentile(j, float(most.reliable[j])) for j in members)


def _cohort(scene: Scene, j: int) -> str:
    """Return the name of the prompts that a column counts."""
    column = scene.table.derived[j - scene.plain]
    return "" if column.cohort is None else column.cohort.entry
