"""Weights that may change while replies are being written."""

from __future__ import annotations

from collections.abc import Mapping

from map_core.generation.request import check_weights


class CurrentWeights:
    """The weights in force, which may change while replies are being written.

    Args:
        weights: lambda by value, 1/reward.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)

    @property
    def by_value(self) -> Mapping[str, float]:
        """Lambda by value now, 1/reward; a value that is not named has none."""
        return self._weights

    def change(self, weights: Mapping[str, float]) -> None:
        """Put other weights in force.

        Raises:
            InputError: a weight is not finite.
        """
        check_weights(weights)
        self._weights = dict(weights)
