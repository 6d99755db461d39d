"""The verdict on a palette: reachable, reachable on paper, or out of reach, with all that is said about it.

Constraint: "out of reach" rests on the certificate of :mod:`map_core.certificate` alone, never on a solver's failure
to converge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.certificate import MARGIN_TOLERANCE, AttainableLevels, Margin, checked
from map_core.dual import Solution, Status, solve
from map_core.glossary import Verdict
from map_core.nearest import Nearest, nearest
from map_core.oracle import EffectiveSampleSize, Oracle
from map_core.trust import is_trusted


@dataclass(frozen=True, eq=False)
class Assessment:
    """Everything that is said of one palette.

    Args:
        targets: (value,) as asked, in standard deviations above base, NaN for free values.
        verdict: reachable, on paper or out of reach.
        margin: the margin and its certificate.
        solution: weights and levels; None when out of reach.
        ess: replies that carry the weight; None when out of reach.
        nearest: the closest palette that can be trusted; None when this one is reachable, or nothing is close.
    """

    targets: np.ndarray
    verdict: Verdict
    margin: Margin
    solution: Solution | None
    ess: EffectiveSampleSize | None
    nearest: Nearest | None


def assess(
    oracle: Oracle,
    targets: np.ndarray,
    *,
    solution: Solution | None = None,
    attainable: AttainableLevels | None = None,
) -> Assessment:
    """Verdict, weights and, where it is needed, the nearest palette.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        solution: what :func:`map_core.dual.solve` gave for these targets, where it is known already.
        attainable: corners to start the linear program from.

    Returns:
        The assessment.

    Raises:
        InputError: a target is infinite, or there is not one entry a value.
    """
    targets = checked(oracle, targets)
    attainable = attainable or AttainableLevels(oracle)
    edge = attainable.margin(targets)
    if not edge.attainable:
        closest = nearest(oracle, targets, attainable=attainable)
        return Assessment(targets, Verdict.OUT_OF_REACH, edge, None, None, closest)
    solution = solution or solve(oracle, targets)
    ess = oracle.effective_sample_size(solution.weights)
    inside = edge.value > MARGIN_TOLERANCE and solution.status is Status.CONVERGED
    if inside and is_trusted(oracle, solution):
        return Assessment(targets, Verdict.REACHABLE, edge, solution, ess, None)
    closest = nearest(oracle, targets, attainable=attainable)
    return Assessment(targets, Verdict.ON_PAPER, edge, solution, ess, closest)
