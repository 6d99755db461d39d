"""Print JSON values by name and tables of numbers, for several commands."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click
import numpy as np

from map_core.core import amounts
from map_core.data.derived_columns import ColumnKind, DerivedColumn
from map_core.oracle import Oracle


def by_name(oracle: Oracle, row: np.ndarray) -> dict[str, float]:
    """Return a (value,) array as plain numbers by name, without the NaN entries."""
    return {
        name: float(number) for name, number in zip(oracle.values, row, strict=True) if not math.isnan(float(number))
    }


def describe_columns(derived: Iterable[DerivedColumn]) -> dict[str, dict[str, Any]]:
    """Return the definition of each derived value by name, thresholds in reward units.

    ``reply`` is the name under which ``generate --weights`` takes the weight of a column; a cohort's weight is divided
    by ``prompts``, its share of all prompts.
    """
    return {
        column.name: {
            "value": column.value,
            "kind": column.kind.value,
            "threshold": None if column.kind is ColumnKind.LEVEL else column.threshold,
            "cohort": {"label": column.cohort.label, "entry": column.cohort.entry} if column.cohort else None,
            "prompts": column.share,
            "reply": column.reply_name,
        }
        for column in derived
    }


def print_json(result: Any) -> None:
    """Print one JSON value on one line of stdout, in full precision."""
    click.echo(json.dumps(result, allow_nan=False))


def columns(rows: Iterable[str], table: Mapping[str, Mapping[str, float]], missing: str = "no target") -> Iterator[str]:
    """Yield the lines of a text table.

    Args:
        rows: the names of the rows.
        table: each column's title, and its numbers by row.
        missing: the text of a cell without a number.
    """
    names = list(rows)
    width = max(map(len, names), default=0)
    yield " " * width + "".join(f"{title:>16}" for title in table)
    for name in names:
        cells = (
            f"{amounts.fixed(column[name], 4):>16}" if name in column else f"{missing:>16}" for column in table.values()
        )
        yield f"{name:<{width}}" + "".join(cells)
