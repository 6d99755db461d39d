"""Find the smallest set of targets that is not attainable.

Every conflict has a member outside each set of targets that are attainable together, so it hits the complements of all
such sets. The algorithm computes a minimum hitting set of the complements known so far: if it is not attainable it is a
smallest conflict, otherwise it gives another complement. Constraint: each step is a margin with its certificate; the
result says whether it is proven smallest.

Source: Ignatiev, Previti, Liffiton and Marques-Silva, "Smallest MUS extraction with minimal hitting set dualization",
2015; deletion filter in Chinneck and Dravnieks, "Locating minimal infeasible constraint sets in linear programs", 1991.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from map_core.feasibility.margin import MARGIN_TOLERANCE, AttainableLevels, Margin, checked_targets

#: Maximum number of margins that the search computes; then it returns an irreducible conflict.
MAX_CHECKS = 400


@dataclass(frozen=True, eq=False)
class Conflict:
    """Targets that are not attainable together, though they are without any one of them.

    Args:
        members: positions of the values.
        highest: (value,) the highest level of each member when the other members keep their targets, in standard
            deviations above base; NaN for values outside the conflict.
        resolves: (value,) bool, whether the whole palette becomes attainable when this target alone is lowered.
        smallest: whether it is proven that no fewer targets conflict; else only that no member can be left out.
    """

    members: tuple[int, ...]
    highest: np.ndarray
    resolves: np.ndarray
    smallest: bool


def smallest_conflict(
    attainable: AttainableLevels, targets: np.ndarray, max_checks: int = MAX_CHECKS
) -> Conflict | None:
    """Find the smallest set of targets that are not attainable together, and the effect of relaxing each of them.

    Args:
        attainable: the attainable levels of the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        max_checks: maximum number of margins; if they do not suffice the conflict is irreducible, not proven smallest.

    Returns:
        The conflict; None when the palette is attainable.

    Raises:
        InputError: a target is infinite, or there is not one entry per value.
    """
    targets = checked_targets(attainable.oracle, targets)
    margin = attainable.margin(targets)
    if margin.attainable:
        return None
    members, smallest = _ConflictSearch(attainable, targets, max_checks).run(margin)
    highest, resolves = np.full(len(targets), np.nan), np.zeros(len(targets), dtype=bool)
    member_targets = np.where(members, targets, np.nan)
    for j in np.flatnonzero(members):
        highest[j] = attainable.highest(member_targets, int(j))
        without = targets.copy()
        without[j] = np.nan
        resolves[j] = attainable.margin(without).attainable
    return Conflict(tuple(int(j) for j in np.flatnonzero(members)), highest, resolves, smallest)


class _ConflictSearch:
    """The search for a smallest conflict among targets that are not attainable together."""

    def __init__(self, attainable: AttainableLevels, targets: np.ndarray, max_checks: int) -> None:
        self._attainable, self._targets, self._checks_left = attainable, targets, max_checks
        self._targeted = ~np.isnan(targets)
        self._each = np.eye(len(targets), dtype=bool)

    def run(self, margin: Margin) -> tuple[np.ndarray, bool]:
        """Return (value,) bool members of a conflict, and whether it is proven that none is smaller."""
        members = self._irreducible(margin)
        complements: list[np.ndarray] = []
        while members.sum() > 1:
            candidate = _hitting_set(self._targeted, complements)
            if candidate.sum() == members.sum():
                break
            if self._checks_left <= 0:
                return members, False
            candidate_margin = self._margin(candidate)
            if not candidate_margin.attainable:
                return candidate, True
            complements.append(self._targeted & ~self._maximal_attainable(candidate, candidate_margin))
        return members, True

    def _margin(self, chosen: np.ndarray) -> Margin:
        self._checks_left -= 1
        return self._attainable.margin(np.where(chosen, self._targets, np.nan))

    def _irreducible(self, margin: Margin) -> np.ndarray:
        """Return an irreducible conflict by the deletion filter: each member is left out once."""
        members = margin.certificate > 0
        for j in np.flatnonzero(members):
            if members[j]:
                rest = self._margin(members & ~self._each[j])
                members = members if rest.attainable else rest.certificate > 0
        return members

    def _maximal_attainable(self, chosen: np.ndarray, margin: Margin) -> np.ndarray:
        """Extend an attainable set of targets to a maximal one by adding targets one after another."""
        met = chosen
        for j in np.flatnonzero(self._targeted):
            # Targets that the last mix of replies already meets need no further linear program.
            met = met | (self._targeted & (margin.levels >= self._targets - MARGIN_TOLERANCE / 2))
            if not met[j] and self._checks_left > 0:
                larger = self._margin(met | self._each[j])
                if larger.attainable:
                    met, margin = met | self._each[j], larger
        return met


def _hitting_set(candidates: np.ndarray, sets: list[np.ndarray]) -> np.ndarray:
    """Return (value,) bool, a minimum hitting set: the fewest candidates such that each set contains one of them."""
    solution = milp(
        np.ones(len(candidates)),
        integrality=np.ones(len(candidates), dtype=int),
        bounds=Bounds(0, candidates.astype(float)),
        constraints=LinearConstraint(np.array([candidates, *sets], dtype=float), lb=1.0),
    )
    return np.asarray(solution.x) > 0.5
