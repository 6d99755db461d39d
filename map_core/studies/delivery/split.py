"""One halving: palettes solved on some prompts, and what fresh replies to other prompts then give.

A palette is solved on some prompts, for a generator that draws K candidates, and realised on others, on K candidates
each that were drawn anew. The level that is realised is the expected one over each prompt's candidates, which has
far less noise than the one reply that is picked; both are given. Forecast and realised level are averages over two
samples of prompts, so their difference has the standard error sqrt(e_forecast^2 + e_realised^2). Where both hold the
same share of every use case, differences between use cases do not move it, and each e is that of a stratified sample.

Constraint: tables in, frozen results out; nothing is generated here, and all levels are in reward units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from scipy.stats import t as student

from map_core.analysis.baselines import random_weights, win_rates
from map_core.confidence.cross_fit import split_folds
from map_core.core.types import Form, Verdict
from map_core.data.reward_table import RewardTable
from map_core.data.subsample import subsample_candidates
from map_core.errors import InputError
from map_core.feasibility import assess
from map_core.oracle import MemoryOracle, Oracle
from map_core.solver.newton import Status, solve
from map_core.solver.rays import solve_rays

#: Hands that each prompt deals for the forecast.
HANDS = 16
#: Random weights beside each palette.
RANDOM = 50
#: A target this far above the base level, in standard deviations, asks for a rise.
RISES = 1e-9


@dataclass(frozen=True, eq=False)
class Delivery:
    """One palette; every array (value,), levels in reward units; targets are NaN for free values.

    Args:
        asked: the targets as given.
        targets: what the weights were solved for: the nearest palette where ``asked`` is out of reach of K candidates.
        verdict: on the prompts solved on, for K candidates.
        weights: lambda, 1 / reward.
        start: level of the base model on the prompts solved on, above which a target asks for a rise.
        base: level of the fresh candidates when every one is as likely.
        scale: standard deviation of the fresh candidates.
        promised: (prompt, value) level that the weights give on each prompt solved on.
        given: (prompt, value) level that they give on the fresh candidates of each prompt.
        error: half the width of the interval for the realised level around the forecast.
        picked: level of the one reply a prompt that is picked.
        wins: how often an aligned reply beats one of the base model to the same prompt, ties half.
        random_improves, random_wins: the share of random weights, on the targeted values and at the same nats, of which
            :attr:`improves` and :attr:`wins_all` would be true; NaN where nothing is asked to rise.
        pooled: level on the fresh candidates of weights from the pooled form; NaN where it has none.
        kl_forecast, kl_realised: nats.
        candidates: K.
    """

    asked: np.ndarray
    targets: np.ndarray
    verdict: Verdict
    weights: np.ndarray
    start: np.ndarray
    base: np.ndarray
    scale: np.ndarray
    promised: np.ndarray
    given: np.ndarray
    error: np.ndarray
    picked: np.ndarray
    wins: np.ndarray
    random_improves: float
    random_wins: float
    pooled: np.ndarray
    kl_forecast: float
    kl_realised: float
    candidates: int

    @property
    def forecast(self) -> np.ndarray:
        """(value,) level on the prompts solved on."""
        return np.asarray(self.promised.mean(axis=0))

    @property
    def realised(self) -> np.ndarray:
        """(value,) level on the fresh candidates."""
        return np.asarray(self.given.mean(axis=0))

    @property
    def prompts(self) -> int:
        """How many fresh prompts there are."""
        return len(self.given)

    @property
    def inside(self) -> np.ndarray:
        """(value,) bool: the realised level lies in its interval."""
        return np.asarray(np.abs(self.realised - self.forecast) <= self.error)

    @property
    def rising(self) -> np.ndarray:
        """(value,) bool: the target asks for more than the base model gives on the prompts solved on."""
        return np.asarray(self.targets > self.start + RISES * self.scale)

    @property
    def improves(self) -> bool:
        """Every value that is asked to rise is above its base level."""
        return bool(np.all((self.realised > self.base)[self.rising]))

    @property
    def wins_all(self) -> bool:
        """An aligned reply beats one of the base model more often than not, on every value that is asked to rise."""
        return bool(np.all((self.wins > 0.5)[self.rising]))

    def gained(self, levels: np.ndarray) -> float:
        """Return how far some levels have come on the values that are asked to rise, in standard deviations."""
        return float(((levels - self.base) / self.scale)[self.rising].sum())


def share_of_way(deliveries: Sequence[Delivery], levels: Sequence[np.ndarray]) -> float:
    """Return how much of the way from the base levels to the targets above them some levels have come, over all palettes.

    Sums over values and palettes, in standard deviations: a target just above the base level counts for as much as
    it asks. NaN when no target is above.
    """
    ways = sum(one.gained(one.targets) for one in deliveries)
    return (
        sum(one.gained(reached) for one, reached in zip(deliveries, levels, strict=True)) / ways if ways else math.nan
    )


def split_halves(table: RewardTable, seed: int = 0) -> tuple[RewardTable, RewardTable]:
    """Return a table's prompts in two halves at random, each with its share of every use case.

    Raises:
        InputError: there are fewer than four prompts.
    """
    if len(table.prompts) < 4:
        raise InputError(f"The table has {len(table.prompts)} prompts; to solve on one half and look at the other, 4.")
    half = split_folds(len(table.prompts), 2, np.random.default_rng(seed), table.use_cases)
    return table.take(np.flatnonzero(half == 0).tolist()), table.take(np.flatnonzero(half == 1).tolist())


def deliver(
    solved_on: RewardTable,
    fresh: RewardTable,
    palettes: Sequence[np.ndarray],
    *,
    level: float = 0.9,
    seed: int = 0,
) -> tuple[Delivery, ...]:
    """Solve palettes on one table and realise them on another.

    Args:
        solved_on: replies to some prompts; as many a prompt as ``fresh`` has, or more.
        fresh: new replies to other prompts, scored on the same values; K is the number of its candidates.
        palettes: (value,) targets in reward units each, NaN for a free value.
        level: probability of the interval.
        seed: of the dealing of hands and of the picks.

    Raises:
        InputError: the tables have other values, ``fresh`` has not one number of candidates for all prompts or a single
            prompt, or the level is not between 0 and 1.
    """
    if solved_on.values != fresh.values:
        raise InputError(
            f"The tables have {', '.join(solved_on.values)} and {', '.join(fresh.values)}; expected the same."
        )
    candidates = int(fresh.candidates.max())
    if len(fresh.prompts) < 2 or candidates < 2 or np.any(fresh.candidates != candidates):
        raise InputError(
            "Fresh replies need two prompts or more, and the same number of candidates, at least 2, for each."
        )
    if not 0.0 < level < 1.0:
        raise InputError(f"The level is {level}; expected a number between 0 and 1, such as 0.9.")
    dealt = subsample_candidates(solved_on, candidates, subsets=HANDS, seed=seed)
    promising = MemoryOracle.of(dealt, Form.PER_PROMPT)
    hands = len(dealt.prompts) // len(solved_on.prompts)
    pooled, new = MemoryOracle.of(solved_on, Form.POOLED), MemoryOracle.of(fresh, Form.PER_PROMPT)
    cases = np.split(strata(solved_on, fresh), [len(solved_on.prompts)])
    freedom = min(len(part) - len(set(part.tolist())) for part in cases)
    reach = float(student.ppf((1 + level) / 2, freedom))
    rng = np.random.default_rng(seed)
    draws = rng.random(len(fresh.prompts))

    def one(asked: np.ndarray) -> Delivery:
        found = assess(promising, promising.standardise(asked))
        if found.solution is not None and found.verdict is not Verdict.OUT_OF_REACH:
            solution, targets = found.solution, asked
        elif found.nearest is not None:
            solution, targets = found.nearest.solution, promising.rewards_at(found.nearest.targets)
        else:
            raise InputError("Nothing near a palette can be had; ask for less.")
        weights = solution.weights / promising.scale
        # The hands of one prompt hold the same replies: prompts are what was sampled, not hands.
        levels = promising.by_prompt(solution.weights).levels.reshape(-1, hands, len(asked)).mean(axis=1)
        promised = promising.rewards_at(levels)
        given = new.rewards_at(new.by_prompt(weights * new.scale).levels)
        errors = [standard_error(levels, part) for levels, part in zip((promised, given), cases, strict=True)]
        rising = targets > promising.base + RISES * new.scale
        by_chance = _random(promising, new, fresh, rising, solution.kl, seed)
        return Delivery(
            asked=asked,
            targets=targets,
            verdict=found.verdict,
            weights=weights,
            start=promising.base,
            base=new.base,
            scale=new.scale,
            promised=promised,
            given=given,
            error=reach * np.hypot(*errors),
            picked=_picked(fresh, weights, draws),
            wins=win_rates(fresh, weights * new.scale, Form.PER_PROMPT),
            random_improves=by_chance[0],
            random_wins=by_chance[1],
            pooled=_pooled(pooled, new, targets),
            kl_forecast=solution.kl,
            kl_realised=new.moments(weights * new.scale).kl(weights * new.scale),
            candidates=candidates,
        )

    return tuple(one(np.asarray(asked, dtype=float)) for asked in palettes)


def standard_error(levels: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Return standard error of a mean over prompts that are a stratified sample.

    e^2 = sum over strata of (n_s / n)^2 var_s / n_s, with var_s the variance within a stratum

    Args:
        levels: (prompt, value).
        strata: (prompt,) whole numbers from 0, each at least twice.

    Returns:
        (value,) errors, in the unit of the levels.

    Source: Cochran, "Sampling techniques", 3rd edition, 1977, section 5.3.
    """
    counts = np.bincount(strata)
    of_stratum = np.eye(len(counts))[strata]
    centred = levels - (of_stratum.T @ levels / counts[:, None])[strata]
    variances = of_stratum.T @ centred**2 / (counts[:, None] - 1)
    return np.asarray(np.sqrt(counts @ variances) / len(levels))


def strata(*tables: RewardTable) -> np.ndarray:
    """Return (prompt,) the stratum of each prompt of some tables, one table after the other, as whole numbers from 0.

    It is the prompt's use case where all tables have the same share of it, as near as whole prompts can be; else all
    prompts are one stratum. Use cases with a single prompt in a table are one stratum together.
    """
    names = list(dict.fromkeys(name for table in tables for name in table.use_cases))
    counts = np.array([[table.use_cases.count(name) for name in names] for table in tables])
    sizes = counts.sum(axis=1, keepdims=True)
    unlike = np.abs(counts / sizes - counts[:1] / sizes[:1]) > 1.0 / sizes.min()
    few = counts.min(axis=0) < 2
    together = counts[:, few].sum(axis=1)
    if unlike.any() or (few.any() and together.min() < 2):
        return np.zeros(int(sizes.sum()), dtype=int)
    number = {name: -1 if few[i] else i for i, name in enumerate(names)}
    labels = [number[name] for table in tables for name in table.use_cases]
    return np.asarray(np.unique(labels, return_inverse=True)[1])


def _picked(fresh: RewardTable, weights: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return (value,) mean reward of one reply a prompt, drawn by its probability; the same draws serve all palettes."""
    rewards = fresh.rewards.reshape(len(fresh.prompts), -1, len(fresh.values))
    mass = np.cumsum(softmax((rewards - rewards.max(axis=1, keepdims=True)) @ weights, axis=1), axis=1)
    chosen = (mass < draws[:, None] * mass[:, -1:]).sum(axis=1)
    picked: np.ndarray = rewards[np.arange(len(rewards)), chosen].mean(axis=0)
    return picked


def _random(
    promising: Oracle, new: Oracle, fresh: RewardTable, rising: np.ndarray, nats: float, seed: int
) -> tuple[float, float]:
    """Return share of random weights on these values and at these nats that improve all of them, by level and by win rate."""
    if not rising.any() or nats <= 0:
        return math.nan, math.nan
    directions = np.zeros((RANDOM, len(rising)))
    directions[:, rising] = random_weights(RANDOM, int(rising.sum()), seed=seed)
    x = solve_rays(promising, directions, nats).weights[:, 0] / promising.scale * new.scale
    above = new.batch_moments(x).levels[:, rising] > 0
    ahead = win_rates(fresh, x, Form.PER_PROMPT)[:, rising] > 0.5
    return float(above.all(axis=1).mean()), float(ahead.all(axis=1).mean())


def _pooled(pooled: Oracle, new: Oracle, targets: np.ndarray) -> np.ndarray:
    """Return (value,) levels of the published form's weights when they are used prompt by prompt."""
    solution = solve(pooled, pooled.standardise(targets))
    if solution.status is not Status.CONVERGED:
        return np.full(len(targets), np.nan)
    levels: np.ndarray = new.rewards_at(new.moments(solution.weights / pooled.scale * new.scale).levels)
    return levels
