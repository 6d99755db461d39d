"""Solve linear programs over the attainable levels by cutting planes, warm-started from the corners known so far.

With h(w) the highest w-weighted level, every problem here has the form

    minimise  h(w) + w . cost   over  lower <= w <= upper   [ and sum w = 1 ]

h is a sum over groups of neighbouring prompts, h(w) = sum_g share_g max_v w . v, and each pass over the table at one w
gives a corner v of every group: a cut that bounds h from below for all w. The master program over the cuts proposes the
next w, and its multipliers mix the corners into attainable levels, which bound the minimum from below; the pass bounds
it from above. One cut per group instead of one in all saves nine of ten passes. Constraint: known corners only
accelerate a program; both bounds of its result are exact in any case.

Source: Kelley, "The cutting-plane method for solving convex programs", 1960; one cut per group as in Birge and
Louveaux, "A multicut algorithm for two-stage stochastic linear programs", 1988; the box around the start is the boxstep
method of Marsten, Hogan and Blankenship, 1975.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import highspy
import numpy as np

from map_core.core.types import Form
from map_core.oracle import Oracle

#: More groups need fewer passes but larger linear programs; with this many they take a few milliseconds.
MAX_GROUPS = 256
#: Corners per group beyond which old ones are dropped between programs, unless their last multiplier was positive.
MAX_CORNERS_PER_GROUP = 4
#: Maximum size of the result of one pass, 256 MB; for larger tables a pass returns a single corner.
MAX_NUMBERS = 2**25
MAX_PASSES = 500
#: Violation of a bound by a mix of corners, in standard deviations, that is attributed to rounding.
SLACK = 2e-10


@dataclass(frozen=True, eq=False)
class Optimum:
    """The minimum of h(w) + w . cost with proofs from above and below.

    Args:
        value: upper bound on the minimum, the value at ``weights``.
        weights: (value,) the minimiser w.
        bound: lower bound on the minimum, from ``levels``; minus infinity if there is none.
        levels: (value,) levels of a mix of replies that proves the bound.
        passes: number of passes over the table.
    """

    value: float
    weights: np.ndarray
    bound: float
    levels: np.ndarray
    passes: int


class Corners:
    """The known corners of a table, as rows of a linear program that is kept between solves.

    Args:
        oracle: the table's oracle.
    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        size, prompts = len(oracle.values), oracle.prompts
        # If prompts have different weights, the oracle itself averages over them.
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
            mix: whether w sums to 1.
            tolerance: largest difference between the two bounds.
            start: (value,) the first w where no corners are known.
            radius: initial half-width of the box around the best w, for a good start.
        """
        size = len(cost)
        columns = np.arange(size, dtype=np.int32)
        row = (1.0, 1.0) if mix else (-math.inf, math.inf)
        self._program.changeRowBounds(0, *row)
        self._program.changeColsCost(size, columns, cost)
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
            self._program.changeColsBounds(size, columns, *(box if passes else (lower, upper)))
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
                radius = _wider(radius)  # optimal within its box: the minimum, or its proof, lies outside
                continue
            if not evaluate(w):
                if not math.isfinite(radius):
                    break  # rounding allows no closer bounds
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
        """Return (group,) each group's h(w) over the known corners."""
        highest = np.full(len(self._share), -np.inf)
        np.maximum.at(highest, self._group, self._vectors @ w)
        return highest

    def _add_corners(self, w: np.ndarray, corners: np.ndarray) -> bool:
        """Add the corners that are higher at w than the known ones; return whether there were any."""
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
        """Drop old corners when there are too many, except those with a multiplier in the last solution."""
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
        for presolve in ("off", "off", "on"):  # off first, as presolve discards the last basis
            self._program.setOptionValue("presolve", presolve)
            self._program.run()
            if self._program.getModelStatus() == highspy.HighsModelStatus.kOptimal:
                break
            self._program.clearSolver()  # the next attempt starts without a basis
        else:
            return None
        solution = self._program.getSolution()
        share = np.maximum(np.array(solution.row_dual)[1:], 0.0)
        total = np.bincount(self._group, share, len(self._share))
        if np.any(total <= 0):
            return None
        # A group's multipliers sum to its share up to rounding; they are rescaled so that the mix is attainable.
        share *= (self._share / total)[self._group]
        self._multipliers = share
        return np.array(solution.col_value[: self._vectors.shape[1]]), share @ self._vectors


def _wider(radius: float) -> float:
    """Return a larger radius; infinite once the box contains every mix."""
    return 4.0 * radius if radius < 1.0 else math.inf


def _bound(levels: np.ndarray, cost: np.ndarray, lower: np.ndarray, upper: np.ndarray, mix: bool) -> float:
    """Return min w . (levels + cost) over the bounds on w, a lower bound on the minimum of h(w) + w . cost."""
    surplus = levels + cost
    if mix:
        return float(surplus[upper > 0].min())
    fixed = lower == upper
    if np.any(surplus[~fixed] < -SLACK):
        return -math.inf
    return float(surplus[fixed] @ lower[fixed])


class _Program(highspy.Highs):
    """HiGHS without the line that it prints in its constructor, before the option that silences it can be set."""

    def enableCallbacks(self) -> None:
        self.setOptionValue("output_flag", False)


def _empty_program(size: int, share: np.ndarray) -> highspy.Highs:
    """Build the program: minimise w . cost + share . t over w (value,) and t (group,); the first row is sum w = 1."""
    program = _Program()  # type: ignore[no-untyped-call]  # the library has no types
    program.setOptionValue("primal_feasibility_tolerance", 1e-10)
    program.setOptionValue("dual_feasibility_tolerance", 1e-10)
    groups = len(share)
    free = np.full(groups, math.inf)
    program.addVars(size + groups, np.append(np.zeros(size), -free), np.append(np.ones(size), free))
    program.changeColsCost(groups, np.arange(size, size + groups, dtype=np.int32), share)
    program.addRow(1.0, 1.0, size, np.arange(size, dtype=np.int32), np.ones(size))
    return program
