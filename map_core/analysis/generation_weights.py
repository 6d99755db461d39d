"""From a palette to the weights that a generator with K candidates is steered by, and what must be said of them.

A generator that draws fewer candidates than the table holds can give less, so the weights are solved on hands of K
dealt from each prompt's replies; where the palette is out of reach of them, the nearest one that can be had stands in.
Constraint: a table in, frozen results out; may be asked from several threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from map_core.core.types import Form, Verdict
from map_core.data.reward_table import RewardTable
from map_core.data.subsample import deal
from map_core.errors import InputError
from map_core.feasibility import Assessment, AttainableLevels, assess
from map_core.oracle import MemoryOracle, Oracle
from map_core.solver.newton import Solution

#: Weights below this, in units of one over a standard deviation, are none.
NOTHING = 1e-9
#: How many numbers of candidates, and how many aims, are remembered.
REMEMBERED_HANDS, REMEMBERED_AIMS = 8, 512


@dataclass(frozen=True)
class Aim:
    """What a generator is steered by, and to.

    Args:
        asked: the palette's levels by value, in reward units.
        targets: the levels that the weights were solved for: those asked, or those of the nearest palette.
        weights: lambda by value, 1/reward, of the values that have one and a scorer.
        verdict: on what was asked, for so many candidates.
        candidates: K that it was solved for.
        notes: what a reader should know, a sentence each.
    """

    asked: Mapping[str, float]
    targets: Mapping[str, float]
    weights: Mapping[str, float]
    verdict: Verdict
    candidates: int
    notes: tuple[str, ...]


class Aims:
    """The aims that can be taken on one table.

    Args:
        table: replies of the base model.
        form: in which it is solved where no hands are dealt; the table's own when None.
        scored: the values that new replies can be scored on; None for all of the table.
    """

    def __init__(self, table: RewardTable, form: Form | None = None, scored: Collection[str] | None = None) -> None:
        self.table = table
        self.oracle = MemoryOracle.of(table, form)
        self._scored = frozenset(table.values if scored is None else scored)
        self._most = int(table.candidates.max())
        self._lock = threading.Lock()
        self._hands: OrderedDict[int, tuple[Oracle, AttainableLevels]] = OrderedDict()
        self._aims: OrderedDict[tuple[bytes, int], Aim] = OrderedDict()

    def at(self, levels: np.ndarray, candidates: int) -> Aim:
        """The weights for a palette and so many candidates, from memory when they were had before.

        Args:
            levels: (value,) targets in reward units, NaN for a free value.
            candidates: K, from 1; from as many as the table holds on, the table is taken as it is.

        Raises:
            InputError: a level is infinite, or K is below 1.
        """
        if candidates < 1:
            raise InputError(f"candidates is {candidates}; expected a whole number from 1.")
        key = (np.asarray(levels, dtype=np.float64).tobytes(), min(candidates, self._most))
        with self._lock:  # one solve at a time: they would only slow each other down
            if key not in self._aims:
                self._aims[key] = self._taken(np.asarray(levels, dtype=np.float64), candidates)
                while len(self._aims) > REMEMBERED_AIMS:
                    self._aims.popitem(last=False)
            return self._aims[key]

    def _taken(self, levels: np.ndarray, candidates: int) -> Aim:
        asked = _named(self.table.values, levels)
        if candidates == 1:
            said = "With a single candidate there is nothing to choose from: the reply is the base model's."
            return Aim(asked, {}, {}, Verdict.OUT_OF_REACH, 1, (said,))
        oracle, attainable = self._in_hands(candidates)
        found = assess(oracle, oracle.standardise(levels), attainable=attainable)
        nearest = found.nearest if found.verdict is Verdict.OUT_OF_REACH else None
        solution = in_force(found)
        targets = oracle.rewards_at(nearest.targets) if nearest else levels
        weights: dict[str, float] = {}
        notes = [self._said(found, candidates)]
        if solution is not None:
            weights = weights_by_value(oracle, solution)
            unknown = [name for name in weights if name not in self._scored]
            if unknown:
                notes.append(f"There is no scorer for {', '.join(unknown)}, so new replies are not steered by it.")
            weights = {name: weight for name, weight in weights.items() if name in self._scored}
            if not (weights or unknown):
                notes.append("No target asks for more than the base model gives, so nothing is steered.")
        if oracle.form is Form.POOLED:
            notes.append("These are weights of the pooled form: used prompt by prompt they may miss the targets.")
        named = _named(self.table.values, targets) if solution is not None else {}
        return Aim(asked, named, weights, found.verdict, candidates, tuple(filter(None, notes)))

    def _in_hands(self, candidates: int) -> tuple[Oracle, AttainableLevels]:
        """What a generator that draws so many candidates can choose from."""
        dealt = self.oracle.form is Form.PER_PROMPT and candidates < self._most
        key = candidates if dealt else self._most
        if key not in self._hands:
            oracle = MemoryOracle.of(deal(self.table, candidates), Form.PER_PROMPT) if dealt else self.oracle
            self._hands[key] = (oracle, AttainableLevels(oracle))
            while len(self._hands) > REMEMBERED_HANDS:
                self._hands.popitem(last=False)
        self._hands.move_to_end(key)
        return self._hands[key]

    def _said(self, found: Assessment, candidates: int) -> str:
        many = f"With {candidates} candidates to choose from the palette is"
        if found.verdict is Verdict.ON_PAPER:
            return f"{many} reachable on paper only: expect replies to fall short of it, or draw more candidates."
        if found.verdict is Verdict.REACHABLE:
            return ""
        if found.nearest is None:
            return f"{many} out of reach, and nothing near it can be had: nothing is steered."
        given_up = [name for name, short in zip(self.table.values, found.nearest.given_up, strict=True) if short > 0]
        what = f" It gives up some of {', '.join(given_up)}." if given_up else ""
        return (
            f"{many} out of reach: the nearest palette that can be had stands in.{what} More candidates reach further."
        )


def in_force(found: Assessment) -> Solution | None:
    """What a generator is steered by: a palette's own solution, or that of the nearest one where it is out of reach."""
    if found.verdict is not Verdict.OUT_OF_REACH:
        return found.solution
    return found.nearest.solution if found.nearest else None


def weights_by_value(oracle: Oracle, solution: Solution) -> dict[str, float]:
    """The weights of a solution as plain numbers, 1/reward, of the values that have one."""
    lam = solution.weights / oracle.scale
    kept = (solution.weights > NOTHING) & np.isfinite(lam)
    return {name: float(lam[j]) for j, name in enumerate(oracle.values) if kept[j]}


def _named(names: tuple[str, ...], levels: np.ndarray) -> dict[str, float]:
    """(value,) levels as plain numbers by name, without free values."""
    return {name: float(level) for name, level in zip(names, levels, strict=True) if not np.isnan(level)}
