"""How good a table is for a palette: what it can carry, and whether more candidates or more prompts would help more.

Twice the candidates and twice the prompts cost the same, so they are what is compared. What is foretold of each:

    error bars      standard errors go with 1 / sqrt(prompts). Candidates take off only the part that comes from
                    choosing among K: of a level's variance between prompts V the share W, the mean of
                    sum_k P_ik^2 (z_ik - mu_i)^2, halves; so twice the candidates leave sqrt((V - W / 2) / V)
    trust           replies that carry the weight, a prompt: at the same weights, as many times more as K has more than
                    K / 2, both measured, K / 2 on hands dealt from the table
    reach           the margin grows with log K, slower and slower: its growth from K / 2 to K, times the ratio of that
                    growth to the one from K / 4 to K / 2, all three measured; prompts only make it surer

Constraint: what a table says of itself is measured on it; what lies beyond is marked as foretold.
tests/confidence/test_table_quality.py holds the foretold figures against tables that really have twice as many of
either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy.special import ndtr
from scipy.stats import t as student

from map_core.confidence.sandwich import sandwich
from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.data.subsample import subsample_candidates
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, margin
from map_core.feasibility.trust import TRUSTED_POOLED, trust_threshold
from map_core.oracle import MemoryOracle, Oracle
from map_core.oracle.ragged import Groups
from map_core.solver.newton import Status, solve

#: An error bar this narrow, in standard deviations, is good enough: about two percentiles.
NARROW = 0.05
#: A margin that grows by less than this, in standard deviations, is not worth twice the candidates.
WORTH = 0.02
#: Replies that are dealt in hands at most; larger tables are looked at through some of their prompts.
DEALT = 200_000
LEVEL = 0.9


class Help(StrEnum):
    """What would help a palette most."""

    CANDIDATES = "candidates"
    PROMPTS = "prompts"
    NEITHER = "neither"


class Reason(StrEnum):
    """Why."""

    OUT_OF_REACH = "out of reach"
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
    """What a palette has on a table.

    Args:
        error: half of the widest 90% interval of a targeted level, in standard deviations; NaN where there are no
            weights.
        carrying: replies that carry the weight, a prompt; NaN likewise.
        carrying_all: in all; NaN likewise.
        margin: distance to the boundary of the attainable levels, in standard deviations; NaN when pooled.
        attainable: the probability that it is attainable, given the margin's standard error; NaN when pooled.
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
        help, reason: the verdict.
        now: measured on this table.
        candidates, prompts: foretold for twice as many.
        factor: how many times as many of what helps would do; NaN where that cannot be told, 1 where all is well.
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
    """Return whether more candidates or more prompts would help a palette most.

    Args:
        table: the table, of one use case or all.
        oracle: its moments.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        attainable: corners to start the linear program from.
        seed: of the hands.

    Raises:
        InputError: a target is infinite, or there is not one entry a value.

    Example:
        >>> advise(table, oracle, targets).help  # doctest: +SKIP
        <Help.PROMPTS: 'prompts'>
    """
    if oracle.form is Form.POOLED:
        return Advice(Help.CANDIDATES, Reason.ONE_REPLY, Outlook(), Outlook(), Outlook())
    edge = (attainable or AttainableLevels(oracle)).margin(targets)
    if np.isnan(targets).all():
        return Advice(Help.NEITHER, Reason.NO_TARGETS, Outlook(), Outlook(), Outlook(), 1.0)
    spread = _margin_error(oracle, edge.certificate)
    now = Outlook(margin=edge.value, attainable=_chance(edge.value, spread))
    carried, kept, weights = 2.0, 1.0, None
    solution = solve(oracle, targets)
    if edge.attainable and solution.status is Status.CONVERGED:
        weights = solution.weights
        ess = oracle.effective_sample_size(weights)
        error, kept = _error(table, oracle, targets, weights, sandwich(oracle, solution).levels)
        now = replace(now, error=error, carrying=ess.per_prompt, carrying_all=ess.pooled)
    further, carried = _with_hands(table, oracle, targets, weights, edge.value, seed)
    candidates = Outlook(
        now.error * kept, now.carrying * carried, now.carrying_all * carried, further, _chance(further, spread)
    )
    root = math.sqrt(2)
    prompts = Outlook(
        now.error / root * _quantile(2 * oracle.prompts) / _quantile(oracle.prompts),
        now.carrying,
        2 * now.carrying_all,
        now.margin,
        _chance(now.margin, spread / root),
    )
    return _verdict(Advice(Help.NEITHER, Reason.ENOUGH, now, candidates, prompts, 1.0), trust_threshold(oracle))


def _verdict(found: Advice, threshold: float) -> Advice:
    """Return the advice with what helps, why, and how many times as many it takes."""
    now, more = found.now, found.candidates
    if now.margin < 0:
        gain = more.margin - now.margin
        if not gain > WORTH:
            return replace(found, help=Help.NEITHER, reason=Reason.BEYOND, factor=math.nan)
        doublings = -now.margin / gain
        # Growth slows down, so more than a few doublings are not foretold.
        factor = 2**doublings if doublings <= 1 else math.nan
        return replace(found, help=Help.CANDIDATES, reason=Reason.OUT_OF_REACH, factor=factor)
    if math.isnan(now.carrying):
        return replace(found, help=Help.CANDIDATES, reason=Reason.EDGE, factor=math.nan)
    if now.carrying < threshold:
        growth = more.carrying / now.carrying
        factor = 2 ** (math.log(threshold / now.carrying) / math.log(growth)) if growth > 1.01 else math.nan
        return replace(found, help=Help.CANDIDATES, reason=Reason.FEW_REPLIES, factor=factor)
    if now.carrying_all < TRUSTED_POOLED:
        return replace(found, help=Help.PROMPTS, reason=Reason.FEW_IN_ALL, factor=TRUSTED_POOLED / now.carrying_all)
    if now.error > NARROW:
        return replace(found, help=Help.PROMPTS, reason=Reason.WIDE, factor=(now.error / NARROW) ** 2)
    return found


def _error(
    table: RewardTable, oracle: Oracle, targets: np.ndarray, weights: np.ndarray, errors: np.ndarray
) -> tuple[float, float]:
    """Return half of the widest interval of a targeted level, and the share of it that twice the candidates leave."""
    wanted = np.flatnonzero(~np.isnan(targets) & ~oracle.constant)
    if not len(wanted) or oracle.prompts < 2:
        return math.nan, 1.0
    j = int(wanted[np.argmax(errors[wanted])])
    at = oracle.by_prompt(weights)
    between = float(at.mass @ (at.levels[:, j] - at.mass @ at.levels[:, j]) ** 2)
    within = choosing_variance(table, oracle, weights)[j]
    kept = math.sqrt(max(0.5, 1 - within / (2 * between))) if between > 0 else 1.0
    return _quantile(oracle.prompts) * float(errors[j]), kept


def _quantile(prompts: int) -> float:
    """Return Student's, for half of an interval from so many prompts; NaN from one."""
    return float(student.ppf((1 + LEVEL) / 2, prompts - 1)) if prompts > 1 else math.nan


def choosing_variance(table: RewardTable, oracle: Oracle, weights: np.ndarray) -> np.ndarray:
    """Return (value,) W: the part of a level's variance between prompts that comes from choosing among K replies.

    The delta method for a ratio of means: mean over prompts, as each counts, of sum_k P_ik^2 (z_ik - mu_i)^2.
    """
    z = np.where(oracle.constant, 0.0, oracle.standardise(table.rewards)).T
    at, replies = oracle.by_prompt(weights), Groups(table.candidates, transposed=False)
    _, within = replies.tilt(weights @ z)
    return np.asarray(at.mass @ replies.sum((within * (z - replies.repeat(at.levels.T))) ** 2).T)


def _with_hands(
    table: RewardTable,
    oracle: Oracle,
    targets: np.ndarray,
    weights: np.ndarray | None,
    here: float,
    seed: int,
) -> tuple[float, float]:
    """Return the margin foretold for twice the candidates, and by how much more replies would then carry the weight."""
    most = int(np.median(table.candidates))
    if most < 4:
        return math.nan, math.nan
    part = _part(table, seed)
    wanted = oracle.rewards_at(targets)
    whole = oracle if part is table else MemoryOracle.of(part)
    margins, carrying = [], []
    for candidates in (most, most // 2, most // 4):
        held = (
            whole
            if candidates == most
            else MemoryOracle.of(subsample_candidates(part, candidates, subsets=8, seed=seed))
        )
        margins.append(margin(held, held.standardise(wanted)).value)
        if weights is not None:
            carrying.append(held.effective_sample_size(weights * held.scale / oracle.scale).per_prompt)
    last, before = margins[0] - margins[1], margins[1] - margins[2]
    slowing = float(np.clip(last / before, 0.0, 1.0)) if before > 0 else 0.0
    carried = carrying[0] / carrying[1] if carrying else math.nan
    return here + max(0.0, last) * slowing, float(np.clip(carried, 1.0, 2.0)) if carrying else math.nan


def _part(table: RewardTable, seed: int) -> RewardTable:
    """Return the table, or some of its prompts where it is large."""
    if len(table.rewards) <= DEALT:
        return table
    count = max(2, DEALT * len(table.prompts) // len(table.rewards))
    chosen = np.random.default_rng(seed).choice(len(table.prompts), count, replace=False)
    return table.take(sorted(int(one) for one in chosen))


def _margin_error(oracle: Oracle, certificate: np.ndarray) -> float:
    """Return the standard error of a margin: that of each prompt's support value at the certificate (envelope theorem)."""
    if oracle.prompts < 2:
        return math.nan
    mass = oracle.by_prompt(np.zeros(len(certificate))).mass
    support = oracle.best_by_prompt(certificate) @ certificate
    return float(np.linalg.norm(mass * (support - mass @ support)) * math.sqrt(oracle.prompts / (oracle.prompts - 1)))


def _chance(margin: float, error: float) -> float:
    """Return the chance that the true margin is above 0."""
    if math.isinf(margin) or not error > 0:
        return float(margin >= 0) if not math.isnan(margin) else math.nan
    return float(ndtr(margin / error))


def replies_needed(advice: Advice, table: RewardTable, most: float = 64.0) -> int | None:
    """Return how many new replies the advice asks for; None where that cannot be told, or it is over ``most`` times the table.

    Raises:
        InputError: ``most`` is not above 1.
    """
    if not most > 1:
        raise InputError(f"most is {most}; expected a number above 1.")
    if math.isnan(advice.factor) or advice.factor > most:
        return None
    return max(0, math.ceil((advice.factor - 1) * len(table.rewards)))
