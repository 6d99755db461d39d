"""The whole linear program over every reply's probability, by scipy: what the cutting planes are held against."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from map_core.core.types import Form


def full_margin(z: np.ndarray, offsets: np.ndarray, form: Form, d: np.ndarray) -> float:
    """The largest t such that some re-weighting of the replies gives every target d + t.

    Args:
        z: (reply, value) standardised rewards.
        offsets: (prompt + 1,) where each prompt's replies begin.
        form: per prompt or pooled.
        d: (value,) targets, NaN for free values.
    """
    share, per = _masses(z, offsets, form)
    wanted = ~np.isnan(d)
    answer = linprog(
        np.append(np.zeros(len(z)), -1.0),
        A_ub=np.column_stack([-z[:, wanted].T * per, np.ones(wanted.sum())]),
        b_ub=-d[wanted],
        A_eq=np.column_stack([share, np.zeros(len(share))]),
        b_eq=np.ones(len(share)),
        bounds=[(0, None)] * len(z) + [(None, None)],
        method="highs",
    )
    return -float(answer.fun)


def full_extreme(z: np.ndarray, offsets: np.ndarray, form: Form, d: np.ndarray, value: int, sign: float) -> float:
    """The highest (sign 1) or lowest (sign -1) level of a value while the other targets are met; NaN when none can."""
    share, per = _masses(z, offsets, form)
    others = ~np.isnan(d) & (np.arange(len(d)) != value)
    answer = linprog(
        -sign * z[:, value] * per,
        A_ub=-z[:, others].T * per,
        b_ub=-d[others],
        A_eq=share,
        b_eq=np.ones(len(share)),
        bounds=[(0, None)] * len(z),
        method="highs",
    )
    return -sign * float(answer.fun) if answer.status == 0 else float("nan")


def _masses(z: np.ndarray, offsets: np.ndarray, form: Form) -> tuple[np.ndarray, float]:
    """(group, reply) whose probabilities sum to 1, and the weight of a group."""
    if form is Form.POOLED:
        return np.ones((1, len(z))), 1.0
    prompts = len(offsets) - 1
    return np.repeat(np.eye(prompts), np.diff(offsets), axis=1), 1.0 / prompts
