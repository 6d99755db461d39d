"""A palette with all that it asks for as targets of one table: shares, cohorts, tails and mixes of prompts as columns.

Constraint: the columns are those of :mod:`map_core.palettes.target_columns` and :mod:`map_core.feasibility.cuts`; what
solves, certifies or repairs a palette sees further values and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from map_core.data.derived_columns import USE_CASE, Cohort, ColumnKind
from map_core.data.distribution import Percentiles
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility.cuts import with_demands
from map_core.feasibility.demands import Demands, WorstMean
from map_core.feasibility.repairs import Repair, Repairs
from map_core.feasibility.scorer_columns import followers, lowered_with_scorers, with_followers
from map_core.oracle import Oracle
from map_core.palettes.beside import Beside, split_scorers, split_worst_mean
from map_core.palettes.column_names import EVERY, ColumnName, parse_name
from map_core.palettes.palette import Palette, locked, standardised
from map_core.palettes.target_columns import (
    cohorts_of,
    column_level,
    of_each_cohort,
    with_cohort_floors,
    with_target_columns,
)
from map_core.palettes.targets import parse_level, percentiles, resolve

#: Targets that differ by less, in standard deviations, are the same.
SAME = 1e-9


@dataclass(frozen=True)
class AskedColumn:
    """A target of shares or cohorts as a palette has it: one, or one for each cohort.

    Args:
        name: in :attr:`map_core.palettes.palette.Palette.columns`.
        parts: of that name.
        members: positions of its columns in the aimed table.
    """

    name: str
    parts: ColumnName
    members: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Aim:
    """A table with the columns that a palette asks for.

    Args:
        table: with the columns behind the values.
        oracle: of it.
        plain: how many values the table itself has.
        asked: the palette's targets of shares and cohorts.
        levels: (column,) floors of the columns in reward units, as they were when the columns were made.
        fixed: (value,) bool, columns that must not give way: those of :class:`~map_core.palettes.beside.Beside`.
        made_for: the palette's columns then.
        settled: what is asked for beside targets was met within the rounds that there are.
    """

    table: RewardTable
    oracle: Oracle
    plain: int
    asked: tuple[AskedColumn, ...] = ()
    levels: np.ndarray = field(default_factory=lambda: np.zeros(0))
    fixed: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    made_for: Mapping[str, float | str] = field(default_factory=dict)
    settled: bool = True

    @cached_property
    def percentiles(self) -> Percentiles:
        """Between levels and percentiles of replies; a share is so many of 100."""
        return percentiles(self.table, self.oracle.form)

    def standardised(self, palette: Palette) -> np.ndarray:
        """Return (value,) targets in standard deviations above base, NaN for free values.

        Args:
            palette: with the columns that this was made for, whose levels may have changed since.
        """
        targets = standardised(palette, self.table.values, self.oracle, self.percentiles)
        if self.plain == len(self.table.values):
            return targets
        levels = self.levels.copy()
        for asked in self.asked:
            written = palette.columns.get(asked.name)
            if written is not None and written != self.made_for.get(asked.name):
                for place in (j - self.plain for j in asked.members):
                    column = self.table.derived[place]
                    levels[place] = column_level(column, asked.parts, written, self.table, self.oracle)
        base, scale = self.oracle.base[self.plain :], self.oracle.scale[self.plain :]
        targets[self.plain :] = (levels - base) / scale
        return targets

    def count(self, palette: Palette) -> int:
        """Return how many targets people set: of values, of shares and cohorts, and what is asked for beside them."""
        beside = palette.beside
        of_values = sum(not target.free for target in palette.targets.values())
        switches = (
            len(beside.no_worse_tail)
            + len(beside.worst_mean)
            + len(beside.every_scorer)
            + bool(beside.no_cohort_below_base)
        )
        return of_values + len(self.asked) + switches

    def with_place(self, palette: Palette, name: str, percentile: float) -> Palette:
        """Return a palette with one of its targets moved.

        Args:
            palette: to be changed.
            name: of the target, in the palette's columns.
            percentile: replies of 100 for a share, a percentile of the base model's replies for a level.
        """
        (parts,) = (asked.parts for asked in self.asked if asked.name == name)
        if parts.kind is ColumnKind.SHARE:
            level: float | str = round((100.0 - percentile if parts.below else percentile) / 100.0, 6)
        else:
            level = f"p{percentile:.6g}"
        return replace(palette, columns={**palette.columns, name: level})

    def with_level(self, palette: Palette, column: int, level: float | str) -> Palette:
        """Return a palette with another target of one column; one of several cohorts gets a target of its own.

        Args:
            palette: to be changed.
            column: position in the aimed table.
            level: a share, or a level in reward units or as ``p60``.
        """
        for asked in self.asked:
            if column in asked.members:
                name = asked.name if len(asked.members) == 1 else self.table.values[column]
                if name == asked.name and asked.parts.below:
                    level = 1.0 - float(level)
                columns = {**palette.columns, name: level}
                if len(asked.members) > 1 and all(self.table.values[j] in columns for j in asked.members):
                    del columns[asked.name]  # each cohort has a target of its own now
                return replace(palette, columns=columns)
        return palette

    def with_levels(self, palette: Palette, targets: np.ndarray) -> Palette:
        """Return a palette with exact targets of its columns, where they differ from those in force.

        Args:
            palette: to be changed.
            targets: (value,) in standard deviations above base; NaN leaves a target as it is.
        """
        before = self.standardised(palette)
        for asked in self.asked:
            for j in asked.members:
                if not np.isnan(targets[j]) and abs(targets[j] - before[j]) > SAME:
                    level = float(self.oracle.base[j] + targets[j] * self.oracle.scale[j])
                    palette = self.with_level(palette, j, level)
        return palette

    def with_scorers(self, targets: np.ndarray) -> np.ndarray:
        """Return targets of which each is no higher than what its further scorers are left with.

        Args:
            targets: (value,) of the nearest palette, in standard deviations above base; NaN for what stays.
        """
        return lowered_with_scorers(self.table, self.oracle, targets)

    def of_targets(self, found: Repairs) -> Repairs:
        """Return repairs of what people set: one of a further scorer lowers the target that it follows."""
        tied = [k for k, _ in followers(self.table)]
        if not tied:
            return found
        ways: dict[tuple[int, ...], Repair] = {}
        for way in found.ways:
            targets = self.with_scorers(way.targets)
            targets[tied] = np.nan
            values = [j for j in way.values if j not in tied]
            values += [int(j) for j in np.flatnonzero(~np.isnan(targets)) if j not in values]
            of_targets = Repair(tuple(values), targets, way.given_up)
            same = ways.setdefault(of_targets.values, of_targets)
            if np.nansum(targets) > np.nansum(same.targets):  # of two ways of the same targets the one that asks more
                ways[of_targets.values] = of_targets
        return replace(found, ways=tuple(ways.values()))

    def locked(self, palette: Palette) -> np.ndarray:
        """Return which targets must not be relaxed, (value,) bool; the further scorers of a locked one neither."""
        return with_followers(self.table, locked(palette, self.table.values)) | self.fixed


def aim(table: RewardTable, oracle: Oracle, palette: Palette) -> Aim:
    """Return a table with the columns that a palette asks for.

    Args:
        table: of the palette's use case.
        oracle: of the table.
        palette: its columns name values of the table.

    Raises:
        InputError: a share, a threshold, a cohort or a distance that cannot be used on this table.

    Example:
        >>> aim(table, oracle, Palette(columns={"humor>=p20": 0.95})).table.values[-1]  # doctest: +SKIP
        'humor>=p20'
    """
    size = len(table.values)
    if not palette.columns and not palette.beside:
        return Aim(table, oracle, size, fixed=np.zeros(size, dtype=bool))
    plain = oracle.rewards_at(standardised(palette, table.values, oracle, percentiles(table, oracle.form)))
    by_value = {name: float(level) for name, level in zip(table.values, plain, strict=True) if not np.isnan(level)}
    written = of_each_cohort(palette.columns, table)
    named = with_cohort_floors({**by_value, **written}, palette.beside.no_cohort_below_base, table)
    wider, wide, (resolved,) = with_target_columns(table, oracle, [named])
    levels: np.ndarray = resolve(resolved, wider, wide)
    asked_names = {parse_name(name, table.values).name for name in written}  # type: ignore[union-attr]
    fixed = np.array([j >= size and name not in asked_names for j, name in enumerate(wider.values)])
    demands, settled = read_demands(palette.beside, table, oracle), True
    if demands:
        cut = with_demands(wider, wide, levels, demands)
        wider, wide, levels, settled = cut.table, cut.oracle, cut.levels, cut.settled
        fixed = np.append(fixed, [not column.gives_way for column in cut.columns]).astype(bool)
    return Aim(
        wider,
        wide,
        size,
        tuple(asked for name in palette.columns if (asked := _asked(name, palette.columns, wider, size)).members),
        np.asarray(levels, dtype=float)[size:],
        fixed,
        dict(palette.columns),
        settled,
    )


def _asked(name: str, columns: Mapping[str, float | str], table: RewardTable, plain: int) -> AskedColumn:
    """Return which columns a target of a palette came to."""
    values = table.values[:plain]
    parts = parse_name(name, values)
    assert parts is not None, "with_target_columns() has read it"
    if parts.cohort is None or parts.cohort.entry != EVERY:
        return AskedColumn(name, parts, (table.index(parts.name),))
    own = {other.name for text in columns if (other := parse_name(text, values)) is not None}
    each = (replace(parts, cohort=cohort).name for cohort in cohorts_of(table, parts.cohort.label))
    return AskedColumn(name, parts, tuple(table.index(column) for column in each if column not in own))


def labels_that_divide(table: RewardTable) -> tuple[str, ...]:
    """Return the labels of a table that have several cohorts to solve on, the use case first."""
    return tuple(label for label in (USE_CASE, *table.labels) if len(cohorts_of(table, label)) > 1)


def all_cohorts(table: RewardTable) -> tuple[Cohort, ...]:
    """Return the cohorts of every label that divides a table."""
    return tuple(cohort for label in labels_that_divide(table) for cohort in cohorts_of(table, label))


def read_demands(beside: Beside, table: RewardTable, oracle: Oracle) -> Demands:
    """Read what a palette asks for beside targets.

    Raises:
        InputError: an unknown value, or a share or a level that cannot be read.
    """
    for value in beside.no_worse_tail:
        table.index(value)
    worst = tuple(_worst_mean(*split_worst_mean(text), table, oracle) for text in beside.worst_mean)
    return Demands(beside.no_worse_tail, worst, beside.any_mix or 0.0, tuple(map(split_scorers, beside.every_scorer)))


def _worst_mean(name: str, level: str, table: RewardTable, oracle: Oracle) -> WorstMean:
    value, _, written = name.rpartition(":")
    j = table.index(value)
    try:
        share = float(written.removesuffix("%")) / (100.0 if written.endswith("%") else 1.0)
    except ValueError as error:
        raise InputError(f"The worst share of {value} is {written!r}; expected 0.05 or 5%.") from error
    return WorstMean(value, share, parse_level(value, level, table, j, oracle))
