"""A promise that is watched while it is used: kept, in doubt or broken, whenever one looks.

Two sorts of betting tests run on the levels of the requests as they come: one a value that its mean is above the
target, and one on all values together that some mean is below it. Each may be looked at after every request, for as
long as one likes; a verdict that was reached is wrong with probability alpha at most, where requests are like a sample
of one kind.

    kept      every value's own capital has reached 1 / alpha
    broken    the mean over values of the capitals that bet against has: it is one test of "all targets hold"

Constraint: targets and ends are fixed before the first request; levels beyond an end count as that end.

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

#: Bets side by side, as nobody knows by how much a level will lie off, in units of one over its standard deviation; and
#: the share of the first capital that is put on each. The best bet on a gap of g deviations is about g.
BETS, SHARES = np.array([0.8, 0.2, 0.05]), np.array([0.4, 0.4, 0.2])
ALPHA = 0.05


class Standing(StrEnum):
    """How a promise stands."""

    KEPT = "kept"
    IN_DOUBT = "in doubt"
    BROKEN = "broken"


@dataclass(frozen=True, eq=False)
class WatchedTargets:
    """What is promised, by value; fixed for as long as it is watched.

    Args:
        values: names.
        promised: (value,) the levels that are to be kept, in reward units.
        low, high: (value,) ends, below and above them.
        deviation: (value,) standard deviation of a request's level, above 0, as far as it is known before.
    """

    values: tuple[str, ...]
    promised: np.ndarray
    low: np.ndarray
    high: np.ndarray
    deviation: np.ndarray

    def __post_init__(self) -> None:
        if not (np.all(self.low < self.promised) and np.all(self.promised < self.high)):
            raise InputError(f"The ends {self.low} and {self.high} do not lie around {self.promised}.")
        if not np.all(self.deviation > 0):
            raise InputError(f"The standard deviations are {self.deviation}; expected numbers above 0.")

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        columns = zip(self.values, self.promised, self.low, self.high, self.deviation, strict=True)
        return {name: [float(number) for number in row] for name, *row in columns}


@dataclass(eq=False)
class RunningPromise:
    """The capitals of one promise so far. Constraint: one thread at a time.

    Args:
        targets: what is watched.
        requests: how many levels were added.
        total: (value,) their sum.
        above, below: (bet, value) log capital of each bet for and against.
        most_above: (value,) the largest log capital that a value has had.
        most_below: the largest of the mean against.
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
        """Count the levels of one request, (value,) in reward units.

        Raises:
            InputError: one is not finite, or there is not one a value; nothing is counted.
        """
        if np.shape(levels) != self.total.shape or not np.isfinite(levels).all():
            raise InputError(f"The levels are {levels}; expected {self.total.size} finite numbers, one a value.")
        self.requests += 1
        self.total = self.total + levels
        targets, wanted = self.targets, BETS[:, None] / self.targets.deviation
        gaps = np.clip(levels, targets.low, targets.high) - targets.promised
        up, down = (
            np.minimum(wanted, MOST_STAKED / room)
            for room in (targets.promised - targets.low, targets.high - targets.promised)
        )
        self.above = self.above + np.log1p(up * gaps)
        self.below = self.below + np.log1p(-down * gaps)
        self.most_above = np.maximum(self.most_above, _log_capital(self.above))
        self.most_below = max(self.most_below, _log_mean(_log_capital(self.below)))

    @property
    def standing(self) -> Standing:
        """How it stands; a promise that was broken once stays so."""
        if self.most_below >= -math.log(ALPHA):
            return Standing.BROKEN
        return Standing.KEPT if bool(np.all(self.most_above >= -math.log(ALPHA))) else Standing.IN_DOUBT

    def described(self) -> dict[str, Any]:
        """Return how it stands as plain JSON values, in reward units."""
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
        """Return all of it as plain JSON values, for :meth:`restored`."""
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
    def restored(cls, targets: WatchedTargets, kept: Mapping[str, Any] | None) -> RunningPromise:
        """Return what was kept of the same targets; a new one where they have changed or it cannot be gone on with."""
        new = cls(targets)
        if not isinstance(kept, Mapping) or kept.get("targets") != targets.as_dict():
            return new
        try:
            arrays = {name: np.array(kept[name], dtype=float) for name in ("total", "above", "below", "most_above")}
            requests, most_below = int(kept["requests"]), float(kept["most_below"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return new
        whole = all(array.shape == getattr(new, name).shape for name, array in arrays.items())
        if not (whole and math.isfinite(most_below) and all(np.isfinite(array).all() for array in arrays.values())):
            return new
        return cls(targets, requests, **arrays, most_below=most_below)


def _log_capital(logs: np.ndarray) -> np.ndarray:
    """Return (value,) log capital of (bet, value) log factors."""
    return np.asarray(np.logaddexp.reduce(logs + np.log(SHARES)[:, None], axis=0))


def _log_mean(logs: np.ndarray) -> float:
    return float(np.logaddexp.reduce(logs) - math.log(logs.size))
