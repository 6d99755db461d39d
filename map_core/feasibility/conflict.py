"""Which targets conflict: the smallest set that is not attainable.

Every conflict has a member outside each set of targets that are attainable together. So of the sets that hit all such
complements found so far, a smallest one is the conflict sought as soon as it is not attainable itself; while it is, it
gives another complement. Constraint: each step is a margin with its certificate; the answer says whether it is proven.

Source: Ignatiev, Previti, Liffiton and Marques-Silva, "Smallest MUS extraction with minimal hitting set dualization",
2015; deletion filter in Chinneck and Dravnieks, "Locating minimal infeasible constraint sets in linear programs", 1991.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from map_core.feasibility.margin import MARGIN_TOLERANCE, AttainableLevels, Margin, checked_targets

#: Margins that the search for the smallest conflict may take; then it settles for an irreducible one.
MAX_CHECKS = 400


@dataclass(frozen=True, eq=False)
class Conflict:
    """Targets that are not attainable together, while all of them but any one are.

    Args:
        members: positions of the values.
        highest: (value,) the level that each member can have when the other members keep their targets, in standard
            deviations above base; NaN for values outside the conflict.
        resolves: (value,) bool: the whole palette is attainable once this target alone is lowered far enough.
        smallest: no fewer targets conflict, which is proven; else only that none of these can be left out.
    """

    members: tuple[int, ...]
    highest: np.ndarray
    resolves: np.ndarray
    smallest: bool


def smallest_conflict(
    attainable: AttainableLevels, targets: np.ndarray, max_checks: int = MAX_CHECKS
) -> Conflict | None:
    """Find the smallest set of targets that are not attainable together, and what relaxing each of them gives.

    Args:
        attainable: the attainable levels of the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        max_checks: most margins for the search; beyond them the conflict is irreducible, and not proven smallest.

    Returns:
        The conflict; None when the palette is attainable.

    Raises:
        InputError: a target is infinite, or there is not one entry a value.
    """
    targets = checked_targets(attainable.oracle, targets)
    margin = attainable.margin(targets)
    if margin.attainable:
        return None
    members, smallest = _Search(attainable, targets, max_checks).run(margin)
    highest, resolves = np.full(len(targets), np.nan), np.zeros(len(targets), dtype=bool)
    member_targets = np.where(members, targets, np.nan)
    for j in np.flatnonzero(members):
        highest[j] = attainable.highest(member_targets, int(j))
        without = targets.copy()
        without[j] = np.nan
        resolves[j] = attainable.margin(without).attainable
    return Conflict(tuple(int(j) for j in np.flatnonzero(members)), highest, resolves, smallest)


class _Search:
    """The search for a smallest conflict among targets that are not attainable together."""

    def __init__(self, attainable: AttainableLevels, targets: np.ndarray, max_checks: int) -> None:
        self._attainable, self._targets, self._left = attainable, targets, max_checks
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
            if self._left <= 0:
                return members, False
            candidate_margin = self._margin(candidate)
            if not candidate_margin.attainable:
                return candidate, True
            complements.append(self._targeted & ~self._maximal_attainable(candidate, candidate_margin))
        return members, True

    def _margin(self, chosen: np.ndarray) -> Margin:
        self._left -= 1
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
        """Add targets to these one after another while all of them are attainable together."""
        met = chosen
        for j in np.flatnonzero(self._targeted):
            # Targets that the last mix of replies meets as well need no program of their own.
            met = met | (self._targeted & (margin.levels >= self._targets - MARGIN_TOLERANCE / 2))
            if not met[j] and self._left > 0:
                larger = self._margin(met | self._each[j])
                if larger.attainable:
                    met, margin = met | self._each[j], larger
        return met


def _hitting_set(candidates: np.ndarray, sets: list[np.ndarray]) -> np.ndarray:
    """Return (value,) bool, a minimum hitting set: the fewest of these values of which each set has one."""
    solution = milp(
        np.ones(len(candidates)),
        integrality=np.ones(len(candidates), dtype=int),
        bounds=Bounds(0, candidates.astype(float)),
        constraints=LinearConstraint(np.array([candidates, *sets], dtype=float), lb=1.0),
    )
    return np.asarray(solution.x) > 0.5
