"""Saved palettes as JSON lines: for another copy of the app, and for every command that takes ``--targets-file``.

A line has the palette as the app keeps it (``palette``), and its levels in reward units by value (``targets``), which
the commands read and which mean the same whatever part of the table they look at.

    {"name": "Warm", "targets": {"kindness": 1.73}, "palette": {"use_case": ..., "targets": {...}}, "colour": "violet"}

Constraint: text in, palettes out; nothing is solved and nothing is kept here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from map_core.core.types import Form
from map_core.core.unused_name import unused_name
from map_core.data.reward_table import RewardTable
from map_core.data.text_files.records import json_records, known_fields
from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.palettes.beside import FIELDS, Beside
from map_core.palettes.column_names import parse_name
from map_core.palettes.palette import ALL, Palette, Target, standardised
from map_core.palettes.target_columns import with_target_columns
from map_core.palettes.targets import checked_names, percentiles, resolve

#: The largest file that is read, in characters.
MAX_CHARACTERS = 2_000_000


@dataclass(frozen=True)
class NamedPalette:
    """A palette with what is said of it beside its targets."""

    name: str
    palette: Palette
    colour: str = ""
    note: str = ""


_FIELDS = ("targets", "palette", "name", "colour", "note", "use_case", "importance", *FIELDS)


def palette_line(written: NamedPalette, table: RewardTable, oracle: Oracle) -> str:
    """Return one palette as a line, without the line's end.

    Args:
        written: the palette.
        table: the part of the table that belongs to its use case.
        oracle: of that part.
    """
    levels = oracle.rewards_at(standardised(written.palette, table.values, oracle, percentiles(table, oracle.form)))
    content: dict[str, Any] = {
        "name": written.name,
        "targets": {name: float(level) for name, level in zip(table.values, levels, strict=True) if not np.isnan(level)}
        | dict(written.palette.columns),
        "palette": written.palette.as_dict(),
        **written.palette.beside.as_dict(),
    }
    content |= {name: text for name in ("colour", "note") if (text := getattr(written, name))}
    return json.dumps(content, ensure_ascii=False)


def unique_names(names: Iterable[str]) -> list[str]:
    """Return names as ``serve`` wants them, each one once: a number is added to a name that came before."""
    unique: list[str] = []
    for name in names:
        unique.append(unused_name(name, unique.__contains__))
    return unique


def parse_palettes(text: str, table: RewardTable, oracle: Oracle) -> tuple[NamedPalette, ...]:
    """Read the palettes of a file; all lines are read before any is given.

    Args:
        text: JSON lines as :func:`palette_line` writes them, or with ``targets`` alone, as people write them for
            commands.
        table: the whole table; what ``targets`` says in percentiles is of its replies.
        oracle: of the whole table.

    Raises:
        InputError: a line is no palette, or names a value that the table does not have; the message says which line.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"The file has {len(text):,} characters; expected at most {MAX_CHARACTERS:,}.")
    palettes = []
    for number, (where, record) in enumerate(json_records(text, "the file", "one a palette"), start=1):
        try:
            palettes.append(_read(known_fields(record, _FIELDS, where), number, table, oracle))
        except (InputError, TypeError, KeyError) as error:
            raise InputError(f"{where.removesuffix(' of the file')}: {error}") from error
    if not palettes:
        raise InputError('The file holds no palette; expected lines such as {"targets": {"humor": "p70"}}.')
    return tuple(palettes)


def _read(record: Any, number: int, table: RewardTable, oracle: Oracle) -> NamedPalette:
    if not isinstance(record, dict):
        raise InputError(f'{record!r:.60} is no palette; expected an object such as {{"targets": {{"humor": "p70"}}}}.')
    if "palette" in record:
        palette = _whole(Palette.from_dict(record["palette"]), table.values)
    else:
        targets = checked_names(record.get("targets"))
        columns = {name: level for name, level in targets.items() if parse_name(name, table.values) is not None}
        with_target_columns(table, oracle, [columns])  # says what is wrong with a share or a use case
        levels = resolve({name: level for name, level in targets.items() if name not in columns}, table, oracle)
        of_levels = _of_levels(levels, table, oracle.form, str(record.get("use_case", ALL)))
        palette = replace(of_levels, columns=columns, beside=Beside.from_dict(record))
    if palette.use_case not in (ALL, *table.use_case_names):
        raise InputError(
            f"{palette.use_case!r} is no use case of this table; it has {', '.join(table.use_case_names)}."
        )
    name, colour, note = (str(record.get(what) or "") for what in ("name", "colour", "note"))
    return NamedPalette(name.strip() or f"Palette {number}", palette, colour, note)


def _whole(palette: Palette, values: Sequence[str]) -> Palette:
    """Return the palette with a target for every value of the table, free where it says nothing."""
    unknown = [name for name in palette.targets if name not in values]
    if unknown:
        raise InputError(f"{unknown[0]!r} is no value of this table; it has {', '.join(values)}.")
    return replace(palette, targets={name: palette.targets.get(name, Target(50.0, free=True)) for name in values})


def _of_levels(levels: np.ndarray, table: RewardTable, form: Form, use_case: str) -> Palette:
    scale = percentiles(table, form)
    return Palette(
        use_case,
        {
            name: Target(50.0, free=True)
            if np.isnan(levels[j])
            else Target(scale.percentile_of(j, float(levels[j])), float(levels[j]))
            for j, name in enumerate(table.values)
        },
    )
