"""What new prompts show about a palette: targets that hold, with a probability of error.

:mod:`map_core.confidence.certify` makes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from map_core.core import amounts
from map_core.oracle import Oracle


class Outcome(StrEnum):
    """The result of the sequence of tests."""

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
        factor: of the solution's weights, at which it is shown; where the tests began if nothing is.
        first_factor: where the tests began.
        weights: (value,) x at ``factor``.
        kl: nats at ``factor`` on the solved-on prompts.
        forecast: (value,) levels there on the solved-on prompts.
        measured: (value,) levels there on the new prompts.
        log_evidence: (value,) log of the largest capital there, against what is promised (or the whole targets, where
            nothing is); NaN for a free value.
        prompts_needed: about how many new prompts would show every target where the tests began; infinite where the new
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
            oracle: whose units the certificate is in.
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
            "lowered": amounts.finite(self.lowered),
            "factor": self.factor,
            "first_factor": self.first_factor,
            "weights": named(self.weights / oracle.scale),
            "kl": self.kl,
            "forecast": named(oracle.rewards_at(self.forecast)),
            "measured": named(oracle.rewards_at(self.measured)),
            "base": named(oracle.base),
            "log_evidence": {name: min(number, 1e9) for name, number in named(self.log_evidence).items()},
            "hardest": oracle.values[self.hardest],
            "prompts_needed": amounts.finite(self.prompts_needed),
            "clipped": self.clipped,
        }
