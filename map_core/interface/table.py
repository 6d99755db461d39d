"""Reward tables as the interface takes them, and targets as people write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

import numpy as np

from map_core.core.types import Form
from map_core.data import table_file, table_format
from map_core.data.distribution import Percentiles
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.interface.notebook import html_table, level_text
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.target_columns import with_target_columns
from map_core.palettes.targets import checked_names, resolve
from map_core.text.units import Units

Targets = Mapping[str, float | str]
"""A level a value's name: a number in reward units, ``"p70"`` or ``"+0.5sd"``. Values left out are free."""


@dataclass(frozen=True, eq=False)
class Table:
    """A reward table, as the functions of this module take it.

    Args:
        rewards: the replies, their rewards and what is recorded with them.
        oracle: its moments.
    """

    rewards: RewardTable
    oracle: Oracle

    @property
    def values(self) -> tuple[str, ...]:
        """The names of the values."""
        return self.rewards.values

    @cached_property
    def base(self) -> dict[str, float]:
        """The level of each value under the base model, in reward units."""
        return self.named(np.zeros(len(self.values)))

    def named(self, levels: np.ndarray) -> dict[str, float]:
        """Name levels in reward units, given (value,) standard deviations above base; NaN is left out."""
        rewards = self.oracle.rewards_at(levels)
        return {name: float(reward) for name, reward in zip(self.values, rewards, strict=True) if math.isfinite(reward)}

    def standardised(self, targets: Targets) -> np.ndarray:
        """Return targets as (value,) standard deviations above base, NaN for free values.

        Raises:
            InputError: an unknown value, or a level that cannot be read.
        """
        return self.oracle.standardise(resolve(targets, self.rewards, self.oracle))

    def aimed(self, targets: Targets) -> tuple[Table, np.ndarray]:
        """Return the table with the shares and cohorts that targets name as further values, and the targets.

        Args:
            targets: a level a value, or as :mod:`map_core.palettes.column_names` names shares and cohorts.

        Returns:
            The table, itself where nothing is added, and (value,) standard deviations above base, NaN for free values.

        Raises:
            InputError: an unknown value, or a level that cannot be read.
        """
        table, oracle, (named,) = with_target_columns(self.rewards, self.oracle, [checked_names(targets)])
        levels = oracle.standardise(resolve(named, table, oracle))
        return (self if table is self.rewards else Table(table, oracle)), levels

    def position(self, value: str) -> int:
        """Return the position of a value.

        Raises:
            InputError: the table has no such value.
        """
        return self.rewards.index(value)

    @cached_property
    def units(self) -> Units:
        """Reward units, for figures."""
        names = [name.replace("_", " ") for name in self.values]
        return Units(self.oracle, Percentiles(self.rewards, self.oracle.form), "reward", names)

    def __repr__(self) -> str:
        prompts, replies = len(self.rewards.prompts), len(self.rewards.rewards)
        return f"<Table: {prompts:,} prompts, {replies:,} replies; {', '.join(self.values)}>"

    def _repr_html_(self) -> str:
        rows = [(name, level_text(level)) for name, level in self.base.items()]
        return html_table(escape(repr(self)[1:-1]), ("value", "base level"), rows)


def checked_table(table: Table) -> Table:
    """Return the table itself.

    Raises:
        InputError: it is something else, such as an oracle, whose functions take standard deviations.
    """
    if not isinstance(table, Table):
        raise InputError(
            f"The table is of type {type(table).__name__}; expected what load_table() returns, or "
            "Table(rewards, oracle). The functions of map_core take targets in reward units and answer in them."
        )
    return table


def load_table(path: str | Path | None = None, *, use_case: str | None = None, form: str | None = None) -> Table:
    """Load a reward table.

    Args:
        path: a Parquet file that ``value-palette build`` or ``import`` wrote; None for the embedded table.
        use_case: only its prompts; None for all.
        form: "per prompt" or "pooled"; None for what the table allows.

    Raises:
        InputError: the file cannot be read, or has no such use case or form.

    Example:
        >>> import map_core as vp
        >>> vp.load_table().values[:3]
        ('helpfulness', 'kindness', 'humor')
    """
    table = table_file.load(table_format.DEFAULT_TABLE if path is None else path).select(use_case)
    return Table(table, MemoryOracle.of(table, Form(form) if form else None))
