"""Describe what a user gains and loses from one palette to another, and the cost: as figures and as sentences.

Constraint: realised levels are compared with realised levels; targets do not count.
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
    """One value's level under both palettes, in percentiles of the base model's replies."""

    value: int
    before: float
    after: float

    @property
    def moved(self) -> int:
        """The rise in percentiles, between rounded ones, as a reader computes it; 0 where a level is not known."""
        moved = np.round(self.after) - np.round(self.before)
        return int(moved) if np.isfinite(moved) else 0


def level_changes(
    oracle: Oracle, percentiles: Percentiles, before: np.ndarray, after: np.ndarray
) -> tuple[LevelChange, ...]:
    """Return every value's level under both palettes, in the table's order.

    Args:
        oracle: base level and scale.
        percentiles: of the base model's replies.
        before: (value,) realised levels in standard deviations above base.
        after: the same of the other palette.
    """
    # Slightly below, as on every axis: a level within a tie of replies must not jump with rounding.
    old, new = (oracle.rewards_at(np.asarray(levels) - 1e-9) for levels in (before, after))
    return tuple(
        LevelChange(j, percentiles.percentile_of(j, float(old[j])), percentiles.percentile_of(j, float(new[j])))
        for j in range(len(oracle.values))
    )


def price_text(kl: float, wording: Wording = NUMBERS) -> str:
    """Describe what a palette costs.

    Example:
        >>> price_text(0.62), price_text(0.0), price_text(0.62, Wording(False))
        ('0.62 nats, like the best of 3.9 drafts', 'nothing', 'a small effort')
    """
    return "nothing" if kl < amounts.FREE_NATS else wording.price(kl)


def gains_sentence(changes: Sequence[LevelChange], names: Sequence[str]) -> str:
    """Name the values that rise, with the percentiles, the largest rise first; empty when none does."""
    up = sorted((change for change in changes if change.moved > 0), key=lambda change: -change.moved)
    return f"You gain {sentences.listed([_change_text(change, names) for change in up])}." if up else ""


def losses_sentence(changes: Sequence[LevelChange], names: Sequence[str]) -> str:
    """Name the values that fall, with the percentiles, the largest fall first; empty when none does."""
    down = sorted((change for change in changes if change.moved < 0), key=lambda change: change.moved)
    return f"You lose {sentences.listed([_change_text(change, names) for change in down])}." if down else ""


def cost_sentence(before: float, after: float, wording: Wording = NUMBERS) -> str:
    """Compare the cost after a change with the cost before, both in nats."""
    if not wording.numbers:
        return _effort_sentence(before, after)
    if abs(after - before) < 5e-3:
        return f"It costs as much as now: {price_text(after)}."
    if after < amounts.FREE_NATS:
        return f"It costs nothing, instead of {price_text(before)}."
    less = "less" if after < before else "more"
    nats = f"{amounts.fixed(before, 2)}, like the best of {amounts.best_of_count(before)}"
    earlier = "nothing" if before < amounts.FREE_NATS else nats
    return f"It costs {amounts.nats(abs(after - before))} {less}: {price_text(after)}, instead of {earlier}."


def _effort_sentence(before: float, after: float) -> str:
    """Compare the effort after a change with the effort before, both in nats."""
    if abs(after - before) < 5e-3:
        return f"It takes as much effort as now: {effort(after)} effort."
    if after < amounts.FREE_NATS:
        return f"It takes no effort, instead of a {effort(before)} one."
    if before < amounts.FREE_NATS:
        return f"It takes a {effort(after)} effort, instead of none."
    name, earlier_name = effort(after), effort(before)
    if name != earlier_name:
        return f"It takes a {name} effort, instead of a {earlier_name} one."
    change = abs(after - before) / before
    degree = "a little " if change < 0.15 else "" if change < 0.5 else "clearly "
    return f"It takes {degree}{'less' if after < before else 'more'} effort than now: still a {name} one."


def _change_text(change: LevelChange, names: Sequence[str]) -> str:
    return f"{names[change.value]} ({abs(change.moved)})"
