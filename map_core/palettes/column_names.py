"""Parse names of targets beyond a value's level, as people write them.

    kindness>=p20           the share of replies whose kindness is at least that level; its target is 0 to 1
    kindness<p5             the share below that level; its target is an upper bound
    kindness@Stories        the level over the prompts of one use case
    kindness@language=de    over the prompts with that entry in a column of text; also after a share
    kindness@*              the level over the prompts of each use case; @language=* for each entry of a column
    min(kindness,0.25)      the mean of the lower of reward and 0.25: the weight of a tail

Constraint: text only; :mod:`map_core.palettes.target_columns` resolves levels. A value's own name takes precedence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from map_core.data.derived_columns import USE_CASE, Cohort, ColumnKind, DerivedColumn, reply_name
from map_core.errors import InputError

_CAPPED = re.compile(r"min\((?P<value>.+),(?P<threshold>[^,@]+)\)(?P<rest>@.+)?", re.DOTALL)
#: Stands for every entry of a column.
EVERY = "*"
_EXPECTED = "kindness>=p20 for a share, kindness@Stories for a use case, or both"


@dataclass(frozen=True)
class ColumnName:
    """A parsed name.

    Args:
        value: the value's name.
        kind: the transform.
        threshold: its level as written; "" for a level.
        cohort: the prompts; None for all.
        below: the name is that of the share below the threshold.
    """

    value: str
    kind: ColumnKind = ColumnKind.LEVEL
    threshold: str = ""
    cohort: Cohort | None = None
    below: bool = False

    @property
    def name(self) -> str:
        """The name of the column; a share below a threshold uses the column of the share above it."""
        start = f"min({self.value},{self.threshold})" if self.kind is ColumnKind.CAPPED else self.value
        start += f">={self.threshold}" if self.kind is ColumnKind.SHARE else ""
        return start + (f"@{self.cohort}" if self.cohort else "")

    @property
    def written(self) -> str:
        """The name as people write it."""
        if not self.below:
            return self.name
        return f"{self.value}<{self.threshold}" + (f"@{self.cohort}" if self.cohort else "")


def parse_name(name: str, values: Collection[str]) -> ColumnName | None:
    """Parse a name; None for one that is a value's, or of another kind.

    Args:
        name: as written.
        values: names of the values.

    Raises:
        InputError: a share without a threshold, or a cohort without an entry.

    Example:
        >>> parse_name("kindness>=p20@Stories", ["kindness"]).cohort.entry
        'Stories'
    """
    if name in values:
        return None
    capped = _CAPPED.fullmatch(name)
    if capped and capped["value"] in values:
        return _parts(name, capped["value"], ColumnKind.CAPPED, capped["threshold"], capped["rest"] or "")
    for value in sorted(values, key=len, reverse=True):
        rest = name[len(value) :].lstrip()
        if not name.startswith(value) or not rest:
            continue
        if rest.startswith("@"):
            return _parts(name, value, ColumnKind.LEVEL, "", rest)
        for sign in (">=", "<"):
            if rest.startswith(sign):
                threshold, at, cohort = rest.removeprefix(sign).partition("@")
                return _parts(name, value, ColumnKind.SHARE, threshold, at + cohort, below=sign == "<")
    return None


def _parts(name: str, value: str, kind: ColumnKind, threshold: str, rest: str, below: bool = False) -> ColumnName:
    threshold, entry = threshold.strip(), rest.removeprefix("@").strip()
    if (kind is not ColumnKind.LEVEL and not threshold) or (rest and not entry):
        missing = "entry after the @" if rest and not entry else "level after the sign"
        raise InputError(f"The target {name!r} has no {missing}; expected {_EXPECTED}.")
    return ColumnName(value, kind, threshold, parse_cohort(entry) if entry else None, below)


def parse_cohort(text: str) -> Cohort:
    """Return the cohort that a text names: a use case, or an entry of a column of text after an =.

    Example:
        >>> parse_cohort("language=de")
        Cohort(label='language', entry='de')
    """
    label, equals, entry = text.partition("=")
    return Cohort(label.strip(), entry.strip()) if equals else Cohort(USE_CASE, text.strip())


def reply_columns(names: Iterable[str], values: Collection[str]) -> dict[str, DerivedColumn]:
    """Return the transforms of rewards that weights name, by name; names of values are left out.

    Args:
        names: of weights, as :attr:`map_core.data.derived_columns.DerivedColumn.reply_name`.
        values: the values on which replies are scored.

    Raises:
        InputError: a threshold that is not a number in reward units, or a cohort.

    Example:
        >>> reply_columns(["kindness>=0.25"], ["kindness"])["kindness>=0.25"].threshold
        0.25
    """
    columns = {}
    for name in names:
        parts = parse_name(name, values)
        if parts is None:
            continue
        try:
            threshold = float(parts.threshold)
        except ValueError:
            threshold = math.nan
        if not math.isfinite(threshold) or parts.cohort is not None or parts.below:
            raise InputError(
                f"The weight of {name!r} cannot be used on a reply; expected a threshold in reward units and no use "
                f"case, as in {reply_name(parts.value, ColumnKind.SHARE, 0.25)}."
            )
        columns[name] = DerivedColumn(name, parts.value, parts.kind, threshold)
    return columns


def scored_value(name: str) -> str:
    """Return the value whose reward a weight's name transforms, judged by the form of the name; or the name itself.

    Example:
        >>> scored_value("kindness>=0.25"), scored_value("min(kindness,-1.0)"), scored_value("kindness")
        ('kindness', 'kindness', 'kindness')
    """
    number = r"[-+]?[\d.]+(?:e[-+]?\d+)?"
    match = re.fullmatch(rf"min\((.+),{number}\)|(.+)>={number}", name, re.DOTALL)
    return (match[1] or match[2]) if match else name
