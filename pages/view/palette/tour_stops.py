"""The stops of the tour: palettes that are computed for the open table, so that the solver's answers fit the text.

Constraint: nothing is drawn here; a stop that a table cannot show (two conflicting values, where there is only one
value) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import streamlit as st

from map_core.core.types import Verdict
from map_core.feasibility import Assessment
from map_core.palettes.palette import Palette, Target
from pages.view.session import palette_state
from pages.view.session.scene import Scene

#: Percentiles by which the first fader goes up; the first of these that is still reachable is used.
STEPS_UP = (10.0, 5.0, 2.0)
#: How far beyond the first palette that is out of reach the conflict is shown, in percentiles.
BEYOND = 4
#: How far below the base level a value may drop, in percentiles.
DROP = 10.0


class StopKind(StrEnum):
    """What a stop shows."""

    UP = "up"
    CONFLICT = "conflict"
    REPAIR = "repair"
    DROP = "drop"
    HEAR = "hear"
    NEXT = "next"


@dataclass(frozen=True)
class TourStop:
    """One stop.

    Args:
        kind: what it shows.
        palette: the palette that is set.
        before: the palette that the stop started from.
        values: positions of the values that it is about.
    """

    kind: StopKind
    palette: Palette
    before: Palette
    values: tuple[int, ...] = ()


def stops(scene: Scene) -> tuple[TourStop, ...]:
    """Return the stops on a table, computed once for all viewers; none where no value can be moved."""
    return _cached_stops(scene.key, scene)


@st.cache_resource(show_spinner="Setting up the tour", max_entries=16)
def _cached_stops(key: tuple[Any, ...], _scene: Scene) -> tuple[TourStop, ...]:
    return find_stops(_scene)


def find_stops(scene: Scene) -> tuple[TourStop, ...]:
    """Compute the stops on a table; none where no value can be moved."""
    movable = [j for j in range(len(scene.names)) if not scene.oracle.constant[j]]
    if not movable:
        return ()
    start = palette_state.initial_palette(scene)
    stops = [_up(scene, start, movable)]
    conflict = _conflict(scene, stops[-1].palette, movable)
    if conflict:
        stops.append(conflict)
        closest = _assess(scene, conflict.palette).nearest
        if closest is not None:
            repaired = palette_state.with_levels(scene, conflict.palette, closest.targets)
            stops.append(TourStop(StopKind.REPAIR, repaired, conflict.palette, conflict.values))
            if len(conflict.values) == 2:
                stops.append(_drop(scene, repaired, *conflict.values))
    last = stops[-1].palette
    return (*stops, TourStop(StopKind.HEAR, last, last), TourStop(StopKind.NEXT, last, last))


def _assess(scene: Scene, palette: Palette) -> Assessment:
    return scene.assess(palette_state.standardised(scene, palette))


def _attainable(scene: Scene, palette: Palette) -> bool:
    with scene.attainable() as attainable:
        return attainable.margin(palette_state.standardised(scene, palette)).attainable


def _reachable(scene: Scene, palette: Palette) -> bool:
    return _assess(scene, palette).verdict is Verdict.REACHABLE


def _up(scene: Scene, start: Palette, movable: list[int]) -> TourStop:
    """Return the stop that raises one fader a little, where that is reachable."""
    for j in movable:
        name = scene.table.values[j]
        target = start.targets[name]
        for step in STEPS_UP:
            raised = start.with_target(name, target.at(min(round(target.percentile) + step, 100.0)))
            if not target.free and _reachable(scene, raised):
                return TourStop(StopKind.UP, raised, start, (j,))
    return TourStop(StopKind.UP, start, start, (movable[0],))


def _conflict(scene: Scene, before: Palette, movable: list[int]) -> TourStop | None:
    """Return the stop with the two most negatively correlated values both just too high, and the others free."""
    covariance = scene.oracle.moments(np.zeros(len(scene.names))).covariance
    spread = np.sqrt(np.maximum(np.diag(covariance), 1e-30))
    pairs = sorted((covariance[a, b] / (spread[a] * spread[b]), a, b) for a in movable for b in movable if a < b)
    values = (pairs[0][1], pairs[0][2]) if pairs else (movable[0],)

    def at(percentile: int) -> Palette:
        targets = {}
        for j, name in enumerate(scene.table.values):
            top = 100 if len(values) == 1 else scene.ranges[j][1]
            target = Target(float(min(percentile, top)))
            targets[name] = target if j in values else replace(before.targets[name], free=True, keep=False)
        return Palette(before.use_case, targets)

    low, high = 50, 100
    if _attainable(scene, at(high)):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _attainable(scene, at(middle)) else (low, middle)
    return TourStop(StopKind.CONFLICT, at(min(high + BEYOND, 100)), before, values)


def _drop(scene: Scene, repaired: Palette, kept_value: int, lowered_value: int) -> TourStop:
    """Return the stop at which one of the two values may drop below the base model, so that the other can rise."""
    name, other = scene.table.values[lowered_value], scene.table.values[kept_value]
    low, base = scene.ranges[lowered_value][0], scene.percentile(lowered_value, 0.0)
    dropped = repaired.with_target(name, Target(float(max(round(base - DROP), low))))
    now, top = round(dropped.targets[other].percentile), scene.ranges[kept_value][1]
    for percentile in range(top, now, -3):
        raised = dropped.with_target(other, Target(float(percentile)))
        if _reachable(scene, raised):
            return TourStop(StopKind.DROP, raised, repaired, (kept_value, lowered_value))
    return TourStop(StopKind.DROP, dropped, repaired, (kept_value, lowered_value))
