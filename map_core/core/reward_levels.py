"""An array type for levels in reward units, so that no function takes them for standard deviations.

Above the oracle, targets are in standard deviations above the base level, whereas people write rewards; a plain array
does not say which it holds. Constraint: the unit belongs to the array as it was read; results of computations with it
are plain arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class RewardLevels(np.ndarray):
    """Levels in reward units, (..., value); an array like any other but for :meth:`Oracle.deviations`.

    Example:
        >>> levels = RewardLevels.of([1.5, 2.0])
        >>> type(levels).__name__, type(levels - 1.0).__name__
        ('RewardLevels', 'ndarray')
    """

    @classmethod
    def of(cls, levels: Any) -> RewardLevels:
        """Return a float64 copy of numbers as levels in reward units."""
        return np.array(levels, dtype=np.float64).view(cls)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
        """Compute with plain arrays, so that a difference or a ratio has no unit."""
        if "out" in settings:
            settings["out"] = tuple(_plain(array) for array in settings["out"])
        return getattr(ufunc, method)(*map(_plain, inputs), **settings)


def _plain(array: Any) -> Any:
    return array.view(np.ndarray) if isinstance(array, RewardLevels) else array
