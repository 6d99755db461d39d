"""Decide which levels are attainable, each answer with its proof.

aim                  a palette's columns beside its values: shares, cohorts, tails, mixes, and what they came to
assess               the verdict on a palette, with all that is said about it
margin               margin and certificate of a palette, reachable range of each value
conflict             the smallest set of targets that are not attainable together
cutting_planes       linear programs over what replies can give, which stay warm
demands              what a palette asks for beside its targets, as data
cuts                 demands that are families of linear targets, met by cutting planes
scorer_columns       targets that hold for further scorers of a value
reply_distributions  worst shares, tails and mixes of replies with probabilities
nearest              the closest attainable palette
repairs              repairs of a palette that is out of reach
limits               the most of each value while the other targets are kept
ranges               the range of each value given the other targets, fast enough for a slider
trusted_ranges       the range of each value by itself, on enough replies
trust                the effective sample size that a forecast needs
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
