"""Which targets stand in each other's way: the smallest set that cannot be had together.

Every conflict has a member outside each set of targets that can be had together. So of the sets that hit all such
complements found so far, a smallest one is the conflict sought as soon as it cannot be had itself; while it can, it
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
    """Targets that cannot be had together, though any of them can be left out and the rest be had.

    Args:
        members: positions of the values.
        highest: (value,) the level that each member can have when the other members keep their targets, in standard
            deviations above base; NaN for values outside the conflict.
        resolves: (value,) bool: the whole palette can be had once this target alone is lowered far enough.
        smallest: no fewer targets conflict, which is proven; else only that none of these can be left out.
    """

    members: tuple[int, ...]
    highest: np.ndarray
    resolves: np.ndarray
    smallest: bool


def smallest_conflict(
    attainable: AttainableLevels, targets: np.ndarray, max_checks: int = MAX_CHECKS
) -> Conflict | None:
    """The smallest set of targets that cannot be had together, and what relaxing each of them would give.

    Args:
        attainable: the levels that can be had.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        max_checks: most margins for the search; beyond them the conflict is irreducible, and not proven smallest.

    Returns:
        The conflict; None when the palette can be had.

    Raises:
        InputError: a target is infinite, or there is not one entry a value.
    """
    targets = checked_targets(attainable.oracle, targets)
    edge = attainable.margin(targets)
    if edge.attainable:
        return None
    members, smallest = _Search(attainable, targets, max_checks).run(edge)
    highest, resolves = np.full(len(targets), np.nan), np.zeros(len(targets), dtype=bool)
    among = np.where(members, targets, np.nan)
    for j in np.flatnonzero(members):
        highest[j] = attainable.highest(among, int(j))
        without = targets.copy()
        without[j] = np.nan
        resolves[j] = attainable.margin(without).attainable
    return Conflict(tuple(int(j) for j in np.flatnonzero(members)), highest, resolves, smallest)


class _Search:
    """The search for a smallest conflict among targets that cannot be had together."""

    def __init__(self, attainable: AttainableLevels, targets: np.ndarray, max_checks: int) -> None:
        self._attainable, self._targets, self._left = attainable, targets, max_checks
        self._asked = ~np.isnan(targets)
        self._each = np.eye(len(targets), dtype=bool)

    def run(self, edge: Margin) -> tuple[np.ndarray, bool]:
        """(value,) bool members of a conflict, and whether it is proven that none is smaller."""
        members = self._irreducible(edge)
        outside: list[np.ndarray] = []
        while members.sum() > 1:
            least = _hitting_set(self._asked, outside)
            if least.sum() == members.sum():
                break
            if self._left <= 0:
                return members, False
            found = self._margin(least)
            if not found.attainable:
                return least, True
            outside.append(self._asked & ~self._grown(least, found))
        return members, True

    def _margin(self, chosen: np.ndarray) -> Margin:
        self._left -= 1
        return self._attainable.margin(np.where(chosen, self._targets, np.nan))

    def _irreducible(self, edge: Margin) -> np.ndarray:
        """A conflict without a member that it could do without: each is left out once."""
        members = edge.certificate > 0
        for j in np.flatnonzero(members):
            if members[j]:
                left = self._margin(members & ~self._each[j])
                members = members if left.attainable else left.certificate > 0
        return members

    def _grown(self, chosen: np.ndarray, found: Margin) -> np.ndarray:
        """As many targets as can be had together with these, one after another."""
        met = chosen
        for j in np.flatnonzero(self._asked):
            # What the mix of replies just found meets as well comes for nothing.
            met = met | (self._asked & (found.levels >= self._targets - MARGIN_TOLERANCE / 2))
            if not met[j] and self._left > 0:
                more = self._margin(met | self._each[j])
                if more.attainable:
                    met, found = met | self._each[j], more
        return met


def _hitting_set(among: np.ndarray, sets: list[np.ndarray]) -> np.ndarray:
    """(value,) bool: the fewest of these values of which each set has one; at least one in all."""
    answer = milp(
        np.ones(len(among)),
        integrality=np.ones(len(among), dtype=int),
        bounds=Bounds(0, among.astype(float)),
        constraints=LinearConstraint(np.array([among, *sets], dtype=float), lb=1.0),
    )
    return np.asarray(answer.x) > 0.5
