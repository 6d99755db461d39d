"""All that can be said of how sure a palette is, in one result.

Which method stands behind which interval was chosen by simulation (tests/benchmarks/bench_confidence.py): near 90%
of 90% intervals hold the truth, for tables of 64 to 500 prompts, well inside and near the boundary.

    weights    bias-corrected percentiles of the bootstrap: a weight near 0 has no symmetric error
    KL         sandwich, with the optimal value's bias taken off
    levels     sandwich: what these weights give on new prompts
    margin     each prompt's support value at the certificate (envelope theorem), the bootstrap's bias taken off;
               none when pooled, where the highest reply of a sample has no such error

Where the probability of "out of reach" exceeds an interval's tail, weights have no upper end, and KL ends at log K.

Constraint: targets are constants in reward units; weights are judged as lambda = x / scale, so every unit here is
that of the table at hand.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from map_core.confidence.bootstrap import Draws, bootstrap
from map_core.confidence.cross_fit import CrossFit, cross_fit
from map_core.confidence.interval import Interval, percentile_interval, t_interval
from map_core.confidence.sandwich import sandwich
from map_core.confidence.verdict import probabilities, prompts_needed
from map_core.core.types import Verdict
from map_core.errors import InputError
from map_core.feasibility import MARGIN_TOLERANCE, AttainableLevels, Margin
from map_core.feasibility.trust import trust
from map_core.oracle import Oracle
from map_core.solver.newton import Solution, Status, solve


@dataclass(frozen=True, eq=False)
class Confidence:
    """One palette with its error bars, in standardised units unless made by :meth:`in_reward_units`.

    Args:
        level: probability that each interval holds the truth.
        targets: (value,) NaN for free values.
        verdict: of the whole table.
        probability: of each verdict on the population that the prompts come from.
        shares: of the draws with each verdict, uncorrected.
        margin: t*, in standard deviations; None without targets, and when pooled.
        weights: (value,) of x, or lambda; None where the table gives no weights.
        kl: in nats; None likewise.
        levels: (value,) that these weights give on new prompts; None likewise.
        held_out: cross-fitted levels.
        prompts: that the table has.
        prompts_needed: that would make the verdict 95% sure, if all else stays as it is; infinite on the boundary.
        draws: of the bootstrap.
        undecided: draws without a proof of their verdict.
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
        """Return targets and levels in reward units, weights as lambda; nats and the margin as they are."""
        base, scale = oracle.base, oracle.scale
        held = self.held_out
        if held.levels is not None and held.in_sample is not None:
            seen = oracle.rewards_at(held.in_sample)
            held = replace(held, in_sample=seen, levels=held.levels.scaled(scale, base))
        return replace(
            self,
            targets=oracle.rewards_at(self.targets),
            weights=self.weights.scaled(1.0 / scale) if self.weights else None,
            levels=self.levels.scaled(scale, base) if self.levels else None,
            held_out=held,
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
    """Error bars, the probability of the verdict, and a held-out check, for one palette.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        level: probability that each interval is to hold the truth, between 0 and 1.
        draws: of the bootstrap, at least 20.
        folds: of the held-out check, from 2 to the number of prompts, at most 50.
        seed: of the draws and of the folds.
        strata: one label a prompt, such as its use case, for folds with an even share of each.
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
    targets = np.asarray(targets, dtype=float)
    edge = (attainable or AttainableLevels(oracle)).margin(targets)
    solution = solve(oracle, targets)
    converged = solution.status is Status.CONVERGED and edge.attainable
    trusted = trust(oracle, oracle.effective_sample_size(solution.weights)) if converged else -math.inf
    found = bootstrap(oracle, targets, solution=solution, edge=edge, draws=draws, seed=seed)
    start = solution.weights if converged else None
    held = cross_fit(oracle, targets, folds=folds, level=level, seed=seed, strata=strata, start=start)
    probability = probabilities(found, edge.value, trusted)
    weights = kl = levels = None
    if converged:
        doubtful = probability[Verdict.OUT_OF_REACH] > (1 - level) / 2
        weights, kl, levels = _of_weights(oracle, solution, found, level, doubtful)
    return Confidence(
        level=level,
        targets=targets,
        verdict=_verdict(edge, trusted),
        probability=probability,
        shares=found.shares,
        margin=_margin(oracle, targets, edge, found, level),
        weights=weights,
        kl=kl,
        levels=levels,
        held_out=held,
        prompts=oracle.prompts,
        prompts_needed=prompts_needed(oracle.prompts, found, edge.value, trusted),
        draws=draws,
        undecided=found.undecided,
    )


def _verdict(edge: Margin, trusted: float) -> Verdict:
    if not edge.attainable:
        return Verdict.OUT_OF_REACH
    return Verdict.REACHABLE if edge.value > MARGIN_TOLERANCE and trusted >= 0 else Verdict.ON_PAPER


def _of_weights(
    oracle: Oracle, solution: Solution, found: Draws, level: float, doubtful: bool
) -> tuple[Interval, Interval, Interval]:
    """Return the intervals of weights, nats and levels; ``doubtful`` when the palette may well be out of reach."""
    error = sandwich(oracle, solution)
    freedom = oracle.prompts - 1
    kl = t_interval(solution.kl, error.kl, freedom, level, bias=error.kl_bias)
    if not np.any(solution.weights > 0):
        # Nothing binds on this table, and so nothing varies to first order; on a draw something may.
        kl = Interval(kl.estimate, kl.low, np.quantile(found.kl, (1 + level) / 2, method="higher"))
    weights = percentile_interval(found.weights, solution.weights, freedom, level)
    if doubtful:
        # Towards the boundary weights grow without end, and nats to the most that can be spent.
        kl = Interval(kl.estimate, kl.low, np.asarray(oracle.log_candidates))
        weights = Interval(weights.estimate, weights.low, np.where(solution.weights > 0, np.inf, weights.high))
    return (
        weights,
        Interval(kl.estimate, np.maximum(kl.low, 0.0), np.clip(kl.high, 0.0, oracle.log_candidates)),
        t_interval(solution.levels, error.levels, freedom, level),
    )


def _margin(oracle: Oracle, targets: np.ndarray, edge: Margin, found: Draws, level: float) -> Interval | None:
    """Return the interval of the margin; None where it has none."""
    if found.margins is None or not math.isfinite(edge.value):
        return None
    support = oracle.best_by_prompt(edge.certificate) @ edge.certificate
    mass = oracle.by_prompt(np.zeros(len(edge.certificate))).mass
    apart = mass * (support - mass @ support)
    error = float(np.linalg.norm(apart)) * math.sqrt(oracle.prompts / (oracle.prompts - 1))
    return t_interval(edge.value, error, oracle.prompts - 1, level, bias=found.margin_bias)
