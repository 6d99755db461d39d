"""Read weights and sampling settings from the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from map_core.core.types import SamplingSettings
from map_core.data import table_format

#: A comma between weights, but not one inside parentheses as in min(kindness,0.25).
_COMMA = re.compile(r",(?![^(]*\))")


def read_weights(words: tuple[str, ...]) -> dict[str, float]:
    """Read weights from words like ``humor=2``; one word may hold several, separated by commas.

    Raises:
        click.UsageError: a word is not NAME=W, W is no finite number, or a value is named twice.
    """
    weights: dict[str, float] = {}
    parts = [part for word in words for part in _COMMA.split(word)]
    for part in parts:
        name, equals, number = part.rpartition("=")  # the last one, as the name of a share contains an =
        name = name.strip()
        try:
            weight = float(number)
        except ValueError:
            weight = float("nan")
        if not equals or not name or not abs(weight) < float("inf"):
            raise click.UsageError(f"{part!r} is not a weight; expected NAME=W with W a number, as in humor=2.")
        if name in weights:
            raise click.UsageError(f"The weight of {name!r} is given twice. Give it once.")
        weights[name] = weight
    return weights


def sampling_settings(
    options: Mapping[str, float | int | None], metadata: Mapping[str, Any] | None = None
) -> SamplingSettings:
    """Return the sampling settings of the table that the weights belong to, overridden by given options.

    Args:
        options: settings by name; None for those that are not given.
        metadata: the table's metadata; None for the embedded table's.
    """
    if metadata is None:
        metadata = (
            table_format.load_metadata(table_format.DEFAULT_TABLE) if table_format.DEFAULT_TABLE.is_file() else {}
        )
    overrides: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    return replace(SamplingSettings.from_metadata(metadata), **overrides)
