"""Concessions of each group in a common palette, and pairs of groups that clash.

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

#: Least share of the certificate of a value that takes part in a clash.
NAMED_SHARE = 0.02
#: Tolerance of a share of the way, and the limit on solves.
NARROW, MOST_STEPS = 1e-11, 80


@dataclass(frozen=True, eq=False)
class Concession:
    """Satisfaction of a group in a common palette, and alone with the same budget.

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
        """The satisfaction that the group gives up for the others."""
        return max(0.0, self.alone - self.common)


def satisfaction_alone(oracle: Oracle, groups: Sequence[Group], budget: float) -> np.ndarray:
    """Return the satisfaction of each group if only it counted, (group,), with the same budget."""
    return np.array([_largest_share(oracle, group, budget) for group in groups])


def _largest_share(oracle: Oracle, group: Group, budget: float) -> float:
    """Find the largest share u of the way whose nats are within the budget.

    The nats are convex in u with the slope weights . targets, so Newton's method needs a few solves; where the palette
    is not attainable, or costs far more than the budget, the interval is bisected.
    """
    if math.isinf(budget) or budget <= NO_BUDGET:
        return largest_affordable_share(oracle, lambda u: joint_targets([group], u[:, None]), budget)[0]
    low, high, u, start = 0.0, 1.0, 1.0, None
    for _ in range(MOST_STEPS):
        solution = solve(oracle, joint_targets([group], np.array([u])), start=start, budget=1.5 * budget + 0.1)
        if is_met(solution):
            excess, start = solution.kl - budget, solution.weights
            if excess <= 1e-12:
                low = u
            else:
                high = u
            slope = float(solution.weights[group.raised] @ group.targets[group.raised])
            following = u - excess / slope if slope > 0 else high
        else:
            high, following = u, math.nan
        if low == 1.0 or high - low < NARROW or abs(following - u) < NARROW:
            return low if abs(following - u) >= NARROW else min(u, 1.0)
        u = following if low < following < high else (low + high) / 2
    return low


def concessions(groups: Sequence[Group], common: CommonPalette, alone: np.ndarray) -> tuple[Concession, ...]:
    """Compute what each group gives up in a common palette.

    Args:
        groups: the groups of the palette.
        common: the palette.
        alone: (group,) of :func:`satisfaction_alone`, for the same budget.
    """
    results = []
    for group, achieved, best in zip(groups, common.satisfaction, alone, strict=True):
        short = np.maximum(0.0, group.targets - common.solution.levels)
        results.append(Concession(float(best), float(achieved), np.where(short < 1e-7, 0.0, short)))
    return tuple(results)


class Relation(StrEnum):
    """How the palettes of two groups combine, both met in full."""

    TOGETHER = "together"
    #: Each costs no more than the budget, both at once do.
    TOO_DEAR = "too_dear"
    #: Each is attainable, both at once are not: no mix of replies gives them.
    CLASH = "clash"
    #: One of them is not attainable by itself.
    ALONE = "out_of_reach_alone"


@dataclass(frozen=True, eq=False)
class Clash:
    """Two groups and the joint palette of both.

    Args:
        first: position of one group.
        second: position of the other.
        relation: how their palettes combine.
        kl: nats that the joint palette costs; NaN where it is not attainable.
        margin: of the joint palette; None where the solver's answer proves that it is attainable.
        values: positions of the values that pull against each other, the strongest first; empty but for a clash.
        asked_by: for each of these, the position of the group with the higher target.
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
    """Assess the joint palettes of pairs of groups.

    Args:
        oracle: the table.
        groups: the groups.
        budget: nats that a palette may cost.
        attainable: corners to start the linear programs from.
        among: positions of the pairs to assess; all of them by default.

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
    # All palettes in one batch: a converged row proves that it is attainable, and only the rest need a linear program.
    solved = solve_many(oracle, palettes)
    margins = [
        None if converged else attainable.margin(palette)
        for converged, palette in zip(solved.converged, palettes, strict=True)
    ]
    is_attainable = [margin is None or margin.attainable for margin in margins]
    kl = np.where(is_attainable, solved.kl, np.nan)
    results = []
    for row, (a, b) in enumerate(pairs, start=len(groups)):
        margin = margins[row]
        if not (is_attainable[a] and is_attainable[b]):
            results.append(Clash(a, b, Relation.ALONE, float(kl[row]), margin))
        elif margin is not None and not is_attainable[row]:
            certificate = margin.certificate
            values = tuple(int(j) for j in np.argsort(-certificate) if certificate[j] >= NAMED_SHARE)
            first, second = (np.nan_to_num(groups[g].targets, nan=-math.inf) for g in (a, b))
            asked_by = tuple(a if first[j] >= second[j] else b for j in values)
            results.append(Clash(a, b, Relation.CLASH, math.nan, margin, values, asked_by))
        else:
            too_dear = kl[row] > budget + 1e-9 and max(kl[a], kl[b]) <= budget + 1e-9
            results.append(Clash(a, b, Relation.TOO_DEAR if too_dear else Relation.TOGETHER, float(kl[row]), margin))
    return tuple(results)
