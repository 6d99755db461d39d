"""Turn everything that a palette asks for into targets of one table, with shares, cohorts, tails and mixes as columns.

Constraint: the columns are those of :mod:`map_core.palettes.target_columns` and :mod:`map_core.feasibility.cuts`; the
code that solves, certifies or repairs a palette treats them as further values.
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

#: Targets that differ by less, in standard deviations, are equal.
SAME = 1e-9


@dataclass(frozen=True)
class AskedColumn:
    """A palette's target of a share or a cohort, which has one column, or one for each cohort of a label.

    Args:
        name: its key in :attr:`map_core.palettes.palette.Palette.columns`.
        parts: the parsed name.
        members: positions of its columns in the aimed table.
    """

    name: str
    parts: ColumnName
    members: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Aim:
    """A table with the columns that a palette asks for.

    Args:
        table: the table, with the columns after its values.
        oracle: the oracle of ``table``.
        plain: number of values of the table itself.
        asked: the palette's targets of shares and cohorts.
        levels: (column,) floors of the columns in reward units, at the time the columns were made.
        fixed: (value,) bool, columns that must not be relaxed: those of :class:`~map_core.palettes.beside.Beside`.
        made_for: the palette's columns at the time the columns were made.
        settled: whether the demands beside targets were met within the maximum number of rounds.
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
        """Conversion between levels and percentiles of replies; for a share, replies of 100."""
        return percentiles(self.table, self.oracle.form)

    def standardised(self, palette: Palette) -> np.ndarray:
        """Return (value,) targets in standard deviations above base, NaN for free values.

        Args:
            palette: a palette with the columns that this was made for, whose levels may have changed since.
        """
        targets = standardised(palette, self.table.values, self.oracle, self.percentiles)
        if self.plain == len(self.table.values):
            return targets
        levels = self.levels.copy()
        for asked in self.asked:
            written = palette.columns.get(asked.name)
            if written is not None and written != self.made_for.get(asked.name):
                for k in (j - self.plain for j in asked.members):
                    column = self.table.derived[k]
                    levels[k] = column_level(column, asked.parts, written, self.table, self.oracle)
        base, scale = self.oracle.base[self.plain :], self.oracle.scale[self.plain :]
        targets[self.plain :] = (levels - base) / scale
        return targets

    def count(self, palette: Palette) -> int:
        """Count the targets that people set: of values, of shares and cohorts, and the demands beside targets."""
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
        """Return the palette with one of its column targets changed.

        Args:
            palette: the palette.
            name: the target's key in the palette's columns.
            percentile: replies of 100 for a share, a percentile of the base model's replies for a level.
        """
        (parts,) = (asked.parts for asked in self.asked if asked.name == name)
        if parts.kind is ColumnKind.SHARE:
            level: float | str = round((100.0 - percentile if parts.below else percentile) / 100.0, 6)
        else:
            level = f"p{percentile:.6g}"
        return replace(palette, columns={**palette.columns, name: level})

    def with_level(self, palette: Palette, column: int, level: float | str) -> Palette:
        """Return the palette with another target for one column; one of several cohorts gets a target of its own.

        Args:
            palette: the palette.
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
                    del columns[asked.name]  # now each cohort has a target of its own
                return replace(palette, columns=columns)
        return palette

    def with_levels(self, palette: Palette, targets: np.ndarray) -> Palette:
        """Return the palette with these exact targets for its columns, where they differ from its own.

        Args:
            palette: the palette.
            targets: (value,) in standard deviations above base; NaN leaves a target unchanged.
        """
        before = self.standardised(palette)
        for asked in self.asked:
            for j in asked.members:
                if not np.isnan(targets[j]) and abs(targets[j] - before[j]) > SAME:
                    level = float(self.oracle.base[j] + targets[j] * self.oracle.scale[j])
                    palette = self.with_level(palette, j, level)
        return palette

    def with_scorers(self, targets: np.ndarray) -> np.ndarray:
        """Lower each target to the lowest level that the targets of its further scorers correspond to.

        Args:
            targets: (value,) of the nearest palette, in standard deviations above base; NaN for unchanged targets.
        """
        return lowered_with_scorers(self.table, self.oracle, targets)

    def of_targets(self, repairs: Repairs) -> Repairs:
        """Convert repairs to targets that people set: lowering a scorer's column lowers the target it follows."""
        tied = [k for k, _ in followers(self.table)]
        if not tied:
            return repairs
        by_values: dict[tuple[int, ...], Repair] = {}
        for repair in repairs.ways:
            targets = self.with_scorers(repair.targets)
            targets[tied] = np.nan
            values = [j for j in repair.values if j not in tied]
            values += [int(j) for j in np.flatnonzero(~np.isnan(targets)) if j not in values]
            converted = Repair(tuple(values), targets, repair.given_up)
            same = by_values.setdefault(converted.values, converted)
            if np.nansum(targets) > np.nansum(same.targets):  # of two repairs of the same targets, the higher one
                by_values[converted.values] = converted
        return replace(repairs, ways=tuple(by_values.values()))

    def locked(self, palette: Palette) -> np.ndarray:
        """Return (value,) bool, the targets that must not be relaxed, with the further scorers of locked ones."""
        return with_followers(self.table, locked(palette, self.table.values)) | self.fixed


def aim(table: RewardTable, oracle: Oracle, palette: Palette) -> Aim:
    """Add the columns that a palette asks for to a table.

    Args:
        table: the table, of the palette's use case.
        oracle: the table's oracle.
        palette: the palette; its columns name values of the table.

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
    asked = [_asked_column(name, palette.columns, wider, size) for name in palette.columns]
    return Aim(
        wider,
        wide,
        size,
        tuple(column for column in asked if column.members),
        np.asarray(levels, dtype=float)[size:],
        fixed,
        dict(palette.columns),
        settled,
    )


def _asked_column(name: str, columns: Mapping[str, float | str], table: RewardTable, plain: int) -> AskedColumn:
    """Find the columns of one of a palette's targets of shares or cohorts."""
    values = table.values[:plain]
    parts = parse_name(name, values)
    assert parts is not None, "with_target_columns() has read it"
    if parts.cohort is None or parts.cohort.entry != EVERY:
        return AskedColumn(name, parts, (table.index(parts.name),))
    # A cohort with a target of its own is not covered by the target of every cohort.
    named = {other.name for text in columns if (other := parse_name(text, values)) is not None}
    each = [replace(parts, cohort=cohort).name for cohort in cohorts_of(table, parts.cohort.label)]
    return AskedColumn(name, parts, tuple(table.index(column) for column in each if column not in named))


def labels_that_divide(table: RewardTable) -> tuple[str, ...]:
    """Return the labels of a table with more than one cohort among the prompts solved on, the use case first."""
    return tuple(label for label in (USE_CASE, *table.labels) if len(cohorts_of(table, label)) > 1)


def all_cohorts(table: RewardTable) -> tuple[Cohort, ...]:
    """Return the cohorts of every label of :func:`labels_that_divide`."""
    return tuple(cohort for label in labels_that_divide(table) for cohort in cohorts_of(table, label))


def read_demands(beside: Beside, table: RewardTable, oracle: Oracle) -> Demands:
    """Parse what a palette asks for beside targets.

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
