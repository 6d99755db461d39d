"""Targets of a value that hold for its further scorers too: a column each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from map_core.data.derived_columns import ColumnKind, DerivedColumn
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle import Oracle


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
