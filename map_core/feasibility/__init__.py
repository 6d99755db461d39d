"""Decide which levels are attainable, each answer with its proof.

aim                  a table with the derived columns of a palette: shares, cohorts, tails, mixes
assess               the verdict on a palette, with its margin, weights and nearest palette
margin               margin and certificate of a palette, attainable range of each value
conflict             the smallest set of targets that are not attainable together
cutting_planes       warm-started linear programs over the attainable levels
demands              what a palette asks for beside its targets, as data
cuts                 demands that are families of linear targets, met by cutting planes
scorer_columns       targets that hold for further scorers of a value
reply_distributions  worst shares, tails and mixes of replies with probabilities
nearest              the closest attainable palette
repairs              repairs of a palette that is out of reach
limits               the highest reliable and possible level of each value, given the other targets
ranges               the range of each value given the other targets, fast enough for a slider
trusted_ranges       the range of each value by itself, with a sufficient effective sample size
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
