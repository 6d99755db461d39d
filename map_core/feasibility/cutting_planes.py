"""Linear programs over the attainable levels by cutting planes, warm-started from the corners found so far.

With h(w) the highest w-weighted level, every question here is of one kind:

    minimise  h(w) + w . cost   over  lower <= w <= upper   [ and sum w = 1 ]

h is a sum over groups of neighbouring prompts, h(w) = sum_g share_g max_v w . v, and each pass over the table at one w
gives a corner v of every group: a cut from below, for all w. The master program over the cuts proposes the next w,
and its multipliers mix the corners into attainable levels, which bound the minimum from below; the pass bounds
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
#: Corners a group beyond this are dropped between programs, those with a multiplier in the last solution excepted.
MAX_CORNERS_PER_GROUP = 4
#: Numbers that one pass may return, 256 MB; above, a pass returns one corner in all.
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
    """The corners of a table found so far, as rows of a linear program that is kept between solves.

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
            lower: (value,) lower bounds on w.
            upper: (value,) upper bounds on w.
            mix: w sums to 1.
            tolerance: largest difference between the two bounds.
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

        def evaluate(w: np.ndarray) -> bool:
            """Make one pass at w; return whether it found a corner that the program lacked."""
            nonlocal best, weights, passes
            corners = self._group_corners(w)
            passes += 1
            value = float(w @ (self._share @ corners + cost))
            if value < best:
                best, weights = value, w
            return self._add_corners(w, corners)

        if not len(self):
            evaluate(lower if start is None else start)
        else:
            self._drop_corners()
        while passes < MAX_PASSES:
            box = (np.maximum(lower, weights - radius), np.minimum(upper, weights + radius))
            self._program.changeColsBounds(size, every, *(box if passes else (lower, upper)))
            master = self._solve_master()
            if master is None:
                if not passes:
                    evaluate(lower if start is None else start)
                break
            w, mixed_levels = master
            lower_bound = _bound(mixed_levels, cost, lower, upper, mix)
            if lower_bound > bound:
                bound, levels = lower_bound, mixed_levels
            if best - bound <= tolerance:
                break
            w = np.clip(w, lower, upper)
            w = w / w.sum() if mix else w
            if math.isfinite(radius) and best - float(self._highest(w) @ self._share + w @ cost) <= tolerance:
                radius = _wider(radius)  # the best of its box: the minimum lies outside, or the proof does
                continue
            if not evaluate(w):
                if not math.isfinite(radius):
                    break  # both bounds are as close as rounding lets them be
                radius = _wider(radius)
            if best - bound <= tolerance:
                break
        return Optimum(best, weights, bound, levels, passes)

    def _group_corners(self, w: np.ndarray) -> np.ndarray:
        """Return (group, value) mean levels of each group's best replies for w."""
        if self._starts is None:
            return self.oracle.best(w)[None]
        levels = self.oracle.best_by_prompt(w)
        if len(self._starts) == len(levels):
            return levels
        sums: np.ndarray = np.add.reduceat(levels, self._starts, axis=0)
        return sums / self._counts[:, None]

    def _highest(self, w: np.ndarray) -> np.ndarray:
        """Return (group,) h(w) of each group on the corners that are known."""
        highest = np.full(len(self._share), -np.inf)
        np.maximum.at(highest, self._group, self._vectors @ w)
        return highest

    def _add_corners(self, w: np.ndarray, corners: np.ndarray) -> bool:
        """Add the corners that reach higher at w than those that are known; return whether there were any."""
        known, reached = self._highest(w), corners @ w
        new = np.flatnonzero(reached > known + 1e-14 * np.abs(corners) @ np.abs(w))
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

    def _drop_corners(self) -> None:
        """Drop old corners when there are too many, those with a multiplier in the last solution excepted."""
        if len(self) <= MAX_CORNERS_PER_GROUP * len(self._share):
            return
        kept = np.zeros(len(self), dtype=bool)
        kept[: len(self._multipliers)] = self._multipliers > 0
        kept[len(self) // 2 :] = True
        # A group without a corner would leave the program unbounded.
        kept[np.unique(self._group, return_index=True)[1]] = True
        drop = np.flatnonzero(~kept)
        self._program.deleteRows(len(drop), (drop + 1).astype(np.int32))
        self._vectors, self._group = self._vectors[kept], self._group[kept]
        self._multipliers = np.empty(0)

    def _solve_master(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Solve the master program; return w, (value,), and the levels, (value,), that its multipliers mix."""
        for presolve in ("off", "off", "on"):  # presolve cannot use the last basis
            self._program.setOptionValue("presolve", presolve)
            self._program.run()
            if self._program.getModelStatus() == highspy.HighsModelStatus.kOptimal:
                break
            self._program.clearSolver()  # once more, from scratch
        else:
            return None
        solution = self._program.getSolution()
        share = np.maximum(np.array(solution.row_dual)[1:], 0.0)
        total = np.bincount(self._group, share, len(self._share))
        if np.any(total <= 0):
            return None
        # By group the multipliers sum to its share but for rounding; exactly, so that the mix is attainable.
        share *= (self._share / total)[self._group]
        self._multipliers = share
        return np.array(solution.col_value[: self._vectors.shape[1]]), share @ self._vectors


def _wider(radius: float) -> float:
    """Return a larger radius; infinite once the box holds every mix."""
    return 4.0 * radius if radius < 1.0 else math.inf


def _bound(levels: np.ndarray, cost: np.ndarray, lower: np.ndarray, upper: np.ndarray, mix: bool) -> float:
    """Return min w . (levels + cost) over the bounds on w, a lower bound of the minimum of h(w) + w . cost."""
    surplus = levels + cost
    if mix:
        return float(surplus[upper > 0].min())
    fixed = lower == upper
    if np.any(surplus[~fixed] < -SLACK):
        return -math.inf
    return float(surplus[fixed] @ lower[fixed])


class _Program(highspy.Highs):
    """HiGHS without the line that it prints on construction, before an option can silence it."""

    def enableCallbacks(self) -> None:
        self.setOptionValue("output_flag", False)


def _empty_program(size: int, share: np.ndarray) -> highspy.Highs:
    """Build the program: minimise w . cost + share . t over w (value,) and t (group,); the first row is sum w = 1."""
    program = _Program()  # type: ignore[no-untyped-call]  # the library has no types
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
