"""Load reward tables, and read targets as people write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from map_core.core.reward_levels import RewardLevels
from map_core.core.types import Form
from map_core.data import table_file, table_format
from map_core.data.distribution import Percentiles
from map_core.data.reward_table import RewardTable
from map_core.data.text_files.records import known_fields
from map_core.errors import InputError
from map_core.feasibility.aim import read_demands
from map_core.feasibility.cuts import with_demands
from map_core.interface.notebook import html_table, level_text
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.beside import FIELDS, Beside
from map_core.palettes.target_columns import with_cohort_floors, with_target_columns
from map_core.palettes.targets import checked_names, resolve
from map_core.preference.described import described as choices_described
from map_core.preference.records import rows_of_choices
from map_core.text.units import Units

Targets = Mapping[str, float | str]
"""One level per value's name: a number in reward units, ``"p70"`` or ``"+0.5sd"``. Values left out are free."""


@dataclass(frozen=True, eq=False)
class Table:
    """A reward table, as the functions of the library take it.

    Args:
        rewards: the replies, their rewards and metadata.
        oracle: its moments.

    Example:
        >>> table = load_table()
        >>> table.values[:3], len(table.base)
        (('helpfulness', 'kindness', 'humor'), 9)
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
        """Return levels by value in reward units, given (value,) standard deviations above base; NaN is left out."""
        rewards = self.oracle.rewards_at(levels)
        return {name: float(reward) for name, reward in zip(self.values, rewards, strict=True) if math.isfinite(reward)}

    def standardised(self, targets: Targets) -> np.ndarray:
        """Return targets as (value,) standard deviations above base, NaN for free values.

        Raises:
            InputError: an unknown value, or a level that cannot be read.
        """
        return self.oracle.standardise(resolve(targets, self.rewards, self.oracle))

    def asked(
        self, targets: Targets, beside: Mapping[str, Any] | None = None
    ) -> tuple[Table, np.ndarray, np.ndarray | None]:
        """Return the table with a column for every demand, the targets, and which of them must not be relaxed.

        Args:
            targets: one level per value, or per share or cohort as :mod:`map_core.palettes.column_names` names them.
            beside: demands beside targets, by the names of the options of ``solve``: ``no_worse_tail``,
                ``worst_mean``, ``any_mix``, ``no_cohort_below_base`` and ``every_scorer``.

        Returns:
            The table, itself where no column is added; (value,) standard deviations above base, NaN for free values;
            and (value,) bool, None where there are no demands beside targets.

        Raises:
            InputError: an unknown value or field, or a level, a share or a distance that cannot be read.
        """
        fields = known_fields(beside or {}, FIELDS, "beside")
        unknown = [str(name) for name in fields if name not in FIELDS]
        if unknown:
            raise InputError(f"beside has {unknown[0]!r}; expected {', '.join(FIELDS)}.")
        parsed = Beside.from_dict(fields)
        named = with_cohort_floors(checked_names(targets), parsed.no_cohort_below_base, self.rewards)
        table, oracle, (named,) = with_target_columns(self.rewards, self.oracle, [named])
        levels = resolve(named, table, oracle)
        if not parsed:
            return (self if table is self.rewards else Table(table, oracle)), oracle.standardise(levels), None
        first_demand = len(table.values)
        demands = read_demands(parsed, self.rewards, self.oracle)
        if demands:
            cut = with_demands(table, oracle, levels, demands)
            table, oracle, levels = cut.table, cut.oracle, RewardLevels.of(cut.levels)
        locked = np.array(
            [j >= first_demand and not table.derived[j - len(self.values)].gives_way for j in range(len(levels))]
        )
        return Table(table, oracle), oracle.standardise(levels), locked

    def choose(self, choices: Sequence[Mapping[str, Any]] = (), *, seed: int = 0) -> dict[str, Any]:
        """Infer a palette from choices between two replies, and select the next pair to ask about.

        Args:
            choices: in order, each the ``next`` of an earlier result with ``"answer"``: "first", "second" or
                "neither".
            seed: of the intervals and of the pairs that are considered.

        Returns:
            The content of ``choose --json``: ``targets`` for :func:`assess`, ``weights``, ``levels`` as intervals, the
            ``evidence`` of each value, and ``next`` with its ``prompt`` and ``replies``, None once all pairs were
            asked about.

        Raises:
            InputError: an entry is not a choice between two replies of this table, or the table has no such pairs.

        Example:
            >>> import map_core as vp
            >>> table = vp.load_table()
            >>> choices = []
            >>> for _ in range(8):  # somebody who prefers the longer reply
            ...     pair = table.choose(choices)["next"]
            ...     first, second = pair["replies"]
            ...     choices.append(pair | {"answer": "first" if len(first) > len(second) else "second"})
            >>> palette = table.choose(choices)
            >>> palette["decided"], set(palette["targets"]) <= set(table.values)
            (8, True)
        """
        return choices_described(self.rewards, self.oracle, rows_of_choices(self.rewards, choices), seed)

    def position(self, value: str) -> int:
        """Return the position of a value.

        Raises:
            InputError: the table has no such value.
        """
        return self.rewards.index(value)

    @cached_property
    def units(self) -> Units:
        """The reward units of the figures."""
        names = [name.replace("_", " ") for name in self.values]
        return Units(self.oracle, Percentiles(self.rewards, self.oracle.form), "reward", names)

    def __repr__(self) -> str:
        prompts, replies = len(self.rewards.prompts), len(self.rewards.rewards)
        return f"<Table: {prompts:,} prompts, {replies:,} replies; {', '.join(self.values)}>"

    def _repr_html_(self) -> str:
        rows = [(name, level_text(level)) for name, level in self.base.items()]
        return html_table(repr(self)[1:-1], ("value", "base level"), rows)


def checked_table(table: Table) -> Table:
    """Return the table itself.

    Raises:
        InputError: it is something else, such as an oracle, whose functions take standard deviations.
    """
    if not isinstance(table, Table):
        raise InputError(
            f"The table is of type {type(table).__name__}; expected what load_table() returns, or "
            "Table(rewards, oracle). The functions of map_core take and return levels in reward units."
        )
    return table


def load_table(path: str | Path | None = None, *, use_case: str | None = None, form: str | None = None) -> Table:
    """Load a reward table.

    Args:
        path: a Parquet file that ``value-palette build`` or ``import`` wrote; None for the embedded table.
        use_case: only its prompts; None for all.
        form: "per prompt" or "pooled"; None for the table's own.

    Raises:
        InputError: the file cannot be read, or has no such use case or form.

    Example:
        >>> import map_core as vp
        >>> vp.load_table().values[:3]
        ('helpfulness', 'kindness', 'humor')
    """
    table = table_file.load(table_format.DEFAULT_TABLE if path is None else path).select(use_case)
    if form and form not in list(Form):
        raise InputError(f"The form is {form!r}; expected {' or '.join(Form)}.")
    return Table(table, MemoryOracle.of(table, Form(form) if form else None))
