"""Meet demands that are families of linear targets by cutting planes: tails, worst means, other mixes of prompts.

    tail    E_p min(r, t) >= E_p0 min(r, t) for all t      second-order dominance over the base model
    mix     E_v E_p phi >= c for all v with KL(v | 1) <= rho
    worst   the mean of the worst share a is at least c: for some t, E_p min(r, t) >= t - a (t - c)

Each round solves with the columns so far and adds the most violated ones. Each cut is implied by the demands, so a
certificate against the cuts is one against the palette. Constraint: tail and mix are convex; a worst mean is not, so
its t is searched: the cost is the least over the t that were tried, but *not possible* means that every t is excluded.

Source: Dentcheva and Ruszczynski, "Optimization with stochastic dominance constraints", 2003; Rudolf and Ruszczynski,
2008; Rockafellar and Uryasev, 2000; Hu and Hong, 2013. See docs/beyond_averages.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from map_core.core.types import Form
from map_core.data.derived_columns import ColumnKind, DerivedColumn
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility.demands import Demands, WorstMean
from map_core.feasibility.margin import MARGIN_TOLERANCE, AttainableLevels
from map_core.feasibility.nearest import nearest
from map_core.feasibility.reply_distributions import quantile, reply_probabilities, tail_excess, worst_mean, worst_mix
from map_core.feasibility.scorer_columns import scorer_columns
from map_core.oracle import MemoryOracle, Oracle
from map_core.solver.newton import Solution, Status, solve

#: Largest violation that counts as met, in standard deviations of the value, and the maximum number of rounds.
TOLERANCE, MAX_ROUNDS = 1e-6, 60
#: Number of start points of the search for a worst mean's threshold, and the maximum number of steps from each.
STARTS, MAX_STEPS = 8, 20


@dataclass(frozen=True, eq=False)
class Cut:
    """A palette with the columns that its demands require.

    Args:
        table: the table with the columns.
        oracle: the oracle of ``table``.
        levels: (value,) targets in reward units, including those of the columns.
        columns: the added columns.
        rounds: number of solves.
        settled: whether the palette, or the nearest one in its place, meets every demand; else there were too few
            rounds.
    """

    table: RewardTable
    oracle: Oracle
    levels: np.ndarray
    columns: tuple[DerivedColumn, ...]
    rounds: int
    settled: bool


def with_demands(table: RewardTable, oracle: Oracle, levels: np.ndarray, demands: Demands) -> Cut:
    """Add the columns that a palette's demands require.

    Args:
        table: the table, with the derived columns of the targets.
        oracle: the table's oracle.
        levels: (value,) targets in reward units, NaN for free values.
        demands: the demands beside the targets.

    Raises:
        InputError: an unknown value, a share or a distance out of range, or mixes of prompts in the pooled form.
    """
    _check(table, oracle, demands)
    levels = np.asarray(levels, dtype=float)
    scorers = scorer_columns(table, oracle, levels, demands.scorers)
    if scorers:
        table = table.with_columns(scorers, oracle.form)
        oracle = MemoryOracle.of(table, oracle.form)
        levels = np.append(levels, [column.centre for column in scorers])
    if not (demands.tails or demands.worst or demands.mix):
        return Cut(table, oracle, levels, scorers, 0, True)
    problem = _CuttingPlanes(table, oracle, levels, demands)
    # Two sweeps, since the best of several thresholds depends on the others.
    for _ in range(min(len(demands.worst), 2)):
        for index in range(len(demands.worst)):
            problem.search_threshold(index)
    settled = problem.run()
    return Cut(problem.table, problem.oracle, problem.levels, (*scorers, *problem.columns), problem.rounds, settled)


class _CuttingPlanes:
    """The columns so far, and the solves with them."""

    def __init__(self, table: RewardTable, oracle: Oracle, levels: np.ndarray, demands: Demands) -> None:
        self._plain, self._form, self._demands = table, oracle.form, demands
        self._target_levels, self._scale, self._values = levels, oracle.scale, table.values
        self.columns: list[DerivedColumn] = []
        self._thresholds: dict[int, DerivedColumn] = {}
        self.rounds = 0
        self.table, self.oracle, self.levels = table, oracle, levels
        self._solution: Solution | None = None
        self._plain_oracle, self._palette_solved = oracle, True

    def run(self) -> bool:
        """Add violated cuts until there are none; return False if the rounds did not suffice."""
        self._use([*self._thresholds.values()])
        while self.rounds < MAX_ROUNDS:
            solution = self._solve()
            if solution is None:
                return True  # not even the locked cuts are attainable, so there is no distribution to check
            cuts = self._violated(solution)
            if not cuts:
                self._drop_slack(solution)
                return True
            self._use([*self.columns, *cuts])
        return False

    def search_threshold(self, index: int) -> None:
        """Choose the threshold of one worst mean at which the palette costs least, given those of the others.

        If no start point is attainable, all other thresholds are searched by branch and bound.
        """
        worst = self._demands.worst[index]
        others = [column for other, column in self._thresholds.items() if other != index]
        rewards = self._plain.rewards[:, self._plain.index(worst.value)]
        above = np.unique(rewards[rewards >= worst.level])
        # With no reward at the level or above, any threshold expresses that the mean cannot reach it.
        starts = np.unique(np.quantile(above, np.linspace(0.0, 1.0, STARTS))) if len(above) else [worst.level]
        best, least = min((self._descend(worst, others, float(t)) for t in starts), key=lambda candidate: candidate[1])
        if math.isinf(least):
            threshold = self._attainable_threshold(worst, others, above)
            if threshold is None:
                best = max(
                    (self._capped(worst, float(t)) for t in starts), key=lambda column: self._margin(others, column)
                )
            else:
                best, _ = self._descend(worst, others, threshold)
        self._thresholds[index] = best
        self.rounds = 0

    def _descend(self, worst: WorstMean, others: list[DerivedColumn], threshold: float) -> tuple[DerivedColumn, float]:
        """Return the cheapest column of a worst mean by descent from a threshold, and its nats; infinite if none."""
        rewards = self._plain.rewards[:, self._plain.index(worst.value)]
        best, least = self._capped(worst, threshold), math.inf
        for _ in range(MAX_STEPS):
            column = self._capped(worst, threshold)
            self._use([*others, column])
            solution = solve(self.oracle, self.oracle.standardise(self.levels))
            if solution.status is not Status.CONVERGED:
                break
            if solution.kl < least:
                best, least = column, solution.kl
            # The worst mean of the solution is attained at its own quantile, the next threshold.
            masses = reply_probabilities(self.table, self.oracle, solution.weights)
            next_threshold = max(quantile(rewards, masses, worst.share), worst.level)
            if next_threshold == threshold:
                break
            threshold = next_threshold
        return best, least

    def _attainable_threshold(self, worst: WorstMean, others: list[DerivedColumn], above: np.ndarray) -> float | None:
        """Return one of these ascending thresholds at which the palette is attainable; None if there is none.

        Branch and bound: for every threshold between t and u, the column implies that the mean of min(r, u) is at least
        the floor of t; if that is not attainable, the whole span is excluded.
        """
        spans = [(0, len(above))] if len(above) else []
        while spans:
            first, end = spans.pop()
            lowest, middle, highest = float(above[first]), (first + end) // 2, float(above[end - 1])
            relaxed = replace(self._capped(worst, highest), centre=_floor(worst, lowest))
            if self._margin(others, relaxed) < -MARGIN_TOLERANCE:
                continue
            if self._margin(others, self._capped(worst, float(above[middle]))) >= -MARGIN_TOLERANCE:
                return float(above[middle])
            spans += [span for span in ((first, middle), (middle + 1, end)) if span[0] < span[1]]
        return None

    def _margin(self, others: list[DerivedColumn], column: DerivedColumn) -> float:
        """Return the margin of the palette with these columns."""
        self._use([*others, column])
        return AttainableLevels(self.oracle).margin(self.oracle.standardise(self.levels)).value

    def _capped(self, worst: WorstMean, threshold: float) -> DerivedColumn:
        return DerivedColumn(
            f"min({worst.value},{threshold!r}) of the worst {worst.share:g} at {worst.level!r}",
            worst.value,
            ColumnKind.CAPPED,
            threshold,
            centre=_floor(worst, threshold),
        )

    def _use(self, columns: Sequence[DerivedColumn]) -> None:
        self.columns = list(columns)
        if not columns:
            return
        self.table = self._plain.with_columns(columns, self._form)
        self.oracle = MemoryOracle.of(self.table, self._form)
        self.levels = np.append(self._target_levels, [column.centre for column in columns])

    def _solve(self) -> Solution | None:
        """Return the solution, or that of the nearest palette that keeps every cut; None if there is neither."""
        targets = self.oracle.standardise(self.levels)
        start = np.zeros(len(targets))
        if self._solution is not None:
            start[: min(len(start), len(self._solution.weights))] = self._solution.weights[: len(start)]
        solution = solve(self.oracle, targets, start=start)
        self.rounds += 1
        # A constant column is left out of the solve: its target is met, or out of reach, whatever the weights.
        met = not np.any(self.oracle.constant & (targets > MARGIN_TOLERANCE))
        self._palette_solved = met and solution.status is Status.CONVERGED
        if not self._palette_solved:
            attainable = AttainableLevels(self.oracle)
            locked = np.array([False] * len(self._target_levels) + [not column.mix for column in self.columns])
            nearest_palette = nearest(self.oracle, targets, locked=locked, attainable=attainable)
            if nearest_palette is None:
                return None
            solution = nearest_palette.solution
        self._solution = solution
        return solution

    def _drop_slack(self, solution: Solution) -> None:
        """Drop cuts without weight if the palette itself was solved, as its solution is the same without them."""
        if self._palette_solved:
            weights = solution.weights[len(self._target_levels) :]
            kept = [column for column, weight in zip(self.columns, weights, strict=True) if weight > 0]
            self.table, self.oracle, self.levels = self._plain, self._plain_oracle, self._target_levels
            self._use(kept)

    def _violated(self, solution: Solution) -> list[DerivedColumn]:
        masses = reply_probabilities(self.table, self.oracle, solution.weights)
        cuts = [cut for value in self._demands.tails if (cut := self._tail_cut(value, masses)) is not None]
        if self._demands.mix and self._palette_solved:  # the nearest palette has other levels than the requested ones
            cuts += self._mix_cuts(solution)
        known = {column.name for column in self.columns}
        return [cut for cut in cuts if cut.name not in known]

    def _tail_cut(self, value: str, masses: np.ndarray) -> DerivedColumn | None:
        j = self._plain.index(value)
        rewards = self._plain.rewards[:, j]
        base = reply_probabilities(self.table, self.oracle, np.zeros(len(self.table.values)))
        excess, threshold = tail_excess(rewards, masses, base)
        if excess <= TOLERANCE * self._scale[j]:
            return None
        floor = float(base @ np.minimum(rewards, threshold))
        return DerivedColumn(f"tail of {value} at {threshold!r}", value, ColumnKind.CAPPED, threshold, centre=floor)

    def _mix_cuts(self, solution: Solution) -> list[DerivedColumn]:
        """Return a column for each target that the solution's levels miss under the worst mix of prompts."""
        by_prompt = self.oracle.by_prompt(solution.weights)
        derived = {column.name: column for column in self._plain.derived}
        cuts = []
        for j in np.flatnonzero(~np.isnan(self._target_levels)):
            column = derived.get(self._values[j])
            if column is not None and column.cohort is not None:
                continue
            levels = self.oracle.base[j] + by_prompt.levels[:, j] * self.oracle.scale[j]
            mix, worst = worst_mix(levels, by_prompt.mass, self._demands.mix)
            if worst >= self._target_levels[j] - TOLERANCE * self.oracle.scale[j]:
                continue
            plain = column or DerivedColumn(self._values[j], self._values[j])
            number = 1 + sum(bool(other.mix) and other.value == plain.value for other in self.columns)
            name = f"{self._values[j]} (mix {number})"
            cuts.append(replace(plain, name=name, centre=float(self._target_levels[j]), mix=tuple(mix.tolist())))
        return cuts


def _floor(worst: WorstMean, threshold: float) -> float:
    """Return the lower bound on the mean of min(r, t) that is equivalent to the demand: t - a (t - c)."""
    return threshold - worst.share * (threshold - worst.level)


def _check(table: RewardTable, oracle: Oracle, demands: Demands) -> None:
    for value in (*demands.tails, *(worst.value for worst in demands.worst)):
        if value in {column.name for column in table.derived}:
            raise InputError(f"The tail of {value!r} is asked for; expected a value of the table, which has rewards.")
        table.index(value)
    for worst in demands.worst:
        if not 0.0 < worst.share <= 1.0:
            raise InputError(f"The worst share of {worst.value} is {worst.share:g}; expected above 0 and at most 1.")
    if not 0.0 <= demands.mix < math.inf:
        raise InputError(f"The distance between mixes of prompts is {demands.mix:g} nats; expected 0 or more.")
    if demands.mix and oracle.form is Form.POOLED:
        raise InputError(
            "Other mixes of prompts need the per-prompt form: the pooled form chooses the mix of prompts itself."
        )


def measured(
    demands: Demands, table: RewardTable, oracle: Oracle, levels: np.ndarray, weights: np.ndarray
) -> dict[str, dict[str, float]]:
    """Measure the demands under given weights, in reward units.

    Args:
        demands: the palette's demands.
        table: the table, with the columns of the targets.
        oracle: the table's oracle.
        levels: (value,) targets, NaN for free values; mixes are measured for the values with targets.
        weights: (value,) in nats per standard deviation.

    Returns:
        ``tails``: the largest excess of the expected shortfall over the base model's, by value, 0 where the tail is no
        worse; ``worst``: the means of the worst replies, by value and share; ``mix``: the level under the worst mix of
        prompts, by value.
    """
    masses = reply_probabilities(table, oracle, weights)
    base = reply_probabilities(table, oracle, np.zeros(len(weights)))
    result: dict[str, dict[str, float]] = {"tails": {}, "worst": {}, "mix": {}}
    for value in demands.tails:
        result["tails"][value] = tail_excess(table.rewards[:, table.index(value)], masses, base)[0]
    for worst in demands.worst:
        rewards = table.rewards[:, table.index(worst.value)]
        result["worst"][f"{worst.value}:{worst.share:g}"] = worst_mean(rewards, masses, worst.share)
    derived = {column.name: column for column in table.derived}
    by_prompt = oracle.by_prompt(weights)
    for j in np.flatnonzero(~np.isnan(levels)) if demands.mix else ():
        column = derived.get(table.values[j])
        if column is None or not (column.cohort or column.mix or column.kind is ColumnKind.CAPPED):
            reached = oracle.base[j] + by_prompt.levels[:, j] * oracle.scale[j]
            result["mix"][table.values[j]] = worst_mix(reached, by_prompt.mass, demands.mix)[1]
    return result
