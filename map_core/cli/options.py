"""What several commands ask for and print: a table, palettes, a form, JSON.

Constraint: text in, plain values out; what a value means is decided in :mod:`map_core.palettes.targets`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

from map_core.core import amounts
from map_core.core.types import Form
from map_core.data import reward_table
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.targets import resolve

Command = TypeVar("Command", bound=Callable[..., Any])


def table_options(command: Command) -> Command:
    """The argument TABLE and the options --form, --use-case and --json."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="JSON in full precision."),
        click.option("--use-case", help="Only the prompts of this use case."),
        click.option(
            "--form",
            type=click.Choice([form.value for form in Form]),
            help="Per prompt unless most prompts have one reply.",
        ),
        click.argument("table", type=click.Path(path_type=Path), default=reward_table.DEFAULT_TABLE, required=False),
    ):
        command = decorate(command)
    return command


def target_options(command: Command) -> Command:
    """The options --target and --targets-file, read by :func:`read_palettes`."""
    for decorate in (
        click.option(
            "--targets-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help='JSON lines, a palette a line: {"targets": {"humor": 1.2, "helpfulness": "p70"}}',
        ),
        click.option(
            "--target", "pairs", multiple=True, metavar="NAME=LEVEL", help="A target; values not named are free."
        ),
    ):
        command = decorate(command)
    return command


@dataclass(frozen=True, eq=False)
class Opened:
    """A table as a command works on it."""

    table: RewardTable
    oracle: Oracle


def open_table(table: Path, use_case: str | None, form: str | None) -> Opened:
    """Load a table, or one use case of it, in the form asked for.

    Raises:
        InputError: the table cannot be read, or the form does not apply.
    """
    data = reward_table.load(table).select(use_case)
    return Opened(data, MemoryOracle.of(data, Form(form) if form else None))


@dataclass(frozen=True, eq=False)
class Palette:
    """Targets as they were read.

    Args:
        named: as written, a level a value name.
        levels: (value,) in reward units, NaN for free values.
        targets: (value,) in standard deviations above base, NaN for free values.
        record: the whole JSON object of a line of --targets-file; empty for --target.
    """

    named: Mapping[str, Any]
    levels: np.ndarray
    targets: np.ndarray
    record: Mapping[str, Any]


def read_palettes(opened: Opened, pairs: Sequence[str], targets_file: Path | None) -> list[Palette]:
    """The palettes of --target or --targets-file; everything is read before anything is solved.

    Raises:
        click.UsageError: neither or both are given, a line is no palette, or a level cannot be read.
    """
    if bool(pairs) == (targets_file is not None):
        raise click.UsageError("Give targets either by --target NAME=LEVEL (as often as needed) or by --targets-file.")
    written = _lines(targets_file) if targets_file else [("", {"targets": read_pairs("--target", pairs)})]
    palettes = []
    for source, record in written:
        try:
            levels = resolve(record["targets"], opened.table, opened.oracle)
        except InputError as error:
            raise click.UsageError(f"{source}{error}") from error
        palettes.append(Palette(record["targets"], levels, opened.oracle.standardise(levels), record))
    return palettes


def read_pairs(option: str, pairs: Iterable[str]) -> dict[str, str]:
    """NAME=LEVEL, as often as it is given, as a mapping.

    Raises:
        click.UsageError: one is no NAME=LEVEL, or a name comes twice.
    """
    named: dict[str, str] = {}
    for pair in pairs:
        name, equals, level = pair.partition("=")
        if not equals or not name or not level:
            raise click.UsageError(f"{option} {pair!r} is no NAME=LEVEL, such as humor=p70.")
        if name in named:
            raise click.UsageError(f"{option} names {name} twice.")
        named[name] = level
    return named


def value_positions(opened: Opened, option: str, names: Iterable[str]) -> list[int]:
    """Positions of the named values.

    Raises:
        click.UsageError: the table has no such value.
    """
    try:
        return [opened.table.index(name) for name in names]
    except InputError as error:
        raise click.UsageError(f"{option}: {error}") from error


def _lines(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Where each palette of a file stands, and its object."""
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}: "
        try:
            record = json.loads(line)
            record["targets"]
        except (ValueError, TypeError, KeyError) as error:
            expected = 'expected a JSON object such as {"targets": {"humor": 1.2}}'
            raise click.UsageError(f"{where}{line[:80]!r}; {expected}.") from error
        records.append((where, record))
    if not records:
        raise click.UsageError(f"{path} holds no palette; expected one JSON object a line.")
    return records


def by_name(oracle: Oracle, row: np.ndarray) -> dict[str, float]:
    """A (value,) array as plain numbers by name, without its NaN."""
    return {
        name: float(number) for name, number in zip(oracle.values, row, strict=True) if not math.isnan(float(number))
    }


def print_json(result: Any) -> None:
    """One JSON value on one line of stdout, in full precision."""
    click.echo(json.dumps(result, allow_nan=False))


def columns(rows: Iterable[str], shown: Mapping[str, Mapping[str, float]], missing: str = "free") -> Iterator[str]:
    """Lines of a table for people: a row a name, a titled column of numbers each."""
    names = list(rows)
    width = max(map(len, names), default=0)
    yield " " * width + "".join(f"{title:>14}" for title in shown)
    for name in names:
        cells = (
            f"{amounts.fixed(column[name], 4):>14}" if name in column else f"{missing:>14}" for column in shown.values()
        )
        yield f"{name:<{width}}" + "".join(cells)
