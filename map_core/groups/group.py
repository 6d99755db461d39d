"""A group of people with the same targets, and its satisfaction with given levels.

The base model is the disagreement point, so satisfaction is counted from there: 0 at the base model, 1 where all of a
group's targets are met, and in between the share of the way of its worst-off target,

    s_g(mu) = min over targets d_gj > 0 of  min(1, mu_j / d_gj)

a concave function of the levels, so that the fairest palette is a convex program. It has no unit: a group with higher
targets does not weigh more. A target at or below the base level is a condition, which the base model meets.
Constraint: nothing is solved here.

Source: gains over the point of disagreement, Nash, "The Bargaining Problem", 1950; their smallest share, Kalai and
Smorodinsky, "Other Solutions to Nash's Bargaining Problem", 1975.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from map_core.core.reward_levels import RewardLevels
from map_core.errors import InputError
from map_core.oracle import Oracle

#: Targets up to this far above base, in standard deviations, do not count as raised.
NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class Group:
    """People with the same targets.

    Args:
        name: unique among the groups.
        targets: (value,) in standard deviations above base; NaN for a free value.
        importance: relative weight of the group, above 0.

    Raises:
        InputError: the importance is no number above 0, a target is infinite, or the targets are rewards.
    """

    name: str
    targets: np.ndarray
    importance: float = 1.0

    def __post_init__(self) -> None:
        if not (self.importance > 0 and math.isfinite(self.importance)):
            raise InputError(f"The importance of {self.name!r} is {self.importance}; expected a number above 0.")
        if isinstance(self.targets, RewardLevels):
            raise InputError(
                f"The targets of {self.name!r} are rewards; expected standard deviations above the base level. Convert "
                "them by the standardise() of the table's oracle."
            )
        object.__setattr__(self, "targets", np.array(self.targets, dtype=float))
        if np.any(np.isinf(self.targets)):
            raise InputError(f"A target of {self.name!r} is infinite; expected finite levels, NaN for a free value.")

    @property
    def raised(self) -> np.ndarray:
        """(value,) bool, the values that the group wants above their base level."""
        return np.asarray(np.nan_to_num(self.targets, nan=-1.0) > NOTHING)


def check_groups(oracle: Oracle, groups: Sequence[Group], budget: float) -> None:
    """Check that a common palette can be computed for these groups.

    Raises:
        InputError: no groups, two of one name, targets of another table, a target above what a constant value
            always has, or a budget below 0.
    """
    if not groups:
        raise InputError("There are no groups; expected at least one.")
    names = [group.name for group in groups]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"Two groups are called {twice!r}. Give each a name of its own.")
    for group in groups:
        if group.targets.shape != oracle.base.shape:
            raise InputError(
                f"{group.name!r} has {group.targets.size} targets; expected {len(oracle.values)}, one a value, "
                "NaN for a free one."
            )
        for j in np.flatnonzero(group.raised & oracle.constant):
            raise InputError(
                f"{group.name!r} asks for more {oracle.values[j]}, which is the same for every reply of this table. "
                "Leave that target out."
            )
    if not budget >= 0:
        raise InputError(f"The budget is {budget} nats; expected a number from 0.")


def satisfaction(groups: Sequence[Group], levels: np.ndarray) -> np.ndarray:
    """Compute the satisfaction of each group: 1 where all its targets are met, 0 at the base model, negative below it.

    Args:
        groups: the groups.
        levels: (value,) in standard deviations above base.

    Returns:
        (group,) the share of the way of the worst-off target; where a target at or below the base level is missed, at
        most minus the shortfall in standard deviations.
    """
    result = np.ones(len(groups))
    for g, group in enumerate(groups):
        raised, kept = group.raised, ~group.raised & ~np.isnan(group.targets)
        share = (levels[raised] / group.targets[raised]).min(initial=1.0)
        below = levels[kept] - np.minimum(group.targets[kept], 0.0)
        violation = below[below < -1e-7].min(initial=1.0)
        result[g] = min(share, violation)
    return result


def joint_targets(groups: Sequence[Group], shares: np.ndarray | None = None) -> np.ndarray:
    """Join the targets of all groups: for each value, the highest of them.

    Args:
        groups: the groups.
        shares: (group,) or (batch, group) shares of the way, from 0 to 1, of each group; 1 by default.

    Returns:
        (value,) or (batch, value), NaN where every group leaves the value free.
    """
    shares = np.ones(len(groups)) if shares is None else np.asarray(shares)
    targets = np.array([group.targets for group in groups])
    scaled = np.where(np.array([group.raised for group in groups]), shares[..., None] * targets, np.minimum(targets, 0))
    highest = np.where(np.isnan(targets), -np.inf, scaled).max(axis=-2)
    return np.where(np.isneginf(highest), np.nan, highest)
