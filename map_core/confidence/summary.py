"""Error bars, verdict probabilities and the cross-fitted levels of a palette, in one result.

The method of each interval was chosen by simulation (tests/benchmarks/bench_confidence.py): about 90% of the 90%
intervals contain the true value, for tables of 64 to 500 prompts, well inside and near the boundary.

    weights    bias-corrected percentiles of the bootstrap: a weight near 0 has no symmetric error
    KL         sandwich, minus the optimal value's bias
    levels     sandwich: the levels of these weights on new prompts
    margin     each prompt's support value at the certificate (envelope theorem), minus the bootstrap's bias; none when
               pooled, where the highest reply of a sample has no such error

Where the probability of "out of reach" exceeds an interval's tail, weights have no upper end, and KL ends at log K.

Constraint: targets are constants in reward units; weights are judged as lambda = x / scale, so all units here are
those of the table.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from map_core.confidence.bootstrap import Draws, bootstrap
from map_core.confidence.cross_fit import CrossFit, cross_fit
from map_core.confidence.interval import Interval, percentile_interval, t_interval
from map_core.confidence.sandwich import margin_error, sandwich
from map_core.confidence.verdict import probabilities, prompts_needed
from map_core.core.types import Verdict
from map_core.errors import InputError
from map_core.feasibility import MARGIN_TOLERANCE, AttainableLevels, Margin
from map_core.feasibility.trust import trust
from map_core.oracle import Oracle
from map_core.solver.newton import Solution, Status, solve


@dataclass(frozen=True, eq=False)
class Confidence:
    """One palette with its error bars, in standardised units unless converted by :meth:`in_reward_units`.

    Args:
        level: probability that each interval contains the true value.
        targets: (value,) NaN for free values.
        verdict: the verdict on the whole table.
        probability: of each verdict, for the population that the prompts are drawn from.
        shares: uncorrected share of the draws with each verdict.
        margin: t*, in standard deviations; None without targets, and when pooled.
        weights: (value,) x, or lambda; None where the table gives no weights.
        kl: in nats; None likewise.
        levels: (value,) levels of these weights on new prompts; None likewise.
        held_out: cross-fitted levels.
        prompts: number of prompts that the table solves on; without held-out ones, and each once however often it
            occurs.
        prompts_needed: number of prompts with which the verdict would have a probability of 95%, all else being equal;
            infinite on the boundary.
        draws: number of bootstrap draws.
        undecided: number of draws without a proof of their verdict.
    """

    level: float
    targets: np.ndarray
    verdict: Verdict
    probability: Mapping[Verdict, float]
    shares: Mapping[Verdict, float]
    margin: Interval | None
    weights: Interval | None
    kl: Interval | None
    levels: Interval | None
    held_out: CrossFit
    prompts: int
    prompts_needed: float
    draws: int
    undecided: int

    def in_reward_units(self, oracle: Oracle) -> Confidence:
        """Convert targets and levels to reward units and weights to lambda; nats and the margin are unchanged."""
        base, scale = oracle.base, oracle.scale
        cross_fitted = self.held_out
        if cross_fitted.levels is not None and cross_fitted.in_sample is not None:
            in_sample = oracle.rewards_at(cross_fitted.in_sample)
            cross_fitted = replace(cross_fitted, in_sample=in_sample, levels=cross_fitted.levels.scaled(scale, base))
        return replace(
            self,
            targets=oracle.rewards_at(self.targets),
            weights=self.weights.scaled(1.0 / scale) if self.weights else None,
            levels=self.levels.scaled(scale, base) if self.levels else None,
            held_out=cross_fitted,
        )


def confidence(
    oracle: Oracle,
    targets: np.ndarray,
    *,
    level: float = 0.9,
    draws: int = 1000,
    folds: int = 2,
    seed: int = 0,
    strata: Sequence[Hashable] | None = None,
    attainable: AttainableLevels | None = None,
) -> Confidence:
    """Compute error bars, the probability of the verdict, and cross-fitted levels of one palette.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        level: probability that each interval contains the true value, between 0 and 1.
        draws: number of bootstrap draws, at least 20.
        folds: number of folds of the held-out check, from 2 to the number of prompts, at most 50.
        seed: of the draws and of the folds.
        strata: one label per prompt, such as its use case, for folds with an even share of each.
        attainable: corners to start the linear program from.

    Raises:
        InputError: a level outside 0 and 1, targets that are infinite or too few, a single prompt, too few draws, or
            folds that do not fit the prompts.

    Example:
        >>> confidence(oracle, targets).probability[Verdict.REACHABLE]  # doctest: +SKIP
        0.98
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"The level is {level}; expected a number between 0 and 1, such as 0.9.")
    targets = oracle.deviations(targets)
    margin = (attainable or AttainableLevels(oracle)).margin(targets)
    solution = solve(oracle, targets)
    converged = solution.status is Status.CONVERGED and margin.attainable
    log_trust = trust(oracle, oracle.effective_sample_size(solution.weights)) if converged else -math.inf
    bootstrap_draws = bootstrap(oracle, targets, solution=solution, margin=margin, draws=draws, seed=seed)
    start = solution.weights if converged else None
    cross_fitted = cross_fit(oracle, targets, folds=folds, level=level, seed=seed, strata=strata, start=start)
    probability = probabilities(bootstrap_draws, margin.value, log_trust)
    weights = kl = levels = None
    if converged:
        doubtful = probability[Verdict.OUT_OF_REACH] > (1 - level) / 2
        weights, kl, levels = _weight_intervals(oracle, solution, bootstrap_draws, level, doubtful)
    return Confidence(
        level=level,
        targets=targets,
        verdict=_verdict(margin, log_trust),
        probability=probability,
        shares=bootstrap_draws.shares,
        margin=_margin_interval(oracle, margin, bootstrap_draws, level),
        weights=weights,
        kl=kl,
        levels=levels,
        held_out=cross_fitted,
        prompts=oracle.counted_prompts,
        prompts_needed=prompts_needed(oracle.counted_prompts, bootstrap_draws, margin.value, log_trust),
        draws=draws,
        undecided=bootstrap_draws.undecided,
    )


def _verdict(margin: Margin, log_trust: float) -> Verdict:
    if not margin.attainable:
        return Verdict.OUT_OF_REACH
    return Verdict.REACHABLE if margin.value > MARGIN_TOLERANCE and log_trust >= 0 else Verdict.ON_PAPER


def _weight_intervals(
    oracle: Oracle, solution: Solution, draws: Draws, level: float, doubtful: bool
) -> tuple[Interval, Interval, Interval]:
    """Compute the intervals of weights, nats and levels; ``doubtful`` when the palette may be out of reach."""
    error = sandwich(oracle, solution)
    freedom = oracle.counted_prompts - 1
    kl = t_interval(solution.kl, error.kl, freedom, level, bias=error.kl_bias)
    if not np.any(solution.weights > 0):
        # No target binds on this table, so KL has no first-order error; on a draw a target may bind.
        kl = Interval(kl.estimate, kl.low, np.quantile(draws.kl, (1 + level) / 2, method="higher"))
    weights = percentile_interval(draws.weights, solution.weights, freedom, level)
    if doubtful:
        # At the boundary the weights are unbounded, and KL reaches its maximum log K.
        kl = Interval(kl.estimate, kl.low, np.asarray(oracle.log_candidates))
        weights = Interval(weights.estimate, weights.low, np.where(solution.weights > 0, np.inf, weights.high))
    return (
        weights,
        Interval(kl.estimate, np.maximum(kl.low, 0.0), np.clip(kl.high, 0.0, oracle.log_candidates)),
        t_interval(solution.levels, error.levels, freedom, level),
    )


def _margin_interval(oracle: Oracle, margin: Margin, draws: Draws, level: float) -> Interval | None:
    """Compute the interval of the margin; None where it has none."""
    if draws.margins is None or not math.isfinite(margin.value):
        return None
    error = margin_error(oracle, margin.certificate)
    interval = t_interval(margin.value, error, oracle.counted_prompts - 1, level, bias=draws.margin_bias)
    # The bias is that of the smoothed margin. Where every prompt has the same support value, as with shares, the margin
    # has no error and no bias, and the corrected interval of width 0 would not contain its estimate.
    return replace(
        interval,
        low=np.minimum(interval.low, interval.estimate),
        high=np.maximum(interval.high, interval.estimate),
    )
