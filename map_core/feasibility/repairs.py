"""What can be done about a palette that is out of reach: up to three ways, each of them one click.

Two ways let one target alone give way: the nearest palette with all the others locked, for each member of the
smallest conflict whose lowering alone helps, the smallest step first; where none does, one gives way above all the
others. The third shares the change evenly: the nearest
palette of all. Constraint: a locked target never gives way, and every way that is offered can be had.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.core.types import Verdict
from map_core.feasibility.assess import Assessment
from map_core.feasibility.conflict import Conflict, smallest_conflict
from map_core.feasibility.margin import AttainableLevels
from map_core.feasibility.nearest import NearestPalette, nearest

#: Ways in which one target alone gives way.
MOST_ALONE = 2
#: Importance of a target that gives way above all the others, whose own is 1.
ABOVE_ALL = 0.02
#: A change below this, in standard deviations, is none.
NOTICED = 1e-9


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
    targets, oracle = assessment.targets, attainable.oracle
    if assessment.verdict is Verdict.REACHABLE:
        return Repairs(None, ())
    conflict = smallest_conflict(attainable, targets) if assessment.verdict is Verdict.OUT_OF_REACH else None
    asked = ~np.isnan(targets) & ~locked
    members = asked if conflict is None else asked & conflict.resolves
    alone = []
    for j in np.flatnonzero(members):
        others = np.arange(len(targets)) != j
        found = nearest(oracle, targets, locked=others, attainable=attainable)
        if found is not None and found.given_up[j] > NOTICED:
            alone.append(_way(found))
    if not alone and conflict is not None:
        # Nobody can mend it alone: who gives way above all the others, who then move as little as they must.
        for j in np.flatnonzero(asked & (np.isin(np.arange(len(targets)), conflict.members))):
            importance = np.where(np.arange(len(targets)) == j, ABOVE_ALL, 1.0)
            found = nearest(oracle, targets, locked=locked, importance=importance, attainable=attainable)
            if found is not None:
                alone.append(_way(found))
    # At the very edge the nearest palette may be the palette itself: then nothing gives way, and there is no way out.
    ways = sorted((way for way in alone if way.values), key=lambda way: way.given_up)[:MOST_ALONE]
    if assessment.nearest is not None:
        even = _way(assessment.nearest)
        if even.values and not any(
            len(way.values) == len(even.values) == 1 and way.values == even.values for way in ways
        ):
            ways.append(even)
    return Repairs(conflict, tuple(ways))


def _way(found: NearestPalette) -> Repair:
    changed = np.flatnonzero(found.given_up > NOTICED)
    order = changed[np.argsort(-found.given_up[changed])]
    targets = np.full(len(found.targets), np.nan)
    targets[changed] = found.targets[changed]
    return Repair(tuple(int(j) for j in order), targets, float(np.linalg.norm(found.given_up[order])))
