"""Convert rewards to other units: standardised against the base model, percentile of base replies, probability.

A transform gives a scorer's raw number, such as a logit, a readable unit and keeps the order of replies. Its parameters
are recorded in a values file and in the table's metadata, so that replies scored later are in the same unit.
Constraint: pure functions; numpy only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from map_core.core.types import Reply
from map_core.errors import InputError
from map_core.scoring.base import Scorer


class Unit(StrEnum):
    """The unit of a reward.

    ``RAW``: the scorer's own number. ``STANDARD``: standard deviations of base replies above their mean.
    ``PERCENTILE``: the percentage of base replies below, 0 to 100. ``PROBABILITY``: 1 / (1 + exp(-reward)), for
    log-odds.
    """

    RAW = "raw"
    STANDARD = "standard"
    PERCENTILE = "percentile"
    PROBABILITY = "probability"


@dataclass(frozen=True)
class Transform:
    """A monotone map from a scorer's rewards to a unit.

    Args:
        unit: see :class:`Unit`.
        mean: of the base replies, for ``STANDARD``.
        scale: standard deviation of the base replies, for ``STANDARD``.
        knots: rewards at equally spaced percentiles from 0 to 100, strictly increasing, for ``PERCENTILE``.

    Raises:
        InputError: numbers that are not finite, a scale of 0 or less, or fewer than two knots.
    """

    unit: Unit = Unit.RAW
    mean: float = 0.0
    scale: float = 1.0
    knots: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "unit", Unit(self.unit))
            object.__setattr__(self, "knots", tuple(map(float, self.knots)))
            for name in ("mean", "scale"):
                object.__setattr__(self, name, float(getattr(self, name)))
        except (ValueError, TypeError) as error:
            raise InputError(f"A transform is not understood ({error}); units are {', '.join(Unit)}.") from error
        if not (np.isfinite([self.mean, self.scale, *self.knots]).all() and self.scale > 0):
            raise InputError(
                f"A transform has mean {self.mean} and scale {self.scale}; expected numbers, a scale above 0."
            )
        if self.unit is Unit.PERCENTILE and (len(self.knots) < 2 or (np.diff(self.knots) <= 0).any()):
            raise InputError("The knots of percentiles must rise, and be two at the least.")

    def apply(self, rewards: np.ndarray) -> np.ndarray:
        """Convert rewards of any shape; NaN stays NaN, and percentiles are clipped to 0 and 100."""
        numbers = np.asarray(rewards, dtype=np.float64)
        match self.unit:
            case Unit.STANDARD:
                return (numbers - self.mean) / self.scale
            case Unit.PERCENTILE:
                return np.asarray(np.interp(numbers, self.knots, np.linspace(0.0, 100.0, len(self.knots))))
            case Unit.PROBABILITY:
                return np.asarray(np.exp(-np.logaddexp(0.0, -numbers)))
        return numbers

    def as_dict(self) -> dict[str, Any]:
        """Return the transform as plain JSON values, the arguments of :class:`Transform`."""
        return {"unit": self.unit.value, "mean": self.mean, "scale": self.scale, "knots": list(self.knots)}

    @classmethod
    def from_dict(cls, data: Any) -> Transform:
        """Read a transform from the plain values of :meth:`as_dict`, or from the name of a unit without parameters.

        Raises:
            InputError: it is neither.
        """
        if isinstance(data, str) and data in (Unit.RAW, Unit.PROBABILITY):
            return cls(Unit(data))
        if not isinstance(data, Mapping) or not {"unit"} <= data.keys() <= set(cls.__dataclass_fields__):
            raise InputError(
                f"transform is {data!r}; expected raw or probability, or what a table's metadata records for "
                "standard and percentile, which are fitted on its replies."
            )
        return cls(**data)


class Transformed(Scorer):
    """A scorer in another unit.

    Args:
        scorer: the scorer of the raw rewards.
        transform: to the unit.
    """

    def __init__(self, scorer: Scorer, transform: Transform) -> None:
        self._scorer, self.transform = scorer, transform
        self.card, self.family = scorer.card, scorer.family

    @property
    def version(self) -> str:
        """The scorer's version, and a short hash of the transform's parameters."""
        numbers = json.dumps(self.transform.as_dict(), sort_keys=True)
        return f"{self._scorer.version}/{self.transform.unit}-{hashlib.sha256(numbers.encode()).hexdigest()[:8]}"

    @property
    def notes(self) -> tuple[str, ...]:
        """The scorer's notes."""
        return self._scorer.notes

    @property
    def reading(self) -> str:
        """The scorer's reading."""
        return self._scorer.reading

    def forget_notes(self) -> None:
        """Reset the scorer's notes."""
        self._scorer.forget_notes()

    def was_cut(self, prompt: str, reply: Reply) -> bool:
        """Return whether the scorer has cut a reply."""
        return self._scorer.was_cut(prompt, reply)

    def cut_note(self, cut: int, read: int) -> str:
        """Return the scorer's note."""
        return self._scorer.cut_note(cut, read)

    def check(self) -> None:
        """Check the scorer."""
        self._scorer.check()

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the scorer's rewards in the unit."""
        return self.transform.apply(self._scorer.score(prompt, replies))

    def score_many(self, prompts: Sequence[str], replies: Sequence[Sequence[Reply]]) -> list[np.ndarray]:
        """Return the scorer's rewards for many prompts in the unit."""
        return [self.transform.apply(rewards) for rewards in self._scorer.score_many(prompts, replies)]

    def settings(self) -> dict[str, Any]:
        """Return the scorer's settings, and the transform."""
        return self._scorer.settings() | {"transform": self.transform.as_dict()}
