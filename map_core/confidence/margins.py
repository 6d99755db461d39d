"""Approximate the margins of many bootstrap samples at once, without a linear program for each.

A draw's margin is the minimum over mixes w of h(w) - w . d with its own h, near that of the whole table at w0:

    t_b = h_b(w0) - w0 . d  -  the gain of moving from w0 to the draw's own best mix

The first part is exact. The gain, of second order, is computed for the smooth h(w) ~ A(beta w) / beta, by one Newton
step of all draws together at each of a few increasing values of beta, so that no step overshoots. Constraint: for the
per-prompt form, where h is an average over prompts; the verdict of a draw is proved by the solver's status, never by
the sign of its margin.
"""

from __future__ import annotations

import numpy as np

from map_core.feasibility import MARGIN_TOLERANCE, Margin
from map_core.oracle import Oracle
from map_core.solver.batched import newton_steps

#: beta, in nats per standard deviation. On tables like the default one, margins are within a tenth of the draws'
#: standard deviation of the exact ones; with a larger beta too few prompts are undecided between two replies for the
#: curvature to be estimated.
SHARPNESS = (10.0, 25.0, 50.0)
#: Penalties on leaving sum w = 1 and on undetermined directions, as shares of the Hessian's trace.
SIMPLEX_PENALTY, REGULARISATION = 100.0, 1e-6
#: Smallest trace used: that of a draw whose best replies do not change with the mix is 0; others are about 1.
FLAT = 1e-3


def margins_of(
    oracle: Oracle, targets: np.ndarray, margin: Margin, multiplicity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the margin of each draw, and the part of it that is the gain of the draw's own mix.

    Args:
        oracle: the table, per prompt.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        margin: the margin of the whole table.
        multiplicity: (draw, prompt) how often each prompt occurs.

    Returns:
        (draw,) margins, in standard deviations of the whole table; (draw,) gains, 0 or more: by how much the margin is
        below the value at the whole table's mix. Their mean estimates the negative bias of the table's own margin.
    """
    if not np.isfinite(margin.value):
        return np.full(len(multiplicity), margin.value), np.zeros(len(multiplicity))
    targeted = ~np.isnan(targets) & ~(oracle.constant & ~(targets > MARGIN_TOLERANCE))
    d = np.where(targeted, targets, 0.0)
    counted = multiplicity if oracle.prompt_weights is None else multiplicity * oracle.prompt_weights
    share = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1e-300)
    certificate = margin.certificate
    at_certificate = share @ (oracle.best_by_prompt(certificate) @ certificate) - float(certificate @ d)
    if targeted.sum() < 2:
        return at_certificate, np.zeros(len(multiplicity))
    w = np.tile(certificate, (len(multiplicity), 1))
    targeted_rows = np.broadcast_to(targeted, w.shape)
    simplex = np.outer(targeted, targeted)
    sharpest = SHARPNESS[-1]
    start = share @ oracle.by_prompt(sharpest * certificate).log_normaliser / sharpest - float(certificate @ d)
    for beta in SHARPNESS:
        batch = oracle.batch_moments(beta * w, multiplicity=multiplicity, covariance=True)
        assert batch.covariance is not None
        hessian = beta * batch.covariance
        trace = np.maximum(np.trace(hessian, axis1=1, axis2=2), FLAT)[:, None, None]
        hessian = hessian + trace * (SIMPLEX_PENALTY * simplex + REGULARISATION * np.eye(len(d)))
        w = np.maximum(w + newton_steps(hessian, np.where(targeted, d - batch.levels, 0.0), w, targeted_rows), 0.0)
        total = w.sum(axis=1, keepdims=True)
        w = np.where(total > 0, w / np.where(total > 0, total, 1.0), certificate)
    end = oracle.batch_moments(sharpest * w, multiplicity=multiplicity).log_normaliser / sharpest - w @ d
    gain = np.maximum(0.0, start - end)
    return at_certificate - gain, gain
