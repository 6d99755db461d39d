"""Columns computed from a value's rewards, whose means are targets beyond averages: shares, tails, cohorts, mixes.

    f = c + v (phi(r) - c)        phi: r, 1{r >= t} or min(r, t);  v: mass of the prompt, mean 1;  c: the target

The mean of f reaches c exactly when that of phi under the mass does, so a floor under f is the target, and it is linear
in the distribution. With c written in this holds on every sample of prompts, on which the mass of a cohort varies.
Constraint: arrays in, arrays out; a column is data, so that a generator can compute it for a new reply.

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
        entry: what it says for these prompts.
    """

    label: str
    entry: str

    def __str__(self) -> str:
        return self.entry if self.label == USE_CASE else f"{self.label}={self.entry}"


@dataclass(frozen=True)
class DerivedColumn:
    """One derived column.

    Args:
        name: of the column, as targets name it.
        value: whose reward is transformed.
        kind: the transform.
        threshold: t, in reward units; of no matter for a level.
        cohort: the prompts that count; None for all.
        centre: c, the target's own level or share.
        share: P(G), the part of all prompts that the cohort is; 1 without a cohort. Set by the table.
        scorer_of: the value that ``value`` is a further scorer of, whose target holds for both; "" for none.
        follows: the name of that target; "" for none.
        mix: (prompt,) v of a table's prompts, with mean 1, in place of a cohort; empty for none.
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
        """Whether the nearest palette may lower it, as it may the target that it follows."""
        return bool(self.mix or self.scorer_of)

    def transform(self, rewards: np.ndarray) -> np.ndarray:
        """Return phi of rewards, of any shape; NaN stays NaN."""
        if self.kind is ColumnKind.SHARE:
            return np.where(np.isnan(rewards), np.nan, rewards >= self.threshold)
        return np.minimum(rewards, self.threshold) if self.kind is ColumnKind.CAPPED else np.asarray(rewards)

    @property
    def reply_name(self) -> str:
        """What a generator calls the transform, with the threshold in reward units in full precision."""
        return reply_name(self.value, self.kind, self.threshold)

    def at_prompts(self, numbers: Sequence[int] | np.ndarray) -> DerivedColumn:
        """Return the column of a table of these prompts of the present one."""
        return replace(self, mix=tuple(self.mix[i] for i in numbers)) if self.mix else self


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
        column: which one.
        rewards: (reply,) of its value.
        labels: (prompt,) entries of the cohort's label; empty without a cohort.
        counts: (prompt,) replies of each prompt.
        masses: (prompt,) how much each prompt counts, 0 when held out.

    Returns:
        (reply,) the column, constant where no prompt of the cohort counts; and the column with its P(G).
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
