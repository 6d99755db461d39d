"""Read what several commands are given: a table, palettes, and the names of values.

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
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.beside import FIELDS, Beside
from map_core.palettes.column_names import parse_cohort
from map_core.palettes.target_columns import checked_cohort, with_cohort_floors, with_target_columns
from map_core.palettes.targets import checked_names, resolve

#: The sign of a share in a target.
_SHARE = re.compile(r">=|<")


@dataclass(frozen=True, eq=False)
class LoadedTable:
    """A table as a command works on it."""

    table: RewardTable
    oracle: Oracle


def load_with_notes(path: Path) -> RewardTable:
    """Load a table, and say on standard error how its file was read where that took decisions.

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
    """Targets as they were read.

    Args:
        levels: (value,) in reward units, NaN for free values.
        targets: (value,) in standard deviations above base, NaN for free values.
        record: the whole JSON object of a line of --targets-file; empty for --target.
        cuts: (value,) bool, columns of tails and worst means, which must not be relaxed.
        demands: what is asked for beside targets.
    """

    levels: np.ndarray
    targets: np.ndarray
    record: Mapping[str, Any]
    cuts: np.ndarray
    demands: Demands


def read_palettes(
    opened: LoadedTable, pairs: Sequence[str], targets_file: Path | None, beside: Beside | None = None
) -> tuple[LoadedTable, list[PaletteTargets]]:
    """Read the palettes of --target or --targets-file, all of them before any is solved.

    Returns:
        The table, with the columns of shares and cohorts that the targets name as further values, and of what is asked
        for beside them, and the palettes.

    Raises:
        click.UsageError: neither or both are given, a line is no palette, or a level cannot be read.
    """
    if bool(pairs) == (targets_file is not None):
        raise click.UsageError("Give targets either by --target NAME=LEVEL (as often as needed) or by --targets-file.")
    written = _lines(targets_file) if targets_file else [("", {"targets": read_pairs("--target", pairs)})]
    plain, options = opened, beside or Beside()
    demands, asked = [], []
    for source, record in written:
        try:  # each by itself first, so that a message has its place
            of_line = Beside.from_dict(record).with_more(options)
            targets = checked_names(record["targets"])
            asked.append(with_cohort_floors(targets, of_line.no_cohort_below_base, opened.table))
            with_columns(opened, asked[-1:])
            demands.append(read_demands(of_line, opened.table, opened.oracle))
        except InputError as error:
            raise click.UsageError(f"{source}{error}") from error
    opened, levels = with_columns(opened, asked)
    size = len(opened.table.values)
    cuts: list[tuple[DerivedColumn, ...]] = []
    for number, (row, demand) in enumerate(zip(levels, demands, strict=True), start=1):
        try:
            columns = with_demands(opened.table, opened.oracle, row, demand).columns if demand else ()
        except InputError as error:
            raise click.UsageError(f"{written[number - 1][0]}{error}") from error
        several = len(written) > 1
        cuts.append(tuple(replace(cut, name=f"{cut.name} [{number}]") if several else cut for cut in columns))
    if any(cuts):
        table = opened.table.with_columns([cut for of_palette in cuts for cut in of_palette], opened.oracle.form)
        opened = LoadedTable(table, MemoryOracle.of(table, opened.oracle.form))
    palettes, first = [], size
    for row, own, demand, (_, record) in zip(levels, cuts, demands, written, strict=True):
        whole = np.full(len(opened.table.values), np.nan)
        whole[:size] = row
        whole[first : first + len(own)] = [cut.centre for cut in own]
        locked = np.zeros(len(whole), dtype=bool)
        locked[first : first + len(own)] = [not cut.gives_way for cut in own]
        first += len(own)
        of_rewards = RewardLevels.of(whole)
        palettes.append(PaletteTargets(of_rewards, opened.oracle.standardise(of_rewards), record, locked, demand))
    return (plain if opened.table is plain.table else opened), palettes


def with_columns(opened: LoadedTable, palettes: Sequence[Any]) -> tuple[LoadedTable, list[RewardLevels]]:
    """Add the columns that targets name, and return the targets as levels in reward units.

    Raises:
        InputError: a target that cannot be read.
    """
    table, oracle, named = with_target_columns(opened.table, opened.oracle, [checked_names(t) for t in palettes])
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
    """Read every NAME=LEVEL that is given into a mapping.

    Raises:
        click.UsageError: one is no NAME=LEVEL, or a name comes twice.
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
    """Return a pair's name and level, "" where it lacks one.

    A value's name may have an = in it and a level has none; a share comes after a colon or an = behind its threshold.
    """
    if sign := _SHARE.search(pair):
        rest = pair[sign.end() :]
        last = max(rest.rfind(":"), rest.rfind("="))
        return (pair[: sign.end() + last].strip(), rest[last + 1 :].strip()) if last > 0 else ("", "")
    name, _, level = pair.rpartition("=")
    return name, level


def split_known(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Split names at commas, but for the commas in names that are known.

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


#: What a line of a targets file may say that changes what comes of it.
_PALETTE_FIELDS = ("targets", "name", "use_case", "importance", "palette", "note", "colour", *FIELDS)


def _lines(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the place of each palette in a file, and its JSON object."""
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
