"""The max-min palette: the one that serves the worst-off group best within a budget of nats.

    maximise u   subject to   s_g(mu) >= min(1, w_g u) for every group,   KL <= budget

with s_g the satisfaction of :mod:`map_core.groups.group` and w_g the importances, the smallest of them 1: a group of
importance 2 gets twice the share of its way, until its targets are met. For a given u these are conditions on levels,
and the highest of them for each value form one palette, whose solution gives the nats that u costs. They grow with u:
the answer is where they reach the budget, or where palettes stop being attainable. Constraint: no group ends up below
the base model.

Source: with equal importances the solution of Kalai and Smorodinsky, "Other Solutions to Nash's Bargaining Problem",
1975; else the proportional one of Kalai, "Proportional Solutions to Bargaining Situations", 1977.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from map_core.groups.group import Group, check_groups, joint_targets, satisfaction
from map_core.oracle import Oracle
from map_core.solver.batched import solve_many
from map_core.solver.newton import Solution, Status, solve

#: Shares solved in one batch, and rounds of refinement: 1e-10 of the way from base to targets.
BATCH = 24
ROUNDS = 8
#: Steps back from the edge, in u, until the solver agrees that the palette is attainable.
BACK = (0.0, 1e-9, 1e-7, 1e-5, 1e-3, 1.0)
#: Residual, in standard deviations, up to which targets count as met.
MET = 1e-7
#: A budget this small, in nats, buys nothing; it is the rounding of KL.
NO_BUDGET = 1e-12


class BindingLimit(StrEnum):
    """The limit of a common palette."""

    #: None: every group's targets are met.
    NONE = "none"
    BUDGET = "budget"
    #: No re-weighting of these replies gives more to the worst-off, at any price.
    REACH = "reach"


@dataclass(frozen=True, eq=False)
class CommonPalette:
    """One palette for several groups.

    Args:
        targets: (value,) the palette, in standard deviations above base; NaN where every group leaves the value free.
        solution: the weights that reach it, and what they give.
        satisfaction: (group,) of each group with what is realised, from 0 at the base model to 1.
        limit: what limits it.
        budget: nats that it was allowed to spend.
        gap: no palette within the budget is better than this one by more, in u or in the sum of log satisfactions.
    """

    targets: np.ndarray
    solution: Solution
    satisfaction: np.ndarray
    limit: BindingLimit
    budget: float
    gap: float


def max_min(oracle: Oracle, groups: Sequence[Group], budget: float = math.inf) -> CommonPalette:
    """Compute the palette that maximises the smallest satisfaction; see the module.

    Args:
        oracle: the table.
        groups: at least one.
        budget: nats; infinite for no limit but the table's.

    Returns:
        The palette; with equal importances every group gets at least the same share of its way.

    Raises:
        InputError: groups or budget that cannot be used, see :func:`map_core.groups.group.check_groups`.
    """
    check_groups(oracle, groups, budget)
    importance = np.array([group.importance for group in groups])
    importance = importance / importance.min()

    def targets_at(u: np.ndarray) -> np.ndarray:
        return joint_targets(groups, np.minimum(1.0, u[:, None] * importance))

    u, width = largest_affordable_share(oracle, targets_at, budget)
    for back in BACK:
        # On the boundary of the attainable levels, the last digits of u decide between met and out of reach.
        targets = targets_at(np.array([max(0.0, u - back)]))[0]
        solution = solve(oracle, targets)
        if is_met(solution):
            break
    spent = solution.kl >= budget - 1e-6 * (1.0 + budget)
    limit = BindingLimit.NONE if u == 1.0 else BindingLimit.BUDGET if spent else BindingLimit.REACH
    return CommonPalette(targets, solution, satisfaction(groups, solution.levels), limit, budget, width + back)


def is_met(solution: Solution) -> bool:
    """Return whether a solution meets its targets up to rounding."""
    return solution.status is Status.CONVERGED and solution.residual <= MET


def largest_affordable_share(
    oracle: Oracle, targets_at: Callable[[np.ndarray], np.ndarray], budget: float
) -> tuple[float, float]:
    """Find the largest u from 0 to 1 whose palette costs no more than the budget.

    Args:
        oracle: the table.
        targets_at: (batch,) to (batch, value) targets that grow with u; those of 0 are met by the base model.
        budget: nats.

    Returns:
        An affordable u, and how far the largest may lie above it.
    """
    if budget <= NO_BUDGET:
        return 0.0, 0.0
    low, high, start = 0.0, 1.0, np.zeros(len(oracle.values))
    for round_ in range(ROUNDS):
        # The first round includes 1 itself, the later ones only the interior.
        shares = np.linspace(low, high, BATCH + 1)[1:] if round_ == 0 else np.linspace(low, high, BATCH + 2)[1:-1]
        solutions = solve_many(oracle, targets_at(shares), start=start, budget=budget)
        affordable = (solutions.status == Status.CONVERGED) & (solutions.kl <= budget + 1e-12)
        if affordable.any():
            last = int(np.flatnonzero(affordable)[-1])
            low, start = float(shares[last]), solutions.weights[last]
            if low == 1.0:
                return 1.0, 0.0
            shares = shares[last + 1 :]
        high = float(min(high, shares[0])) if len(shares) else high
        if high - low < 1e-12:
            break
    return low, high - low
