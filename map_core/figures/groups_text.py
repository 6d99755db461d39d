"""The figures of several groups as text: in a sentence, as a table, and as a file.

Constraint: names of groups are a user's text; they are passed on as text.
"""

from __future__ import annotations

import io
import math

import numpy as np

from map_core.core import amounts, safe_csv
from map_core.figures.groups import GroupFigureData
from map_core.groups import Rule
from map_core.text.groups import RULES, percent
from map_core.text.sentences import capitalised


def levels_alt(shown: GroupFigureData) -> str:
    """Describe the figure of levels in a sentence, for those who do not see it."""
    rows = [shown.units.names[j] for j in shown.asked]
    return (
        f"What {len(shown.agreement.groups)} groups ask for of {', '.join(rows) or 'no value'}, in percentiles of the "
        "base model's replies, with the level of each common palette. The same is in the table and in words."
    )


def shares_alt(shown: GroupFigureData) -> str:
    """Describe the figure of shares in a sentence, for those who do not see it."""
    common = shown.agreement.common.get(Rule.WORST_OFF)
    if common is None:
        return "How far the common palette brings each group: it is being computed."
    least = int(np.argmin(common.satisfaction))
    return (
        f"How far each group gets alone and in each common palette. In the one that is best for the worst-off, "
        f"{shown.agreement.groups[least].name} gets the least, {percent(float(common.satisfaction[least]))} of the way."
    )


def table(shown: GroupFigureData) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return levels in percentiles: the header, and (position, cells) a value; a column a group and a rule."""
    found = shown.agreement
    header = ["Value", "Base", *(group.name for group in found.groups), *(RULES[rule] for rule in found.common)]
    rows = []
    for j, name in enumerate(shown.units.names):
        cells = [capitalised(name), shown.units.said(j, 0.0)]
        cells += ["free" if math.isnan(place) else amounts.percentile(place) for place in shown.percentiles(j)]
        cells += [shown.units.said(j, float(common.solution.levels[j])) for common in found.common.values()]
        rows.append((j, cells))
    return header, rows


def groups_csv(shown: GroupFigureData) -> str:
    """Return CSV, a row a group and value, in percentiles and reward units; names like formulas are quoted."""
    found, out = shown.agreement, io.StringIO()
    oracle = shown.units.oracle
    writer = safe_csv.Writer(out)
    header = ["group", "importance", "value", "base_reward", "target_percentile", "target_reward", "alone_share"]
    for rule in found.common:
        header += [f"{rule.value}_share", f"{rule.value}_percentile", f"{rule.value}_reward", f"{rule.value}_nats"]
    writer.writerow(header)
    for g, group in enumerate(found.groups):
        rewards = oracle.rewards_at(group.targets)
        for j, name in enumerate(oracle.values):
            free = math.isnan(group.targets[j])
            row: list[object] = [formula_safe(group.name), group.importance, name, float(oracle.base[j])]
            row += ["", ""] if free else [float(shown.percentiles(j)[g]), float(rewards[j])]
            row.append("" if found.alone is None else float(found.alone[g]))
            for common in found.common.values():
                level = common.solution.levels[j]
                row += [
                    float(common.satisfaction[g]),
                    float(shown.units.of(j, np.array(level))),
                    float(oracle.base[j] + level * oracle.scale[j]),
                    common.solution.kl,
                ]
            writer.writerow(row)
    return out.getvalue()


def formula_safe(name: str) -> str:
    """Return a name that no spreadsheet takes for a formula.

    Example:
        >>> formula_safe("=1+1"), formula_safe("Parents")
        ("'=1+1", 'Parents')
    """
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name
