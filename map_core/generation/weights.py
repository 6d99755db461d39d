"""Weights that may change while replies are being written."""

from __future__ import annotations

from collections.abc import Mapping

from map_core.generation.request import check_weights


class CurrentWeights:
    """The current weights, which may change while replies are being written.

    Args:
        weights: lambda by value, 1/reward.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)

    @property
    def by_value(self) -> Mapping[str, float]:
        """The current lambda by value, 1/reward; 0 for a value that is not named."""
        return self._weights

    def change(self, weights: Mapping[str, float]) -> None:
        """Replace the weights.

        Raises:
            InputError: a weight is not finite.
        """
        check_weights(weights)
        self._weights = dict(weights)
