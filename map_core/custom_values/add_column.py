"""Add custom values to a table as columns.

Constraint: nothing else changes, and the new table keeps the key of the original one, so that saved palettes, votes and
meetings still belong to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from map_core.custom_values.score_cache import ValueScores
from map_core.data.reward_table import ADDED_VALUES, RewardTable
from map_core.errors import InputError
from map_core.store.keys import BENEATH, table_key


def add_columns(table: RewardTable, added: Sequence[ValueScores]) -> RewardTable:
    """Return the table with a column for each of these scores, in this order, and their scorers in its metadata.

    Raises:
        InputError: a value has the name of another one, or there is not one score per reply.
    """
    if not added:
        return table
    names = [str(column.entry["name"]) for column in added]
    values = (*table.values, *names)
    if len(set(values)) < len(values):
        twice = next(name for name in names if values.count(name) > 1)
        raise InputError(f"There is a value named {twice!r} already. Give the one of your own another name.")
    for name, column in zip(names, added, strict=True):
        if column.rewards.shape != (len(table.rewards),):
            raise InputError(f"{name!r} has {len(column.rewards)} scores; this table has {len(table.rewards)} replies.")
    scorers = [*(table.metadata.get("scorers") or ()), *(column.entry for column in added)]
    metadata = {"values": list(values), "scorers": scorers, BENEATH: table_key(table), ADDED_VALUES: names}
    rewards = np.column_stack([table.rewards, *(column.rewards for column in added)])
    return replace(table, values=values, rewards=rewards, metadata={**table.metadata, **metadata})
