"""The figures of several groups as text: in a sentence, as a table, and as a file.

Constraint: names of groups are user text and returned unescaped; the caller escapes them for HTML.
"""

from __future__ import annotations

import io
import math

import numpy as np

from map_core.core import amounts, safe_csv
from map_core.figures.groups import GroupFigureData
from map_core.groups import Rule
from map_core.text.groups import RULES, share_of_way
from map_core.text.sentences import capitalised


def levels_alt(data: GroupFigureData) -> str:
    """Describe the figure of levels in a sentence, for people who cannot see it."""
    names = [data.units.names[j] for j in data.targeted]
    return (
        f"Targets of {amounts.counted(len(data.agreement.groups), 'group')} for {', '.join(names) or 'no value'}, "
        f"{data.units.wording.pick('in percentiles', 'out of 100')} of "
        "the base model's replies, with the level of each common palette. The same is in the table and in words."
    )


def shares_alt(data: GroupFigureData) -> str:
    """Describe the figure of shares in a sentence, for people who cannot see it."""
    common = data.agreement.common.get(Rule.WORST_OFF)
    if common is None:
        return "How far the common palette brings each group: calculating."
    least = int(np.argmin(common.satisfaction))
    share = share_of_way(float(common.satisfaction[least]))
    return (
        f"How far each group gets alone and in each common palette. In the most equal one, "
        f"{data.agreement.groups[least].name} gets the least, {share} of the way."
    )


def table(data: GroupFigureData) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return levels in percentiles: the header, and (position, cells) per value; one column per group and rule."""
    agreement = data.agreement
    header = ["Value", "Base", *(group.name for group in agreement.groups), *(RULES[rule] for rule in agreement.common)]
    rows = []
    for j, name in enumerate(data.units.names):
        cells = [capitalised(name), data.units.level_text(j, 0.0)]
        cells += ["–" if math.isnan(target) else data.units.wording.level(target) for target in data.percentiles(j)]
        cells += [data.units.level_text(j, float(common.solution.levels[j])) for common in agreement.common.values()]
        rows.append((j, cells))
    return header, rows


def groups_csv(data: GroupFigureData) -> str:
    """Return CSV, one row per group and value, in percentiles and reward units; names like formulas are quoted."""
    agreement, out = data.agreement, io.StringIO()
    oracle = data.units.oracle
    writer = safe_csv.Writer(out)
    header = ["group", "importance", "value", "base_reward", "target_percentile", "target_reward", "alone_share"]
    for rule in agreement.common:
        header += [f"{rule.value}_share", f"{rule.value}_percentile", f"{rule.value}_reward", f"{rule.value}_nats"]
    writer.writerow(header)
    for g, group in enumerate(agreement.groups):
        rewards = oracle.rewards_at(group.targets)
        for j, name in enumerate(oracle.values):
            free = math.isnan(group.targets[j])
            row: list[object] = [group.name, group.importance, name, float(oracle.base[j])]
            row += ["", ""] if free else [float(data.percentiles(j)[g]), float(rewards[j])]
            row.append("" if agreement.alone is None else float(agreement.alone[g]))
            for common in agreement.common.values():
                level = common.solution.levels[j]
                row += [
                    float(common.satisfaction[g]),
                    float(data.units.of(j, np.array(level))),
                    float(oracle.base[j] + level * oracle.scale[j]),
                    common.solution.kl,
                ]
            writer.writerow(row)
    return out.getvalue()
