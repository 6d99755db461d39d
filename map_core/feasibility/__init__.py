"""Decide what can be had, each answer with its proof: contents.

assess          the verdict on a palette, with all that is said about it
margin          margin and certificate of a palette, reachable range of each value
conflict        the smallest set of targets that cannot be had together
cutting_planes  linear programs over what replies can give, which stay warm
nearest         the closest palette that can be had
repairs         ways out of a palette that is out of reach
ranges          how far each value can go, fast enough to follow a hand
trusted_ranges  how far each value goes on enough replies
trust           how many replies must carry a forecast
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
