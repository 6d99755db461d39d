"""The effect of the order in sequential alignment: the same targets in several orders.

Constraint: losses are measured against a converged simultaneous solution; where there is none, paths have no losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from map_core.analysis.sequential import SequentialPath, sequential_paths, targeted_positions
from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.solver.newton import Solution, Status, solve

#: All orders are compared where there are no more than this many.
MAX_ORDERS = 720


@dataclass(frozen=True, eq=False)
class PathLoss:
    """What a path loses against the simultaneous solution.

    Args:
        levels: (value,) simultaneous minus sequential levels, in standard deviations; positive is lost.
        weights: (value,) simultaneous minus sequential weights x.
        worst: the largest lack of a level against its target at the end, in standard deviations.
        dual: g of the simultaneous solution minus g of the path, in nats; 0 only for the same levels.
        kl: nats that the path spends more than the simultaneous solution; negative where it gives less.
    """

    levels: np.ndarray
    weights: np.ndarray
    worst: float
    dual: float
    kl: float


def path_loss(path: SequentialPath, simultaneous: Solution, step: int = -1) -> PathLoss:
    """Compute the loss of a path at one of its steps, the last by default, against a converged solution."""
    return PathLoss(
        simultaneous.levels - path.levels[step],
        simultaneous.weights - path.weights[step],
        float(path.shortfall[step].max()),
        # At the optimum every weight is 0 or its target is tight, so the dual g equals the cost in nats.
        simultaneous.kl - float(path.dual[step]),
        float(path.kl[step]) - simultaneous.kl,
    )


@dataclass(frozen=True, eq=False)
class OrderComparison:
    """The same targets aligned in several orders.

    Args:
        paths: one per order.
        simultaneous: the solution for all values at once.
        losses: one per path; empty where the targets are not attainable together.
    """

    paths: tuple[SequentialPath, ...]
    simultaneous: Solution
    losses: tuple[PathLoss, ...]

    @property
    def best(self) -> int | None:
        """The path that ends closest to the simultaneous solution, by the dual; None without losses."""
        return min(range(len(self.losses)), key=lambda i: self.losses[i].dual) if self.losses else None

    @property
    def worst(self) -> int | None:
        """The path that ends furthest from it; None without losses."""
        return max(range(len(self.losses)), key=lambda i: self.losses[i].dual) if self.losses else None


def compare_orders(
    oracle: Oracle,
    targets: np.ndarray,
    orders: Sequence[Sequence[int]] | None = None,
    *,
    rounds: int = 1,
    grow_only: bool = False,
    limit: int = MAX_ORDERS,
    seed: int = 0,
) -> OrderComparison:
    """Align the same targets in several orders and compare each with the simultaneous solution.

    Args:
        oracle: the table.
        targets: (value,) d, NaN for a free value.
        orders: the orders to compare; by default all, or ``limit`` random ones where there are more.
        rounds: see :func:`map_core.analysis.sequential.sequential_path`.
        grow_only: likewise.
        limit: largest number of orders that are drawn, at least 1.
        seed: of the draw.

    Returns:
        The paths and their losses.

    Raises:
        InputError: see :func:`map_core.analysis.sequential.sequential_path`.
    """
    if limit < 1:
        raise InputError(f"limit is {limit}; expected a number of orders from 1.")
    if orders is None:
        orders = _all_orders(targeted_positions(oracle, targets, rounds)[0], limit, seed)
    paths = sequential_paths(oracle, targets, orders, rounds=rounds, grow_only=grow_only)
    simultaneous = solve(oracle, targets)
    comparable = simultaneous.status is Status.CONVERGED and not any(path.status is Status.UNBOUNDED for path in paths)
    return OrderComparison(
        paths, simultaneous, tuple(path_loss(path, simultaneous) for path in paths) if comparable else ()
    )


def _all_orders(positions: np.ndarray, limit: int, seed: int) -> list[tuple[int, ...]]:
    """Return every order, or ``limit`` different random ones."""
    if math.factorial(len(positions)) <= limit:
        return list(permutations(positions.tolist()))
    rng = np.random.default_rng(seed)
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < limit:
        drawn[tuple(rng.permutation(positions).tolist())] = None
    return list(drawn)
