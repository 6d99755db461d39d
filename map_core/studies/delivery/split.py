"""One halving: palettes solved on some prompts and realised on fresh replies to other prompts.

A palette is solved on some prompts, for a generator that draws K candidates, and realised on K fresh candidates to
each of the others. Prompts count by their weights, and held-out ones are left out. The realised level is the expected
level over each prompt's candidates, which has far less noise than the single reply that is picked; both are reported.
Forecast and realised level are averages over two samples of prompts, so their difference has the standard error
sqrt(e_forecast^2 + e_realised^2). Where both hold the same share of every use case, differences between use cases do
not move it, and each e is that of a stratified sample.

Constraint: tables in, frozen results out; nothing is generated here, and all levels are in reward units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax, stdtrit

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

#: Subsamples of each prompt's replies for the forecast.
SUBSETS = 16
#: Number of random weights that each palette is compared with.
RANDOM = 50
#: Targets more than this above the base level, in standard deviations, count as rising.
RISES = 1e-9


@dataclass(frozen=True, eq=False)
class Delivery:
    """One palette; every array (value,), levels in reward units; targets are NaN for free values.

    Args:
        asked: the requested targets.
        targets: what the weights were solved for: the nearest palette where ``asked`` is out of reach of K candidates.
        verdict: on the prompts solved on, for K candidates.
        weights: lambda, 1 / reward.
        start: base level on the prompts solved on; a target above it is rising.
        base: level of the fresh candidates, each equally likely.
        scale: standard deviation of the fresh candidates.
        forecasts: (prompt, value) level that the weights give on each prompt solved on.
        delivered: (prompt, value) level that they give on the fresh candidates of each prompt.
        forecast_mass: (prompt,) weight of each prompt solved on, with sum 1.
        delivered_mass: (prompt,) weight of each prompt with fresh candidates, with sum 1.
        error: half the width of the interval for the realised level around the forecast.
        picked: level of the single replies that are picked, one per prompt.
        wins: win rate of aligned replies against the base model's to the same prompt, a tie counting half.
        random_improves: share of random weights, on the targeted values and at the same nats, of which
            :attr:`improves` would be true; NaN without rising targets.
        random_wins: likewise of :attr:`wins_all`.
        pooled: level on the fresh candidates of weights from the pooled form; NaN where it has none.
        kl_forecast: nats on the prompts solved on.
        kl_realised: nats on the fresh candidates.
        candidates: K.
    """

    asked: np.ndarray
    targets: np.ndarray
    verdict: Verdict
    weights: np.ndarray
    start: np.ndarray
    base: np.ndarray
    scale: np.ndarray
    forecasts: np.ndarray
    delivered: np.ndarray
    forecast_mass: np.ndarray
    delivered_mass: np.ndarray
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
        return np.average(self.forecasts, axis=0, weights=self.forecast_mass)

    @property
    def realised(self) -> np.ndarray:
        """(value,) level on the fresh candidates."""
        return np.average(self.delivered, axis=0, weights=self.delivered_mass)

    @property
    def prompts(self) -> int:
        """Number of prompts with fresh candidates."""
        return len(self.delivered)

    @property
    def inside(self) -> np.ndarray:
        """(value,) bool: the realised level lies in its interval."""
        return np.asarray(np.abs(self.realised - self.forecast) <= self.error)

    @property
    def rising(self) -> np.ndarray:
        """(value,) bool: the target is above the base level on the prompts solved on."""
        return np.asarray(self.targets > self.start + RISES * self.scale)

    @property
    def improves(self) -> bool:
        """Whether every value with a rising target is above its base level."""
        return bool(np.all((self.realised > self.base)[self.rising]))

    @property
    def wins_all(self) -> bool:
        """Whether every value with a rising target has a win rate above 1/2 against the base model."""
        return bool(np.all((self.wins > 0.5)[self.rising]))

    def gained(self, levels: np.ndarray) -> float:
        """Return the gain of (value,) levels over base, summed over rising values, in standard deviations."""
        return float(((levels - self.base) / self.scale)[self.rising].sum())


def share_of_way(deliveries: Sequence[Delivery], levels: Sequence[np.ndarray]) -> float:
    """Compute the share of the way from base levels to rising targets that some levels reach, over all palettes.

    Gains and distances are summed over values and palettes in standard deviations, so that each target counts by its
    distance from the base level.

    Args:
        deliveries: the palettes.
        levels: one (value,) array of levels per palette.

    Returns:
        The share; NaN where no target is rising.
    """
    total_distance = sum(delivery.gained(delivery.targets) for delivery in deliveries)
    if not total_distance:
        return math.nan
    return sum(delivery.gained(level) for delivery, level in zip(deliveries, levels, strict=True)) / total_distance


def split_halves(table: RewardTable, seed: int = 0) -> tuple[RewardTable, RewardTable]:
    """Split a table's prompts at random into halves, each with its share of every use case.

    Raises:
        InputError: there are fewer than four prompts.
    """
    if len(table.prompts) < 4:
        raise InputError(f"The table has {len(table.prompts)} prompts; expected at least 4, for two halves.")
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
        solved_on: replies to some prompts, at least K to each.
        fresh: new replies to other prompts, scored on the same values, with these prompts' weights, and K replies to
            each.
        palettes: one (value,) array of targets per palette, in reward units, NaN for a free value.
        level: probability of the interval.
        seed: seed of the subsamples and of the picks.

    Raises:
        InputError: the tables have different values, ``fresh`` has fewer than two prompts or different numbers of
            candidates, the level is not between 0 and 1, or no palette near one of ``palettes`` is reachable.
    """
    if solved_on.values != fresh.values:
        raise InputError(
            f"The tables have {', '.join(solved_on.values)} and {', '.join(fresh.values)}; expected the same."
        )
    solved_on, fresh = solved_on.without_held_out(), fresh.without_held_out()
    candidates = int(fresh.candidates.max())
    if len(fresh.prompts) < 2 or candidates < 2 or np.any(fresh.candidates != candidates):
        raise InputError(
            "Fresh replies need two prompts or more, and the same number of candidates, at least 2, for each."
        )
    if not 0.0 < level < 1.0:
        raise InputError(f"The level is {level}; expected a number between 0 and 1, such as 0.9.")
    subsampled = subsample_candidates(solved_on, candidates, subsets=SUBSETS, seed=seed)
    forecast_oracle = MemoryOracle.of(subsampled, Form.PER_PROMPT)
    subsamples = len(subsampled.prompts) // len(solved_on.prompts)
    pooled_oracle, fresh_oracle = MemoryOracle.of(solved_on, Form.POOLED), MemoryOracle.of(fresh, Form.PER_PROMPT)
    case_strata = np.split(strata(solved_on, fresh), [len(solved_on.prompts)])
    masses = [prompt_masses(part) for part in (solved_on, fresh)]
    freedom = min(len(part) - len(set(part.tolist())) for part in case_strata)
    quantile = float(stdtrit(freedom, (1 + level) / 2))
    rng = np.random.default_rng(seed)
    draws = rng.random(len(fresh.prompts))

    def delivery(target_rewards: np.ndarray) -> Delivery:
        assessment = assess(forecast_oracle, forecast_oracle.standardise(target_rewards))
        if assessment.solution is not None and assessment.verdict is not Verdict.OUT_OF_REACH:
            solution, targets = assessment.solution, target_rewards
        elif assessment.nearest is not None:
            solution, targets = assessment.nearest.solution, forecast_oracle.rewards_at(assessment.nearest.targets)
        else:
            raise InputError("A palette has no reachable palette near it; lower its targets.")
        weights = solution.weights / forecast_oracle.scale
        # Subsamples of one prompt share replies and are dependent, so they are averaged: prompts are the sample.
        levels = (
            forecast_oracle.by_prompt(solution.weights).levels.reshape(-1, subsamples, len(target_rewards)).mean(axis=1)
        )
        forecasts = forecast_oracle.rewards_at(levels)
        delivered = fresh_oracle.rewards_at(fresh_oracle.by_prompt(weights * fresh_oracle.scale).levels)
        errors = [
            standard_error(levels, part, mass)
            for levels, part, mass in zip((forecasts, delivered), case_strata, masses, strict=True)
        ]
        rising = targets > forecast_oracle.base + RISES * fresh_oracle.scale
        random_shares = _random_shares(forecast_oracle, fresh_oracle, fresh, rising, nats=solution.kl, seed=seed)
        return Delivery(
            asked=target_rewards,
            targets=targets,
            verdict=assessment.verdict,
            weights=weights,
            start=forecast_oracle.base,
            base=fresh_oracle.base,
            scale=fresh_oracle.scale,
            forecasts=forecasts,
            delivered=delivered,
            forecast_mass=masses[0],
            delivered_mass=masses[1],
            error=quantile * np.hypot(*errors),
            picked=_picked_level(fresh, weights, draws, masses[1]),
            wins=win_rates(fresh, weights * fresh_oracle.scale, Form.PER_PROMPT),
            random_improves=random_shares[0],
            random_wins=random_shares[1],
            pooled=_pooled_levels(pooled_oracle, fresh_oracle, targets),
            kl_forecast=solution.kl,
            kl_realised=fresh_oracle.moments(weights * fresh_oracle.scale).kl(weights * fresh_oracle.scale),
            candidates=candidates,
        )

    return tuple(delivery(np.asarray(palette, dtype=float)) for palette in palettes)


def prompt_masses(table: RewardTable) -> np.ndarray:
    """Return the prompts' weights scaled to sum 1, (prompt,); equal ones where the table has none."""
    weights = np.ones(len(table.prompts)) if table.prompt_weights is None else table.prompt_weights
    return np.asarray(weights / weights.sum())


def with_weights_of(fresh: RewardTable, table: RewardTable) -> RewardTable:
    """Return ``fresh`` with the table's prompt weights, matched by use case and text of the prompt.

    Raises:
        InputError: the table has prompt weights but lacks one of the prompts.
    """
    if not table.weights.size:
        return fresh
    weight = dict(zip(zip(table.use_cases, table.prompts, strict=True), table.weights.tolist(), strict=True))
    keys = list(zip(fresh.use_cases, fresh.prompts, strict=True))
    missing = [key for key in keys if key not in weight]
    if missing:
        use_case, prompt = missing[0]
        raise InputError(
            f"There are fresh replies to {prompt!r} of the use case {use_case!r}, which is not in the table; expected "
            "replies to the table's prompts."
        )
    return replace(fresh, weights=np.array([weight[key] for key in keys]))


def standard_error(levels: np.ndarray, strata: np.ndarray, mass: np.ndarray | None = None) -> np.ndarray:
    """Compute the standard error of a mean over prompts that are a stratified sample.

    e^2 = sum over strata of (n_s / n)^2 var_s / n_s, with var_s the variance within a stratum; with prompt weights,
    the sum over strata of n_s / (n_s - 1) times the sum of (mass_i (level_i - mean_s))^2 over the stratum's prompts.

    Args:
        levels: (prompt, value).
        strata: (prompt,) whole numbers from 0, each at least twice.
        mass: (prompt,) weight of each prompt, with sum 1; equal by default.

    Returns:
        (value,) errors, in the unit of the levels.

    Source: Cochran, "Sampling techniques", 3rd edition, 1977, section 5.3.
    """
    counts = np.bincount(strata)
    mass = np.full(len(levels), 1.0 / len(levels)) if mass is None else mass
    membership = np.eye(len(counts))[strata]
    share = membership * mass[:, None]
    centred = levels - (share.T @ levels / share.sum(axis=0)[:, None])[strata]
    squares = membership.T @ (mass[:, None] * centred) ** 2
    return np.asarray(np.sqrt(counts / (counts - 1) @ squares))


def strata(*tables: RewardTable) -> np.ndarray:
    """Return the stratum of each prompt, (prompt,) whole numbers from 0, of the tables one after the other.

    Strata are the use cases where every use case has the same share of all tables, up to one prompt; else all prompts
    are one stratum. Use cases with a single prompt in a table are one stratum together.
    """
    names = list(dict.fromkeys(name for table in tables for name in table.use_cases))
    counts = np.array([[table.use_cases.count(name) for name in names] for table in tables])
    sizes = counts.sum(axis=1, keepdims=True)
    shares = np.array(
        [[prompt_masses(table)[np.array(table.use_cases) == name].sum() for name in names] for table in tables]
    )
    unequal = np.abs(shares - shares[:1]) > 1.0 / sizes.min()
    rare = counts.min(axis=0) < 2
    rare_counts = counts[:, rare].sum(axis=1)
    if unequal.any() or (rare.any() and rare_counts.min() < 2):
        return np.zeros(int(sizes.sum()), dtype=int)
    stratum = {name: -1 if rare[i] else i for i, name in enumerate(names)}
    labels = [stratum[name] for table in tables for name in table.use_cases]
    return np.asarray(np.unique(labels, return_inverse=True)[1])


def _picked_level(fresh: RewardTable, weights: np.ndarray, draws: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Return the mean reward of one drawn reply per prompt, (value,); all palettes share the uniform draws."""
    rewards = fresh.rewards.reshape(len(fresh.prompts), -1, len(fresh.values))
    mass = np.cumsum(softmax((rewards - rewards.max(axis=1, keepdims=True)) @ weights, axis=1), axis=1)
    chosen = (mass < draws[:, None] * mass[:, -1:]).sum(axis=1)
    return np.average(rewards[np.arange(len(rewards)), chosen], axis=0, weights=masses)


def _random_shares(
    forecast_oracle: Oracle, fresh_oracle: Oracle, fresh: RewardTable, rising: np.ndarray, *, nats: float, seed: int
) -> tuple[float, float]:
    """Return the shares of random weights at ``nats`` that improve all rising values, by level and by win rate."""
    if not rising.any() or nats <= 0:
        return math.nan, math.nan
    directions = np.zeros((RANDOM, len(rising)))
    directions[:, rising] = random_weights(RANDOM, int(rising.sum()), seed=seed)
    x = solve_rays(forecast_oracle, directions, nats).weights[:, 0] / forecast_oracle.scale * fresh_oracle.scale
    improved = fresh_oracle.batch_moments(x).levels[:, rising] > 0
    won = win_rates(fresh, x, Form.PER_PROMPT)[:, rising] > 0.5
    return float(improved.all(axis=1).mean()), float(won.all(axis=1).mean())


def _pooled_levels(pooled_oracle: Oracle, fresh_oracle: Oracle, targets: np.ndarray) -> np.ndarray:
    """Return the levels of the pooled form's weights used prompt by prompt, (value,); NaN without convergence."""
    solution = solve(pooled_oracle, pooled_oracle.standardise(targets))
    if solution.status is not Status.CONVERGED:
        return np.full(len(targets), np.nan)
    levels: np.ndarray = fresh_oracle.rewards_at(
        fresh_oracle.moments(solution.weights / pooled_oracle.scale * fresh_oracle.scale).levels
    )
    return levels
