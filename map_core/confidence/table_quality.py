"""Advise whether more candidates or more prompts would improve a palette's forecast more.

Twice the candidates and twice the prompts cost the same, so these are compared. The forecasts for each:

    error bars      standard errors scale with 1 / sqrt(prompts). More candidates reduce only the part that comes from
                    choosing among K: of a level's variance between prompts V, the part W, the mean of
                    sum_k P_ik^2 (z_ik - mu_i)^2, is halved, so twice the candidates leave sqrt((V - W / 2) / V)
    trust           the effective sample size per prompt at the same weights grows by the same factor as from K / 2 to
                    K, both measured, K / 2 on subsamples of the table
    reach           the margin grows ever more slowly with log K: its growth from K / 2 to K, times the ratio of that
                    growth to the growth from K / 4 to K / 2, all three measured; prompts only reduce its error

Constraint: the figures of the table itself are measured; all others are labelled as forecasts.
tests/confidence/test_table_quality.py compares the forecasts with tables that have twice as many of either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy.special import ndtr, stdtrit

from map_core.confidence.sandwich import margin_error, sandwich
from map_core.core.types import Form
from map_core.data.distribution import typical_candidates
from map_core.data.reward_table import RewardTable
from map_core.data.subsample import subsample_candidates
from map_core.feasibility import AttainableLevels, margin
from map_core.feasibility.trust import TRUSTED_POOLED, trust_threshold
from map_core.oracle import MemoryOracle, Oracle
from map_core.oracle.ragged import Groups
from map_core.solver.newton import Status, solve

#: Error bars up to this, in standard deviations, are narrow enough: about two percentiles.
NARROW = 0.05
#: Growth of the margin, in standard deviations, below which twice the candidates are not worth their cost.
WORTH = 0.02
#: Maximum number of replies that are subsampled; larger tables are reduced to a sample of their prompts.
MAX_REPLIES = 200_000
#: Probability of intervals.
LEVEL = 0.9


class Help(StrEnum):
    """What would help a palette most."""

    CANDIDATES = "candidates"
    PROMPTS = "prompts"
    NEITHER = "neither"


class Reason(StrEnum):
    """The reason of an advice."""

    OUT_OF_REACH = "not possible"
    BEYOND = "beyond what candidates give"
    EDGE = "at the edge"
    FEW_REPLIES = "few replies carry the weight"
    FEW_IN_ALL = "few replies in all"
    WIDE = "wide error bars"
    ENOUGH = "enough"
    ONE_REPLY = "one reply a prompt"
    NO_TARGETS = "no targets"


@dataclass(frozen=True)
class Outlook:
    """Precision and reach of a palette on a table.

    Args:
        error: half-width of the widest 90% interval of a targeted level, in standard deviations; NaN where there are
            no weights.
        carrying: effective sample size per prompt; NaN likewise.
        carrying_all: effective sample size of the whole table; NaN likewise.
        margin: distance to the boundary of the attainable levels, in standard deviations; NaN when pooled.
        attainable: probability that the palette is attainable, given the margin's standard error; NaN when pooled.
    """

    error: float = math.nan
    carrying: float = math.nan
    carrying_all: float = math.nan
    margin: float = math.nan
    attainable: float = math.nan


@dataclass(frozen=True)
class Advice:
    """What would help a palette most, and by how much.

    Args:
        help: what would help most.
        reason: the reason for it.
        now: measured on this table.
        candidates: forecast for twice the candidates.
        prompts: forecast for twice the prompts.
        factor: by which candidates or prompts should be multiplied; NaN where unknown, 1 where nothing is needed.
    """

    help: Help
    reason: Reason
    now: Outlook
    candidates: Outlook
    prompts: Outlook
    factor: float = math.nan


def advise(
    table: RewardTable,
    oracle: Oracle,
    targets: np.ndarray,
    *,
    attainable: AttainableLevels | None = None,
    seed: int = 0,
) -> Advice:
    """Advise whether more candidates or more prompts would help a palette most.

    Args:
        table: the table, of one use case or all.
        oracle: the table's oracle.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        attainable: corners to start the linear program from.
        seed: of the subsamples.

    Raises:
        InputError: a target is infinite, or there is not one entry per value.

    Example:
        >>> advise(table, oracle, targets).help  # doctest: +SKIP
        <Help.PROMPTS: 'prompts'>
    """
    targets = oracle.deviations(targets)
    if oracle.form is Form.POOLED:
        return Advice(Help.CANDIDATES, Reason.ONE_REPLY, Outlook(), Outlook(), Outlook())
    margin = (attainable or AttainableLevels(oracle)).margin(targets)
    if np.isnan(targets).all():
        return Advice(Help.NEITHER, Reason.NO_TARGETS, Outlook(), Outlook(), Outlook(), 1.0)
    error_of_margin = margin_error(oracle, margin.certificate)
    now = Outlook(margin=margin.value, attainable=_probability(margin.value, error_of_margin))
    ess_growth, error_share, weights = 2.0, 1.0, None
    solution = solve(oracle, targets)
    if margin.attainable and solution.status is Status.CONVERGED:
        weights = solution.weights
        ess = oracle.effective_sample_size(weights)
        error, error_share = _level_error(table, oracle, targets, weights, sandwich(oracle, solution).levels)
        now = replace(now, error=error, carrying=ess.per_prompt, carrying_all=ess.pooled)
    forecast_margin, ess_growth = _forecast_candidates(table, oracle, targets, weights, current=margin.value, seed=seed)
    candidates = Outlook(
        now.error * error_share,
        now.carrying * ess_growth,
        now.carrying_all * ess_growth,
        forecast_margin,
        _probability(forecast_margin, error_of_margin),
    )
    root_two = math.sqrt(2)
    prompts = Outlook(
        now.error / root_two * _quantile(2 * oracle.counted_prompts) / _quantile(oracle.counted_prompts),
        now.carrying,
        2 * now.carrying_all,
        now.margin,
        _probability(now.margin, error_of_margin / root_two),
    )
    return _complete(Advice(Help.NEITHER, Reason.ENOUGH, now, candidates, prompts, 1.0), trust_threshold(oracle))


def _complete(advice: Advice, threshold: float) -> Advice:
    """Set the help, the reason and the factor of an advice."""
    now, candidates = advice.now, advice.candidates
    if now.margin < 0:
        growth_of_margin = candidates.margin - now.margin
        if not growth_of_margin > WORTH:
            return replace(advice, help=Help.NEITHER, reason=Reason.BEYOND, factor=math.nan)
        doublings = -now.margin / growth_of_margin
        # Since the growth slows down, it is not extrapolated beyond one doubling.
        factor = 2**doublings if doublings <= 1 else math.nan
        return replace(advice, help=Help.CANDIDATES, reason=Reason.OUT_OF_REACH, factor=factor)
    if math.isnan(now.carrying):
        return replace(advice, help=Help.CANDIDATES, reason=Reason.EDGE, factor=math.nan)
    if now.carrying < threshold:
        growth = candidates.carrying / now.carrying
        factor = 2 ** (math.log(threshold / now.carrying) / math.log(growth)) if growth > 1.01 else math.nan
        return replace(advice, help=Help.CANDIDATES, reason=Reason.FEW_REPLIES, factor=factor)
    if now.carrying_all < TRUSTED_POOLED:
        return replace(advice, help=Help.PROMPTS, reason=Reason.FEW_IN_ALL, factor=TRUSTED_POOLED / now.carrying_all)
    if now.error > NARROW:
        return replace(advice, help=Help.PROMPTS, reason=Reason.WIDE, factor=(now.error / NARROW) ** 2)
    return advice


def _level_error(
    table: RewardTable, oracle: Oracle, targets: np.ndarray, weights: np.ndarray, errors: np.ndarray
) -> tuple[float, float]:
    """Return the half-width of the widest interval of a targeted level, and its factor for twice the candidates."""
    targeted = np.flatnonzero(~np.isnan(targets) & ~oracle.constant)
    if not len(targeted) or oracle.counted_prompts < 2:
        return math.nan, 1.0
    j = int(targeted[np.argmax(errors[targeted])])
    by_prompt = oracle.by_prompt(weights)
    between = float(by_prompt.mass @ (by_prompt.levels[:, j] - by_prompt.mass @ by_prompt.levels[:, j]) ** 2)
    within = choosing_variance(table, oracle, weights)[j]
    share_left = math.sqrt(max(0.5, 1 - within / (2 * between))) if between > 0 else 1.0
    return _quantile(oracle.counted_prompts) * float(errors[j]), share_left


def _quantile(prompts: int) -> float:
    """Return Student's quantile of a two-sided interval from this number of prompts; NaN for one."""
    return float(stdtrit(prompts - 1, (1 + LEVEL) / 2)) if prompts > 1 else math.nan


def choosing_variance(table: RewardTable, oracle: Oracle, weights: np.ndarray) -> np.ndarray:
    """Compute W, (value,), the part of a level's variance between prompts that comes from choosing among K replies.

    By the delta method for a ratio of means, it is the weighted mean over prompts of sum_k P_ik^2 (z_ik - mu_i)^2.
    """
    z = np.where(oracle.constant, 0.0, oracle.standardise(table.rewards)).T
    by_prompt, replies = oracle.by_prompt(weights), Groups(table.candidates, transposed=False)
    _, within = replies.tilt(weights @ z)
    return np.asarray(by_prompt.mass @ replies.sum((within * (z - replies.repeat(by_prompt.levels.T))) ** 2).T)


def _forecast_candidates(
    table: RewardTable,
    oracle: Oracle,
    targets: np.ndarray,
    weights: np.ndarray | None,
    *,
    current: float,
    seed: int,
) -> tuple[float, float]:
    """Forecast the margin for twice the candidates, and the growth of the effective sample size per prompt."""
    largest = typical_candidates(table)
    if largest < 4:
        return math.nan, math.nan
    sample = _prompt_sample(table.without_held_out(), seed)
    levels = oracle.rewards_at(targets)
    full_oracle = oracle if sample is table else MemoryOracle.of(sample)
    margins, sample_sizes = [], []
    for candidates in (largest, largest // 2, largest // 4):
        subsampled = (
            full_oracle
            if candidates == largest
            else MemoryOracle.of(subsample_candidates(sample, candidates, subsets=8, seed=seed))
        )
        margins.append(margin(subsampled, subsampled.standardise(levels)).value)
        if weights is not None:
            sample_sizes.append(subsampled.effective_sample_size(weights * subsampled.scale / oracle.scale).per_prompt)
    last_growth, earlier_growth = margins[0] - margins[1], margins[1] - margins[2]
    slowing = float(np.clip(last_growth / earlier_growth, 0.0, 1.0)) if earlier_growth > 0 else 0.0
    ess_growth = float(np.clip(sample_sizes[0] / sample_sizes[1], 1.0, 2.0)) if sample_sizes else math.nan
    return current + max(0.0, last_growth) * slowing, ess_growth


def _prompt_sample(table: RewardTable, seed: int) -> RewardTable:
    """Return the table, or a sample of its prompts where it is large."""
    if len(table.rewards) <= MAX_REPLIES:
        return table
    count = max(2, MAX_REPLIES * len(table.prompts) // len(table.rewards))
    chosen = np.random.default_rng(seed).choice(len(table.prompts), count, replace=False)
    return table.take(sorted(int(row) for row in chosen))


def _probability(margin: float, error: float) -> float:
    """Return the probability that the true margin is above 0."""
    if math.isinf(margin) or not error > 0:
        return float(margin >= 0) if not math.isnan(margin) else math.nan
    return float(ndtr(margin / error))
