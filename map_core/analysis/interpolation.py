"""Interpolation between two palettes: what each mixture of their targets gives and costs.

    d(t) = (1 - t) a + t b        in standard deviations above base, 0 <= t <= 1

Where only one palette has a target for a value, the other one's realised level stands in as its target, so that a
mixture moves every level evenly; at t = 0 and t = 1 the palettes are unchanged. The attainable set and the cost are
convex: a mixture of two attainable palettes is attainable, and costs at most the mixture of their costs,
KL(d(t)) <= (1 - t) KL(a) + t KL(b).

Constraint: numbers in, frozen results out; one table, so both palettes are of the same use case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from map_core.analysis.generation_weights import effective_solution
from map_core.core.types import Verdict
from map_core.errors import InputError
from map_core.feasibility import Assessment, checked_targets
from map_core.oracle import Oracle


@dataclass(frozen=True, eq=False)
class PalettePair:
    """The two palettes at the ends of an interpolation.

    Args:
        first: assessment at share 0.
        second: assessment at share 1.
    """

    first: Assessment
    second: Assessment

    def targets(self, share: float) -> np.ndarray:
        """Return (value,) targets of the mixture, in standard deviations above base, NaN where neither has one.

        Args:
            share: t, of the second one, 0 to 1.

        Raises:
            InputError: the share lies outside.
        """
        if not 0 <= share <= 1:
            raise InputError(f"The share of the second palette is {share}; expected a number from 0 to 1.")
        if share in (0, 1):
            return (self.second if share else self.first).targets
        a, b = self._completed
        return (1 - share) * a + share * b

    def key(self) -> tuple[bytes, ...]:
        """Return a key of the mixtures: pairs with equal keys have the same ones.

        Targets alone do not decide: an end that is out of reach is completed by its nearest palette, which depends on
        locks.
        """
        return tuple(ends.tobytes() for ends in (self.first.targets, self.second.targets, *self._completed))

    @cached_property
    def _completed(self) -> tuple[np.ndarray, np.ndarray]:
        return _completed_targets(self.first, self.second), _completed_targets(self.second, self.first)


@dataclass(frozen=True, eq=False)
class Interpolation:
    """The mixtures at increasing shares.

    Args:
        shares: (point,) of the second palette, rising from 0 to 1.
        targets: (point, value) in standard deviations above base, NaN for free values.
        verdicts: one per point.
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
    """Assess the mixtures between two palettes.

    Args:
        oracle: the table.
        ends: both palettes.
        assess: returns the assessment of (value,) targets.
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
        assessment = assess(checked_targets(oracle, targets[point]))
        verdicts.append(assessment.verdict)
        if assessment.solution is not None:
            levels[point], kl[point] = assessment.solution.levels, assessment.solution.kl
    return Interpolation(shares, targets, tuple(verdicts), levels, kl)


def _completed_targets(palette: Assessment, other: Assessment) -> np.ndarray:
    """Return the targets of one palette, with its realised levels where only the other has a target."""
    solution = effective_solution(palette)
    realised = np.zeros(len(palette.targets)) if solution is None else solution.levels
    return np.where(np.isnan(palette.targets) & ~np.isnan(other.targets), realised, palette.targets)
