"""Write and read palettes as JSON lines: for another copy of the app, and for commands that take ``--targets-file``.

A line has the palette as the app stores it (``palette``), and its levels in reward units by value (``targets``), which
the commands read and which have the same meaning for every part of the table.

    {"name": "Warm", "targets": {"kindness": 1.73}, "palette": {"use_case": ..., "targets": {...}}, "colour": "violet"}

Constraint: text in, palettes out; nothing is solved and nothing is stored here.
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
    """A palette with its name, colour and note."""

    name: str
    palette: Palette
    colour: str = ""
    note: str = ""


_FIELDS = ("targets", "palette", "name", "colour", "note", "use_case", "importance", *FIELDS)


def palette_line(written: NamedPalette, table: RewardTable, oracle: Oracle) -> str:
    """Return one palette as a line, without the line break.

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
    for name, text in (("colour", written.colour), ("note", written.note)):
        if text:
            content[name] = text
    return json.dumps(content, ensure_ascii=False)


def unique_names(names: Iterable[str]) -> list[str]:
    """Return distinct names, as ``serve`` needs them: a number is added to a repeated name."""
    unique: list[str] = []
    for name in names:
        unique.append(unused_name(name, unique.__contains__))
    return unique


def parse_palettes(text: str, table: RewardTable, oracle: Oracle) -> tuple[NamedPalette, ...]:
    """Read the palettes of a file.

    Args:
        text: JSON lines as :func:`palette_line` writes them, or with ``targets`` alone, as people write them for
            commands.
        table: the whole table; percentiles in ``targets`` are those of its replies.
        oracle: of the whole table.

    Raises:
        InputError: a line is not a palette, or names a value that the table does not have; the message names the line.
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
    """Read one line; ``number``, from 1, names a palette without a name."""
    if not isinstance(record, dict):
        raise InputError(f'{record!r:.60} is no palette; expected an object such as {{"targets": {{"humor": "p70"}}}}.')
    if "palette" in record:
        palette = _whole(Palette.from_dict(record["palette"]), table.values)
    else:
        targets = checked_names(record.get("targets"))
        columns = {name: level for name, level in targets.items() if parse_name(name, table.values) is not None}
        with_target_columns(table, oracle, [columns])  # raises for an invalid share or use case
        levels = resolve({name: level for name, level in targets.items() if name not in columns}, table, oracle)
        of_levels = _of_levels(levels, table, oracle.form, str(record.get("use_case", ALL)))
        palette = replace(of_levels, columns=columns, beside=Beside.from_dict(record))
    if palette.use_case not in (ALL, *table.use_case_names):
        raise InputError(
            f"{palette.use_case!r} is no use case of this table; it has {', '.join(table.use_case_names)}."
        )
    name, colour, note = (str(record.get(field) or "") for field in ("name", "colour", "note"))
    return NamedPalette(name.strip() or f"Palette {number}", palette, colour, note)


def _whole(palette: Palette, values: Sequence[str]) -> Palette:
    """Return the palette with a target for every value of the table; values without one are free."""
    unknown = [name for name in palette.targets if name not in values]
    if unknown:
        raise InputError(f"{unknown[0]!r} is no value of this table; it has {', '.join(values)}.")
    return replace(palette, targets={name: palette.targets.get(name, Target(50.0, free=True)) for name in values})


def _of_levels(levels: np.ndarray, table: RewardTable, form: Form, use_case: str) -> Palette:
    """Return the palette of (value,) levels in reward units, NaN for free values."""
    scale = percentiles(table, form)
    targets = {}
    for j, name in enumerate(table.values):
        level = float(levels[j])
        free = np.isnan(level)
        targets[name] = Target(50.0, free=True) if free else Target(scale.percentile_of(j, level), level)
    return Palette(use_case, targets)
