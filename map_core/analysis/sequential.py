"""Sequential alignment: one value at a time, each step starting from the last model.

Aligning value j from the model with weights x maximises the dual in that one coordinate,

    x_j <- argmax over x_j >= 0 of  g(x) = x . d - A(x),   the root of  level_j(x) = d_j  or 0,

so one round meets each target in turn and mostly undoes earlier ones, and repeated rounds are coordinate ascent on
the dual of the simultaneous problem: they converge to its weights. Optionally every step only adds to the last model
(weights never shrink); such a path never takes back what it overspent and need not converge. Constraint: standardised
units; a bounded number of rounds; a target out of reach is a status and not an error.

Source: Wang et al., "MAP: Multi-Human-Value Alignment Palette", ICLR 2025 (arXiv 2410.19198), sequential alignment;
coordinate ascent in Bertsekas, "Nonlinear Programming", 1999, section 2.7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.solver.batched import solve_many
from map_core.solver.newton import Status

#: A target this far above a value's own highest level, in standard deviations, is out of reach.
BEYOND = 1e-9


@dataclass(frozen=True, eq=False)
class SequentialPath:
    """The models along the path, in standardised units; row 0 of every path is the base model.

    Args:
        order: positions of the values, as they are aligned in each round.
        targets: (value,) d, NaN for free values.
        status: converged: the path ends at the simultaneous weights; unbounded: the targets are proven out of reach,
            and the path stops there; step limit: neither was so after the last round.
        weights: (step + 1, value) x.
        levels: (step + 1, value) in standard deviations above base.
        kl: (step + 1,) distance from the base model, in nats.
        dual: (step + 1,) g, in nats; it never falls.
        residual: largest violation of the optimality conditions of the simultaneous problem at the end.
    """

    order: tuple[int, ...]
    targets: np.ndarray
    status: Status
    weights: np.ndarray
    levels: np.ndarray
    kl: np.ndarray
    dual: np.ndarray
    residual: float

    @property
    def steps(self) -> int:
        """Steps taken."""
        return len(self.kl) - 1

    @property
    def rounds(self) -> int:
        """Rounds begun."""
        return math.ceil(self.steps / len(self.order))

    @property
    def aligned(self) -> np.ndarray:
        """(step,) the value that each step aligns."""
        return np.resize(np.array(self.order, dtype=int), self.steps)

    @property
    def shortfall(self) -> np.ndarray:
        """(step + 1, value) how far each level is below its target, in standard deviations; 0 for free values."""
        return np.nan_to_num(np.maximum(0.0, self.targets - self.levels))

    @property
    def undone(self) -> np.ndarray:
        """(step, value) how much a step adds to the shortfall of values aligned before, in standard deviations.

        0 for the values that are not aligned yet.
        """
        aligned = self.aligned
        first = np.array([np.argmax(aligned == j) if j in aligned else self.steps for j in range(len(self.targets))])
        was_aligned = np.arange(self.steps)[:, None] > first
        return np.where(was_aligned, np.maximum(0.0, np.diff(self.shortfall, axis=0)), 0.0)

    def after(self, rounds: int) -> SequentialPath:
        """Return the path truncated to this number of rounds; the whole path where it has no more."""
        end = rounds * len(self.order) + 1
        if end >= len(self.kl):
            return self
        paths = {name: getattr(self, name)[:end] for name in ("weights", "levels", "kl", "dual")}
        residual = _residuals(paths["weights"][-1:], paths["levels"][-1:], self.targets)[0]
        return replace(self, status=Status.STEP_LIMIT, residual=float(residual), **paths)

    def rounds_to(self, levels: np.ndarray, within: float) -> int | None:
        """Return the number of rounds after which every level stays within a distance of these.

        Args:
            levels: (value,) in standard deviations above base, as of the simultaneous solution.
            within: largest difference, in standard deviations.

        Returns:
            Their number, from 0; None where the path ends before.
        """
        ends = np.minimum(np.arange(self.rounds + 1) * len(self.order), self.steps)
        distant = np.flatnonzero(np.abs(self.levels[ends] - levels).max(axis=1) > within)
        first = int(distant[-1]) + 1 if len(distant) else 0
        return first if first <= self.rounds else None


def sequential_path(
    oracle: Oracle,
    targets: np.ndarray,
    order: Sequence[int] | None = None,
    *,
    rounds: int = 1,
    grow_only: bool = False,
) -> SequentialPath:
    """Align one value after another.

    Args:
        oracle: the table.
        targets: (value,) d, in standard deviations above base; NaN for a free value.
        order: positions of every targeted value, each once; the table's order by default.
        rounds: largest number of passes through the order; a path that has converged stops earlier.
        grow_only: steps only add weight; by default a step may also lower the weight of its value.

    Returns:
        The path.

    Raises:
        InputError: nothing is targeted, a target is infinite, the order is not one of the targeted values, or
            there is no round.

    Example:
        >>> path = sequential_path(oracle, np.array([0.3, 0.2]), (1, 0))  # doctest: +SKIP
        >>> path.undone[-1]  # what aligning value 0 took from value 1  # doctest: +SKIP
        array([0.  , 0.12])
    """
    orders = None if order is None else [order]
    return sequential_paths(oracle, targets, orders, rounds=rounds, grow_only=grow_only)[0]


def sequential_paths(
    oracle: Oracle,
    targets: np.ndarray,
    orders: Sequence[Sequence[int]] | None = None,
    *,
    rounds: int = 1,
    grow_only: bool = False,
) -> tuple[SequentialPath, ...]:
    """Compute several paths side by side, with one pass over the table per Newton step; see :func:`sequential_path`.

    Args:
        oracle: the table.
        targets: (value,) d of every path, or (row, value) with the same number of targets in each row.
        orders: one per path; the table's order by default.
        rounds: of every path.
        grow_only: of every path.

    Returns:
        A path for each row, or for each order.

    Raises:
        InputError: as for one, or rows and orders do not fit together.
    """
    positions = targeted_positions(oracle, targets, rounds)
    targets = np.atleast_2d(oracle.deviations(targets))
    if orders is not None:
        if not len(orders):
            raise InputError("The list of orders is empty; give at least one order, or leave the orders out.")
        if len(targets) not in (1, len(orders)):
            raise InputError(f"{len(targets)} rows of targets do not fit {len(orders)} orders; give one order per row.")
        positions, targets = (np.broadcast_to(a, (len(orders), a.shape[1])) for a in (positions, targets))
    turns = np.array(
        [_order(oracle, *pair) for pair in zip(positions, positions if orders is None else orders, strict=True)]
    )
    (count, size), rows = targets.shape, np.arange(len(targets))
    # With the other weights fixed, value j reaches the level of its own best replies, and no higher.
    highest = oracle.highest

    x, levels = np.zeros((count, size)), np.zeros((count, size))
    status = np.full(count, Status.STEP_LIMIT, dtype=object)
    paths = [[(x[row].copy(), levels[row].copy(), 0.0, 0.0)] for row in rows]
    active = rows
    for turn in range(rounds * turns.shape[1]):
        j = turns[active, turn % turns.shape[1]]
        beyond = targets[active, j] > highest[j] + BEYOND
        status[active[beyond]] = Status.UNBOUNDED
        active, j = active[~beyond], j[~beyond]
        if not len(active):
            break
        turn_targets = np.full((len(active), size), np.nan)
        turn_targets[np.arange(len(active)), j] = targets[active, j]
        turning = ~np.isnan(turn_targets)
        tilt = x[active] if grow_only else np.where(turning, 0.0, x[active])
        start = np.where(turning & ~grow_only, x[active], 0.0)
        # A hundredth of the resolution, so that the errors of the other values' steps do not add up to it.
        solutions = solve_many(oracle, turn_targets, tilt=tilt, start=start, tolerance=0.01 * oracle.resolution)
        x[active], levels[active] = tilt + solutions.weights, solutions.levels
        dual = solutions.kl - np.sum(x[active, :] * (solutions.levels - np.nan_to_num(targets[active])), axis=1)
        for row, kl, dual_value in zip(active, solutions.kl, dual, strict=True):
            paths[row].append((x[row].copy(), levels[row].copy(), float(kl), float(dual_value)))
        # Weak duality, as in the solver: for attainable targets g never exceeds the largest possible KL.
        unbounded = dual > oracle.log_candidates + 1e-6
        status[active[unbounded]] = Status.UNBOUNDED
        settled = ~unbounded & (_residuals(x[active], levels[active], targets[active]) <= oracle.resolution)
        status[active[settled]] = Status.CONVERGED
        active = active[~unbounded & ~settled]
        if not len(active):
            break
    residual = _residuals(x, levels, targets)
    results = []
    for row in rows:
        weights, path_levels, kl, dual_values = (np.array(column) for column in zip(*paths[row], strict=True))
        order = tuple(int(j) for j in turns[row])
        results.append(
            SequentialPath(
                order,
                targets[row],
                Status(status[row]),
                weights,
                path_levels,
                kl,
                dual_values,
                residual=float(residual[row]),
            )
        )
    return tuple(results)


def _residuals(x: np.ndarray, levels: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return (row,) the largest violation of x >= 0, level >= d, x (level - d) = 0."""
    slack = np.nan_to_num(levels - targets)
    return np.asarray(np.abs(np.minimum(x, slack)).max(axis=1))


def targeted_positions(oracle: Oracle, targets: np.ndarray, rounds: int) -> np.ndarray:
    """Return (row, turn) positions of the targeted values of each row; raise InputError where there are none."""
    targets = oracle.deviations(targets)
    if targets.ndim not in (1, 2) or targets.shape[-1:] != oracle.base.shape or np.any(np.isinf(targets)):
        raise InputError(
            f"Targets are {targets.tolist()}; expected {len(oracle.base)} finite numbers, NaN for a free value."
        )
    if rounds < 1:
        raise InputError(f"rounds is {rounds}; expected a whole number from 1.")
    targeted = ~np.isnan(np.atleast_2d(targets))
    counts = targeted.sum(axis=1)
    if not len(counts) or np.any(counts == 0):
        raise InputError("No value has a target, so there is nothing to align. Give at least one target.")
    if np.any(counts != counts[0]):
        raise InputError(f"Rows have {counts.min()} to {counts.max()} targets; expected the same number in each row.")
    return np.nonzero(targeted)[1].reshape(len(counts), -1)


def _order(oracle: Oracle, targeted: np.ndarray, order: Sequence[int]) -> list[int]:
    """Check that an order has exactly the targeted values, and return it."""
    names, positions = oracle.values, [int(j) for j in order]
    if not positions:
        raise InputError("The order is empty; expected every value that has a target, each once.")
    if unknown := [j for j in positions if not 0 <= j < len(names)]:
        raise InputError(f"The order names position {unknown[0]}; expected positions from 0 to {len(names) - 1}.")
    if len(set(positions)) < len(positions):
        raise InputError(f"The order {', '.join(names[j] for j in positions)} names a value twice; expected each once.")
    if free := [names[j] for j in positions if j not in targeted]:
        raise InputError(f"The order names {', '.join(free)} without a target. Give it a target, or leave it out.")
    if missing := [names[j] for j in targeted if j not in positions]:
        raise InputError(f"The order leaves out {', '.join(missing)}, which has a target. Name every targeted value.")
    return positions
