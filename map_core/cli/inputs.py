"""Read the inputs that several commands share: a table, palettes and the names of values.

Constraint: text in, plain values out; :mod:`map_core.palettes.targets` parses levels.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.core.reward_levels import RewardLevels
from map_core.core.types import Form
from map_core.data import table_file
from map_core.data.derived_columns import Cohort, DerivedColumn
from map_core.data.reward_table import RewardTable
from map_core.data.text_files.records import json_records, known_fields, read_text
from map_core.errors import InputError
from map_core.feasibility.aim import read_demands
from map_core.feasibility.cuts import with_demands
from map_core.feasibility.demands import Demands
from map_core.feasibility.scorer_columns import with_followers
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.beside import FIELDS, Beside
from map_core.palettes.column_names import parse_cohort
from map_core.palettes.palette import Palette
from map_core.palettes.palette import locked as locked_targets
from map_core.palettes.target_columns import checked_cohort, with_cohort_floors, with_target_columns
from map_core.palettes.targets import checked_names, resolve

#: The sign of a share in a target.
_SHARE = re.compile(r">=|<")


@dataclass(frozen=True, eq=False)
class LoadedTable:
    """A table and its oracle."""

    table: RewardTable
    oracle: Oracle


def load_with_notes(path: Path) -> RewardTable:
    """Load a table, and print the decisions that reading its file took to standard error.

    Raises:
        InputError: the table cannot be read.
    """
    table = table_file.load(path)
    for sentence in table.reading:
        click.echo(sentence, err=True)
    return table


def open_table(table: Path, use_case: str | None, form: str | None) -> LoadedTable:
    """Load a table, or one use case of it, in the form asked for.

    Raises:
        InputError: the table cannot be read, or the form does not apply.
    """
    data = load_with_notes(table).select(use_case)
    return LoadedTable(data, MemoryOracle.of(data, Form(form) if form else None))


@dataclass(frozen=True, eq=False)
class PaletteTargets:
    """The targets of a palette.

    Args:
        levels: (value,) in reward units, NaN for free values.
        targets: (value,) in standard deviations above base, NaN for free values.
        record: the whole JSON object of a line of --targets-file; only the targets for --target.
        locked: (value,) bool, targets that the nearest palette must keep: those that a saved palette has locked, with
            their further scorers, and columns of tails and worst means that must not be lowered.
        demands: what is asked for beside targets.
    """

    levels: np.ndarray
    targets: np.ndarray
    record: Mapping[str, Any]
    locked: np.ndarray
    demands: Demands


def read_palettes(
    opened: LoadedTable, pairs: Sequence[str], targets_file: Path | None, beside: Beside | None = None
) -> tuple[LoadedTable, list[PaletteTargets]]:
    """Read the palettes of --target or --targets-file, all of them before any is solved.

    Returns:
        The table, with further values for the shares and cohorts that the targets name and for what is asked beside
        targets; and the palettes.

    Raises:
        click.UsageError: neither or both are given, a line is no palette, or a level cannot be read.
    """
    if bool(pairs) == (targets_file is not None):
        raise click.UsageError("Give targets either by --target NAME=LEVEL (as often as needed) or by --targets-file.")
    records = _palette_records(targets_file) if targets_file else [("", {"targets": read_pairs("--target", pairs)})]
    plain, options = opened, beside or Beside()
    demands, targets_by_palette = [], []
    for location, record in records:
        try:  # each palette alone first, so that an error names its line
            palette_options = Beside.from_dict(record).with_more(options)
            targets = checked_names(record["targets"])
            targets = with_cohort_floors(targets, palette_options.no_cohort_below_base, opened.table)
            with_columns(opened, [targets])
            targets_by_palette.append(targets)
            demands.append(read_demands(palette_options, opened.table, opened.oracle))
        except InputError as error:
            raise click.UsageError(f"{location}{error}") from error
    opened, levels_by_palette = with_columns(opened, targets_by_palette)
    size = len(opened.table.values)
    cuts_by_palette: list[tuple[DerivedColumn, ...]] = []
    for number, ((location, _), levels, demand) in enumerate(
        zip(records, levels_by_palette, demands, strict=True), start=1
    ):
        try:
            cuts = with_demands(opened.table, opened.oracle, levels, demand).columns if demand else ()
        except InputError as error:
            raise click.UsageError(f"{location}{error}") from error
        if len(records) > 1:
            cuts = tuple(replace(cut, name=f"{cut.name} [{number}]") for cut in cuts)
        cuts_by_palette.append(tuple(cuts))
    if any(cuts_by_palette):
        all_cuts = [cut for cuts in cuts_by_palette for cut in cuts]
        table = opened.table.with_columns(all_cuts, opened.oracle.form)
        opened = LoadedTable(table, MemoryOracle.of(table, opened.oracle.form))
    palettes, first = [], size
    for levels, cuts, demand, (_, record) in zip(levels_by_palette, cuts_by_palette, demands, records, strict=True):
        own_columns = slice(first, first + len(cuts))
        first += len(cuts)
        padded = np.full(len(opened.table.values), np.nan)
        padded[:size] = levels
        padded[own_columns] = [cut.centre for cut in cuts]
        locked = with_followers(opened.table, _saved_locks(record, opened.table.values) & ~np.isnan(padded))
        locked[own_columns] = [not cut.gives_way for cut in cuts]
        in_rewards = RewardLevels.of(padded)
        palettes.append(PaletteTargets(in_rewards, opened.oracle.standardise(in_rewards), record, locked, demand))
    return (plain if opened.table is plain.table else opened), palettes


def _saved_locks(record: Mapping[str, Any], values: Sequence[str]) -> np.ndarray:
    """Return (value,) bool, the targets that are locked in the saved palette of a line of --targets-file, if any."""
    try:
        return locked_targets(Palette.from_dict(record["palette"]), values)
    except (KeyError, InputError):  # a line as people write it, with targets alone
        return np.zeros(len(values), dtype=bool)


def with_columns(opened: LoadedTable, palettes: Sequence[Any]) -> tuple[LoadedTable, list[RewardLevels]]:
    """Add the columns that targets name, and return the targets as levels in reward units.

    Raises:
        InputError: a target that cannot be read.
    """
    checked = [checked_names(targets) for targets in palettes]
    table, oracle, named = with_target_columns(opened.table, opened.oracle, checked)
    levels = [resolve(targets, table, oracle) for targets in named]
    return (opened if table is opened.table else LoadedTable(table, oracle)), levels


def read_cohorts(table: RewardTable, written: Iterable[str]) -> tuple[Cohort, ...]:
    """Read every --cohort: the name of a use case, or COLUMN=ENTRY.

    Raises:
        click.UsageError: the table has no such prompts.
    """
    try:
        return tuple(checked_cohort(parse_cohort(text), table) for text in written)
    except InputError as error:
        raise click.UsageError(f"--cohort: {error}") from error


def read_pairs(option: str, pairs: Iterable[str]) -> dict[str, str]:
    """Read the NAME=LEVEL pairs of an option.

    Raises:
        click.UsageError: a pair is not NAME=LEVEL, or a name is given twice.
    """
    named: dict[str, str] = {}
    for pair in pairs:
        name, level = _name_and_level(pair)
        if not name or not level:
            share, level_only = "NAME>=LEVEL:SHARE, such as humor>=p20:0.95", "NAME=LEVEL, such as humor=p70"
            raise click.UsageError(f"{option} {pair!r} is no {share if _SHARE.search(pair) else level_only}.")
        if name in named:
            raise click.UsageError(f"{option} names {name} twice.")
        named[name] = level
    return named


def _name_and_level(pair: str) -> tuple[str, str]:
    """Return a pair's name and level, "" for a missing one.

    A value's name may contain an = and a level does not; a share follows a colon or an = after its threshold.
    """
    if sign := _SHARE.search(pair):
        rest = pair[sign.end() :]
        last = max(rest.rfind(":"), rest.rfind("="))
        return (pair[: sign.end() + last].strip(), rest[last + 1 :].strip()) if last > 0 else ("", "")
    name, _, level = pair.rpartition("=")
    return name, level


def split_known(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Split names at commas, except for commas within known names.

    Example:
        >>> split_known("acc,none,humor", ("acc,none", "humor"))
        ('acc,none', 'humor')
    """
    for name in sorted(known, key=len, reverse=True):
        if text.strip() == name:
            return (name,)
        if text.lstrip().startswith(f"{name},"):
            return (name, *split_known(text.lstrip()[len(name) + 1 :], known))
    first, comma, rest = text.partition(",")
    return (first.strip(), *(split_known(rest, known) if comma else ()))


def value_positions(opened: LoadedTable, option: str, names: Iterable[str]) -> list[int]:
    """Return the positions of the named values.

    Raises:
        click.UsageError: the table has no such value.
    """
    try:
        return [opened.table.index(name) for name in names]
    except InputError as error:
        raise click.UsageError(f"{option}: {error}") from error


#: The fields of a line of a targets file.
_PALETTE_FIELDS = ("targets", "name", "use_case", "importance", "palette", "note", "colour", *FIELDS)


def _palette_records(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Return each palette's location in a file, as error messages begin with it, and its JSON object."""
    expected = 'an object such as {"targets": {"humor": 1.2}}'
    try:
        records = json_records(read_text(path), path, expected)
        palettes: list[tuple[str, Mapping[str, Any]]] = [
            (f"{where}: ", known_fields(record, _PALETTE_FIELDS, where)) for where, record in records
        ]
    except InputError as error:
        raise click.UsageError(str(error)) from error
    for where, record in palettes:
        if "targets" not in record:
            raise click.UsageError(f"{where}{str(dict(record))[:80]!r}; expected {expected}.")
    if not palettes:
        raise click.UsageError(f"{path} holds no palette; expected one JSON object a line.")
    return palettes
