"""Palettes as people set, save and share them: a target for each value.

Constraint: numbers and names only; cost and reachability of a palette are computed in :mod:`map_core.feasibility`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from map_core.data.distribution import Percentiles
from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.palettes.beside import Beside
from map_core.palettes.column_names import parse_name

#: The name of all use cases together.
ALL = "All use cases"
_ITEM = re.compile(
    r"(?P<name>[^:;]+):(?:(?P<keep>keep)|p(?P<percentile>\d+(?:\.\d+)?(?:e-\d+)?)(?:=(?P<level>[-+0-9.eE]+))?)(?P<locked>!?)"
)
#: Characters of a name that need no escaping within the URL parameter.
_SAFE = " !\"#$&'()*+,/<=>?@[\\]^`{|}"
_EXPECTED = "entries such as humor:p70, kindness:keep or helpfulness:p65!, with a semicolon between them"


class Mode(StrEnum):
    """Kind of a target.

    All but ``FREE`` are the same constraint, E r >= target; they differ in where the target lies against the base
    level: at it (``KEEP``), above it (``AT_LEAST``) or below it (``MAY_DROP``).
    """

    FREE = "free"
    KEEP = "keep"
    AT_LEAST = "at_least"
    MAY_DROP = "may_drop"


@dataclass(frozen=True)
class Target:
    """Target of one value.

    Args:
        percentile: of the base model's replies, 0 to 100: the position of the slider.
        level: exact level in reward units where one was computed (the nearest palette, a point of a frontier), so that
            rounding to a slider's position cannot make it unreachable; None for the percentile's own level.
        free: no constraint; the percentile is kept for later.
        keep: the target is the base level, whatever it is.
        locked: in an unreachable palette, this target must not be relaxed.
    """

    percentile: float
    level: float | None = None
    free: bool = False
    keep: bool = False
    locked: bool = False

    def at(self, percentile: float, level: float | None = None) -> Target:
        """Return the target moved to a percentile, neither free nor kept."""
        return replace(self, percentile=percentile, level=level, free=False, keep=False)

    def mode(self, base: float) -> Mode:
        """Return the kind of target, given the percentile of the base level."""
        if self.free:
            return Mode.FREE
        if self.keep:
            return Mode.KEEP
        return Mode.MAY_DROP if self.percentile < base else Mode.AT_LEAST

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without those that have their default."""
        content: dict[str, Any] = {"percentile": self.percentile}
        if self.level is not None:
            content["level"] = self.level
        return content | {name: True for name in ("free", "keep", "locked") if getattr(self, name)}


@dataclass(frozen=True)
class Palette:
    """Targets by value name, in one use case.

    Args:
        use_case: whose prompts count, :data:`ALL` for all of them.
        targets: one per value of the table.
        columns: levels and shares as written, a number or text such as ``p60``, by the names of shares and cohorts
            (:mod:`map_core.palettes.column_names`).
        beside: demands beside targets.
    """

    use_case: str = ALL
    targets: Mapping[str, Target] = field(default_factory=dict)
    columns: Mapping[str, float | str] = field(default_factory=dict)
    beside: Beside = field(default_factory=Beside)

    @property
    def asks_beyond_averages(self) -> bool:
        """Whether it asks for more than levels of values."""
        return bool(self.columns or self.beside)

    def with_target(self, name: str, target: Target) -> Palette:
        """Return the palette with one target changed."""
        return replace(self, targets={**self.targets, name: target})

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, as saved in the database and in files."""
        targets = {name: target.as_dict() for name, target in self.targets.items()}
        content: dict[str, Any] = {"use_case": self.use_case, "targets": targets}
        return content | ({"columns": dict(self.columns)} if self.columns else {}) | self.beside.as_dict()

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Palette:
        """Read a palette from plain JSON values, see :meth:`as_dict`.

        Raises:
            InputError: something is missing or of the wrong type.
        """
        try:
            targets = {}
            for name, target in content["targets"].items():
                level = target.get("level")
                targets[str(name)] = Target(
                    _percentile(name, target["percentile"]),
                    None if level is None else _finite(name, level),
                    **{flag: bool(target.get(flag, False)) for flag in ("free", "keep", "locked")},
                )
            columns = {str(name): _written(name, level) for name, level in content.get("columns", {}).items()}
            return cls(str(content.get("use_case", ALL)), targets, columns, Beside.from_dict(content))
        except (KeyError, TypeError, AttributeError) as error:
            expected = '{"use_case": ..., "targets": {name: {"percentile": 70}}}'
            raise InputError(f"The palette is {content!r:.200}; expected {expected}.") from error

    def to_query(self) -> dict[str, str]:
        """Return the palette as URL query parameters; free values are left out.

        Example:
            >>> Palette("Care", {"humor": Target(70.0, locked=True)}).to_query()
            {'palette': 'humor:p70!', 'use': 'Care'}
        """
        items = []
        for name, target in self.targets.items():
            if target.free:
                continue
            exact = "" if target.level is None else f"={target.level:.12g}"
            text = "keep" if target.keep else f"p{target.percentile:.6g}{exact}"
            items.append(f"{quote(name, safe=_SAFE)}:{text}{'!' if target.locked else ''}")
        items += [f"{quote(name, safe=_SAFE)}:{quote(str(level), safe=_SAFE)}" for name, level in self.columns.items()]
        items += [f"{name}:{quote(text, safe=_SAFE)}" for name, text in self.beside.items()]
        parameters = {"palette": ";".join(items) or "free"}
        return parameters if self.use_case == ALL else parameters | {"use": self.use_case}

    @classmethod
    def from_query(cls, parameters: Mapping[str, str], values: Sequence[str]) -> Palette:
        """Read a palette from URL query parameters; values that are not named are free.

        Args:
            parameters: "palette" and "use", as :meth:`to_query` writes them.
            values: of the table.

        Raises:
            InputError: the text cannot be read, or names a value that the table does not have.
        """
        text = parameters.get("palette", "")
        targets = {name: Target(50.0, free=True) for name in values}
        columns: dict[str, float | str] = {}
        beside: list[tuple[str, str]] = []
        for item in [] if text in ("", "free") else text.split(";"):
            quoted, _, level_text = item.strip().partition(":")
            written = unquote(quoted)
            if quoted.startswith("--") and level_text and written not in targets:
                beside.append((quoted, unquote(level_text)))
                continue
            if level_text and written not in targets and parse_name(written, values) is not None:
                columns[written] = unquote(level_text)
                continue
            match = _ITEM.fullmatch(item.strip())
            if match is None:
                raise InputError(f"The palette in the address has {item!r}; expected {_EXPECTED}.")
            name = unquote(match["name"])
            if name not in targets:
                raise InputError(
                    f"The palette in the address names {name!r}; this table has {', '.join(values)}. "
                    "A custom value must be defined, and used as a target, on the page Values."
                )
            level = None if match["level"] is None else _finite(name, match["level"])
            percentile = 50.0 if match["keep"] else _percentile(name, match["percentile"])
            targets[name] = Target(percentile, level, keep=bool(match["keep"]), locked=bool(match["locked"]))
        return cls(parameters.get("use", ALL), targets, columns, Beside.from_items(beside))


def standardised(palette: Palette, values: Sequence[str], oracle: Oracle, percentiles: Percentiles) -> np.ndarray:
    """Return the targets in standardised units.

    Args:
        palette: the targets.
        values: of the table, in its order.
        oracle: base level and scale.
        percentiles: of the base model's replies.

    Returns:
        (value,) in standard deviations above base, NaN for free values.
    """
    levels = np.full(len(values), np.nan)
    for j, name in enumerate(values):
        target = palette.targets.get(name)
        if target is None or target.free:
            continue
        if target.keep:
            levels[j] = oracle.base[j]
        else:
            levels[j] = percentiles.level(j, target.percentile) if target.level is None else target.level
    return oracle.standardise(levels)


def locked(palette: Palette, values: Sequence[str]) -> np.ndarray:
    """Return which targets must not be relaxed, (value,) bool; a free value has none."""
    targets = [palette.targets.get(name) for name in values]
    return np.array([target is not None and target.locked and not target.free for target in targets], dtype=bool)


def _finite(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"The level of {name} is {value!r}; expected a number in reward units.") from error
    if not math.isfinite(number):
        raise InputError(f"The level of {name} is {value!r}; expected a finite number in reward units.")
    return number


def _written(name: Any, level: Any) -> float | str:
    if isinstance(level, bool) or not isinstance(level, int | float | str):
        raise InputError(f"The target of {name} is {level!r}; expected a number, or text such as p60.")
    return level


def _percentile(name: str, value: Any) -> float:
    number = _finite(name, value)
    if not 0 <= number <= 100:
        raise InputError(f"The percentile of {name} is {value!r}; expected a number from 0 to 100.")
    return number
