"""Decide which levels are attainable, each answer with its proof.

assess          the verdict on a palette, with all that is said about it
margin          margin and certificate of a palette, reachable range of each value
conflict        the smallest set of targets that are not attainable together
cutting_planes  linear programs over what replies can give, which stay warm
nearest         the closest attainable palette
repairs         repairs of a palette that is out of reach
ranges          the range of each value given the other targets, fast enough for a slider
trusted_ranges  the range of each value by itself, on enough replies
trust           the effective sample size that a forecast needs
"""

from map_core.feasibility.assess import Assessment, assess
from map_core.feasibility.conflict import Conflict, smallest_conflict
from map_core.feasibility.margin import MARGIN_TOLERANCE, AttainableLevels, Margin, checked_targets, margin

__all__ = [
    "MARGIN_TOLERANCE",
    "Assessment",
    "AttainableLevels",
    "Conflict",
    "Margin",
    "assess",
    "checked_targets",
    "margin",
    "smallest_conflict",
]
