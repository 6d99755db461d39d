"""Reference linear programs over every reply's probability, by scipy, to check the cutting planes."""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp

from map_core.core.types import Form


def full_margin(z: np.ndarray, offsets: np.ndarray, form: Form, d: np.ndarray) -> float:
    """Return the largest t such that some re-weighting of the replies gives every target d + t.

    Args:
        z: (reply, value) standardised rewards.
        offsets: (prompt + 1,) where each prompt's replies begin.
        form: per prompt or pooled.
        d: (value,) targets, NaN for free values.
    """
    share, per = _masses(z, offsets, form)
    targeted = ~np.isnan(d)
    program = _minimise(
        np.append(np.zeros(len(z)), -1.0),
        np.column_stack([z[:, targeted].T * per, -np.ones(targeted.sum())]),
        d[targeted],
        np.column_stack([share, np.zeros(len(share))]),
        np.append(np.zeros(len(z)), -np.inf),
    )
    return -float(program.fun)


def full_extreme(z: np.ndarray, offsets: np.ndarray, form: Form, d: np.ndarray, value: int, sign: float) -> float:
    """Return the highest (sign 1) or lowest (sign -1) level of a value under the other targets; NaN if infeasible."""
    share, per = _masses(z, offsets, form)
    others = ~np.isnan(d) & (np.arange(len(d)) != value)
    program = _minimise(-sign * z[:, value] * per, z[:, others].T * per, d[others], share, np.zeros(len(z)))
    return -sign * float(program.fun) if program.status == 0 else float("nan")


def _minimise(
    cost: np.ndarray, rows: np.ndarray, least: np.ndarray, sums: np.ndarray, lower: np.ndarray
) -> OptimizeResult:
    """Minimise cost . p over p >= lower with rows p >= least and sums p = 1.

    The call for integer programs, without any integer, looks at its input less often than ``linprog``: a program of 50
    replies takes two thirds of the time.
    """
    constraints = [LinearConstraint(rows, least, np.inf), LinearConstraint(sums, 1.0, 1.0)]
    return milp(cost, constraints=constraints, bounds=Bounds(lower, np.inf))


def _masses(z: np.ndarray, offsets: np.ndarray, form: Form) -> tuple[np.ndarray, float]:
    """Return which replies' probabilities sum to 1, (group, reply), and the weight of a group."""
    if form is Form.POOLED:
        return np.ones((1, len(z))), 1.0
    prompts = len(offsets) - 1
    return np.repeat(np.eye(prompts), np.diff(offsets), axis=1), 1.0 / prompts
