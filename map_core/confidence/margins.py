"""The margins of many bootstrap samples at once, without a linear program each.

A draw's margin is the minimum over mixes w of h(w) - w . d with its own h, near that of the whole table at w0:

    t_b = h_b(w0) - w0 . d  -  the gain of moving from w0 to the draw's own best mix

The first part is exact. The gain, of second order, is that of the smooth h(w) ~ A(beta w) / beta, minimised by a
Newton step of all draws together at each beta of a rising few, so that no step overshoots. Constraint: for the
per-prompt form, where h is an average over prompts; the sign of a draw's margin is never the proof of its verdict,
the solver's status is.
"""

from __future__ import annotations

import numpy as np

from map_core.feasibility import MARGIN_TOLERANCE, Margin
from map_core.oracle import Oracle
from map_core.solver.batched import newton_steps

#: beta, in nats per standard deviation. On tables like the default one, margins are within a tenth of the draws' own
#: standard deviation of exact ones; a sharper beta leaves too few prompts between two replies to tell a curvature.
SHARPNESS = (10.0, 25.0, 50.0)
#: Penalties on leaving sum w = 1 and on undetermined directions, as shares of the Hessian's trace.
ON_THE_SIMPLEX, DETERMINED = 100.0, 1e-6
#: A trace below this is that of a draw whose best replies do not change with the mix; numbers are about 1 otherwise.
FLAT = 1e-3


def margins_of(
    oracle: Oracle, targets: np.ndarray, edge: Margin, multiplicity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the margin of each draw, and how much of it is the gain of its own mix.

    Args:
        oracle: the table, per prompt.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        edge: the margin of the whole table.
        multiplicity: (draw, prompt) how often each prompt counts.

    Returns:
        (draw,) margins, in standard deviations of the whole table; (draw,) gains, 0 or more: by how much the margin
        lies below what the mix of the whole table gives, which is by how much the table's own lies below the truth.
    """
    if not np.isfinite(edge.value):
        return np.full(len(multiplicity), edge.value), np.zeros(len(multiplicity))
    targeted = ~np.isnan(targets) & ~(oracle.constant & ~(targets > MARGIN_TOLERANCE))
    d = np.where(targeted, targets, 0.0)
    counted = multiplicity if oracle.prompt_weights is None else multiplicity * oracle.prompt_weights
    share = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1e-300)
    at_certificate = share @ (oracle.best_by_prompt(edge.certificate) @ edge.certificate) - float(edge.certificate @ d)
    if targeted.sum() < 2:
        return at_certificate, np.zeros(len(multiplicity))
    w = np.tile(edge.certificate, (len(multiplicity), 1))
    targeted_rows = np.broadcast_to(targeted, w.shape)
    simplex = np.outer(targeted, targeted)
    sharpest = SHARPNESS[-1]
    start = share @ oracle.by_prompt(sharpest * edge.certificate).log_normaliser / sharpest - float(
        edge.certificate @ d
    )
    for beta in SHARPNESS:
        batch = oracle.batch_moments(beta * w, multiplicity=multiplicity, covariance=True)
        assert batch.covariance is not None
        hessian = beta * batch.covariance
        trace = np.maximum(np.trace(hessian, axis1=1, axis2=2), FLAT)[:, None, None]
        hessian = hessian + trace * (ON_THE_SIMPLEX * simplex + DETERMINED * np.eye(len(d)))
        w = np.maximum(w + newton_steps(hessian, np.where(targeted, d - batch.levels, 0.0), w, targeted_rows), 0.0)
        total = w.sum(axis=1, keepdims=True)
        w = np.where(total > 0, w / np.where(total > 0, total, 1.0), edge.certificate)
    end = oracle.batch_moments(sharpest * w, multiplicity=multiplicity).log_normaliser / sharpest - w @ d
    gain = np.maximum(0.0, start - end)
    return at_certificate - gain, gain
