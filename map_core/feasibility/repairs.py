"""Propose repairs of a palette that is out of reach: up to three, each of them a set of new targets.

Up to two repairs lower a single target: the nearest palette with all other targets locked, for each member of the
smallest conflict for which that suffices, the smallest change first. If no single target suffices, one target gets a
much lower importance than the others instead. The last repair distributes the change: the nearest palette itself.
Constraint: a locked target is never lowered, and every repair is attainable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.core.types import Verdict
from map_core.feasibility.assess import Assessment
from map_core.feasibility.conflict import Conflict, smallest_conflict
from map_core.feasibility.margin import AttainableLevels
from map_core.feasibility.nearest import NearestPalette, nearest

#: Maximum number of repairs that lower a single target.
MAX_SINGLE_TARGET = 2
#: Importance of the target that is to be lowered most; that of the others is 1.
LOW_IMPORTANCE = 0.02
#: Smallest change that counts, in standard deviations.
SMALLEST_CHANGE = 1e-9


@dataclass(frozen=True, eq=False)
class Repair:
    """One change that makes a palette attainable.

    Args:
        values: positions of the values that are lowered, the largest change first.
        targets: (value,) the new targets, in standard deviations above base; NaN for unchanged ones.
        given_up: square root of the sum of squared changes, in standard deviations.
    """

    values: tuple[int, ...]
    targets: np.ndarray
    given_up: float


@dataclass(frozen=True, eq=False)
class Repairs:
    """The conflict of a palette that is not attainable or not trusted, and the repairs.

    Args:
        conflict: the smallest set of targets that are not attainable together; None for a palette on paper.
        ways: the repairs, those of a single target first, the nearest palette last.
    """

    conflict: Conflict | None
    ways: tuple[Repair, ...]


def repairs(attainable: AttainableLevels, assessment: Assessment, locked: np.ndarray) -> Repairs:
    """List the repairs of a palette that is not attainable or not trusted.

    Args:
        attainable: the attainable levels of the table.
        assessment: the assessment of the palette.
        locked: (value,) bool, the targets that must not be lowered.

    Returns:
        The repairs; none where the palette is reachable, or where only locked targets conflict.
    """
    targets, oracle = assessment.targets, attainable.oracle
    if assessment.verdict is Verdict.REACHABLE:
        return Repairs(None, ())
    conflict = smallest_conflict(attainable, targets) if assessment.verdict is Verdict.OUT_OF_REACH else None
    movable = ~np.isnan(targets) & ~locked
    members = movable if conflict is None else movable & conflict.resolves
    single = []
    for j in np.flatnonzero(members):
        others = np.arange(len(targets)) != j
        palette = nearest(oracle, targets, locked=others, attainable=attainable)
        if palette is not None and palette.given_up[j] > SMALLEST_CHANGE:
            single.append(_repair(palette))
    if not single and conflict is not None:
        # No single target suffices: one is lowered most, and the others as little as necessary.
        for j in np.flatnonzero(movable & (np.isin(np.arange(len(targets)), conflict.members))):
            importance = np.where(np.arange(len(targets)) == j, LOW_IMPORTANCE, 1.0)
            palette = nearest(oracle, targets, locked=locked, importance=importance, attainable=attainable)
            if palette is not None:
                single.append(_repair(palette))
    # On the boundary the nearest palette may be the palette itself; without a change it is not a repair.
    ways = sorted((way for way in single if way.values), key=lambda way: way.given_up)[:MAX_SINGLE_TARGET]
    if assessment.nearest is not None:
        even = _repair(assessment.nearest)
        if even.values and not any(
            len(way.values) == len(even.values) == 1 and way.values == even.values for way in ways
        ):
            ways.append(even)
    return Repairs(conflict, tuple(ways))


def _repair(palette: NearestPalette) -> Repair:
    changed = np.flatnonzero(palette.given_up > SMALLEST_CHANGE)
    order = changed[np.argsort(-palette.given_up[changed])]
    targets = np.full(len(palette.targets), np.nan)
    targets[changed] = palette.targets[changed]
    return Repair(tuple(int(j) for j in order), targets, float(np.linalg.norm(palette.given_up[order])))
