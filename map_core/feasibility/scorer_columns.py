"""Targets of a value that hold for its further scorers too: a column each, which gives way with the target.

Constraint: a table with columns and numbers in, numbers out; the solver sees further values and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from map_core.data.derived_columns import ColumnKind, DerivedColumn
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility.nearest import NearestPalette
from map_core.oracle import Oracle
from map_core.solver.newton import Status, solve


def scorer_columns(
    table: RewardTable, oracle: Oracle, levels: np.ndarray, scorers: Sequence[tuple[str, tuple[str, ...]]]
) -> tuple[DerivedColumn, ...]:
    """Return a column for each target of a value and each further scorer of it.

    The scorer's level is as many of its own standard deviations above its base level as the value's target is above the
    value's; a share is the same share, above a threshold that is converted in the same way.

    Args:
        table: the table, with the derived columns of the targets.
        oracle: the table's oracle.
        levels: (value,) targets in reward units, NaN for free values.
        scorers: values, each with the table's values that are further scorers of it.

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
            for targeted in map(int, np.flatnonzero(~np.isnan(levels))):
                target = table.values[targeted]
                plain = derived.get(target) or DerivedColumn(target, target)
                if plain.value == value:
                    share, level = plain.kind is ColumnKind.SHARE, float(levels[targeted])
                    columns[f"by {name}: {target}"] = replace(
                        plain,
                        name=f"by {name}: {target}",
                        value=name,
                        threshold=_moved(oracle, plain.threshold, j, k),
                        centre=level if share else _moved(oracle, level, j, k),
                        scorer_of=value,
                        follows=target,
                    )
    return tuple(columns.values())


def followers(table: RewardTable) -> tuple[tuple[int, int], ...]:
    """Return the positions of the columns of further scorers, each with that of the target that it follows."""
    first = len(table.values) - len(table.derived)
    return tuple((k, table.index(column.follows)) for k, column in enumerate(table.derived, first) if column.follows)


def with_followers(table: RewardTable, locked: np.ndarray) -> np.ndarray:
    """Return which columns must not be lowered, (value,) bool, the further scorers of those that must not included."""
    whole = locked.copy()
    for k, j in followers(table):
        whole[k] |= locked[j]
    return whole


def lowered_with_scorers(
    table: RewardTable, oracle: Oracle, targets: np.ndarray, units: Oracle | None = None
) -> np.ndarray:
    """Return targets of which each is no higher than what its further scorers are left with.

    Args:
        table: with its columns.
        oracle: of the table, or of a part of it.
        targets: (value,) of the nearest palette, in standard deviations above base; NaN for what stays.
        units: that the columns were made in; ``oracle`` by default.
    """
    lowered = targets.copy()
    for k, j in followers(table):
        if not np.isnan(targets[k]):
            reward = _corresponding(table, units or oracle, float(oracle.rewards_at(targets)[k]), k, down=True)
            lowered[j] = np.fmin(lowered[j], (reward - oracle.base[j]) / oracle.scale[j])
    return lowered


def tied(
    table: RewardTable,
    oracle: Oracle,
    closest: NearestPalette,
    importance: np.ndarray | None = None,
    units: Oracle | None = None,
) -> NearestPalette:
    """Return a nearest palette whose targets hold for their further scorers too, so that it can be asked for again.

    Args:
        table: with its columns.
        oracle: of the table, or of a part of it.
        closest: the nearest palette, of which each column was lowered by itself.
        importance: (value,) that it was found with.
        units: that the columns were made in; ``oracle`` by default.

    Returns:
        The same where no target has a further scorer. ``distance`` counts no column that follows a target.
    """
    pairs = [(k, j) for k, j in followers(table) if not np.isnan(closest.targets[k])]
    if not pairs:
        return closest
    targets = lowered_with_scorers(table, oracle, closest.targets, units)
    for k, j in pairs:
        reward = _corresponding(table, units or oracle, float(oracle.rewards_at(targets)[j]), k, down=False)
        targets[k] = np.fmin(targets[k], (reward - oracle.base[k]) / oracle.scale[k])
    solution = solve(oracle, targets, start=closest.solution.weights)
    given_up = np.nan_to_num(closest.targets + closest.given_up - targets)
    weighted = given_up if importance is None else np.sqrt(importance) * given_up
    return replace(
        closest,
        targets=targets,
        given_up=given_up,
        # Its levels reach the lowered targets as well.
        solution=solution if solution.status is Status.CONVERGED else closest.solution,
        distance=float(np.linalg.norm(np.delete(weighted, [k for k, _ in pairs]))),
    )


def _corresponding(table: RewardTable, units: Oracle, level: float, follower: int, *, down: bool) -> float:
    """Return what a level of a follower is for its target, or the other way round, in reward units.

    Args:
        table: with the columns.
        units: that they were made in.
        level: in reward units.
        follower: position of the follower.
        down: from the follower to its target.
    """
    column = table.derived[follower - (len(table.values) - len(table.derived))]
    if column.kind is ColumnKind.SHARE:  # one number for both
        return level
    own, value = table.index(column.value), table.index(column.scorer_of)
    return _moved(units, level, own, value) if down else _moved(units, level, value, own)


def _moved(oracle: Oracle, level: float, j: int, k: int) -> float:
    """Return the level of value k that lies as many of its standard deviations above base as a level of value j."""
    return float(oracle.base[k] + (level - oracle.base[j]) / oracle.scale[j] * oracle.scale[k])
