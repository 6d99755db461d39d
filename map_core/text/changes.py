"""What a user gains and loses on the way from one palette to another, and what it costs: in figures and in words.

Constraint: levels against levels, what is realised here and there; targets are wishes, and no part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from map_core.core import amounts
from map_core.data.distribution import Percentiles
from map_core.oracle import Oracle
from map_core.text import sentences
from map_core.text.wording import NUMBERS, Wording, effort


@dataclass(frozen=True)
class LevelChange:
    """One value's level on both sides, in percentiles of the base model's replies."""

    value: int
    before: float
    after: float

    @property
    def moved(self) -> int:
        """Percentiles upwards, as a reader counts them: between whole ones."""
        moved = np.round(self.after) - np.round(self.before)
        return int(moved) if np.isfinite(moved) else 0


def level_changes(
    oracle: Oracle, percentiles: Percentiles, before: np.ndarray, after: np.ndarray
) -> tuple[LevelChange, ...]:
    """Return every value's level on both sides, in the table's order.

    Args:
        oracle: base level and scale.
        percentiles: of the base model's replies.
        before: (value,) realised levels in standard deviations above base.
        after: the same of the other palette.
    """
    # A hair below, as on every axis: a level within a tie of replies must not jump with rounding.
    ends = [oracle.rewards_at(np.asarray(levels) - 1e-9) for levels in (before, after)]
    return tuple(
        LevelChange(j, percentiles.percentile_of(j, float(ends[0][j])), percentiles.percentile_of(j, float(ends[1][j])))
        for j in range(len(oracle.values))
    )


def price_text(kl: float, wording: Wording = NUMBERS) -> str:
    """Word what a palette costs.

    Example:
        >>> price_text(0.62), price_text(0.0), price_text(0.62, Wording(False))
        ('0.62 nats, like the best of 3.9 drafts', 'nothing', 'a small effort')
    """
    return "nothing" if kl < amounts.FREE_NATS else wording.price(kl)


def gains_sentence(changes: Sequence[LevelChange], names: Sequence[str]) -> str:
    """Word what rises, by so many percentiles, most first, in a sentence; empty when nothing does."""
    up = sorted((change for change in changes if change.moved > 0), key=lambda change: -change.moved)
    return f"You gain {sentences.listed([_said(change, names) for change in up])}." if up else ""


def losses_sentence(changes: Sequence[LevelChange], names: Sequence[str]) -> str:
    """Word what falls, by so many percentiles, most first, in a sentence; empty when nothing does."""
    down = sorted((change for change in changes if change.moved < 0), key=lambda change: change.moved)
    return f"You lose {sentences.listed([_said(change, names) for change in down])}." if down else ""


def cost_sentence(before: float, after: float, wording: Wording = NUMBERS) -> str:
    """Word what it costs against before, both in nats."""
    if not wording.numbers:
        return _effort_sentence(before, after)
    if abs(after - before) < 5e-3:
        return f"It costs as much as now: {price_text(after)}."
    if after < amounts.FREE_NATS:
        return f"It costs nothing, instead of {price_text(before)}."
    less = "less" if after < before else "more"
    nats = f"{amounts.fixed(before, 2)}, like the best of {amounts.best_of_count(before)}"
    before_said = "nothing" if before < amounts.FREE_NATS else nats
    return f"It costs {amounts.nats(abs(after - before))} {less}: {price_text(after)}, instead of {before_said}."


def _effort_sentence(before: float, after: float) -> str:
    """Word the effort against before, both in nats."""
    if abs(after - before) < 5e-3:
        return f"It takes as much effort as now: {effort(after)} effort."
    if after < amounts.FREE_NATS:
        return f"It takes no effort, instead of a {effort(before)} one."
    if before < amounts.FREE_NATS:
        return f"It takes a {effort(after)} effort, instead of none."
    if (now := effort(after)) != (was := effort(before)):
        return f"It takes a {now} effort, instead of a {was} one."
    change = abs(after - before) / before
    much = "a little " if change < 0.15 else "" if change < 0.5 else "clearly "
    return f"It takes {much}{'less' if after < before else 'more'} effort than now: still a {now} one."


def _said(change: LevelChange, names: Sequence[str]) -> str:
    return f"{names[change.value]} ({abs(change.moved)})"
