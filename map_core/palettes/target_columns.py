"""Add the derived columns that targets name to a table: from names and levels as written to columns in reward units.

Constraint: a table in, a wider table out, or the same one where every target is a value's level; for the solver, the
certificate and all further steps the columns are values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from map_core.core.types import Form
from map_core.data.derived_columns import USE_CASE, Cohort, ColumnKind, DerivedColumn
from map_core.data.distribution import reply_masses
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.column_names import EVERY, ColumnName, parse_name
from map_core.palettes.targets import parse_level


def with_target_columns(
    table: RewardTable, oracle: Oracle, palettes: Sequence[Mapping[str, Any]]
) -> tuple[RewardTable, Oracle, list[dict[str, Any]]]:
    """Add the columns that targets name to a table.

    Args:
        table: the replies.
        oracle: of the table.
        palettes: targets by name, one mapping per palette; names are values or as in
            :mod:`map_core.palettes.column_names`.

    Returns:
        The table and its oracle, unchanged where no column is added, and the targets by the names of columns and
        values, those of columns as numbers.

    Raises:
        InputError: a threshold, a share or a cohort that cannot be used, or two shares for one column.

    Example:
        >>> wider, oracle, targets = with_target_columns(table, oracle, [{"humor>=p20": "95%"}])  # doctest: +SKIP
        >>> wider.values[-1], targets[0]  # doctest: +SKIP
        ('humor>=p20', {'humor>=p20': 0.95})
    """
    columns: dict[str, DerivedColumn] = {}
    resolved: list[dict[str, Any]] = []
    for targets in palettes:
        written: dict[str, Any] = {}
        for name, level in of_each_cohort(targets, table).items():
            parts = parse_name(name, table.values) if isinstance(name, str) else None
            if parts is None:
                written[name] = level
                continue
            column = _column(parts, level, table, oracle)
            if parts.name in written:
                raise InputError(
                    f"The target {parts.name!r} is given twice, once as {written[parts.name]:g} and once as "
                    f"{column.centre:g} of the replies. Give it once."
                )
            written[parts.name] = column.centre
            known = columns.setdefault(parts.name, column)
            if known.cohort is not None and known.centre != column.centre:
                # Two targets share the column: centred at the base model's level, it is exact on the table itself.
                columns[parts.name] = replace(known, centre=_base(known, table, oracle.form))
        resolved.append(written)
    if not columns:
        return table, oracle, resolved
    wider = table.with_columns(tuple(columns.values()), oracle.form)
    return wider, MemoryOracle.of(wider, oracle.form), resolved


def of_each_cohort(targets: Mapping[str, Any], table: RewardTable) -> dict[str, Any]:
    """Replace each target of all cohorts, ``kindness@*``, by one per cohort.

    One cohort's own target of the same kind takes precedence.

    Raises:
        InputError: the table has no such column of text.

    Example:
        >>> of_each_cohort({"humor@*": "+0sd"}, table)  # doctest: +SKIP
        {'humor@Customer support': '+0sd', 'humor@Health information': '+0sd'}
    """
    parsed = {name: parse_name(name, table.values) if isinstance(name, str) else None for name in targets}
    own = {parts.name for parts in parsed.values() if parts is not None}
    expanded: dict[str, Any] = {}
    for name, level in targets.items():
        parts = parsed[name]
        if parts is None or parts.cohort is None or parts.cohort.entry != EVERY:
            expanded[name] = level
            continue
        for cohort in cohorts_of(table, parts.cohort.label):
            if replace(parts, cohort=cohort, below=False).name not in own:
                expanded[replace(parts, cohort=cohort).written] = level
    return expanded


def with_cohort_floors(targets: Mapping[str, Any], label: str | None, table: RewardTable) -> dict[str, Any]:
    """Add a floor at the base level for each targeted value and each cohort of a label; None adds none.

    A cohort's own target of the same kind, or one for each cohort, takes precedence.

    Raises:
        InputError: the table has no such column of text.
    """
    if label is None:
        return dict(targets)
    targets = of_each_cohort(targets, table)
    parsed = {name: parse_name(name, table.values) if isinstance(name, str) else None for name in targets}
    own = {parts.name for parts in parsed.values() if parts is not None}
    floors: dict[str, Any] = {}
    for name, parts in parsed.items():
        if name in table.values or (parts is not None and parts.cohort is None):
            start = name if parts is None else parts.name
            names = (f"{start}@{cohort}" for cohort in cohorts_of(table, label))
            floors |= {floor: "+0sd" for floor in names if floor not in own}
    return {**floors, **targets}


def _column(parts: ColumnName, level: Any, table: RewardTable, oracle: Oracle) -> DerivedColumn:
    """Return the column of a parsed name, centred at its target."""
    j = oracle.values.index(parts.value)
    threshold = parse_level(parts.value, parts.threshold, table, j, oracle) if parts.threshold else 0.0
    cohort = None if parts.cohort is None else checked_cohort(parts.cohort, table)
    column = DerivedColumn(parts.name, parts.value, parts.kind, threshold, cohort)
    return replace(column, centre=column_level(column, parts, level, table, oracle))


def column_level(column: DerivedColumn, parts: ColumnName, level: Any, table: RewardTable, oracle: Oracle) -> float:
    """Parse the level or the share of a column.

    Args:
        column: of the table.
        parts: the parsed name of the target.
        level: as written; ``+0.2sd`` is above the base level of the column's own cohort, in the value's deviations.
        table: the replies.
        oracle: of the table.

    Raises:
        InputError: it cannot be read.
    """
    j = oracle.values.index(column.value)
    from_base = isinstance(level, str) and level.strip().lower().endswith("sd")
    base = _base(column, table, oracle.form) if from_base else 0.0
    if column.kind is ColumnKind.SHARE:
        return _share(parts, level, base)
    parsed = parse_level(parts.name, level, table, j, oracle)
    return base + parsed - float(oracle.base[j]) if from_base else parsed


def checked_cohort(cohort: Cohort, table: RewardTable) -> Cohort:
    """Return the cohort after checking that it has prompts to solve on.

    Raises:
        InputError: the table has no such label or entry, or every prompt of it is held out.
    """
    labels = table.labels_of(cohort.label)
    counted = {label for label, counts in zip(labels, table.counted, strict=True) if counts}
    if cohort.entry not in labels:
        raise InputError(
            f"No prompt has {cohort.entry!r} as its {cohort.label.replace('_', ' ')}; there are "
            f"{', '.join(map(repr, sorted(set(labels))[:20]))}."
        )
    if cohort.entry not in counted:
        raise InputError(f"Every prompt of {cohort.entry!r} is held out, so there is none to solve on.")
    return cohort


def cohorts_of(table: RewardTable, label: str = USE_CASE) -> tuple[Cohort, ...]:
    """Return the cohorts of a label that have prompts to solve on, in order of first appearance.

    Raises:
        InputError: the table has no such label.
    """
    labels = table.labels_of(label)
    counted = (entry for entry, counts in zip(labels, table.counted, strict=True) if counts)
    return tuple(Cohort(label, entry) for entry in dict.fromkeys(counted))


def _base(column: DerivedColumn, table: RewardTable, form: Form) -> float:
    """Return the base model's mean of a column's transform over its prompts."""
    masses = reply_masses(table, form)
    masses = np.full(len(table.rewards), 1.0 / len(table.rewards)) if masses is None else masses
    transformed = column.transform(table.rewards[:, table.index(column.value)])
    if column.cohort is not None:
        members = np.array([label == column.cohort.entry for label in table.labels_of(column.cohort.label)])
        masses = masses * np.repeat(members, table.candidates)
    return float(masses @ transformed / masses.sum())


def _share(parts: ColumnName, level: Any, base: float) -> float:
    """Parse a share; ``+0sd`` is that of the base model."""
    text = level.strip() if isinstance(level, str) else level
    try:
        if isinstance(text, bool) or text is None:
            raise TypeError("not a number")
        if isinstance(text, str) and text.lower() in ("+0sd", "-0sd"):
            kept = min(max(base, 0.0), 1.0)  # a mean of 0 and 1, up to the rounding of its sum
            share = 1.0 - kept if parts.below else kept
        elif isinstance(text, str) and text.endswith("%"):
            share = float(text.removesuffix("%")) / 100.0
        else:
            share = float(text)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"The share of {parts.name} is {level!r}; expected a number from 0 to 1, such as 0.95, or 95%."
        ) from error
    if not 0.0 <= share <= 1.0:
        raise InputError(
            f"The share of {parts.name} is {level!r}; expected a number from 0 to 1, such as 0.95, or 95%: a share of "
            "all replies is never below 0 or above 1."
        )
    return 1.0 - share if parts.below else share
