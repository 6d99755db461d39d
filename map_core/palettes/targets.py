"""Parse targets to levels in reward units.

A level is a number in reward units, ``p70`` (that percentile of the base model's replies) or ``+0.5sd``
(standard deviations above the base level). Constraint: text in, reward units out; nothing is solved here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from map_core.core.reward_levels import RewardLevels
from map_core.core.types import Form
from map_core.core.weak_cache import cached_weakly
from map_core.data.distribution import Percentiles, reply_masses
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle import Oracle

_PERCENTILE = re.compile(r"p(\d+(?:\.\d+)?)", re.IGNORECASE)
_DEVIATIONS = re.compile(r"([+-]\d*\.?\d+)\s*sd", re.IGNORECASE)
_EXPECTED = "a number in reward units, p70 (a percentile of the base model's replies) or +0.5sd (above the base level)"


def resolve(targets: Mapping[str, Any], table: RewardTable | None, oracle: Oracle) -> RewardLevels:
    """Parse named targets to levels in reward units.

    Args:
        targets: levels by value name; values left out are free.
        table: whose replies define the percentiles; None where no table is in memory, as with a streamed file, so that
            targets must be rewards or standard deviations.
        oracle: base level and scale.

    Returns:
        (value,) levels in reward units, NaN for free values. Every function that takes targets in standard deviations
        converts them.

    Raises:
        InputError: an unknown value, a level that cannot be read, or a percentile without a table in memory.

    Example:
        >>> resolve({"humor": "p70"}, table, oracle)  # doctest: +SKIP
        RewardLevels([ nan, 1.25])
    """
    levels = np.full(len(oracle.values), np.nan)
    for name, level in checked_names(targets).items():
        if name not in oracle.values:
            raise InputError(
                f"Unknown value {name!r}; this table has {', '.join(oracle.values)}. Use one of these names."
            )
        j = oracle.values.index(name)
        levels[j] = parse_level(name, level, table, j, oracle)
    return RewardLevels.of(levels)


def checked_names(targets: Any) -> Mapping[str, Any]:
    """Return targets after checking that they map names to levels.

    Raises:
        InputError: they do not.
    """
    if not isinstance(targets, Mapping):
        raise InputError(f'Targets are {targets!r}; expected names with levels, such as {{"humor": "p70"}}.')
    return targets


def parse_level(name: str, level: Any, table: RewardTable | None, j: int, oracle: Oracle) -> float:
    """Parse one level as people write it.

    Args:
        name: of the target, for messages.
        level: as in :func:`resolve`.
        table: as in :func:`resolve`.
        j: position of the value.
        oracle: as in :func:`resolve`.

    Returns:
        The level in reward units.

    Raises:
        InputError: it cannot be read.
    """
    text = level.strip() if isinstance(level, str) else level
    if isinstance(text, str):
        match = _PERCENTILE.fullmatch(text)
        if match:
            percent = float(match[1])
            if percent > 100:
                raise InputError(f"The target of {name} is {text!r}; a percentile lies between p0 and p100.")
            if table is None:
                raise InputError(
                    f"The target of {name} is {text!r}, and percentiles need a table in memory; this one is streamed. "
                    "Give a level in reward units, or +0.5sd."
                )
            if reply_masses(table, oracle.form) is None:
                return float(np.percentile(table.rewards[:, j], percent))
            return percentiles(table, oracle.form).level(j, percent)
        match = _DEVIATIONS.fullmatch(text)
        if match:
            return float(oracle.base[j] + float(match[1]) * oracle.scale[j])
    try:
        if isinstance(text, bool) or text is None:
            raise TypeError("not a number")
        number = float(text)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"The target of {name} is {level!r}; expected {_EXPECTED}.") from error
    if not math.isfinite(number):
        raise InputError(
            f"The target of {name} is {level!r}; expected a finite level. Leave the value out to have no target for it."
        )
    return number


@cached_weakly
def percentiles(table: RewardTable, form: Form | None = None) -> Percentiles:
    """Return the percentiles of a table's replies, computed once while the table is in use.

    Args:
        table: the replies.
        form: as for :class:`map_core.data.distribution.Percentiles`.
    """
    return Percentiles(table, form)
