"""Linear programs over the levels that replies can give, on the corners of that set that have been met so far.

With h(w) the highest w-weighted level, every question here is of one kind:

    minimise  h(w) + w . cost   over  lower <= w <= upper   [ and sum w = 1 ]

h is a sum over groups of neighbouring prompts, h(w) = sum_g share_g max_v w . v, and each pass over the table at one w
gives a corner v of every group: a cut from below, for all w. The master program over the cuts proposes the next w,
and its multipliers mix the corners into levels that can be had, which bound the minimum from below; the pass bounds
it from above. Cuts a group, where cutting planes usually have one in all, save nine passes of ten. Constraint: corners
only speed a program up; both bounds of its answer are exact whatever they are.

Source: Kelley, "The cutting-plane method for solving convex programs", 1960; one cut a group as in Birge and Louveaux,
"A multicut algorithm for two-stage stochastic linear programs", 1988; the box around the start is the boxstep method
of Marsten, Hogan and Blankenship, 1975.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import highspy
import numpy as np

from map_core.core.types import Form
from map_core.oracle import Oracle

#: More groups need fewer passes and larger linear programs; with so many these take a few milliseconds.
MAX_GROUPS = 256
#: Corners a group beyond this are forgotten between programs, those that hold the last answer up excepted.
MAX_CORNERS_PER_GROUP = 4
#: Numbers that one pass may hand over, 256 MB; above, a pass hands over one corner in all.
MAX_NUMBERS = 2**25
MAX_PASSES = 500
#: A bound that a mix of corners keeps but for this much, in standard deviations, is kept.
SLACK = 2e-10


@dataclass(frozen=True, eq=False)
class Optimum:
    """The minimum of h(w) + w . cost and both of its proofs.

    Args:
        value: what the minimiser gives: the minimum is not above.
        weights: (value,) the minimiser w.
        bound: what the levels give: the minimum is not below; minus infinity when nothing was proven.
        levels: (value,) a mix of replies that gives the bound.
        passes: over the table.
    """

    value: float
    weights: np.ndarray
    bound: float
    levels: np.ndarray
    passes: int


class Corners:
    """The corners of a table that have been met, as rows of a linear program that stays warm.

    Args:
        oracle: the table.
    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        size, prompts = len(oracle.values), oracle.prompts
        # Where prompts count differently, the oracle itself averages over them.
        whole = oracle.form is Form.POOLED or prompts * size > MAX_NUMBERS or oracle.prompt_weights is not None
        groups = 1 if whole else min(prompts, MAX_GROUPS)
        self._starts = None if whole else np.linspace(0, prompts, groups + 1).astype(int)[:-1]
        self._counts = np.diff(np.append(self._starts, prompts)) if self._starts is not None else np.array([prompts])
        self._share = self._counts / prompts
        self._vectors, self._group = np.empty((0, size)), np.empty(0, dtype=int)
        self._program = _empty_program(size, self._share)
        self._multipliers = np.empty(0)

    def __len__(self) -> int:
        return len(self._vectors)

    def minimise(
        self,
        cost: np.ndarray,
        lower: np.ndarray,
        upper: np.ndarray,
        *,
        mix: bool,
        tolerance: float,
        start: np.ndarray | None = None,
        radius: float = math.inf,
    ) -> Optimum:
        """Minimise h(w) + w . cost over lower <= w <= upper, and sum w = 1 for a mix.

        Args:
            cost: (value,).
            lower, upper: (value,) bounds on w.
            mix: w sums to 1.
            tolerance: largest difference between both bounds of the answer.
            start: (value,) w to look from where no corners are known.
            radius: how far from the best w to look at first, where the start is a good one.
        """
        size = len(cost)
        every = np.arange(size, dtype=np.int32)
        row = (1.0, 1.0) if mix else (-math.inf, math.inf)
        self._program.changeRowBounds(0, *row)
        self._program.changeColsCost(size, every, cost)
        best, weights = math.inf, lower.astype(float)
        bound, levels = -math.inf, np.zeros(size)
        passes = 0

        def look(w: np.ndarray) -> bool:
            """One pass at w; whether it met a corner that the program lacked."""
            nonlocal best, weights, passes
            corners = self._look(w)
            passes += 1
            value = float(w @ (self._share @ corners + cost))
            if value < best:
                best, weights = value, w
            return self._learn(w, corners)

        if not len(self):
            look(lower if start is None else start)
        else:
            self._forget()
        while passes < MAX_PASSES:
            box = (np.maximum(lower, weights - radius), np.minimum(upper, weights + radius))
            self._program.changeColsBounds(size, every, *(box if passes else (lower, upper)))
            answer = self._run()
            if answer is None:
                if not passes:
                    look(lower if start is None else start)
                break
            w, mixed = answer
            proven = _bound(mixed, cost, lower, upper, mix)
            if proven > bound:
                bound, levels = proven, mixed
            if best - bound <= tolerance:
                break
            w = np.clip(w, lower, upper)
            w = w / w.sum() if mix else w
            if math.isfinite(radius) and best - float(self._highest(w) @ self._share + w @ cost) <= tolerance:
                radius = _wider(radius)  # the best of its box: the minimum lies outside, or the proof does
                continue
            if not look(w):
                if not math.isfinite(radius):
                    break  # both bounds are as close as rounding lets them be
                radius = _wider(radius)
            if best - bound <= tolerance:
                break
        return Optimum(best, weights, bound, levels, passes)

    def _look(self, w: np.ndarray) -> np.ndarray:
        """(group, value) mean levels of each group's best replies for w."""
        if self._starts is None:
            return self.oracle.best(w)[None]
        levels = self.oracle.best_by_prompt(w)
        if len(self._starts) == len(levels):
            return levels
        sums: np.ndarray = np.add.reduceat(levels, self._starts, axis=0)
        return sums / self._counts[:, None]

    def _highest(self, w: np.ndarray) -> np.ndarray:
        """(group,) h(w) of each group on the corners that are known."""
        highest = np.full(len(self._share), -np.inf)
        np.maximum.at(highest, self._group, self._vectors @ w)
        return highest

    def _learn(self, w: np.ndarray, corners: np.ndarray) -> bool:
        """Add the corners that reach higher at w than those that are known; whether there were any."""
        known, found = self._highest(w), corners @ w
        new = np.flatnonzero(found > known + 1e-14 * np.abs(corners) @ np.abs(w))
        if not len(new):
            return False
        count, size = len(new), corners.shape[1]
        columns = np.empty((count, size + 1), dtype=np.int32)
        columns[:, :size], columns[:, size] = np.arange(size), size + new
        entries = np.column_stack([-corners[new], np.ones(count)])
        self._program.addRows(
            count,
            np.zeros(count),
            np.full(count, math.inf),
            entries.size,
            np.arange(0, entries.size, size + 1, dtype=np.int32),
            columns.ravel(),
            entries.ravel(),
        )
        self._vectors = np.concatenate([self._vectors, corners[new]])
        self._group = np.concatenate([self._group, new])
        return True

    def _forget(self) -> None:
        """Drop old corners when there are too many, those that hold the last answer up excepted."""
        if len(self) <= MAX_CORNERS_PER_GROUP * len(self._share):
            return
        held = np.zeros(len(self), dtype=bool)
        held[: len(self._multipliers)] = self._multipliers > 0
        held[len(self) // 2 :] = True
        # A group without a corner would leave the program unbounded.
        held[np.unique(self._group, return_index=True)[1]] = True
        drop = np.flatnonzero(~held)
        self._program.deleteRows(len(drop), (drop + 1).astype(np.int32))
        self._vectors, self._group = self._vectors[held], self._group[held]
        self._multipliers = np.empty(0)

    def _run(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The master program's w, (value,), and the levels, (value,), that its multipliers mix of the corners."""
        for presolve in ("off", "off", "on"):  # with presolve, where the last program ended is of no use
            self._program.setOptionValue("presolve", presolve)
            self._program.run()
            if self._program.getModelStatus() == highspy.HighsModelStatus.kOptimal:
                break
            self._program.clearSolver()  # once more, without what it remembers
        else:
            return None
        solution = self._program.getSolution()
        share = np.maximum(np.array(solution.row_dual)[1:], 0.0)
        total = np.bincount(self._group, share, len(self._share))
        if np.any(total <= 0):
            return None
        # By group the multipliers sum to its share but for rounding; exactly, so that the mix can be had.
        share *= (self._share / total)[self._group]
        self._multipliers = share
        return np.array(solution.col_value[: self._vectors.shape[1]]), share @ self._vectors


def _wider(radius: float) -> float:
    """A larger box, until it holds every mix."""
    return 4.0 * radius if radius < 1.0 else math.inf


def _bound(levels: np.ndarray, cost: np.ndarray, lower: np.ndarray, upper: np.ndarray, mix: bool) -> float:
    """The least that w . (levels + cost) is over the bounds on w: the minimum of h(w) + w . cost is not below."""
    surplus = levels + cost
    if mix:
        return float(surplus[upper > 0].min())
    fixed = lower == upper
    if np.any(surplus[~fixed] < -SLACK):
        return -math.inf
    return float(surplus[fixed] @ lower[fixed])


class _Program(highspy.Highs):
    """HiGHS without the line that it prints when it is made, before it can be told not to."""

    def enableCallbacks(self) -> None:
        self.setOptionValue("output_flag", False)


def _empty_program(size: int, share: np.ndarray) -> highspy.Highs:
    """Variables w (value,) and t (group,), minimise w . cost + share . t, with room for sum w = 1 as the first row."""
    program = _Program()
    for option, setting in (
        ("primal_feasibility_tolerance", 1e-10),
        ("dual_feasibility_tolerance", 1e-10),
    ):
        program.setOptionValue(option, setting)
    groups = len(share)
    free = np.full(groups, math.inf)
    program.addVars(size + groups, np.append(np.zeros(size), -free), np.append(np.ones(size), free))
    program.changeColsCost(groups, np.arange(size, size + groups, dtype=np.int32), share)
    program.addRow(1.0, 1.0, size, np.arange(size, dtype=np.int32), np.ones(size))
    return program
