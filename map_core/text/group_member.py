"""What a common palette is to one of those who share it, as sentences for their own screen.

Constraint, as in :mod:`map_core.text.groups`: plain text, and nobody else's name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from map_core.groups import Group, GroupAgreement, Rule, satisfaction
from map_core.text.groups import MET, share_of_way
from map_core.text.units import Units


def member_sentence(agreement: GroupAgreement, rule: Rule, group: Group) -> str:
    """Word how near a rule's common palette comes to what one group asks for; empty until it is known.

    Args:
        agreement: what all groups agree on.
        rule: how the common palette is chosen.
        group: the one that is spoken to; it need not be one of them.
    """
    common = agreement.common.get(rule)
    if common is None:
        return ""
    (share,) = satisfaction([group], common.solution.levels)
    return nearness_sentence(float(share))


def nearness_sentence(share: float) -> str:
    """Word how near a common palette comes to what one group asks for.

    Args:
        share: its satisfaction, from 0 at the base model to 1; below 0 where something falls.
    """
    if share >= 1 - 1e-6:
        return "You get all that you ask for."
    if share < -1e-6:
        return "Something ends up lower than you ask for, and lower than the model has it now."
    return f"You get {share_of_way(share)} of the way to what you ask for."


def common_levels(agreement: GroupAgreement, units: Units, value: int, target: float) -> str:
    """Word what the common palettes give of one value, beside what a group asks of it; empty until they are known.

    Args:
        agreement: what all groups agree on.
        units: percentiles.
        value: its position.
        target: theirs, in standard deviations above base; NaN where they leave the value free.
    """
    levels = [float(common.solution.levels[value]) for common in agreement.common.values()]
    return levels_sentence(levels, units, value, target)


def levels_sentence(levels: Sequence[float], units: Units, value: int, target: float) -> str:
    """Word levels of one value beside what a group asks of it; empty where there are none.

    Args:
        levels: of one common palette each, in standard deviations above base.
        units: percentiles.
        value: its position.
        target: as in :func:`common_levels`.
    """
    places = [units.percentile(value, level) for level in levels]
    if not places:
        return ""
    text = f"Together {' or '.join(dict.fromkeys(units.wording.level(place) for place in places))}"
    wanted = units.percentile(value, target)
    if math.isnan(wanted):
        return text
    met = all(wanted - place <= MET for place in places)
    return f"{text}, as much as you ask for" if met else f"{text}; you ask for {units.wording.level(wanted)}"
