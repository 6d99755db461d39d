"""A value as it shows on a table's replies: how it is spread, what it sounds like from low to high, what it goes with.

Constraint: numbers and rows of the table only; who agrees with the scorer is :mod:`map_core.scoring.pairwise`' and
:mod:`map_core.scoring.validation`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import rankdata

from map_core.data.reward_table import RewardTable
from map_core.scoring.validation import length_correlations

#: Two values whose rank correlation is beyond this are nearly one, or nearly opposites.
STRONG_CORRELATION = 0.8
#: Where the examples from low to high lie, in percentiles.
EXAMPLE_PERCENTILES = (0.0, 10.0, 50.0, 90.0, 100.0)
HISTOGRAM_BINS = 40


@dataclass(frozen=True)
class ExampleReply:
    """One reply: its row, and where it lies among all, in percentiles and standard deviations above the average."""

    row: int
    percentile: float
    standardised: float


@dataclass(frozen=True, eq=False)
class ValueProfile:
    """One value on a table.

    Args:
        value: its name.
        edges: (bar + 1,) of the histogram, in standard deviations above the average of all replies.
        shares: (bar,) of all replies, from 0 to 1.
        quartiles: 25th, 50th and 75th percentile, in standard deviations above the average.
        rungs: replies from the lowest to the highest; none where the table has no texts.
        correlations: (name, Spearman's correlation) of the other values, the strongest first.
        length: Spearman's correlation with the length of the reply.
        constant: every reply has the same reward.
    """

    value: str
    edges: np.ndarray
    shares: np.ndarray
    quartiles: tuple[float, float, float]
    rungs: tuple[ExampleReply, ...]
    correlations: tuple[tuple[str, float], ...]
    length: float
    constant: bool

    @property
    def twins(self) -> tuple[tuple[str, float], ...]:
        """The values that this one is nearly one with, or nearly the opposite of."""
        return tuple(one for one in self.correlations if abs(one[1]) > STRONG_CORRELATION)


@lru_cache(maxsize=64)
def value_profile(table: RewardTable, value: str) -> ValueProfile:
    """Return the portrait of a value; tables are remembered by identity.

    Raises:
        InputError: the table has no such value.
    """
    j = table.index(value)
    column = table.rewards[:, j]
    spread = _standardised(column)
    counts, edges = np.histogram(spread, bins=HISTOGRAM_BINS)
    first, middle, third = (float(one) for one in np.percentile(spread, (25, 50, 75)))
    return ValueProfile(
        value,
        edges,
        counts / len(column),
        (first, middle, third),
        _rungs(table, spread, EXAMPLE_PERCENTILES),
        _correlations(table, j),
        _lengths(table)[value],
        bool(np.ptp(column) == 0),
    )


def extreme_replies(
    table: RewardTable, value: str, wanted: int = 3
) -> tuple[tuple[ExampleReply, ...], tuple[ExampleReply, ...]]:
    """Return the highest and the lowest replies, each of another prompt and no two alike, the most extreme first."""
    spread = _standardised(table.rewards[:, table.index(value)])
    found = []
    for order in (np.argsort(-spread, kind="stable"), np.argsort(spread, kind="stable")):
        chosen: list[int] = []
        seen: set[int | str] = set()
        for row in map(int, order):
            text = " ".join(table.replies[row].split()) if table.replies else ""
            if len(chosen) == wanted:
                break
            prompt = table.prompt_of(row)
            if text and text not in seen and prompt not in seen:
                chosen.append(row)
                seen |= {text, prompt}
        found.append(tuple(ExampleReply(row, _percentile(spread, row), float(spread[row])) for row in chosen))
    return found[0], found[1]


def _standardised(column: np.ndarray) -> np.ndarray:
    """Return standard deviations above the average; no more than rounding for a constant value."""
    return (column - column.mean()) / (column.std() if np.ptp(column) else 1.0)


def _rungs(table: RewardTable, spread: np.ndarray, percentiles: tuple[float, ...]) -> tuple[ExampleReply, ...]:
    order = np.argsort(spread, kind="stable")
    rows = [int(row) for row in order if table.replies and table.replies[row].strip()]
    if not rows:
        return ()
    chosen = dict.fromkeys(rows[round(share / 100 * (len(rows) - 1))] for share in percentiles)
    return tuple(ExampleReply(row, _percentile(spread, row), float(spread[row])) for row in chosen)


def _percentile(spread: np.ndarray, row: int) -> float:
    """Return the middle of the percentiles of all replies with this reward."""
    below, same = int(np.sum(spread < spread[row])), int(np.sum(spread == spread[row]))
    return 100.0 * (below + (same - 1) / 2) / max(len(spread) - 1, 1)


def _correlations(table: RewardTable, j: int) -> tuple[tuple[str, float], ...]:
    found = _ranked(table)[j]
    others = [(name, float(found[k])) for k, name in enumerate(table.values) if k != j]
    return tuple(sorted(others, key=lambda one: -abs(one[1])))


@lru_cache(maxsize=8)
def _ranked(table: RewardTable) -> np.ndarray:
    """Return Spearman's correlations, (value, value); 0 with a constant value."""
    ranks = rankdata(table.rewards, axis=0)
    ranks = ranks - ranks.mean(axis=0)
    size = np.sqrt((ranks**2).sum(axis=0))
    safe = np.where(size > 0, size, 1.0)
    return (ranks / safe).T @ (ranks / safe)


@lru_cache(maxsize=8)
def _lengths(table: RewardTable) -> dict[str, float]:
    return length_correlations(table)
