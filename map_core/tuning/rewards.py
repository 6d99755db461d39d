"""Rewards of an online run: a function a value, all of which leave out a reply that one of them cannot score.

TRL sums what the functions of a reply give and counts a missing one as 0; a reply that every function leaves out is
left out itself. So one failure leaves the reply out everywhere. Constraint: no trainer's library is imported.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from map_core.scoring.base import ScorerError

ValueRewards = Callable[..., Sequence[float]]
"""A function of (prompts=, completions=, completion_ids=, ...) with ``__name__``, as TRL calls it."""


class SharedRewards:
    """Scores every batch once on all values.

    Args:
        functions: of :func:`map_core.interface.training.reward_functions`, in the order of the weights.
        centres: a number by value that is subtracted from its rewards, which changes nothing but their precision in
            float32; the base level.

    Attributes:
        left_out: replies that could not be scored, so far.
        reason: why the last of them could not.
    """

    def __init__(self, functions: Sequence[ValueRewards], centres: Mapping[str, float]) -> None:
        self._functions = list(functions)
        self._centres = dict(centres)
        self._last: tuple[str, dict[str, list[float]]] | None = None
        self.left_out = 0
        self.reason = ""

    def functions(self) -> list[_CentredReward]:
        """Return one function a value, which gives None for a reply that is left out."""
        return [_CentredReward(self, _name(function)) for function in self._functions]

    def batch(self, columns: Mapping[str, Any]) -> dict[str, list[float]]:
        """Return the rewards of a batch by value; NaN for a reply that is left out.

        Raises:
            ScorerError: no reply of the batch can be scored.
        """
        key = json.dumps([columns["prompts"], columns["completions"]], default=str)
        if self._last is None or self._last[0] != key:
            scored = {_name(function): self._scored(function, columns) for function in self._functions}
            count = len(columns["prompts"])
            failed = {row for rewards in scored.values() for row in range(count) if math.isnan(rewards[row])}
            if len(failed) == count:
                raise ScorerError(f"No reply of this step can be scored. {self.reason}")
            self.left_out += len(failed)
            self._last = (
                key,
                {
                    name: [
                        math.nan if row in failed else reward - self._centres.get(name, 0.0)
                        for row, reward in enumerate(rewards)
                    ]
                    for name, rewards in scored.items()
                },
            )
        return self._last[1]

    def _scored(self, function: ValueRewards, columns: Mapping[str, Any]) -> list[float]:
        try:
            return list(function(**columns))
        except ScorerError:
            # One by one, so that the reply that it fails on is found and the others keep their rewards.
            return [self._one(function, columns, row) for row in range(len(columns["prompts"]))]

    def _one(self, function: ValueRewards, columns: Mapping[str, Any], row: int) -> float:
        named = {name: columns[name] for name in ("prompts", "completions", "completion_ids") if columns.get(name)}
        try:
            return float(function(**{name: column[row : row + 1] for name, column in named.items()})[0])
        except ScorerError as error:
            self.reason = str(error)
            return math.nan


class _CentredReward:
    def __init__(self, shared: SharedRewards, name: str) -> None:
        self.__name__ = name
        self._shared = shared

    def __call__(self, **columns: Any) -> list[float | None]:
        return [None if math.isnan(reward) else reward for reward in self._shared.batch(columns)[self.__name__]]


def _name(function: ValueRewards) -> str:
    return str(function.__name__)
