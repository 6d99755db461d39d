"""The verdict on a palette (reachable, on paper, out of reach), with its margin, weights and nearest palette.

Constraint: "out of reach" rests on the certificate of :mod:`map_core.feasibility` alone, never on a solver's failure
to converge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.core.types import Verdict
from map_core.errors import InputError
from map_core.feasibility.margin import MARGIN_TOLERANCE, AttainableLevels, Margin, checked_targets
from map_core.feasibility.nearest import NearestPalette, nearest
from map_core.feasibility.trust import trust
from map_core.oracle import EffectiveSampleSize, Oracle
from map_core.solver.newton import Solution, Status, solve


@dataclass(frozen=True, eq=False)
class Assessment:
    """The verdict on one palette and what it rests on.

    Args:
        targets: (value,) as requested, in standard deviations above base, NaN for free values.
        verdict: reachable, on paper or out of reach.
        margin: the margin and its certificate.
        solution: weights and levels; None when out of reach.
        ess: effective sample size; None when out of reach.
        nearest: the closest palette that is trusted and within the budget; None when this one is, or when there is
            none.
        over_budget: whether the palette is attainable but costs more nats than the budget.
        locked: (value,) bool, targets that the nearest palette must keep; None for none.
    """

    targets: np.ndarray
    verdict: Verdict
    margin: Margin
    solution: Solution | None
    ess: EffectiveSampleSize | None
    nearest: NearestPalette | None
    over_budget: bool = False
    locked: np.ndarray | None = None


def assess(
    oracle: Oracle,
    targets: np.ndarray,
    *,
    solution: Solution | None = None,
    attainable: AttainableLevels | None = None,
    budget: float | None = None,
    locked: np.ndarray | None = None,
    closest: bool = True,
) -> Assessment:
    """Assess a palette: its verdict, its weights and, where it is needed, the nearest palette.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        solution: the result of :func:`map_core.solver.newton.solve` for these targets, if already computed.
        attainable: corners to start the linear program from.
        budget: maximum number of nats for the palette, or for the nearest one.
        locked: (value,) bool, targets that the nearest palette must keep; it is None where that is not possible.
        closest: whether to compute the nearest palette where it is needed, which doubles the time.

    Returns:
        The assessment.

    Raises:
        InputError: a target is infinite, there is not one entry per value, or the budget is not a number above 0.
    """
    targets = checked_targets(oracle, targets)
    if budget is not None and not budget > 0:
        raise InputError(f"The budget is {budget} nats; expected a number above 0.")
    attainable = attainable or AttainableLevels(oracle)
    margin = attainable.margin(targets)
    if not margin.attainable:
        alternative = nearest(oracle, targets, budget=budget, locked=locked, attainable=attainable) if closest else None
        return Assessment(targets, Verdict.OUT_OF_REACH, margin, None, None, alternative, locked=locked)
    solution = solution or solve(oracle, targets)
    ess = oracle.effective_sample_size(solution.weights)
    inside = margin.value > MARGIN_TOLERANCE and solution.status is Status.CONVERGED
    verdict = Verdict.REACHABLE if inside and trust(oracle, ess) >= 0 else Verdict.ON_PAPER
    over_budget = budget is not None and solution.kl > budget * (1 + 1e-9)
    alternative = None
    if closest and (verdict is Verdict.ON_PAPER or over_budget):
        alternative = nearest(oracle, targets, budget=budget, locked=locked, attainable=attainable)
    return Assessment(targets, verdict, margin, solution, ess, alternative, over_budget, locked)
