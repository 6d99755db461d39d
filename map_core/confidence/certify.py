"""A promise with a number: the smallest weights at which new prompts show that every target holds, with an error alpha.

For weights s x on the ray through the solution x, let L(s) be the levels that a generator with K candidates gives on
all prompts. One prompt's Y_i(s), the mean of its candidates' rewards under their probabilities, has exactly the mean
L(s): the candidates are drawn anew for each prompt, and no expectation over them is estimated. Each value is a betting
test (:mod:`map_core.confidence.betting`). A point is shown where every value's capital has reached 1 / alpha: if some
target is missed at this point, its own test alone errs with probability alpha at most.

The points are tested in an order that the solved-on prompts alone decide, and the walk ends at the first that is not
shown, so that the probability of any false statement on the way is alpha at most:

    at the factor where the forecast clears its targets best: targets lowered by up to 1 standard deviation, then less,
        so that those that are lowered lie below their forecasts by as many standard errors
    then the whole targets with smaller factors, down to the base model

Constraint: what is shown holds for K candidates, for prompts like these, and for levels clipped at the lowest that the
solved-on prompts have (or, ``strict``, for rewards clipped at the lowest of their replies).

Source: docs/promises.md; Maurer, Hothorn and Lehmacher, "Multiple comparisons in drug clinical trials and preclinical
assays: a-priori ordered hypotheses", 1995; Berger, "Multiparameter hypothesis testing and acceptance sampling",
Technometrics 1982 (every part at level alpha).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from map_core.confidence.betting import log_capital, numbers_needed, planned_bet
from map_core.confidence.prompt_samples import PromptSample, can_certify, table_samples
from map_core.core.reward_levels import RewardLevels
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility import assess
from map_core.oracle import Oracle

#: Weights on the ray, as factors of the solution's.
FACTORS = np.round(np.arange(0.0, 2.0001, 0.05), 2)
#: Standard deviations by which the targets are lowered, from the easiest promise to the whole.
LOWERED = np.round(np.arange(1.0, -0.0001, -0.02), 2)


class Outcome(StrEnum):
    """What the walk came to."""

    CERTIFIED = "certified"
    LOWERED = "lowered"
    NOTHING = "nothing"


@dataclass(frozen=True, eq=False)
class Certificate:
    """What new prompts show about a palette; levels in standard deviations above the base level.

    Args:
        outcome: every target is shown, lower ones are, or not even targets that are one deviation lower.
        level: 1 - alpha, the probability that nothing false is shown.
        over_base: levels are gains over the base model on the same prompts, and targets gains over its level.
        any_mix: nats; levels of targets that are of no cohort are those under the worst mix of prompts within it.
        prompts: new prompts that were bet on.
        candidates: K.
        targets: (value,) as solved for, NaN for a free value.
        promised: (value,) what is shown, NaN for a free value and where nothing is.
        lowered: standard deviations between the two of the target that is lowered most; NaN where nothing is shown.
        factor: of the solution's weights, at which it is shown; where the walk began if nothing is.
        first_factor: where the walk began.
        weights: (value,) x at ``factor``.
        kl: nats at ``factor`` on the solved-on prompts.
        forecast: (value,) levels there on the solved-on prompts.
        measured: (value,) levels there on the new prompts.
        log_evidence: (value,) log of the largest capital there, against what is promised (or the whole targets, where
            nothing is); NaN for a free value.
        prompts_needed: about how many new prompts would show every target where the walk began; infinite where the new
            prompts' levels miss one.
        hardest: the position of the target that needs most of them.
        clipped: how many of the new prompts' levels were raised to the lowest end.
        nearest_instead: the targets are those of the nearest palette, since what was asked for is not possible.
    """

    outcome: Outcome
    level: float
    over_base: bool
    any_mix: float
    prompts: int
    candidates: int
    targets: np.ndarray
    promised: np.ndarray
    lowered: float
    factor: float
    first_factor: float
    weights: np.ndarray
    kl: float
    forecast: np.ndarray
    measured: np.ndarray
    log_evidence: np.ndarray
    prompts_needed: float
    hardest: int
    clipped: int
    nearest_instead: bool = False

    def in_units_of(self, own: Oracle, other: Oracle) -> Certificate:
        """Return the certificate with the standard deviations and base levels of another table of the same values."""

        def converted(levels: np.ndarray) -> np.ndarray:
            return other.standardise(own.rewards_at(levels))

        return replace(
            self,
            targets=converted(self.targets),
            promised=converted(self.promised),
            forecast=converted(self.forecast),
            measured=converted(self.measured),
            weights=self.weights / own.scale * other.scale,
        )

    def described(self, oracle: Oracle) -> dict[str, Any]:
        """Return plain JSON values, in reward units and full precision; gains are over the base level.

        Args:
            oracle: in whose units the certificate is.
        """

        def named(numbers: np.ndarray) -> dict[str, float]:
            return {name: float(n) for name, n in zip(oracle.values, numbers, strict=True) if not math.isnan(n)}

        return {
            "outcome": self.outcome.value,
            "level": self.level,
            "over_base": self.over_base,
            "any_mix": self.any_mix or None,
            "prompts": self.prompts,
            "candidates": self.candidates,
            "nearest_instead": self.nearest_instead,
            "targets": named(oracle.rewards_at(self.targets)),
            "promised": named(oracle.rewards_at(self.promised)),
            "lowered": None if math.isnan(self.lowered) else self.lowered,
            "factor": self.factor,
            "first_factor": self.first_factor,
            "weights": named(self.weights / oracle.scale),
            "kl": self.kl,
            "forecast": named(oracle.rewards_at(self.forecast)),
            "measured": named(oracle.rewards_at(self.measured)),
            "base": named(oracle.base),
            "log_evidence": {name: min(number, 1e9) for name, number in named(self.log_evidence).items()},
            "hardest": oracle.values[self.hardest],
            "prompts_needed": self.prompts_needed if math.isfinite(self.prompts_needed) else None,
            "clipped": self.clipped,
        }


def certify(
    oracle: Oracle,
    seen: PromptSample,
    new: PromptSample,
    weights: np.ndarray,
    targets: np.ndarray,
    *,
    level: float = 0.95,
    over_base: bool = False,
    strict: bool = False,
    any_mix: float = 0.0,
    seed: int = 0,
) -> Certificate:
    """Walk along the ray of weights and return what new prompts show.

    Args:
        oracle: of the prompts solved on, for K candidates; with ``seen`` and ``new`` from
            :func:`map_core.confidence.prompt_samples.table_samples`.
        seen: the prompts solved on.
        new: the others.
        weights: (value,) x that reach the targets on the former.
        targets: (value,) d in standard deviations above base, NaN for a free value; at least one.
        level: 1 - alpha.
        over_base: promise gains over the base model on the same prompts, which vary far less from prompt to prompt.
        strict: clip at the lowest reward of a reply and not at the lowest level of a prompt.
        any_mix: nats; promise every target that is of no cohort under each mix of prompts that is no further.
        seed: of the order in which the new prompts are looked at.

    Raises:
        InputError: no target, or a level that is not between 0 and 1.
    """
    targets, weights = oracle.deviations(targets), np.asarray(weights, dtype=np.float64)
    targeted = np.flatnonzero(~np.isnan(targets))
    if not len(targeted) or not 0.0 < level < 1.0:
        raise InputError(f"There are {len(targeted)} targets and the level is {level}; expected one, and 0 to 1.")
    walk = _Walk(seen, new, weights, targets, targeted, 1.0 - level, over_base, strict, seed, any_mix)
    first = walk.best_factor
    factor, lowered = first, math.nan
    for point in [(first, d) for d in LOWERED] + [(f, 0.0) for f in FACTORS[first > FACTORS][::-1]]:
        if not walk.shown(*point):
            break
        factor, lowered = point
    outcome = Outcome.NOTHING if math.isnan(lowered) else Outcome.LOWERED if lowered > 0 else Outcome.CERTIFIED
    full = np.full(len(targets), np.nan)
    evidence, promised, needed = full.copy(), full.copy(), walk.prompts_needed(first)
    promised[targeted] = walk.lowered(lowered)
    evidence[targeted] = walk.log_evidence(factor, 0.0 if math.isnan(lowered) else lowered)
    x = factor * weights
    return Certificate(
        outcome=outcome,
        level=level,
        over_base=over_base,
        any_mix=any_mix,
        prompts=len(new.mass),
        candidates=new.candidates,
        targets=targets,
        promised=promised,
        lowered=lowered,
        factor=factor,
        first_factor=first,
        weights=x,
        kl=oracle.moments(x).kl(x),
        forecast=walk.mean(seen, factor),
        measured=walk.mean(new, factor),
        log_evidence=evidence,
        prompts_needed=float(needed.max()),
        hardest=int(targeted[np.argmax(needed)]),
        clipped=walk.clipped(factor),
    )


def certify_targets(
    oracle: Oracle,
    seen: PromptSample,
    new: PromptSample,
    targets: np.ndarray,
    *,
    level: float = 0.95,
    over_base: bool = False,
    strict: bool = False,
    any_mix: float = 0.0,
    seed: int = 0,
) -> Certificate:
    """Solve a palette, or the nearest one where it is not possible, and certify it.

    Args:
        oracle: as for :func:`certify`, and so are the others.
        seen: the prompts solved on.
        new: the others.
        targets: (value,) for :meth:`Oracle.deviations`.
        level: 1 - alpha.
        over_base: promise gains.
        strict: clip at the lowest reward.
        any_mix: nats; promise under other mixes of prompts.
        seed: of the order.

    Raises:
        InputError: see :func:`certify`, or nothing near the palette is possible.
    """
    assessment = assess(oracle, oracle.deviations(targets))
    solution, wanted = assessment.solution, assessment.targets
    if solution is None:
        if assessment.nearest is None:
            raise InputError("Nothing near this palette is possible; ask for less.")
        solution, wanted = assessment.nearest.solution, assessment.nearest.targets
    wanted = wanted.copy()
    wanted[list(seen.planes)] = np.nan
    found = certify(
        oracle,
        seen,
        new,
        solution.weights,
        wanted,
        level=level,
        over_base=over_base,
        strict=strict,
        any_mix=any_mix,
        seed=seed,
    )
    return replace(found, nearest_instead=assessment.solution is None)


def certify_held_out(
    table: RewardTable, oracle: Oracle, targets: np.ndarray, *, over_base: bool = True, any_mix: float = 0.0
) -> Certificate | None:
    """Certify a palette on the prompts that its table holds out, in the units of the table.

    Args:
        table: with its held-out prompts.
        oracle: of the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        over_base: promise gains.
        any_mix: nats; promise under other mixes of prompts.

    Returns:
        The certificate; None without a target, and where the table has nothing to certify on.
    """
    if np.isnan(targets).all() or not can_certify(table, oracle.form):
        return None
    own, seen, new = table_samples(table)
    asked = RewardLevels.of(oracle.rewards_at(targets))
    return certify_targets(own, seen, new, asked, over_base=over_base, any_mix=any_mix).in_units_of(own, oracle)


@dataclass(frozen=True, eq=False)
class _Walk:
    """The numbers of either side along the ray; arrays are (prompt, targeted value)."""

    seen: PromptSample
    new: PromptSample
    weights: np.ndarray
    targets: np.ndarray
    targeted: np.ndarray
    alpha: float
    over_base: bool
    strict: bool
    seed: int
    any_mix: float
    _remembered: dict[tuple[int, float], np.ndarray] = field(default_factory=dict)

    def levels(self, side: PromptSample, factor: float) -> np.ndarray:
        """Return (prompt, value) levels, or gains over the base model plus its mean level on the prompts solved on."""
        levels = self._at(side, factor)
        return levels - self._at(side, 0.0) if self.over_base else levels

    def _at(self, side: PromptSample, factor: float) -> np.ndarray:
        if (place := (id(side), factor)) not in self._remembered:
            self._remembered[place] = side.at(factor * self.weights)
        return self._remembered[place]

    def mean(self, side: PromptSample, factor: float) -> np.ndarray:
        """Return (value,) the mean over prompts, or that under the worst mix of them."""
        levels = self.levels(side, factor)
        means = (side.mass * levels).sum(axis=0) / side.mass.sum(axis=0)
        for j in self.targeted[self._mixed] if self.any_mix else ():
            means[j] = _worst_level(levels[:, j], side.mass[:, j], self.any_mix)[1]
        return np.asarray(means)

    @cached_property
    def _mixed(self) -> np.ndarray:
        """(targeted,) whether a target is to hold under other mixes of prompts; one of a cohort is not."""
        return np.asarray(~np.isin(self.targeted, self.seen.cohorts) & (self.any_mix > 0))

    def _low(self, seen: np.ndarray) -> np.ndarray:
        """Return (targeted,) the end at which levels are clipped, from the prompts solved on."""
        if not self.strict:
            return np.asarray(np.min(seen, axis=0, initial=np.inf, where=self.seen.mass[:, self.targeted] > 0))
        low, high = self.seen.range[:, self.targeted]
        return low - high if self.over_base else low

    @cached_property
    def best_factor(self) -> float:
        """The factor at which the forecast clears its targets best, in standard errors of its worst value."""

        def clearance(factor: float) -> float:
            gaps = self._numbers(factor, 0.0)[0]
            return float(np.min(gaps.mean(axis=0) / np.maximum(gaps.std(axis=0), 1e-9)))

        return float(max(FACTORS, key=clearance))

    @cached_property
    def _clearance(self) -> tuple[np.ndarray, np.ndarray]:
        """(targeted,) by how much the forecast clears each whole target where the walk begins, and its deviation."""
        gaps = self._numbers(self.best_factor, 0.0)[0]
        return gaps.mean(axis=0), np.maximum(gaps.std(axis=0), 1e-9)

    def lowered(self, by: float) -> np.ndarray:
        """Return (targeted,) the targets, the one that is lowered most by so many standard deviations.

        All that are lowered lie below their forecasts by as many standard errors; those that lie further below them
        stay whole.
        """
        targets = self.targets[self.targeted]
        if by == 0.0:
            return targets
        clearance, deviation = self._clearance
        return np.asarray(targets - np.maximum(np.min((by + clearance) / deviation) * deviation - clearance, 0.0))

    def _numbers(self, factor: float, by: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what is bet on: (prompt, targeted) numbers of both sides whose mean is to be above 0, and the room.

        They are v (Y - c); under other mixes of prompts v theta (1 - exp(rho - (Y - c) / theta)), whose mean is above 0
        only if the worst mix has a level above c, whatever theta is.
        """
        seen, new = (self.levels(side, factor)[:, self.targeted] for side in (self.seen, self.new))
        masses = [side.mass[:, self.targeted] for side in (self.seen, self.new)]
        targets, low = self.lowered(by), self._low(seen)
        gaps = [seen - targets, np.maximum(new, low) - targets, (low - targets)[None]]
        for j in np.flatnonzero(self._mixed):
            theta, _ = _worst_level(seen[:, j], masses[0][:, j], self.any_mix)
            for numbers in gaps:
                with np.errstate(over="ignore"):
                    numbers[:, j] = -theta * np.expm1(self.any_mix - numbers[:, j] / theta)
        room = np.maximum(masses[0].max(axis=0), masses[1].max(axis=0)) * np.maximum(-gaps[2][0], 0.0)
        return masses[0] * gaps[0], masses[1] * gaps[1], room

    def log_evidence(self, factor: float, by: float) -> np.ndarray:
        """Return (targeted,) log of the largest capital on the way through the new prompts."""
        seen, gaps, room = self._numbers(factor, by)
        order = np.random.default_rng(self.seed).permutation(len(gaps))
        bets = planned_bet(seen.std(axis=0), room, len(gaps), self.alpha)
        # A target at or below the lowest end is met by every clipped level: there is nothing to bet on.
        return np.where(room > 0, log_capital(gaps[order], bets[None]).max(axis=0), np.inf)

    def shown(self, factor: float, by: float) -> bool:
        """Return whether every value's capital has reached 1 / alpha."""
        return bool(np.all(self.log_evidence(factor, by) >= -math.log(self.alpha)))

    def prompts_needed(self, factor: float) -> np.ndarray:
        """Return (targeted,) about how many new prompts would show each target; infinite where its level misses it."""
        seen, gaps, room = self._numbers(factor, 0.0)
        return np.asarray(np.ceil(numbers_needed(gaps.mean(axis=0), seen.std(axis=0), room, self.alpha)))

    def clipped(self, factor: float) -> int:
        """Return how many levels of the new prompts lie below the end."""
        seen, new = (self.levels(side, factor)[:, self.targeted] for side in (self.seen, self.new))
        return int(np.sum((new < self._low(seen)) & (self.new.mass[:, self.targeted] > 0)))


def _worst_level(levels: np.ndarray, mass: np.ndarray, rho: float) -> tuple[float, float]:
    """Return theta and the level under the worst mix of prompts within rho nats.

    max over theta of -theta log E exp(-m / theta) - theta rho, which every theta bounds from below.
    """
    spread = float(np.ptp(levels))
    if spread == 0.0:
        return 1.0, float(levels[0])
    share, gaps = mass / mass.sum(), levels - levels.min()

    def bound(log_theta: float) -> float:
        theta = spread * math.exp(log_theta)
        return float(theta * (math.log(float(share @ np.exp(-gaps / theta))) + rho))

    best = minimize_scalar(bound, bounds=(-4.0, 8.0), method="bounded")
    return spread * math.exp(best.x), float(levels.min() - best.fun)
