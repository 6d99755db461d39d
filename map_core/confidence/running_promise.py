"""Test a promise continuously while requests come in: it is kept, in doubt or broken.

Two kinds of betting tests run on the levels of the requests: one per value that its mean is above the target, and one
over all values that some mean is below it. The result may be read after every request, for any length of time; a
verdict is wrong with probability at most alpha, provided that the requests are a sample of one distribution.

    kept      every value's own capital has reached 1 / alpha
    broken    the mean over values of the capitals that bet against has reached it: one test of "all targets hold"

Constraint: targets and ends are fixed before the first request; levels beyond an end are clipped to it.

Source: docs/promises.md; Waudby-Smith and Ramdas, arXiv 2010.09686; the mean of e-values: Vovk and Wang, "E-values:
calibration, combination and applications", Annals of Statistics 2021.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from map_core.confidence.betting import MOST_STAKED
from map_core.errors import InputError

#: Several bets, since the gap is not known in advance, in units of one over the standard deviation; and the share of
#: the initial capital on each. The best bet on a gap of g standard deviations is about g.
BETS, SHARES = np.array([0.8, 0.2, 0.05]), np.array([0.4, 0.4, 0.2])
ALPHA = 0.05


class Standing(StrEnum):
    """The verdict on a promise so far."""

    KEPT = "kept"
    IN_DOUBT = "in doubt"
    BROKEN = "broken"


@dataclass(frozen=True, eq=False)
class WatchedTargets:
    """The promised levels, fixed before the first request.

    Args:
        values: names.
        promised: (value,) the promised levels, in reward units.
        low, high: (value,) ends at which levels are clipped, below and above the promised ones.
        deviation: (value,) prior estimate of the standard deviation of a request's level, above 0.
    """

    values: tuple[str, ...]
    promised: np.ndarray
    low: np.ndarray
    high: np.ndarray
    deviation: np.ndarray

    def __post_init__(self) -> None:
        if not (np.all(self.low < self.promised) and np.all(self.promised < self.high)):
            raise InputError(
                f"The ends are {self.low} and {self.high}; expected numbers below and above the promised levels "
                f"{self.promised}."
            )
        if not np.all(self.deviation > 0):
            raise InputError(f"The standard deviations are {self.deviation}; expected numbers above 0.")

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        columns = zip(self.values, self.promised, self.low, self.high, self.deviation, strict=True)
        return {name: [float(number) for number in row] for name, *row in columns}


@dataclass(eq=False)
class RunningPromise:
    """The capitals of the tests of one promise. Constraint: not thread-safe.

    Args:
        targets: the promised levels.
        requests: number of requests so far.
        total: (value,) their sum.
        above, below: (bet, value) log capital of each bet for and against.
        most_above: (value,) the largest log capital of each value so far.
        most_below: the largest log of the mean capital against so far.
    """

    targets: WatchedTargets
    requests: int = 0
    total: np.ndarray = field(default_factory=lambda: np.empty(0))
    above: np.ndarray = field(default_factory=lambda: np.empty(0))
    below: np.ndarray = field(default_factory=lambda: np.empty(0))
    most_above: np.ndarray = field(default_factory=lambda: np.empty(0))
    most_below: float = 0.0

    def __post_init__(self) -> None:
        size = len(self.targets.values)
        if not self.total.size:
            self.total, self.most_above = np.zeros(size), np.zeros(size)
            self.above, self.below = np.zeros((len(BETS), size)), np.zeros((len(BETS), size))

    def add(self, levels: np.ndarray) -> None:
        """Add the levels of one request, (value,) in reward units.

        Raises:
            InputError: a level is not finite, or the number of levels is wrong; nothing is added.
        """
        if np.shape(levels) != self.total.shape or not np.isfinite(levels).all():
            raise InputError(f"The levels are {levels}; expected {self.total.size} finite numbers, one per value.")
        self.requests += 1
        self.total = self.total + levels
        targets, bets = self.targets, BETS[:, None] / self.targets.deviation
        gaps = np.clip(levels, targets.low, targets.high) - targets.promised
        bets_above = np.minimum(bets, MOST_STAKED / (targets.promised - targets.low))
        bets_below = np.minimum(bets, MOST_STAKED / (targets.high - targets.promised))
        self.above = self.above + np.log1p(bets_above * gaps)
        self.below = self.below + np.log1p(-bets_below * gaps)
        self.most_above = np.maximum(self.most_above, _log_capital(self.above))
        self.most_below = max(self.most_below, _log_mean(_log_capital(self.below)))

    @property
    def standing(self) -> Standing:
        """The verdict so far; a promise that was broken once stays broken."""
        if self.most_below >= -math.log(ALPHA):
            return Standing.BROKEN
        return Standing.KEPT if bool(np.all(self.most_above >= -math.log(ALPHA))) else Standing.IN_DOUBT

    def described(self) -> dict[str, Any]:
        """Return the verdict, means and evidence as plain JSON values, in reward units."""
        means = self.total / self.requests if self.requests else np.full(len(self.total), np.nan)
        columns = zip(self.targets.values, self.targets.promised, means, self.most_above, strict=True)
        return {
            "verdict": self.standing.value,
            "requests": self.requests,
            "values": {
                name: {
                    "promised": float(promised),
                    "mean": float(mean) if self.requests else None,
                    "evidence_kept": float(np.exp(min(evidence, 700.0))),
                }
                for name, promised, mean, evidence in columns
            },
            "evidence_broken": float(np.exp(min(self.most_below, 700.0))),
            "evidence_needed": 1.0 / ALPHA,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the whole state as plain JSON values, for :meth:`restored`."""
        return {
            "targets": self.targets.as_dict(),
            "requests": self.requests,
            "total": self.total.tolist(),
            "above": self.above.tolist(),
            "below": self.below.tolist(),
            "most_above": self.most_above.tolist(),
            "most_below": self.most_below,
        }

    @classmethod
    def restored(cls, targets: WatchedTargets, state: Mapping[str, Any] | None) -> RunningPromise:
        """Restore the state of :meth:`as_dict`; start from zero if the targets changed or the state is invalid."""
        new = cls(targets)
        if not isinstance(state, Mapping) or state.get("targets") != targets.as_dict():
            return new
        try:
            arrays = {name: np.array(state[name], dtype=float) for name in ("total", "above", "below", "most_above")}
            requests, most_below = int(state["requests"]), float(state["most_below"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return new
        valid = all(
            array.shape == getattr(new, name).shape and np.isfinite(array).all() for name, array in arrays.items()
        )
        if not (valid and math.isfinite(most_below)):
            return new
        return cls(targets, requests, **arrays, most_below=most_below)


def _log_capital(logs: np.ndarray) -> np.ndarray:
    """Return (value,) log capital of (bet, value) log factors."""
    return np.asarray(np.logaddexp.reduce(logs + np.log(SHARES)[:, None], axis=0))


def _log_mean(logs: np.ndarray) -> float:
    return float(np.logaddexp.reduce(logs) - math.log(logs.size))
