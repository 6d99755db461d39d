"""Levels in people's units: of 100 replies, how many would people say yes to?

labels       people's labels of a table's replies, by value
calibrate    P(a person says yes) as a monotone function of the reward
delivered    the share of yes under weights, with an interval that includes the scorer's error
next_labels  which replies to label next, and how many
judges       agreement of two or more judges
reach        how well labels cover the replies that a palette picks
described    levels in people's units as JSON values

Constraint: numpy and a table; no model library.

Source: docs/judgement.md.
"""

from map_core.calibration.calibrate import Calibration, calibrate, with_people_columns
from map_core.calibration.delivered import PeopleLevel, people_level, people_levels
from map_core.calibration.judges import JudgeAgreement, judge_agreement
from map_core.calibration.labels import ValueLabels, labels_path, value_labels
from map_core.calibration.next_labels import labels_needed, next_labels
from map_core.calibration.reach import LabelReach, label_reach, promised_values

__all__ = [
    "Calibration",
    "JudgeAgreement",
    "LabelReach",
    "PeopleLevel",
    "ValueLabels",
    "calibrate",
    "judge_agreement",
    "label_reach",
    "labels_needed",
    "labels_path",
    "next_labels",
    "people_level",
    "people_levels",
    "promised_values",
    "value_labels",
    "with_people_columns",
]
