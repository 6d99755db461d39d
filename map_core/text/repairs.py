"""Describe targets that are not possible together: which of them conflict, and the label of each repair's button.

Constraint: results in, text and numbers out; a button sets exactly the targets that its label states.
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
    """The text of a repair's button: a label, and the changes of targets."""

    label: str
    meaning: str


def repaired_percentiles(repair: Repair, percentile: Percentile, most: Limits | None = None) -> dict[int, float]:
    """Return the whole percentiles that a repair sets, by position: rounded down, so that they are reachable.

    Args:
        repair: the repair.
        percentile: from a value's standardised level to its percentile.
        most: the highest level of each value beside the others, where it is known; it bounds a repair that lowers one
            target alone.
    """
    percentiles = {j: whole_percentile(percentile(j, float(repair.targets[j]))) for j in repair.values}
    if most is not None and len(repair.values) == 1:
        (j,) = repair.values
        if np.isfinite(most.reliable[j]):
            percentiles[j] = min(percentiles[j], whole_percentile(percentile(j, float(most.reliable[j]))))
    return percentiles


def repair_texts(
    repairs: Repairs,
    assessment: Assessment,
    names: Sequence[str],
    percentile: Percentile,
    most: Limits | None = None,
    wording: Wording = NUMBERS,
    beyond: BeyondAverages = NOTHING_BEYOND,
) -> tuple[RepairText, ...]:
    """Return the texts of the repairs' buttons, in the same order; they state what :func:`repaired_percentiles` sets.

    A repair of several targets lowers its first one most; the last repair shares the change evenly.
    """
    texts = []
    for repair in repairs.ways:
        steps: dict[str, list[tuple[int, float]]] = {}
        for j, new in repaired_percentiles(repair, percentile, most).items():
            steps.setdefault(beyond.groups.get(j, names[j]), []).append((j, new))
        changes = [
            f"{name if len(moved) > 1 else names[moved[0][0]]} {_step(assessment, moved, percentile, wording, beyond)}"
            for name, moved in steps.items()
        ]
        first = names[repair.values[0]]
        if len(repair.values) == 1:
            label = f"Lower {first}"
        elif repair is repairs.ways[-1]:
            label = "Share the change evenly"
        else:
            label = f"Lower {first} above all"
        texts.append(RepairText(label, ", ".join(changes)))
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
    """Name the targets that conflict, with the most that each can reach beside the others; "" where none do."""
    conflict = repairs.conflict
    if conflict is None:
        return ""
    conflicting = sentences.grouped(list(conflict.members), names, beyond.groups)
    members = sentences.capitalised(sentences.listed(conflicting))
    limits = {}
    for j in conflict.members:
        if most is not None and np.isfinite(most.possible[j]):
            reliable, possible = (percentile(j, float(level[j])) for level in (most.reliable, most.possible))
            limits[names[j]] = sentences.limit(reliable, possible, wording, j in beyond.shares)
    if len(conflict.members) == 1:
        others = np.isfinite(assessment.targets).sum() > 1
        beside = ". With the other targets as they are: at most" if others else ": at most"
        limit = "".join(f"{beside} {text}" for text in limits.values())
        return f"{members} alone is too high{limit}."
    beside = "; ".join(f"{name} at most {text}" for name, text in limits.items())
    beside = f" With the others as they are: {beside}." if limits else ""
    # Columns of the same target, such as one in every use case, can conflict with each other.
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
    """Describe how far a target is lowered; to the range of its columns where it has several.

    Args:
        assessment: with the targets before.
        moved: (position, new percentile) of the target's columns.
        percentile: from a value's standardised level to its percentile.
        wording: with numbers, or in everyday words.
        beyond: which positions are shares.
    """
    share = moved[0][0] in beyond.shares
    before = max(percentile(j, float(assessment.targets[j])) for j, _ in moved)
    low, high = min(new for _, new in moved), max(new for _, new in moved)
    if low == high:
        return _from_to(before, high, wording, share)
    to = wording.level(low, share=share).removesuffix(" of 100")
    return f"{wording.target(before, share)} → {to} to {wording.level(high, share=share)}"


def _from_to(before: float, after: float, wording: Wording, share: bool = False) -> str:
    """Format a target before and after: with all its digits where the two would read the same."""
    old, new = wording.target(before, share), wording.level(after, share=share)
    return f"{wording.place(before, share) if old == new else old} → {new}"
