"""Describe to one group what a common palette gives it, for that group's own screen.

Constraint, as in :mod:`map_core.text.groups`: plain text, and no other group's name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from map_core.groups import Group, GroupAgreement, Rule, satisfaction
from map_core.text.groups import MET, share_of_way
from map_core.text.units import Units


def member_sentence(agreement: GroupAgreement, rule: Rule, group: Group) -> str:
    """Describe how close a rule's common palette is to one group's targets; empty until it is known.

    Args:
        agreement: what all groups agree on.
        rule: how the common palette is chosen.
        group: the reader's; it need not be one of the agreement's groups.
    """
    common = agreement.common.get(rule)
    if common is None:
        return ""
    (share,) = satisfaction([group], common.solution.levels)
    return nearness_sentence(float(share))


def nearness_sentence(share: float) -> str:
    """Describe how close a common palette is to one group's targets.

    Args:
        share: its satisfaction, from 0 at the base model to 1; below 0 where something falls.
    """
    if share >= 1 - 1e-6:
        return "You get all that you ask for."
    if share < -1e-6:
        return "Something ends up lower than you ask for, and lower than the model has it now."
    return f"You get {share_of_way(share)} of the way to what you ask for."


def common_levels(agreement: GroupAgreement, units: Units, value: int, target: float) -> str:
    """Describe the common palettes' levels of one value beside a group's target; empty until they are known.

    Args:
        agreement: what all groups agree on.
        units: percentiles.
        value: its position.
        target: the group's, in standard deviations above base; NaN where the value is free.
    """
    levels = [float(common.solution.levels[value]) for common in agreement.common.values()]
    return levels_sentence(levels, units, value, target)


def levels_sentence(levels: Sequence[float], units: Units, value: int, target: float) -> str:
    """Describe levels of one value beside a group's target; empty where there are none.

    Args:
        levels: of one common palette each, in standard deviations above base.
        units: percentiles.
        value: its position.
        target: as in :func:`common_levels`.
    """
    percentiles = [units.percentile(value, level) for level in levels]
    if not percentiles:
        return ""
    text = f"Together {' or '.join(dict.fromkeys(map(units.wording.level, percentiles)))}"
    wanted = units.percentile(value, target)
    if math.isnan(wanted):
        return text
    met = all(wanted - percentile <= MET for percentile in percentiles)
    return f"{text}, as much as you ask for" if met else f"{text}; you ask for {units.wording.level(wanted)}"
