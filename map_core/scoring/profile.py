"""Describe a value on a table: its distribution, example replies from low to high, and correlations.

Constraint: numbers and rows of the table only; agreement with people is computed in :mod:`map_core.scoring.pairwise`
and :mod:`map_core.scoring.validation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.core.weak_cache import cached_weakly
from map_core.data.distribution import copies_of, rank_correlations, reply_masses
from map_core.data.reward_table import RewardTable
from map_core.palettes.targets import percentiles
from map_core.scoring.validation import length_correlations

#: Rank correlation beyond which two values are nearly the same, or nearly opposites.
STRONG_CORRELATION = 0.8
#: Percentiles of the examples from low to high.
EXAMPLE_PERCENTILES = (0.0, 10.0, 50.0, 90.0, 100.0)
HISTOGRAM_BINS = 40


@dataclass(frozen=True)
class ExampleReply:
    """One reply: its row, its percentile, and its reward in standard deviations above the average."""

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
        """The values with a correlation beyond :data:`STRONG_CORRELATION`."""
        return tuple(named for named in self.correlations if abs(named[1]) > STRONG_CORRELATION)


@cached_weakly
def value_profile(table: RewardTable, value: str) -> ValueProfile:
    """Return the profile of a value, cached by the table's identity.

    Raises:
        InputError: the table has no such value.
    """
    j, masses = table.index(value), reply_masses(table)
    column = table.rewards[:, j]
    mean, deviation = _mean_and_deviation(column, masses)
    spread = (column - mean) / deviation
    if masses is None:
        counts, edges = np.histogram(spread, bins=HISTOGRAM_BINS)
        shares = counts / len(column)
        first, middle, third = (float(quartile) for quartile in np.percentile(spread, (25, 50, 75)))
    else:
        counted = masses > 0
        shares, edges = np.histogram(spread[counted], bins=HISTOGRAM_BINS, weights=masses[counted])
        levels = (percentiles(table).level(j, percent) for percent in (25, 50, 75))
        first, middle, third = (float((level - mean) / deviation) for level in levels)
    return ValueProfile(
        value=value,
        edges=edges,
        shares=shares,
        quartiles=(first, middle, third),
        rungs=_rungs(table, j, spread),
        correlations=_correlations(table, j),
        length=_lengths(table)[value],
        constant=bool(np.ptp(column[np.repeat(table.counted, table.candidates)]) == 0),
    )


def extreme_replies(
    table: RewardTable, value: str, wanted: int = 3
) -> tuple[tuple[ExampleReply, ...], tuple[ExampleReply, ...]]:
    """Return the highest and the lowest replies, of different prompts and texts, the most extreme first.

    Replies to held-out and hidden prompts are left out.
    """
    j = table.index(value)
    mean, deviation = _mean_and_deviation(table.rewards[:, j], reply_masses(table))
    spread = (table.rewards[:, j] - mean) / deviation
    shown = np.flatnonzero(np.repeat(table.shown, table.candidates))
    ends = []
    for order in (np.argsort(-spread[shown], kind="stable"), np.argsort(spread[shown], kind="stable")):
        chosen: list[int] = []
        seen: set[int | str] = set()
        for row in map(int, shown[order]):
            text = " ".join(table.replies[row].split()) if table.replies else ""
            if len(chosen) == wanted:
                break
            prompt = table.prompt_of(row)
            if text and text not in seen and prompt not in seen:
                chosen.append(row)
                seen |= {text, prompt}
        ends.append(tuple(_example(table, j, spread, row) for row in chosen))
    return ends[0], ends[1]


def _mean_and_deviation(column: np.ndarray, masses: np.ndarray | None) -> tuple[float, float]:
    """Return the average and the standard deviation over all replies; 1 for the latter where all are equal."""
    mean = column.mean() if masses is None else masses @ column
    if not np.ptp(column if masses is None else column[masses > 0]):
        return float(mean), 1.0
    return float(mean), float(column.std() if masses is None else np.sqrt(masses @ (column - mean) ** 2))


def _rungs(table: RewardTable, j: int, spread: np.ndarray) -> tuple[ExampleReply, ...]:
    """Return replies from the lowest to the highest at :data:`EXAMPLE_PERCENTILES` of those that have a text."""
    masses = reply_masses(table)
    order = np.argsort(spread, kind="stable")
    counted = np.ones(len(spread)) if masses is None else masses
    shown = np.repeat(table.shown, table.candidates) & (counted > 0)
    rows = np.array([int(row) for row in order if table.replies and table.replies[row].strip() and shown[row]])
    if not rows.size:
        return ()
    copies = copies_of(counted[rows])
    ends = np.cumsum(counted[rows] if copies is None else copies)
    last = ends[-1] - (0.0 if copies is None else 1.0)
    quantiles = [share / 100 * last if copies is None else round(share / 100 * last) for share in EXAMPLE_PERCENTILES]
    positions = np.minimum(np.searchsorted(ends, quantiles, side="right"), len(rows) - 1)
    chosen = dict.fromkeys(int(rows[position]) for position in positions)
    return tuple(_example(table, j, spread, row) for row in chosen)


def _example(table: RewardTable, j: int, spread: np.ndarray, row: int) -> ExampleReply:
    percentile = percentiles(table).percentile_of(j, float(table.rewards[row, j]))
    return ExampleReply(row, percentile, float(spread[row]))


def _correlations(table: RewardTable, j: int) -> tuple[tuple[str, float], ...]:
    row = _ranked(table)[j]
    others = [(name, float(row[k])) for k, name in enumerate(table.values) if k != j]
    return tuple(sorted(others, key=lambda named: -abs(named[1])))


@cached_weakly
def _ranked(table: RewardTable) -> np.ndarray:
    """Return Spearman's correlations, (value, value); 0 with a constant value."""
    return rank_correlations(table.rewards, reply_masses(table))


@cached_weakly
def _lengths(table: RewardTable) -> dict[str, float]:
    return length_correlations(table)
