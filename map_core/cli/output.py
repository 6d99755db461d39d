"""Print what several commands print: JSON values by name, and tables of numbers for people."""

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
    """Return a (value,) array as plain numbers by name, without its NaN."""
    return {
        name: float(number) for name, number in zip(oracle.values, row, strict=True) if not math.isnan(float(number))
    }


def describe_columns(derived: Iterable[DerivedColumn]) -> dict[str, dict[str, Any]]:
    """Return what the shares and cohorts among the values are, by name; thresholds in reward units.

    ``reply`` is how ``generate --weights`` takes the weight of a column; a cohort's is divided by ``prompts``, its part
    of all prompts.
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


def columns(rows: Iterable[str], shown: Mapping[str, Mapping[str, float]], missing: str = "no target") -> Iterator[str]:
    """Yield the lines of a table for people: a row a name, a titled column of numbers each."""
    names = list(rows)
    width = max(map(len, names), default=0)
    yield " " * width + "".join(f"{title:>14}" for title in shown)
    for name in names:
        cells = (
            f"{amounts.fixed(column[name], 4):>14}" if name in column else f"{missing:>14}" for column in shown.values()
        )
        yield f"{name:<{width}}" + "".join(cells)
