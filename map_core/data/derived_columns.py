"""Columns computed from a value's rewards, whose means are targets beyond averages: shares, tails, cohorts, mixes.

    f = c + v (phi(r) - c)        phi: r, 1{r >= t} or min(r, t);  v: mass of the prompt, mean 1;  c: the target

The mean of f reaches c exactly when the mean of phi under the mass does, so the target is a lower bound on the mean of
f, which is linear in the distribution. Since f contains c, this holds on every sample of prompts, although the mass of
a cohort varies between samples. Constraint: arrays in, arrays out; a column is data, so that a generator can compute it
for a new reply.

Source: docs/beyond_averages.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

#: The label of a prompt that every table has.
USE_CASE = "use_case"


class ColumnKind(StrEnum):
    """Transform of a reward: itself, whether it is at least t, or the lower of it and t."""

    LEVEL = "level"
    SHARE = "share"
    CAPPED = "capped"


@dataclass(frozen=True)
class Cohort:
    """The prompts that have one entry in one label.

    Args:
        label: :data:`USE_CASE`, or a column of text of the table.
        entry: its content for these prompts.
    """

    label: str
    entry: str

    def __str__(self) -> str:
        return self.entry if self.label == USE_CASE else f"{self.label}={self.entry}"


@dataclass(frozen=True)
class DerivedColumn:
    """One derived column.

    Args:
        name: the column's name in targets.
        value: the value whose reward is transformed.
        kind: the transform.
        threshold: t, in reward units; ignored for a level.
        cohort: the prompts that count; None for all.
        centre: c, the target's own level or share.
        share: P(G), the cohort's share of all prompts; 1 without a cohort. Set by the table.
        mix: (prompt,) v of a table's prompts, with mean 1, instead of a cohort; empty for none.
        scorer_of: the value that ``value`` is a further scorer of, whose target holds for both; "" for none.
        follows: the name of that target; "" for none.
    """

    name: str
    value: str
    kind: ColumnKind = ColumnKind.LEVEL
    threshold: float = 0.0
    cohort: Cohort | None = None
    centre: float = 0.0
    share: float = 1.0
    mix: tuple[float, ...] = ()
    scorer_of: str = ""
    follows: str = ""

    @property
    def gives_way(self) -> bool:
        """Whether the nearest palette may lower the column's target, because it follows from another target."""
        return bool(self.mix or self.scorer_of)

    def transform(self, rewards: np.ndarray) -> np.ndarray:
        """Return phi of rewards, of any shape; NaN stays NaN."""
        if self.kind is ColumnKind.SHARE:
            return np.where(np.isnan(rewards), np.nan, rewards >= self.threshold)
        return np.minimum(rewards, self.threshold) if self.kind is ColumnKind.CAPPED else np.asarray(rewards)

    @property
    def reply_name(self) -> str:
        """The generator's name of the transform, with the threshold in reward units in full precision."""
        return reply_name(self.value, self.kind, self.threshold)

    def at_prompts(self, prompts: Sequence[int] | np.ndarray) -> DerivedColumn:
        """Return the column for the table of these prompts, given by their indices."""
        return replace(self, mix=tuple(self.mix[i] for i in prompts)) if self.mix else self


def reply_name(value: str, kind: ColumnKind, threshold: float) -> str:
    """Return the name of a transform of one reply's reward, such as ``kindness>=0.25``."""
    if kind is ColumnKind.LEVEL:
        return value
    return f"{value}>={float(threshold)!r}" if kind is ColumnKind.SHARE else f"min({value},{float(threshold)!r})"


def column_of(
    column: DerivedColumn, rewards: np.ndarray, labels: Sequence[str], counts: np.ndarray, masses: np.ndarray
) -> tuple[np.ndarray, DerivedColumn]:
    """Compute a column of a table.

    Args:
        column: its definition.
        rewards: (reply,) rewards of its value.
        labels: (prompt,) entries of the cohort's label; empty without a cohort.
        counts: (prompt,) number of replies.
        masses: (prompt,) weight of each prompt, 0 when held out.

    Returns:
        (reply,) the column, constant where no prompt of the cohort counts; and its definition with P(G).
    """
    transformed = column.transform(rewards)
    if column.mix:
        mass = np.asarray(column.mix)
    elif column.cohort is None:
        return np.asarray(transformed, dtype=np.float64), column
    else:
        members = np.array([label == column.cohort.entry for label in labels])
        share = float(masses[members].sum() / masses.sum())
        column = replace(column, share=share or 1.0)
        mass = members / share if share > 0 else np.zeros(len(members))
    return column.centre + np.repeat(mass, counts) * (transformed - column.centre), column
