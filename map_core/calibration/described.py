"""Describe levels in people's units as plain JSON values, for the command line and the library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from map_core.calibration.delivered import people_levels
from map_core.calibration.judges import judge_agreement
from map_core.calibration.next_labels import labels_needed
from map_core.calibration.reach import label_reach
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.scoring.validation import Label


def described(
    table: RewardTable, oracle: Oracle, labels: Sequence[Label], weights: np.ndarray
) -> dict[str, dict[str, Any]]:
    """Return each labelled value's level in people's units, for the base model and under weights.

    Args:
        table: the table whose replies were labelled.
        oracle: the table's oracle.
        labels: labels of its replies.
        weights: (value,) x, in nats per standard deviation.
    """
    levels, _ = people_levels(table, oracle, labels, weights)
    reaches = label_reach(table, oracle, labels, weights, levels)
    by_value = {}
    for name, (base, palette) in levels.items():
        content = {
            key: asdict(level) | {"narrower": level.narrower} for key, level in (("base", base), ("palette", palette))
        }
        content["labels_needed"] = {"within_3": labels_needed(palette, 0.03)}
        content["reach"] = asdict(reaches[name]) | {"few": reaches[name].few}
        by_value[name] = content
        try:
            agreement = asdict(judge_agreement(labels, name))
        except InputError:  # no reply was judged twice, so there is no agreement to report
            continue
        content["judges"] = {
            key: None if isinstance(number, float) and math.isnan(number) else number
            for key, number in agreement.items()
        }
    return by_value
