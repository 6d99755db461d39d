"""Who gives up what in a common palette, and which groups cannot have theirs together.

Constraint: that two groups clash is decided by the certificate of :mod:`map_core.feasibility` and by nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np

from map_core.feasibility import AttainableLevels, Margin
from map_core.groups.common import NO_BUDGET, CommonPalette, is_met, largest_affordable_share
from map_core.groups.group import Group, check_groups, joint_targets
from map_core.oracle import Oracle
from map_core.solver.batched import solve_many
from map_core.solver.newton import solve

#: A value with less of the certificate than this has no part in a clash.
NAMED_SHARE = 0.02
#: Shares of the way that are the same, and most solves for one.
NARROW, MOST_STEPS = 1e-11, 80


@dataclass(frozen=True, eq=False)
class Concession:
    """What a group has in a common palette, beside what it could have alone for the same nats.

    Args:
        alone: satisfaction of the group if only it counted.
        common: satisfaction in the common palette.
        short: (value,) how far each level stays below the group's target, in standard deviations; 0 where the target
            is met, NaN where the group leaves the value free.
    """

    alone: float
    common: float
    short: np.ndarray

    @property
    def lost(self) -> float:
        """What the group gives up for the others."""
        return max(0.0, self.alone - self.common)


def satisfaction_alone(oracle: Oracle, groups: Sequence[Group], budget: float) -> np.ndarray:
    """Return (group,) how satisfied each group would be if only it counted, for the same nats."""
    return np.array([_furthest(oracle, group, budget) for group in groups])


def _furthest(oracle: Oracle, group: Group, budget: float) -> float:
    """Return the largest share u of the way whose nats are within the budget.

    They are convex in u with the slope weights . targets, so Newton's steps find it in a handful of solves; where the
    palette is not attainable, or costs far more than the budget, the interval is halved.
    """
    if math.isinf(budget) or budget <= NO_BUDGET:
        return largest_affordable_share(oracle, lambda u: joint_targets([group], u[:, None]), budget)[0]
    low, high, u, start = 0.0, 1.0, 1.0, None
    for _ in range(MOST_STEPS):
        found = solve(oracle, joint_targets([group], np.array([u])), start=start, budget=1.5 * budget + 0.1)
        if is_met(found):
            over, start = found.kl - budget, found.weights
            if over <= 1e-12:
                low = u
            else:
                high = u
            slope = float(found.weights[group.raised] @ group.targets[group.raised])
            following = u - over / slope if slope > 0 else high
        else:
            high, following = u, math.nan
        if low == 1.0 or high - low < NARROW or abs(following - u) < NARROW:
            return low if abs(following - u) >= NARROW else min(u, 1.0)
        u = following if low < following < high else (low + high) / 2
    return low


def concessions(groups: Sequence[Group], common: CommonPalette, alone: np.ndarray) -> tuple[Concession, ...]:
    """Return what each group gives up in a common palette.

    Args:
        groups: the groups that the palette was found for.
        common: the palette.
        alone: (group,) of :func:`satisfaction_alone`, for the same budget.
    """
    found = []
    for group, got, most in zip(groups, common.satisfaction, alone, strict=True):
        short = np.maximum(0.0, group.targets - common.solution.levels)
        found.append(Concession(float(most), float(got), np.where(short < 1e-7, 0.0, short)))
    return tuple(found)


class Relation(StrEnum):
    """How the palettes of two groups go together, both met in full."""

    TOGETHER = "together"
    #: Each costs no more than the budget, both at once do.
    TOO_DEAR = "too_dear"
    #: Each is attainable, both at once are not: no mix of replies gives them.
    CLASH = "clash"
    #: One of them is not attainable by itself.
    ALONE = "out_of_reach_alone"


@dataclass(frozen=True, eq=False)
class Clash:
    """Two groups and what their palettes joined come to.

    Args:
        first, second: positions of the groups.
        relation: how they go together.
        kl: nats that the joined palette costs; NaN where it is not attainable.
        margin: of the joined palette; None where the solver's answer proves that it is attainable.
        values: positions of the values that pull against each other, the strongest first; empty but for a clash.
        asked_by: for each of these, the position of the group whose target stands.
    """

    first: int
    second: int
    relation: Relation
    kl: float
    margin: Margin | None
    values: tuple[int, ...] = ()
    asked_by: tuple[int, ...] = ()


def clashes(
    oracle: Oracle,
    groups: Sequence[Group],
    budget: float = math.inf,
    attainable: AttainableLevels | None = None,
    among: Sequence[tuple[int, int]] | None = None,
) -> tuple[Clash, ...]:
    """Pairs of groups and how their palettes go together.

    Args:
        oracle: the table.
        groups: the groups.
        budget: nats that a palette may cost.
        attainable: corners to start the linear programs from.
        among: positions of the pairs that are asked for; all of them by default.

    Raises:
        InputError: groups or budget that cannot be used.
    """
    check_groups(oracle, groups, budget)
    attainable = attainable or AttainableLevels(oracle)
    pairs = list(combinations(range(len(groups)), 2) if among is None else among)
    if not pairs:
        return ()
    palettes = np.array(
        [joint_targets([group]) for group in groups] + [joint_targets([groups[a], groups[b]]) for a, b in pairs]
    )
    # Every palette at once: a converged row proves that it is attainable, and only the rest need a linear program.
    solved = solve_many(oracle, palettes)
    margins = [
        None if ok else attainable.margin(palette) for ok, palette in zip(solved.converged, palettes, strict=True)
    ]
    can = [edge is None or edge.attainable for edge in margins]
    kl = np.where(can, solved.kl, np.nan)
    found = []
    for row, (a, b) in enumerate(pairs, start=len(groups)):
        edge = margins[row]
        if not (can[a] and can[b]):
            found.append(Clash(a, b, Relation.ALONE, float(kl[row]), edge))
        elif edge is not None and not can[row]:
            mix = edge.certificate
            values = tuple(int(j) for j in np.argsort(-mix) if mix[j] >= NAMED_SHARE)
            first, second = (np.nan_to_num(groups[g].targets, nan=-math.inf) for g in (a, b))
            found.append(
                Clash(
                    a,
                    b,
                    Relation.CLASH,
                    math.nan,
                    edge,
                    values,
                    tuple(a if first[j] >= second[j] else b for j in values),
                )
            )
        else:
            dear = kl[row] > budget + 1e-9 and max(kl[a], kl[b]) <= budget + 1e-9
            found.append(Clash(a, b, Relation.TOO_DEAR if dear else Relation.TOGETHER, float(kl[row]), edge))
    return tuple(found)
