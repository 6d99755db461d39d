"""Targets that are families of linear ones, met by cutting planes: tails, worst means, other mixes of prompts.

    tail    E_p min(r, t) >= E_p0 min(r, t) for all t      dominance of the second order over the base model
    mix     E_v E_p phi >= c for all v with KL(v | 1) <= rho
    worst   the mean of the worst share a is at least c: for some t, E_p min(r, t) >= t - a (t - c)

Each round solves with the columns so far and adds those that are violated most. Each cut is a consequence of what was
asked, so a certificate against the cuts is one against the palette. Constraint: tail and mix are convex; a worst mean
is not, its t is searched, and the least cost is that of the t that were tried; none is left out before *not possible*.

Source: Dentcheva and Ruszczynski, "Optimization with stochastic dominance constraints", 2003; Rudolf and Ruszczynski,
2008; Rockafellar and Uryasev, 2000; Hu and Hong, 2013. See docs/beyond_averages.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq

from map_core.core.types import Form
from map_core.data.derived_columns import ColumnKind, DerivedColumn
from map_core.data.distribution import reply_masses
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility.margin import MARGIN_TOLERANCE, AttainableLevels
from map_core.feasibility.nearest import nearest
from map_core.oracle import MemoryOracle, Oracle
from map_core.oracle.ragged import Groups
from map_core.solver.newton import Solution, Status, solve

#: Largest violation that counts as met, in standard deviations of the value, and most rounds.
TOLERANCE, MAX_ROUNDS = 1e-6, 60
#: Thresholds at which the search for that of a worst mean starts, and most steps from each.
STARTS, MAX_STEPS = 8, 20


@dataclass(frozen=True)
class WorstMean:
    """The mean of the worst replies of a value is at least a level (a floor under CVaR).

    Args:
        value: its name.
        share: of the replies that are the worst, above 0 and at most 1.
        level: in reward units.
    """

    value: str
    share: float
    level: float


@dataclass(frozen=True)
class Demands:
    """What a palette asks for beside its targets.

    Args:
        tails: values whose tail shall be no worse than the base model's.
        worst: floors under means of the worst replies.
        scorers: values whose targets hold for further values of the table too, with these.
        mix: nats; every target that is not of a cohort holds under each mix of prompts that is no further than this
            from the table's. 0 for the table's alone.
    """

    tails: tuple[str, ...] = ()
    worst: tuple[WorstMean, ...] = ()
    mix: float = 0.0
    scorers: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tails or self.worst or self.mix or self.scorers)


@dataclass(frozen=True, eq=False)
class Cut:
    """A palette with the columns that its demands came to.

    Args:
        table: with the columns.
        oracle: of it.
        levels: (value,) targets in reward units, those of the columns included.
        columns: the columns that were added.
        rounds: solves that it took.
        settled: the palette, or the nearest one in its place, meets every demand; else some rounds were too few.
    """

    table: RewardTable
    oracle: Oracle
    levels: np.ndarray
    columns: tuple[DerivedColumn, ...]
    rounds: int
    settled: bool


def with_demands(table: RewardTable, oracle: Oracle, levels: np.ndarray, demands: Demands) -> Cut:
    """Add the columns that a palette's demands come to.

    Args:
        table: the replies, with the derived columns of the targets.
        oracle: of the table.
        levels: (value,) targets in reward units, NaN for free values.
        demands: beside the targets.

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
    problem = _Cutting(table, oracle, levels, demands)
    # Twice: what the first of several thresholds is best beside depends on the others.
    for _ in range(min(len(demands.worst), 2)):
        for number in range(len(demands.worst)):
            problem.search_threshold(number)
    settled = problem.run()
    return Cut(problem.table, problem.oracle, problem.levels, (*scorers, *problem.columns), problem.rounds, settled)


def scorer_columns(
    table: RewardTable, oracle: Oracle, levels: np.ndarray, scorers: Sequence[tuple[str, tuple[str, ...]]]
) -> tuple[DerivedColumn, ...]:
    """Return a column for each target of a value and each further scorer of it.

    The scorer's level lies as many of its own standard deviations above its base level as the value's does; a share is
    the same share, above a threshold that corresponds in this way.

    Args:
        table: the replies, with the derived columns of the targets.
        oracle: of the table.
        levels: (value,) targets in reward units, NaN for free values.
        scorers: values, each with the values of the table that score it too.

    Raises:
        InputError: a value or a scorer that the table lacks, or a value as its own scorer.
    """
    derived = {column.name: column for column in table.derived}
    columns = {}
    for value, names in scorers:
        for name in names:
            if name == value or {name, value} & derived.keys():
                raise InputError(
                    f"{name!r} is given as a further scorer of {value!r}; expected another value of the table."
                )
            j, k = table.index(value), table.index(name)

            def of_scorer(level: float, j: int = j, k: int = k) -> float:
                return float(oracle.base[k] + (level - oracle.base[j]) / oracle.scale[j] * oracle.scale[k])

            for asked in map(int, np.flatnonzero(~np.isnan(levels))):
                target = table.values[asked]
                plain = derived.get(target) or DerivedColumn(target, target)
                if plain.value == value:
                    share = plain.kind is ColumnKind.SHARE
                    columns[f"by {name}: {target}"] = replace(
                        plain,
                        name=f"by {name}: {target}",
                        value=name,
                        threshold=of_scorer(plain.threshold),
                        centre=float(levels[asked]) if share else of_scorer(float(levels[asked])),
                        scorer_of=value,
                    )
    return tuple(columns.values())


class _Cutting:
    """The columns found so far and the solve with them."""

    def __init__(self, table: RewardTable, oracle: Oracle, levels: np.ndarray, demands: Demands) -> None:
        self._plain, self._form, self._demands = table, oracle.form, demands
        self._asked, self._scale, self._values = levels, oracle.scale, table.values
        self.columns: list[DerivedColumn] = []
        self._thresholds: dict[int, DerivedColumn] = {}
        self.rounds = 0
        self.table, self.oracle, self.levels = table, oracle, levels
        self._solution: Solution | None = None
        self._plain_oracle, self._own = oracle, True

    def run(self) -> bool:
        """Add violated cuts until there are none; return whether that came about."""
        self._use([*self._thresholds.values()])
        while self.rounds < MAX_ROUNDS:
            solution = self._solve()
            if solution is None:
                return True  # the locked cuts and nothing: there is no distribution to hold against them
            cuts = self._violated(solution)
            if not cuts:
                self._drop_slack(solution)
                return True
            self._use([*self.columns, *cuts])
        return False

    def search_threshold(self, number: int) -> None:
        """Choose the threshold of one worst mean at which the palette costs least, beside those of the others.

        Where none that is tried first is attainable, every other one is ruled out or found.
        """
        worst = self._demands.worst[number]
        others = [column for other, column in self._thresholds.items() if other != number]
        rewards = self._plain.rewards[:, self._plain.index(worst.value)]
        above = np.unique(rewards[rewards >= worst.level])
        # With a share of 1 the worst mean is the mean, and any threshold above all rewards says so.
        starts = np.unique(np.quantile(above, np.linspace(0.0, 1.0, STARTS))) if len(above) else [worst.level]
        best, least = min((self._descend(worst, others, float(t)) for t in starts), key=lambda found: found[1])
        if math.isinf(least):
            threshold = self._attainable_threshold(worst, others, above)
            if threshold is None:
                best = max(
                    (self._capped(worst, float(t)) for t in starts), key=lambda column: self._edge(others, column)
                )
            else:
                best, _ = self._descend(worst, others, threshold)
        self._thresholds[number] = best
        self.rounds = 0

    def _descend(self, worst: WorstMean, others: list[DerivedColumn], threshold: float) -> tuple[DerivedColumn, float]:
        """Return the cheapest column of a worst mean from a threshold on, and its nats; infinite if it is no start."""
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
            # The quantile of what was found is the threshold at which its worst mean is measured.
            masses = reply_probabilities(self.table, self.oracle, solution.weights)
            following = max(_quantile(rewards, masses, worst.share), worst.level)
            if following == threshold:
                break
            threshold = following
        return best, least

    def _attainable_threshold(self, worst: WorstMean, others: list[DerivedColumn], above: np.ndarray) -> float | None:
        """Return a threshold of these, (threshold,) ascending, at which the palette is attainable; None for none.

        Branch and bound: between t and u the column asks for no less than the mean of min(r, u) at the floor of t.
        """
        spans = [(0, len(above))] if len(above) else []
        while spans:
            first, end = spans.pop()
            lowest, middle, highest = float(above[first]), (first + end) // 2, float(above[end - 1])
            if (
                self._edge(others, replace(self._capped(worst, highest), centre=_floor(worst, lowest)))
                < -MARGIN_TOLERANCE
            ):
                continue
            if self._edge(others, self._capped(worst, float(above[middle]))) >= -MARGIN_TOLERANCE:
                return float(above[middle])
            spans += [span for span in ((first, middle), (middle + 1, end)) if span[0] < span[1]]
        return None

    def _edge(self, others: list[DerivedColumn], column: DerivedColumn) -> float:
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
        self.levels = np.append(self._asked, [column.centre for column in columns])

    def _solve(self) -> Solution | None:
        """Return the solution, or that of the nearest palette which keeps every cut; None where there is neither."""
        targets = self.oracle.standardise(self.levels)
        start = np.zeros(len(targets))
        if self._solution is not None:
            start[: min(len(start), len(self._solution.weights))] = self._solution.weights[: len(start)]
        solution = solve(self.oracle, targets, start=start)
        self.rounds += 1
        # A constant column is no part of a solve: its target is met, or out of reach whatever the weights.
        met = not np.any(self.oracle.constant & (targets > MARGIN_TOLERANCE))
        self._own = met and solution.status is Status.CONVERGED
        if not self._own:
            attainable = AttainableLevels(self.oracle)
            locked = np.array([False] * len(self._asked) + [not column.mix for column in self.columns])
            instead = nearest(self.oracle, targets, locked=locked, attainable=attainable)
            if instead is None:
                return None
            solution = instead.solution
        self._solution = solution
        return solution

    def _drop_slack(self, solution: Solution) -> None:
        """Leave out cuts that have no weight in a solution of the palette itself: it is the same without them."""
        if self._own:
            weights = solution.weights[len(self._asked) :]
            kept = [column for column, weight in zip(self.columns, weights, strict=True) if weight > 0]
            self.table, self.oracle, self.levels = self._plain, self._plain_oracle, self._asked
            self._use(kept)

    def _violated(self, solution: Solution) -> list[DerivedColumn]:
        masses = reply_probabilities(self.table, self.oracle, solution.weights)
        cuts = [cut for value in self._demands.tails if (cut := self._tail_cut(value, masses)) is not None]
        if self._demands.mix and self._own:  # the nearest palette has other levels than those asked for
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
        """Return a column for each target that the worst mix of prompts misses, of the levels that were reached."""
        by_prompt = self.oracle.by_prompt(solution.weights)
        derived = {column.name: column for column in self._plain.derived}
        cuts = []
        for j in np.flatnonzero(~np.isnan(self._asked)):
            column = derived.get(self._values[j])
            if column is not None and column.cohort is not None:
                continue
            levels = self.oracle.base[j] + by_prompt.levels[:, j] * self.oracle.scale[j]
            mix, worst = worst_mix(levels, by_prompt.mass, self._demands.mix)
            if worst >= self._asked[j] - TOLERANCE * self.oracle.scale[j]:
                continue
            plain = column or DerivedColumn(self._values[j], self._values[j])
            number = 1 + sum(bool(other.mix) and other.value == plain.value for other in self.columns)
            name = f"{self._values[j]} (mix {number})"
            cuts.append(replace(plain, name=name, centre=float(self._asked[j]), mix=tuple(mix.tolist())))
        return cuts


def reply_probabilities(table: RewardTable, oracle: Oracle, weights: np.ndarray) -> np.ndarray:
    """Return the probability of each reply of a table at weights x, (reply,) with sum 1; 0 for held-out prompts.

    Args:
        table: the replies.
        oracle: of the table, in its form.
        weights: (value,) in nats per standard deviation.
    """
    logits = np.where(oracle.constant, 0.0, oracle.standardise(table.rewards)) @ weights
    counts = table.candidates
    if oracle.form is Form.PER_PROMPT:
        _, within = Groups(counts, transposed=False).tilt(logits)
        mass = np.ones(len(counts)) if table.prompt_weights is None else table.prompt_weights
        return np.asarray(within * np.repeat(mass / mass.sum(), counts))
    base = reply_masses(table, Form.POOLED)
    if base is not None:
        with np.errstate(divide="ignore"):
            logits = logits + np.log(base)
    tilted = np.exp(logits - logits.max())
    return np.asarray(tilted / tilted.sum())


def tail_excess(rewards: np.ndarray, masses: np.ndarray, base: np.ndarray) -> tuple[float, float]:
    """Return the largest excess of the expected shortfall over the base model's, and its threshold.

    max over t of  E_p (t - r)+ - E_p0 (t - r)+, which is piecewise linear in t with corners at rewards.

    Args:
        rewards: (reply,) of a value.
        masses: (reply,) probabilities p, with sum 1.
        base: (reply,) probabilities p0, with sum 1.

    Example:
        >>> excess, threshold = tail_excess(np.array([0.0, 1.0]), np.array([0.75, 0.25]), np.array([0.5, 0.5]))
        >>> excess, threshold
        (0.25, 1.0)
    """
    order = np.argsort(rewards, kind="stable")
    ordered, difference = rewards[order], (masses - base)[order]
    # Measured from the lowest reward, so that a large offset costs no digits.
    above = ordered - ordered[0]
    excess = above * np.cumsum(difference) - np.cumsum(difference * above)
    largest = int(np.argmax(excess))
    return float(max(excess[largest], 0.0)), float(ordered[largest])


def worst_mix(levels: np.ndarray, masses: np.ndarray, rho: float) -> tuple[np.ndarray, float]:
    """Return the mix of prompts within a distance that gives the lowest level, and that level.

    min over v >= 0 with E v = 1 and E v log v <= rho of E v m: v proportional to exp(-theta m), or on the lowest alone.

    Args:
        levels: (prompt,) m.
        masses: (prompt,) of the prompts, with sum 1; those of 0 do not count.
        rho: nats, 0 or more.

    Returns:
        (prompt,) v, and the lowest level.

    Example:
        >>> mix, level = worst_mix(np.array([0.0, 1.0]), np.array([0.5, 0.5]), 0.130812)
        >>> mix.round(4).tolist(), round(level, 4)
        ([1.5, 0.5], 0.25)
    """
    counted = masses > 0
    m, w = levels[counted], masses[counted]
    spread = float(m.max() - m.min())
    mix = np.zeros(len(levels))
    lowest = m <= m.min() + 1e-12 * max(spread, 1e-300)
    if spread <= 1e-12 * max(1.0, float(np.abs(m).max())) or rho <= 1e-15:
        mix[counted] = 1.0
    elif -math.log(float(w[lowest].sum())) <= rho:
        mix[counted] = lowest / float(w[lowest].sum())
    else:

        def tilted(log_theta: float) -> np.ndarray:
            v = np.exp(-math.exp(log_theta) * (m - m.min()) / spread)
            return np.asarray(v / (w @ v))

        def surplus(log_theta: float) -> float:
            v = tilted(log_theta)
            return float(w @ (v * np.log(np.maximum(v, 1e-300)))) - rho

        high = 0.0
        while surplus(high) < 0 and high < 60.0:
            high += 3.0
        mix[counted] = tilted(high if surplus(high) < 0 else brentq(surplus, -40.0, high, xtol=1e-13))
    return mix, float(masses @ (mix * levels))


def _floor(worst: WorstMean, threshold: float) -> float:
    """Return the floor under the mean of min(r, t) at which the worst mean reaches its level: t - a (t - c)."""
    return threshold - worst.share * (threshold - worst.level)


def _quantile(rewards: np.ndarray, masses: np.ndarray, share: float) -> float:
    """Return the least reward that is reached from below by at least this share of the probability."""
    order = np.argsort(rewards, kind="stable")
    place = int(np.searchsorted(np.cumsum(masses[order]), share * (1 - 1e-12)))
    return float(rewards[order[min(place, len(rewards) - 1)]])


def worst_mean(rewards: np.ndarray, masses: np.ndarray, share: float) -> float:
    """Return the mean of the worst share of replies (CVaR), exactly: max over t of t - E (t - r)+ / share.

    Args:
        rewards: (reply,).
        masses: (reply,) probabilities, with sum 1.
        share: above 0 and at most 1.

    Example:
        >>> worst_mean(np.array([0.0, 1.0, 2.0]), np.full(3, 1 / 3), 2 / 3)
        0.5
    """
    threshold = _quantile(rewards, masses, share)
    return threshold - float(masses @ np.maximum(threshold - rewards, 0.0)) / share


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
    """Return what weights give of the demands, in reward units.

    Args:
        demands: of the palette.
        table: the replies, with the columns of the targets.
        oracle: of the table.
        levels: (value,) targets, NaN for free values; the worst mix is that of each of these.
        weights: (value,) in nats per standard deviation.

    Returns:
        ``tails``: the largest excess of the shortfall over the base model's, by value, 0 where the tail is no worse;
        ``worst``: the means of the worst replies, by value and share; ``mix``: the level under the worst mix of
        prompts.
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
