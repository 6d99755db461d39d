"""Between two palettes: what each mixture of their targets would give and cost.

    d(t) = (1 - t) a + t b        in standard deviations above base, 0 <= t <= 1

A value that only one of the two asks for is asked of the other as well, at the level that it gives unasked, so that a
mixture moves every level evenly; at the ends themselves the palettes are as they are. What can be had is convex and so
is its cost: a mixture of two palettes that can be had can be had, for at most the mixture of both costs,
KL(d(t)) <= (1 - t) KL(a) + t KL(b).

Constraint: numbers in, frozen results out; one table, so both palettes are of the same use case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from map_core.analysis.generation_weights import effective_solution
from map_core.core.types import Verdict
from map_core.errors import InputError
from map_core.feasibility import Assessment, checked_targets
from map_core.oracle import Oracle


@dataclass(frozen=True, eq=False)
class PalettePair:
    """Two palettes that are blended.

    Args:
        first, second: what is said of each.
    """

    first: Assessment
    second: Assessment

    def targets(self, share: float) -> np.ndarray:
        """(value,) targets of the mixture, in standard deviations above base, NaN for what neither asks for.

        Args:
            share: t, of the second one, 0 to 1.

        Raises:
            InputError: the share lies outside.
        """
        if not 0 <= share <= 1:
            raise InputError(f"The share of the second palette is {share}; expected a number from 0 to 1.")
        if share in (0, 1):
            return (self.second if share else self.first).targets
        a, b = _asked(self.first, self.second), _asked(self.second, self.first)
        return (1 - share) * a + share * b


@dataclass(frozen=True, eq=False)
class Interpolation:
    """The mixtures along the way.

    Args:
        shares: (point,) of the second palette, rising from 0 to 1.
        targets: (point, value) in standard deviations above base, NaN for free values.
        verdicts: one a point.
        levels: (point, value) realised, NaN where the mixture is out of reach.
        kl: (point,) nats, NaN where it is out of reach.
    """

    shares: np.ndarray
    targets: np.ndarray
    verdicts: tuple[Verdict, ...]
    levels: np.ndarray
    kl: np.ndarray


def interpolate(
    oracle: Oracle,
    ends: PalettePair,
    assess: Callable[[np.ndarray], Assessment],
    points: int = 21,
    check: Callable[[], None] = lambda: None,
) -> Interpolation:
    """What lies between two palettes.

    Args:
        oracle: the table.
        ends: both palettes.
        assess: the verdict on (value,) targets.
        points: mixtures, both ends among them.
        check: called between two of them; may raise to stop.

    Raises:
        InputError: fewer than 2 points.
    """
    if points < 2:
        raise InputError(f"The blend has {points} points; expected 2 or more.")
    shares = np.linspace(0.0, 1.0, points)
    targets = np.array([ends.targets(float(share)) for share in shares])
    verdicts = []
    levels, kl = np.full_like(targets, np.nan), np.full(points, np.nan)
    for point in range(points):
        check()
        found = assess(checked_targets(oracle, targets[point]))
        verdicts.append(found.verdict)
        if found.solution is not None:
            levels[point], kl[point] = found.solution.levels, found.solution.kl
    return Interpolation(shares, targets, tuple(verdicts), levels, kl)


def _asked(one: Assessment, other: Assessment) -> np.ndarray:
    """The targets of one palette, with the levels that it gives unasked where only the other asks."""
    speaks = effective_solution(one)
    unasked = np.zeros(len(one.targets)) if speaks is None else speaks.levels
    return np.where(np.isnan(one.targets) & ~np.isnan(other.targets), unasked, one.targets)
