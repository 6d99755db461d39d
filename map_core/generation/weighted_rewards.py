"""Compute the columns that weights multiply: a value's rewards, or the transform of them that the weight names.

A weight may be of a share (``kindness>=0.25``, 1 for a reply at or above and 0 below) or of a tail
(``min(kindness,0.25)``); both are computed from the reward of the value, only here. Constraint: numpy only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from map_core.palettes.column_names import reply_columns, scored_value


def weighted_rewards(
    rewards: Mapping[str, Sequence[float]], weights: Mapping[str, float], candidates: int
) -> tuple[np.ndarray, list[float]]:
    """Return the columns that the weights multiply, and the weights in the same order.

    Args:
        rewards: by value, one a candidate; NaN for one that could not be scored.
        weights: lambda by name; names without rewards and weights of 0 are left out.
        candidates: their number.

    Returns:
        (candidate, weight) columns, and the weights.

    Raises:
        InputError: the threshold in a name is not a number in reward units.

    Example:
        >>> weighted_rewards({"humor": (0.1, 0.9)}, {"humor>=0.5": 2.0}, 2)[0].tolist()
        [[0.0], [1.0]]
    """
    named = {name: weight for name, weight in weights.items() if weight != 0.0}
    derived = reply_columns((name for name in named if name not in rewards), rewards.keys())
    names = weighted_names(rewards, weights)
    columns = [
        derived[name].transform(np.asarray(rewards[derived[name].value], dtype=np.float64))
        if name in derived
        else rewards[name]
        for name in names
    ]
    table = np.array(columns, dtype=np.float64).reshape(len(names), candidates).T
    return table, [named[name] for name in names]


def weighted_names(rewards: Mapping[str, Sequence[float]], weights: Mapping[str, float]) -> list[str]:
    """Return the names of the columns of :func:`weighted_rewards`, in their order."""
    named = [name for name, weight in weights.items() if weight != 0.0]
    derived = reply_columns((name for name in named if name not in rewards), rewards.keys())
    return [name for name in (*rewards, *derived) if name in named]


def scored_values(names: Collection[str], own: Collection[str] = ()) -> tuple[str, ...]:
    """Return the values that must be scored for these weights, each once.

    Args:
        names: of weights and values.
        own: names of values, even where they look like those of a share or a tail.
    """
    return tuple(dict.fromkeys(name if name in own else scored_value(name) for name in names))
