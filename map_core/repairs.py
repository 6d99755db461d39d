"""What can be done about a palette that is out of reach: up to three ways, each of them one click.

Two ways let one target alone give way: the members of the smallest conflict whose lowering alone makes the whole
palette attainable, the smallest step first. The third shares the change evenly: the nearest palette that can be
trusted. Constraint: a locked target never gives way, and every way that is offered can be had.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.certificate import AttainableLevels
from map_core.certificate.conflict import Conflict, smallest_conflict
from map_core.feasibility import Assessment
from map_core.glossary import Verdict

#: Ways in which one target alone gives way.
MOST_ALONE = 2
#: A target that gives way stops this far, in standard deviations, inside the edge: on it the slightest rounding tips.
INSIDE = 1e-3


@dataclass(frozen=True, eq=False)
class Repair:
    """One way to a palette that can be had.

    Args:
        values: positions of the values that give way, the one that gives most first.
        targets: (value,) the targets to take, in standard deviations above base; NaN where nothing changes.
        given_up: standard deviations in all, the root of the sum of squares.
    """

    values: tuple[int, ...]
    targets: np.ndarray
    given_up: float


@dataclass(frozen=True, eq=False)
class Repairs:
    """Why a palette cannot be had, and the ways out.

    Args:
        conflict: the smallest set of targets that cannot be had together; None on paper.
        ways: the repairs, those of one value first, the even one last.
    """

    conflict: Conflict | None
    ways: tuple[Repair, ...]


def repairs(attainable: AttainableLevels, assessment: Assessment, locked: np.ndarray) -> Repairs:
    """The ways out of a palette that cannot be had or cannot be trusted.

    Args:
        attainable: the levels that can be had.
        assessment: of the palette.
        locked: (value,) bool, the targets that must not give way.

    Returns:
        The ways; none where the palette is reachable, or only locked targets conflict.
    """
    targets = assessment.targets
    if assessment.verdict is Verdict.REACHABLE:
        return Repairs(None, ())
    conflict, ways = None, []
    if assessment.verdict is Verdict.OUT_OF_REACH:
        conflict = smallest_conflict(attainable, targets)
        if conflict is not None:
            alone = [
                way
                for j in conflict.members
                if conflict.resolves[j] and not locked[j]
                if (way := _alone(attainable, targets, j)) is not None
            ]
            ways += sorted(alone, key=lambda way: way.given_up)[:MOST_ALONE]
    nearest = assessment.nearest
    if nearest is not None:
        changed = np.flatnonzero(nearest.given_up > 1e-9)
        order = changed[np.argsort(-nearest.given_up[changed])]
        even = Repair(tuple(int(j) for j in order), nearest.targets, float(np.linalg.norm(nearest.given_up[order])))
        if not any(way.values == even.values and abs(way.given_up - even.given_up) < 1e-2 for way in ways):
            ways.append(even)
    return Repairs(conflict, tuple(ways))


def _alone(attainable: AttainableLevels, targets: np.ndarray, value: int) -> Repair | None:
    """The palette in which one target alone gives way, as little as it must."""
    highest = attainable.highest(targets, value)
    if np.isnan(highest) or highest >= targets[value]:
        return None
    changed = np.full(len(targets), np.nan)
    changed[value] = highest - INSIDE
    return Repair((value,), changed, float(targets[value] - changed[value]))
