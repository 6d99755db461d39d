"""Solve many palettes, or many bootstrap samples, at once: frontiers, sweeps, error bars, random palettes.

The problem and the method are those of :mod:`map_core.solver.newton`. Each pass over the table evaluates every row that
is not finished, at a new Newton step or at a shortened one, so the number of passes is that of the slowest row and not
a sum. The steps' quadratic programs are solved together by block principal pivoting. Constraint: a row's solution does
not depend on the other rows.

One palette keeps a loop of its own: on 8,192 replies and 7 values this one takes 2.1 to 3.1 times as long for a single
row (8 ms against 3 ms), since every pass also computes effective sample sizes and works on index arrays, and a slider
that is being moved waits for it. Both share the line search's rule, the step length and the residual.

Source: Júdice and Pires, "A block principal pivoting algorithm for large-scale strictly monotone linear
complementarity problems", 1994.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from map_core.core.types import Form
from map_core.oracle import BatchMoments, Oracle
from map_core.solver.newton import (
    MAX_SHRINKS,
    MAX_STEPS,
    ROUNDING,
    SHRINK,
    Status,
    is_redundant,
    least_norm,
    least_value,
    longest_step,
    newton_step,
    proves_unreachable,
    residuals,
)

#: Most exchanges of block principal pivoting; a quadratic program not solved by then is solved on its own.
MAX_EXCHANGES = 60


@dataclass(frozen=True, eq=False)
class Solutions:
    """Weights of many palettes and what they give, in standardised units.

    Args:
        status: (batch,) of :class:`map_core.solver.newton.Status`.
        weights: (batch, value) x; 0 for free values.
        levels: (batch, value) realised levels, in standard deviations above base.
        covariance: (batch, value, value) Hessian of A at the weights.
        kl: (batch,) nats.
        residual: (batch,) largest violation of the optimality conditions.
        ess: (batch,) effective sample size a prompt; of the whole table when pooled.
        pooled_ess: (batch,) effective sample size of the whole table.
        redundant: (batch,) bool, the weights are not unique; these have the least norm.
        steps: passes over the table.
    """

    status: np.ndarray
    weights: np.ndarray
    levels: np.ndarray
    covariance: np.ndarray
    kl: np.ndarray
    residual: np.ndarray
    ess: np.ndarray
    pooled_ess: np.ndarray
    redundant: np.ndarray
    steps: int

    @property
    def converged(self) -> np.ndarray:
        """Whether each row met its targets, (batch,) bool, which proves that they are reachable."""
        return np.asarray(self.status == Status.CONVERGED)

    @property
    def unbounded(self) -> np.ndarray:
        """Whether each row's targets are met by no re-weighting, (batch,) bool, by weak duality."""
        return np.asarray(self.status == Status.UNBOUNDED)

    @property
    def over_budget(self) -> np.ndarray:
        """Whether each row's targets cost more than the budget, (batch,) bool, if they are reachable at all."""
        return np.asarray(self.status == Status.OVER_BUDGET)


def solve_many(
    oracle: Oracle,
    targets: np.ndarray,
    *,
    ridge: np.ndarray | float = 0.0,
    tilt: np.ndarray | None = None,
    start: np.ndarray | None = None,
    multiplicity: np.ndarray | None = None,
    budget: np.ndarray | float = np.inf,
    tolerance: float | None = None,
    max_steps: int = MAX_STEPS,
) -> Solutions:
    """Solve every row of a batch; see :func:`map_core.solver.newton.solve` for one.

    Args:
        oracle: the table.
        targets: (value,) or (batch, value) d, in standard deviations above base of the whole table; NaN for free.
        ridge: 0, or penalties on weights: a number, (value,) or (batch, value).
        tilt: (value,) or (batch, value) fixed weights t that are added to x.
        start: (value,) or (batch, value) weights to start from.
        multiplicity: (batch, prompt) how often each prompt counts in each row.
        budget: a number or (batch,) nats; a row that costs more stops early with that status.
        tolerance: largest residual of a converged row; the oracle's resolution by default.
        max_steps: most passes over the table.

    Returns:
        The solutions, a row each.

    Raises:
        ValueError: shapes that do not fit together.
    """
    size = len(oracle.values)
    rows = _batch_size((targets, tilt, start, multiplicity, ridge), budget)

    def to_rows(array: np.ndarray | float | None) -> np.ndarray:
        return np.broadcast_to(0.0 if array is None else np.asarray(array, dtype=float), (rows, size)).astype(float)

    d, penalty, fixed = to_rows(oracle.deviations(targets)), to_rows(ridge), to_rows(tilt)
    targeted = ~np.isnan(d) & ~oracle.constant
    d, x = np.where(targeted, d, 0.0), np.where(targeted, np.maximum(to_rows(start), 0.0), 0.0)
    penalty = np.where(targeted, penalty, 0.0)
    unpenalised = np.all(penalty == 0, axis=1)
    # Without ridge and tilt, g is a lower bound of the KL that the targets cost.
    plain = unpenalised & np.all(fixed == 0, axis=1)
    # Where prompts are counted otherwise, the highest and lowest levels that bound a tilt are not known.
    bounded = plain if multiplicity is not None else unpenalised
    most = np.where(bounded, _most_nats(oracle, multiplicity), np.inf)
    limit = np.where(plain, np.broadcast_to(np.asarray(budget, dtype=float), (rows,)) + 1e-12, np.inf)
    tolerance = oracle.resolution if tolerance is None else tolerance

    status = np.array([Status.STEP_LIMIT] * rows, dtype=object)
    evaluated = _Evaluated(oracle, rows, size)
    live = np.arange(rows)
    candidate, scale, tries = x.copy(), np.ones(rows), np.zeros(rows, dtype=int)
    step, slope, value = np.zeros((rows, size)), np.zeros(rows), np.zeros(rows)
    started = np.zeros(rows, dtype=bool)
    passes = 0
    while len(live) and passes < max_steps:
        batch = oracle.batch_moments(
            fixed[live] + candidate[live],
            multiplicity=None if multiplicity is None else multiplicity[live],
            covariance=True,
        )
        passes += 1
        y = candidate[live]
        dual = np.sum(y * d[live], axis=1) - batch.log_normaliser - 0.5 * np.sum(penalty[live] * y**2, axis=1)
        better = (dual >= least_value(value[live], scale[live], slope[live])) | ~started[live]
        accepted, rejected = live[better], live[~better]
        evaluated.take(accepted, batch, better)
        x[accepted], value[accepted], tries[accepted] = candidate[accepted], dual[better], 0
        started[accepted] = True
        gradient = _gradient(
            d[accepted], evaluated.levels[accepted], penalty[accepted], x[accepted], targeted[accepted]
        )
        residual = residuals(x[accepted], gradient)
        done = np.zeros(rows, dtype=bool)
        for reason, holds in (
            (Status.OVER_BUDGET, value[accepted] > limit[accepted]),
            (Status.UNBOUNDED, proves_unreachable(oracle, value[accepted], most[accepted], fixed[accepted])),
            (Status.CONVERGED, residual <= tolerance),
        ):
            status[accepted[holds]] = reason
            done[accepted[holds]] = True
        # No step increases g any more: converged to the last digits of the data, or stuck.
        scale[rejected] *= SHRINK
        tries[rejected] += 1
        done[rejected[tries[rejected] > MAX_SHRINKS]] = True
        going = ~done[accepted]
        moving = accepted[going]
        if len(moving):
            hessian = evaluated.covariance[moving] + penalty[moving][:, :, None] * np.eye(size)
            step[moving] = newton_steps(hessian, gradient[going], x[moving], targeted[moving])
            slope[moving] = np.sum(gradient[going] * step[moving], axis=1)
            length = np.abs(step[moving]).max(axis=1)
            longest = longest_step(np.abs(x[moving]).max(axis=1))
            scale[moving] = np.where(length > longest, longest / np.maximum(length, 1.0), 1.0)
        live = live[~done[live]]
        candidate[live] = np.maximum(x[live] + scale[live, None] * step[live], 0.0)

    redundant = np.zeros(rows, dtype=bool)
    if oracle.has_redundant_values:
        passes += _use_least_norm(
            oracle,
            d=d,
            targeted=targeted & plain[:, None],
            multiplicity=multiplicity,
            fixed=fixed,
            x=x,
            evaluated=evaluated,
            status=status,
            redundant=redundant,
            tolerance=tolerance,
        )
    gradient = _gradient(d, evaluated.levels, penalty, x, targeted)
    residual = residuals(x, gradient)
    status[(status == Status.STEP_LIMIT) & (residual <= max(ROUNDING, tolerance))] = Status.CONVERGED
    kl = np.maximum(0.0, np.sum((fixed + x) * evaluated.levels, axis=1) - evaluated.log_normaliser)
    return Solutions(
        status,
        x,
        evaluated.levels,
        evaluated.covariance,
        kl,
        residual,
        evaluated.ess,
        evaluated.pooled_ess,
        redundant,
        passes,
    )


class _Evaluated:
    """The moments of every row at its current weights."""

    def __init__(self, oracle: Oracle, rows: int, size: int) -> None:
        self._pooled = oracle.form is Form.POOLED
        self.log_normaliser, self.levels = np.zeros(rows), np.zeros((rows, size))
        self.covariance = np.zeros((rows, size, size))
        self.ess, self.pooled_ess = np.zeros(rows), np.zeros(rows)

    def take(self, rows: np.ndarray, batch: BatchMoments, chosen: np.ndarray) -> None:
        """Set rows to the chosen entries of a batch."""
        assert batch.covariance is not None
        self.log_normaliser[rows] = batch.log_normaliser[chosen]
        self.levels[rows] = batch.levels[chosen]
        self.covariance[rows] = batch.covariance[chosen]
        self.ess[rows] = batch.ess[chosen]
        of_table = batch.ess if self._pooled else batch.size / batch.concentration
        self.pooled_ess[rows] = of_table[chosen]


def _batch_size(arrays: Sequence[np.ndarray | float | None], budget: np.ndarray | float) -> int:
    """Return the batch size that arrays (batch, ...) and a budget (batch,) agree on; (value,) and numbers fit any."""
    sizes = {len(array) for array in arrays if isinstance(array, np.ndarray) and array.ndim == 2}
    if isinstance(budget, np.ndarray) and budget.ndim == 1:
        sizes.add(len(budget))
    if len(sizes) > 1:
        raise ValueError(f"The rows of a batch differ: {sorted(sizes)}. Give arrays of one batch size, or one row.")
    return sizes.pop() if sizes else 1


def _most_nats(oracle: Oracle, multiplicity: np.ndarray | None) -> np.ndarray | float:
    """Return the largest KL of any re-weighting in each row, in nats."""
    if multiplicity is None:
        return oracle.log_candidates
    replies = oracle.by_prompt(np.zeros(len(oracle.values))).replies
    counted = multiplicity
    if oracle.prompt_weights is not None:
        counted = multiplicity * oracle.prompt_weights
        counted = np.where(counted.sum(axis=1, keepdims=True) > 0, counted, oracle.prompt_weights)
    if oracle.form is Form.PER_PROMPT:
        return np.asarray(counted @ np.log(replies) / counted.sum(axis=1))
    least = np.where(counted > 0, counted, np.inf).min(axis=1)
    return np.log(counted @ replies / np.minimum(least, 1.0))


def _gradient(
    d: np.ndarray, levels: np.ndarray, penalty: np.ndarray, x: np.ndarray, targeted: np.ndarray
) -> np.ndarray:
    """Return the gradient of g, (batch, value); 0 for values without a target."""
    return np.where(targeted, d - levels - penalty * x, 0.0)


def newton_steps(hessian: np.ndarray, gradient: np.ndarray, x: np.ndarray, targeted: np.ndarray) -> np.ndarray:
    """Return the steps p that maximise gradient . p - 1/2 p' H p subject to x + p >= 0, a row each.

    With y = x + p and q = H x + gradient: y >= 0, q - H y <= 0, and one of the two is 0 in every entry. All entries
    that violate this are exchanged at once while their number falls, else only the last of them.
    """
    rows, size = x.shape
    h = hessian + (1e-14 * np.maximum(np.trace(hessian, axis1=1, axis2=2), 0.0) + 1e-30)[:, None, None] * np.eye(size)
    q = np.einsum("bij,bj->bi", h, x) + gradient
    free = targeted & ((x > 0) | (gradient > 0))
    y = np.zeros_like(x)
    fewest, patience = np.full(rows, size + 1), np.full(rows, 3)
    left = np.arange(rows)
    for _ in range(MAX_EXCHANGES):
        f = free[left]
        both = f[:, :, None] & f[:, None, :]
        try:
            y[left] = np.linalg.solve(np.where(both, h[left], np.eye(size)), np.where(f, q[left], 0.0)[..., None])[
                ..., 0
            ]
        except np.linalg.LinAlgError:  # one row is singular beyond rounding: the rest are solved one by one
            break
        surplus = q[left] - np.einsum("bij,bj->bi", h[left], y[left])
        noise = 1e-12 * (1.0 + np.abs(q[left]))
        wrong = np.where(f, y[left] < 0.0, surplus > noise) & targeted[left]
        count = wrong.sum(axis=1)
        unsettled = count > 0
        left, wrong, count = left[unsettled], wrong[unsettled], count[unsettled]
        if not len(left):
            return y - x
        falls = count < fewest[left]
        fewest[left] = np.where(falls, count, fewest[left])
        patience[left] = np.where(falls, 3, patience[left] - 1)
        one_by_one = patience[left] < 0
        last = size - 1 - np.argmax(wrong[:, ::-1], axis=1)
        only_last = np.arange(size) == last[:, None]
        free[left] ^= np.where(one_by_one[:, None], only_last, wrong)
    for row in left:
        j = np.flatnonzero(targeted[row])
        y[row] = 0.0
        y[row, j] = x[row, j] + newton_step(hessian[row][np.ix_(j, j)], gradient[row, j], x[row, j])
    return y - x


def _use_least_norm(
    oracle: Oracle,
    *,
    d: np.ndarray,
    targeted: np.ndarray,
    multiplicity: np.ndarray | None,
    fixed: np.ndarray,
    x: np.ndarray,
    evaluated: _Evaluated,
    status: np.ndarray,
    redundant: np.ndarray,
    tolerance: float,
) -> int:
    """Replace weights of redundant values, in place, by those of least norm with the same levels.

    Args:
        oracle: the table.
        d: (batch, value) targets, 0 for free values.
        targeted: (batch, value) bool; False throughout a row with ridge or tilt.
        multiplicity: (batch, prompt) or None.
        fixed: (batch, value) the tilt.
        x: (batch, value) weights; changed in place.
        evaluated: moments at x; changed in place.
        status: (batch,) how each row ended.
        redundant: (batch,) bool, set where the weights are not unique.
        tolerance: largest residual that the replacement may leave.

    Returns:
        Passes over the table, 0 or 1.
    """
    shared = x.copy()
    for row in np.flatnonzero(targeted.any(axis=1)):
        j = np.flatnonzero(targeted[row])
        redundant[row] = is_redundant(oracle, j)
        if redundant[row] and status[row] is Status.CONVERGED:
            tight = j[d[row, j] - evaluated.levels[row, j] > -1e-7]
            shared[row] = 0.0
            shared[row, tight] = least_norm(oracle, tight, x[row, tight])
    moved = np.flatnonzero(redundant & (status == Status.CONVERGED))
    if not len(moved):
        return 0
    counted = None if multiplicity is None else multiplicity[moved]
    batch = oracle.batch_moments(fixed[moved] + shared[moved], multiplicity=counted, covariance=True)
    gradient = np.where(targeted[moved], d[moved] - batch.levels, 0.0)
    # Nearly redundant values may still matter to a few replies: then the weights stay as they were.
    kept = residuals(shared[moved], gradient) <= max(ROUNDING, tolerance)
    x[moved[kept]] = shared[moved[kept]]
    evaluated.take(moved[kept], batch, kept)
    return 1
