"""Levels in people's units: of 100 replies, how many would people say yes to?

labels       what people said of a table's replies, value by value
calibrate    P(a person says yes) as a monotone function of the reward
delivered    the share of yes under weights, with an interval that counts the scorer's error
next_labels  which replies to label next, and how many
judges       agreement of two or more judges
reach        how many labels stand behind a promised level, and where hardly any do

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
