"""Targets that are not possible together: which of them conflict, and what each repair's button says.

Constraint: results in, text and numbers out; the buttons set what their texts say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from map_core.feasibility import Assessment
from map_core.feasibility.limits import Limits
from map_core.feasibility.repairs import Repair, Repairs
from map_core.text import sentences
from map_core.text.protections import NOTHING_BEYOND, BeyondAverages
from map_core.text.wording import NUMBERS, Percentile, Wording, whole_percentile


@dataclass(frozen=True)
class RepairText:
    """A repair as a button says it."""

    label: str
    meaning: str


def repaired_percentiles(way: Repair, percentile: Percentile, most: Limits | None = None) -> dict[int, float]:
    """Return the whole percentiles that a repair sets, by value: rounded down, so that they can be had.

    Args:
        way: the repair.
        percentile: from a value's standardised level to its percentile.
        most: the most of each value beside the others, where it is known; what lowering one target alone gives.
    """
    places = {j: whole_percentile(percentile(j, float(way.targets[j]))) for j in way.values}
    if most is not None and len(way.values) == 1:
        (j,) = way.values
        if np.isfinite(most.reliable[j]):
            places[j] = min(places[j], whole_percentile(percentile(j, float(most.reliable[j]))))
    return places


def repair_texts(
    repairs: Repairs,
    assessment: Assessment,
    names: Sequence[str],
    percentile: Percentile,
    most: Limits | None = None,
    wording: Wording = NUMBERS,
    beyond: BeyondAverages = NOTHING_BEYOND,
) -> tuple[RepairText, ...]:
    """Return the texts of the repairs' buttons, in the same order; they say what :func:`repaired_percentiles` sets."""
    texts = []
    for number, way in enumerate(repairs.ways, start=1):
        steps: dict[str, list[tuple[int, float]]] = {}
        for j, place in repaired_percentiles(way, percentile, most).items():
            steps.setdefault(beyond.groups.get(j, names[j]), []).append((j, place))
        said = [
            f"{name if len(moved) > 1 else names[moved[0][0]]} {_step(assessment, moved, percentile, wording, beyond)}"
            for name, moved in steps.items()
        ]
        evenly = number == len(repairs.ways) and len(way.values) > 1
        first = names[way.values[0]]
        label = "Share the change evenly" if evenly else f"Lower {first}"
        label += "" if evenly or len(way.values) == 1 else " above all"
        texts.append(RepairText(label, ", ".join(said)))
    return tuple(texts)


def conflict_sentence(
    repairs: Repairs,
    assessment: Assessment,
    names: Sequence[str],
    percentile: Percentile,
    most: Limits | None = None,
    wording: Wording = NUMBERS,
    beyond: BeyondAverages = NOTHING_BEYOND,
) -> str:
    """Word which targets conflict, by name, and the most that each can reach beside the others; "" where none do."""
    conflict = repairs.conflict
    if conflict is None:
        return ""
    conflicting = sentences.grouped(list(conflict.members), names, beyond.groups)
    members = sentences.capitalised(sentences.listed(conflicting))
    tops = {}
    for j in conflict.members:
        if most is not None and np.isfinite(most.possible[j]):
            reliable, possible = (percentile(j, float(level[j])) for level in (most.reliable, most.possible))
            tops[names[j]] = sentences.limit(reliable, possible, wording, j in beyond.shares)
    if len(conflict.members) == 1:
        return f"{members} alone is too high" + "".join(f": at most {top}." for top in tops.values()) + "." * (not tops)
    beside = "; ".join(f"{name} at most {top}" for name, top in tops.items())
    beside = f" With the others as they are: {beside}." if tops else ""
    # Columns of one target, as of one in every use case, can conflict with each other.
    if len(conflicting) == 1:
        return f"{members} is not possible at this level.{beside}"
    return f"{members} are not possible together at these levels.{beside}"


def _step(
    assessment: Assessment,
    moved: Sequence[tuple[int, float]],
    percentile: Percentile,
    wording: Wording,
    beyond: BeyondAverages,
) -> str:
    """Word from where to where a target is lowered; of several columns from the lowest to the highest place."""
    share = moved[0][0] in beyond.shares
    before = max(percentile(j, float(assessment.targets[j])) for j, _ in moved)
    low, high = min(place for _, place in moved), max(place for _, place in moved)
    if low == high:
        return _from_to(before, high, wording, share)
    to = wording.level(low, share=share).removesuffix(" of 100")
    return f"{wording.target(before, share)} → {to} to {wording.level(high, share=share)}"


def _from_to(before: float, after: float, wording: Wording, share: bool = False) -> str:
    """Word a target before and after: with all its digits where the two would read alike."""
    asked, given = wording.target(before, share), wording.level(after, share=share)
    return f"{wording.place(before, share) if asked == given else asked} → {given}"
