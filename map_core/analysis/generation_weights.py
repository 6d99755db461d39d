"""Solve the weights that a generator with K candidates uses for a palette, and return the facts behind them.

A generator that draws fewer candidates than the table holds can reach less, so the weights are solved on a subsample
of K replies per prompt; where that subsample cannot reach the palette, the nearest reachable one replaces it.
:mod:`map_core.text.generation_weights` words the facts.

Constraint: a table in, frozen results out; may be called from several threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from map_core.core.types import Form, Verdict
from map_core.data.derived_columns import Cohort, DerivedColumn
from map_core.data.reward_table import RewardTable
from map_core.data.subsample import subsample_candidates
from map_core.errors import InputError
from map_core.feasibility import Assessment, AttainableLevels, assess
from map_core.oracle import MemoryOracle, Oracle
from map_core.solver.newton import Solution

#: Weights below this, in units of one over a standard deviation, count as zero.
NOTHING = 1e-9
#: Cache sizes: numbers of candidates with a subsample, and solved palettes.
CACHED_SUBSAMPLES, CACHED_PALETTES = 8, 512


class WeightsSource(StrEnum):
    """Which palette the current weights belong to."""

    PALETTE = "palette"
    NEAREST = "nearest"
    NONE = "none"


@dataclass(frozen=True)
class WeightsFacts:
    """Facts about the current weights; :mod:`map_core.text.generation_weights` words them.

    Args:
        verdict: on the palette, for this number of candidates.
        candidates: K that the weights were solved for.
        source: the palette itself, the nearest reachable one, or none.
        given_up: values whose targets the nearest palette lowers.
        weighted: some value has a weight, with a scorer or without one.
        unscored: values that have a weight but no scorer, so that new replies cannot be steered by them.
        pooled: the weights are those of the pooled form.
        table_verdict: on the palette with all candidates of the table; None where it was not assessed.
        left_out: cohorts whose weights are not used, as it is not known whether the prompt is theirs.
        locks_lowered: not even the locked targets can be met, so the nearest palette lowers them too.
    """

    verdict: Verdict
    candidates: int
    source: WeightsSource
    given_up: tuple[str, ...] = ()
    weighted: bool = False
    unscored: tuple[str, ...] = ()
    pooled: bool = False
    table_verdict: Verdict | None = None
    left_out: tuple[str, ...] = ()
    locks_lowered: bool = False


@dataclass(frozen=True)
class GenerationWeights:
    """The current weights for one palette and one number of candidates.

    Args:
        asked: the palette's levels by value, in reward units.
        targets: the levels that the weights were solved for: those asked, or those of the nearest palette.
        weights: lambda by value, 1/reward, of the values that have one and a scorer; those of shares and tails by
            their names in reward units, as a generator takes them.
        facts: what happened on the way from the palette to the weights.
    """

    asked: Mapping[str, float]
    targets: Mapping[str, float]
    weights: Mapping[str, float]
    facts: WeightsFacts

    @property
    def verdict(self) -> Verdict:
        """The verdict on the palette, for this number of candidates."""
        return self.facts.verdict


class GenerationWeightsSolver:
    """Solves palettes of one table for any number of candidates, and caches the results.

    Args:
        table: replies of the base model.
        form: of the whole table; the table's own when None. Subsamples are always solved per prompt.
        scored: the values that new replies can be scored on; None for all of the table.
    """

    def __init__(self, table: RewardTable, form: Form | None = None, scored: Collection[str] | None = None) -> None:
        self.table = table
        self.oracle = MemoryOracle.of(table, form)
        self._scored = steerable(table, table.values if scored is None else scored)
        self._most = int(table.candidates.max())
        self._lock = threading.Lock()
        self._subsamples: OrderedDict[int, tuple[Oracle, AttainableLevels]] = OrderedDict()
        self._solved: OrderedDict[tuple[bytes, bytes, int, frozenset[Cohort]], GenerationWeights] = OrderedDict()

    def solve(
        self,
        levels: np.ndarray,
        candidates: int,
        cohorts: Collection[Cohort] = (),
        locked: np.ndarray | None = None,
    ) -> GenerationWeights:
        """Solve a palette for a number of candidates, or return the cached result.

        Where the palette is not possible, the weights are those of the nearest one, which keeps locked targets, unless
        the whole table meets them and so few candidates do not.

        Args:
            levels: (value,) targets in reward units, NaN for a free value.
            candidates: K, from 1; the whole table is used where it holds no more candidates than this.
            cohorts: of the prompts that will be answered; without them the overall weights are returned.
            locked: (value,) bool, targets that the nearest palette must keep; None for none.

        Raises:
            InputError: a level is infinite, or K is below 1.
        """
        if candidates < 1:
            raise InputError(f"candidates is {candidates}; expected a whole number from 1.")
        levels = np.asarray(levels, dtype=np.float64)
        locked = np.zeros(len(levels), dtype=bool) if locked is None else np.asarray(locked, dtype=bool)
        key = (levels.tobytes(), locked.tobytes(), min(candidates, self._most), frozenset(cohorts))
        with self._lock:  # solves in parallel would only slow each other down
            if key not in self._solved:
                self._solved[key] = self._solve(levels, candidates, cohorts, locked)
                while len(self._solved) > CACHED_PALETTES:
                    self._solved.popitem(last=False)
            return self._solved[key]

    def _solve(
        self, levels: np.ndarray, candidates: int, cohorts: Collection[Cohort], locked: np.ndarray
    ) -> GenerationWeights:
        target_levels = _named(self.table.values, levels)
        if candidates == 1:
            return GenerationWeights(target_levels, {}, {}, WeightsFacts(Verdict.OUT_OF_REACH, 1, WeightsSource.NONE))
        oracle, attainable = self._subsample(candidates)
        targets = oracle.standardise(levels)
        assessment, locks_lowered = assess_keeping_locks(
            lambda kept: assess(oracle, targets, attainable=attainable, locked=kept),
            locked,
            lambda: oracle is not self.oracle and self._whole_meets(levels, locked),
        )
        weights, facts = scored_weights(assessment, oracle, candidates, self._scored, locks_lowered=locks_lowered)
        weights, facts = of_prompt(self.table.derived, weights, facts, cohorts)
        solved_for: dict[str, float] = {}
        if facts.source is WeightsSource.PALETTE:
            solved_for = target_levels
        elif assessment.nearest is not None:
            solved_for = _named(self.table.values, oracle.rewards_at(assessment.nearest.targets))
        return GenerationWeights(target_levels, solved_for, weights, facts)

    def _whole_meets(self, levels: np.ndarray, locked: np.ndarray) -> bool:
        """Return whether the whole table meets locked targets."""
        oracle, attainable = self._subsample(self._most)
        whole = assess(oracle, oracle.standardise(levels), attainable=attainable, locked=locked)
        return effective_solution(whole) is not None

    def _subsample(self, candidates: int) -> tuple[Oracle, AttainableLevels]:
        """Return the oracle of the table cut to ``candidates`` per prompt, and its attainable levels."""
        smaller = self.oracle.form is Form.PER_PROMPT and candidates < self._most
        key = candidates if smaller else self._most
        if key not in self._subsamples:
            oracle = (
                MemoryOracle.of(subsample_candidates(self.table, candidates), Form.PER_PROMPT)
                if smaller
                else self.oracle
            )
            self._subsamples[key] = (oracle, AttainableLevels(oracle))
            while len(self._subsamples) > CACHED_SUBSAMPLES:
                self._subsamples.popitem(last=False)
        self._subsamples.move_to_end(key)
        return self._subsamples[key]


def effective_solution(assessment: Assessment) -> Solution | None:
    """Return a palette's own solution, or that of the nearest reachable one; None where there is neither."""
    if assessment.verdict is not Verdict.OUT_OF_REACH:
        return assessment.solution
    return assessment.nearest.solution if assessment.nearest else None


def assess_keeping_locks(
    assess_with: Callable[[np.ndarray | None], Assessment],
    locked: np.ndarray | None,
    whole_meets: Callable[[], bool],
) -> tuple[Assessment, bool]:
    """Assess a palette for K candidates, and return whether its locked targets had to be lowered.

    They are kept, unless the whole table meets them and so few candidates do not.

    Args:
        assess_with: assesses the palette for K candidates, given the targets that its nearest palette must keep.
        locked: (value,) bool, those targets; None for none.
        whole_meets: returns whether the whole table meets them.
    """
    assessment = assess_with(locked)
    any_locked = locked is not None and bool(locked.any())
    lowered = any_locked and effective_solution(assessment) is None and whole_meets()
    return (assess_with(None) if lowered else assessment), lowered


def scored_weights(
    assessment: Assessment,
    oracle: Oracle,
    candidates: int,
    scored: Collection[str],
    table_verdict: Verdict | None = None,
    locks_lowered: bool = False,
) -> tuple[dict[str, float], WeightsFacts]:
    """Return the current weights that new replies can be steered by, and the facts about them.

    Args:
        assessment: of the palette, with ``oracle``.
        oracle: of the table, or of its subsample.
        candidates: K that the weights are for.
        scored: the values that new replies can be scored on.
        table_verdict: on the palette with all candidates of the table, where it was assessed.
        locks_lowered: as :func:`assess_keeping_locks` returns it.

    Returns:
        Lambda by value, 1/reward, without values that have no scorer; and the facts.
    """
    solution = effective_solution(assessment)
    by_value = {} if solution is None else weights_by_value(oracle, solution)
    nearest = assessment.nearest if assessment.verdict is Verdict.OUT_OF_REACH else None
    source = WeightsSource.NONE
    if solution is not None:
        source = WeightsSource.PALETTE if nearest is None else WeightsSource.NEAREST
    given_up = () if nearest is None else nearest.given_up
    facts = WeightsFacts(
        assessment.verdict,
        candidates,
        source,
        given_up=tuple(name for name, amount in zip(oracle.values, given_up, strict=False) if amount > 0),
        weighted=bool(by_value),
        unscored=tuple(name for name in by_value if name not in scored),
        pooled=oracle.form is Form.POOLED,
        table_verdict=table_verdict,
        locks_lowered=locks_lowered,
    )
    return {name: weight for name, weight in by_value.items() if name in scored}, facts


def of_prompt(
    columns: Sequence[DerivedColumn],
    weights: Mapping[str, float],
    facts: WeightsFacts,
    cohorts: Collection[Cohort] = (),
) -> tuple[dict[str, float], WeightsFacts]:
    """Return the weights that a generator uses on one prompt's replies, and the facts with the cohorts left out.

    Args:
        columns: as for :func:`reply_weights`.
        weights: likewise.
        facts: about the weights.
        cohorts: of the prompt; none where they are not known.
    """
    left_out = {
        str(column.cohort): None
        for column in columns
        if column.cohort is not None and column.cohort not in cohorts and column.name in weights
    }
    # Where the prompt's cohorts are known, leaving out the others is right and not worth reporting.
    facts = facts if cohorts else replace(facts, left_out=tuple(left_out))
    return reply_weights(columns, weights, cohorts), facts


def steerable(table: RewardTable, scored: Collection[str]) -> frozenset[str]:
    """Return the values and columns of a table that new replies can be steered by, of those that can be scored."""
    values = frozenset(scored)
    return values | {column.name for column in table.derived if column.value in values}


def reply_weights(
    columns: Iterable[DerivedColumn], weights: Mapping[str, float], cohorts: Collection[Cohort] = ()
) -> dict[str, float]:
    """Return the weights that a generator uses on one prompt's replies.

    A cohort's weight acts on its prompts alone, as lambda_G / P(G) beside lambda; that of a mix of prompts acts on all,
    as no mass is known of a new prompt.

    Args:
        columns: the derived columns of the table that the weights were solved on.
        weights: lambda by the name of a value or column.
        cohorts: of the prompt; none where they are not known, and then only the overall weights are used.

    Returns:
        Lambda by value, or by :attr:`~map_core.data.derived_columns.DerivedColumn.reply_name`.
    """
    derived = {column.name: column for column in columns}
    by_name: dict[str, float] = {}
    for name, weight in weights.items():
        column = derived.get(name)
        if column is not None and column.cohort is not None and column.cohort not in cohorts:
            continue
        reply_name = name if column is None else column.reply_name
        by_name[reply_name] = by_name.get(reply_name, 0.0) + (weight if column is None else weight / column.share)
    return by_name


def weights_by_value(oracle: Oracle, solution: Solution) -> dict[str, float]:
    """Return the weights of a solution as plain numbers, 1/reward, of the values that have one."""
    lam = solution.weights / oracle.scale
    nonzero = (solution.weights > NOTHING) & np.isfinite(lam)
    return {name: float(lam[j]) for j, name in enumerate(oracle.values) if nonzero[j]}


def _named(names: tuple[str, ...], levels: np.ndarray) -> dict[str, float]:
    """Return (value,) levels as plain numbers by name, without free values."""
    return {name: float(level) for name, level in zip(names, levels, strict=True) if not np.isnan(level)}
