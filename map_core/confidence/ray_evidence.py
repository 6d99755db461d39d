"""What prompts show about the points of a ray of weights, value by value: levels, clearances and betting tests.

:mod:`map_core.confidence.certify` says in which order the points are tested, and why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.optimize import minimize_scalar

from map_core.confidence.betting import log_capital, numbers_needed, planned_bet
from map_core.confidence.prompt_samples import PromptSample

#: Weights on the ray, as factors of the solution's.
FACTORS = np.round(np.arange(0.0, 2.0001, 0.05), 2)


@dataclass(frozen=True, eq=False)
class RayEvidence:
    """The numbers of both samples along the ray; arrays are (prompt, targeted value).

    Args:
        seen: the prompts solved on.
        new: the others.
        weights: (value,) x at factor 1.
        targets: (value,) in standard deviations above base, NaN for a free value.
        targeted: positions of the values that have a target.
        alpha: the probability of error.
        over_base: levels are gains over the base model on the same prompts.
        strict: clip at the lowest reward of a reply and not at the lowest level of a prompt.
        seed: of the order in which the new prompts are bet on.
        any_mix: nats; targets that are of no cohort are to hold under each mix of prompts that is no further.
    """

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
    _cached: dict[tuple[int, float], np.ndarray] = field(default_factory=dict)

    def levels(self, side: PromptSample, factor: float) -> np.ndarray:
        """Return (prompt, value) levels, or gains over the base model plus its mean level on the prompts solved on."""
        levels = self._at(side, factor)
        return levels - self._at(side, 0.0) if self.over_base else levels

    def _at(self, side: PromptSample, factor: float) -> np.ndarray:
        if (key := (id(side), factor)) not in self._cached:
            self._cached[key] = side.at(factor * self.weights)
        return self._cached[key]

    def mean(self, side: PromptSample, factor: float) -> np.ndarray:
        """Return (value,) the mean over prompts, or that under the worst mix of them."""
        levels = self.levels(side, factor)
        means = (side.mass * levels).sum(axis=0) / side.mass.sum(axis=0)
        for j in self.targeted[self._mixed] if self.any_mix else ():
            means[j] = worst_level(levels[:, j], side.mass[:, j], self.any_mix)[1]
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
        """(targeted,) by how much the forecast clears each whole target where the tests begin, and its deviation."""
        gaps = self._numbers(self.best_factor, 0.0)[0]
        return gaps.mean(axis=0), np.maximum(gaps.std(axis=0), 1e-9)

    def lowered(self, by: float) -> np.ndarray:
        """Return (targeted,) the targets, the one that is lowered most by so many standard deviations.

        The lowered ones lie equally many standard errors below their forecasts; those further below stay whole.
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
            theta, _ = worst_level(seen[:, j], masses[0][:, j], self.any_mix)
            for numbers in gaps:
                with np.errstate(over="ignore"):
                    numbers[:, j] = -theta * np.expm1(self.any_mix - numbers[:, j] / theta)
        room = np.maximum(masses[0].max(axis=0), masses[1].max(axis=0)) * np.maximum(-gaps[2][0], 0.0)
        return masses[0] * gaps[0], masses[1] * gaps[1], room

    def log_evidence(self, factor: float, by: float) -> np.ndarray:
        """Return (targeted,) log of the largest capital over the new prompts."""
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
        """Return how many levels of the new prompts are clipped."""
        seen, new = (self.levels(side, factor)[:, self.targeted] for side in (self.seen, self.new))
        return int(np.sum((new < self._low(seen)) & (self.new.mass[:, self.targeted] > 0)))


def worst_level(levels: np.ndarray, mass: np.ndarray, rho: float) -> tuple[float, float]:
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
