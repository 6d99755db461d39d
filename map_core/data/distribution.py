"""Percentiles and rank correlations of rewards over the base model's replies, weighted as in a solve.

A prompt counts by its weight, and not at all when it is held out. In the per-prompt form its replies share that weight;
in the pooled form each of them has it. If all replies have the same weight, quantiles are those of NumPy's method
"linear"; a reply with c times the weight of others counts as c equal replies, so that a table with weights and one with
copies have the same quantiles.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from map_core.core.types import Form
from map_core.data.derived_columns import ColumnKind
from map_core.data.reward_table import RewardTable

#: Ratios of two masses with denominators up to this are considered ratios of counts; maximum total number of copies.
MAX_DENOMINATOR, MAX_COPIES = 1000, 10**12


def reply_masses(table: RewardTable, form: Form | None = None) -> np.ndarray | None:
    """Return the weight of each reply in a solve, (reply,) with sum 1; None where all weights are equal.

    Args:
        table: the table.
        form: form of the solve; the table's own by default.
    """
    weights, counts = table.prompt_weights, table.candidates
    pooled = (form or table.form) is Form.POOLED
    if weights is None:
        if pooled or np.ptp(counts) == 0:
            return None
        weights = np.ones(len(counts))
    masses = np.repeat(weights if pooled else weights / counts, counts)
    if np.ptp(masses) <= 1e-12 * masses.max():
        return None
    return np.asarray(masses / masses.sum())


def copies_of(masses: np.ndarray) -> np.ndarray | None:
    """Return the smallest whole numbers with the ratios of these masses, (reply,) float; None where there are none.

    Args:
        masses: (reply,) 0 or more, at least one above 0.
    """
    distinct, inverse = np.unique(masses, return_inverse=True)
    least = distinct[distinct > 0][0]
    ratios = [Fraction(float(mass / least)).limit_denominator(MAX_DENOMINATOR) for mass in distinct]
    if not np.allclose([float(ratio) for ratio in ratios], distinct / least, rtol=1e-9, atol=0.0):
        return None
    common = math.lcm(*(ratio.denominator for ratio in ratios))
    counts = [int(ratio * common) for ratio in ratios]
    divisor = math.gcd(*counts)
    copies = np.array([count // divisor for count in counts], dtype=np.float64)[inverse]
    return copies if copies.sum() <= MAX_COPIES else None


def typical_candidates(table: RewardTable) -> int:
    """Return the weighted median of the number of replies per prompt; of two middle ones the mean, rounded down."""
    weights, counts = table.prompt_weights, table.candidates
    if weights is None:
        return int(np.median(counts))
    counts, weights = counts[weights > 0], weights[weights > 0]
    order = np.argsort(counts, kind="stable")
    copies = copies_of(weights)
    ends = np.cumsum((weights if copies is None else copies)[order])
    # Weights without whole-number ratios are the limit of many copies, where both middle ones are at half the weight.
    middle = [ends[-1] / 2] * 2 if copies is None else [(ends[-1] - 1) // 2, ends[-1] // 2]
    positions = np.minimum(np.searchsorted(ends, middle, side="right"), len(counts) - 1)
    return int(counts[order][positions].mean())


class Percentiles:
    """Conversion between levels and percentiles of the base model's replies.

    A share is converted to replies of 100. The level of a use case, or under another mix of prompts, is converted with
    the percentiles of its value.

    Args:
        table: the table.
        form: form of the solves whose levels are converted; the table's own by default.
    """

    def __init__(self, table: RewardTable, form: Form | None = None) -> None:
        masses = reply_masses(table, form)
        if masses is None:
            # Contiguous columns for speed: a page needs a hundred percentiles at every move of a slider.
            self._sorted: Sequence[np.ndarray] = list(np.ascontiguousarray(np.sort(table.rewards, axis=0).T))
            count = len(table.rewards)
            share = np.linspace(0.0, 100.0, count) if count > 1 else np.array([50.0])
            self._low: Sequence[np.ndarray] = [share] * len(self._sorted)
            self._high: Sequence[np.ndarray] = self._low
            self._convert_derived(table)
            return
        counted = masses > 0
        rewards, masses = table.rewards[counted], masses[counted]
        order = np.argsort(rewards, axis=0, kind="stable").T
        self._sorted = list(np.ascontiguousarray(np.take_along_axis(rewards.T, order, axis=1)))
        copies = copies_of(masses)
        # The percentiles of the first and of the last copy of each reply. Weights without whole-number ratios are the
        # limit of many copies, where the gap between neighbours is 0.
        size, gap = (masses, 0.0) if copies is None else (copies, 1.0)
        span = size.sum() - gap
        ends = [np.cumsum(size[value_order]) for value_order in order]
        self._high = [100.0 * (end - gap) / span if span > 0 else np.full(len(end), 50.0) for end in ends]
        self._low = [
            100.0 * (end - size[value_order]) / span if span > 0 else np.full(len(end), 50.0)
            for end, value_order in zip(ends, order, strict=True)
        ]
        self._convert_derived(table)

    def _convert_derived(self, table: RewardTable) -> None:
        """Convert derived columns by the share or value that they come from, since a mass scales their own numbers."""
        if not table.derived:
            return
        columns, low, high = list(self._sorted), list(self._low), list(self._high)
        for column in table.derived:
            j = table.index(column.name)
            if column.kind is ColumnKind.SHARE:
                columns[j], low[j] = np.array([0.0, 1.0]), np.array([0.0, 100.0])
                high[j] = low[j]
            else:
                value = table.index(column.value)
                columns[j], low[j], high[j] = columns[value], low[value], high[value]
        self._sorted, self._low, self._high = columns, low, high

    def percentile_of(self, value: int, level: float) -> float:
        """Return the percentile, 0 to 100, of a level in reward units; the inverse of :meth:`level`.

        Equal replies share the middle of their percentiles.
        """
        column, low, high = self._sorted[value], self._low[value], self._high[value]
        left = bisect_left(column, level)
        right = bisect_right(column, level, lo=left)
        if right > left:
            return float((low[left] + high[right - 1]) / 2)
        if left == 0:
            return float(low[0])
        if left == len(column):
            return float(high[-1])
        below = left - 1
        part = (level - column[below]) / (column[left] - column[below])
        return float(high[below] + part * (low[left] - high[below]))

    def first_percentiles(self, value: int, levels: np.ndarray) -> np.ndarray:
        """Return the percentiles, (level,), of rewards that occur in the table; of equal rewards the lowest."""
        return np.asarray(self._low[value][np.searchsorted(self._sorted[value], levels)])

    def level(self, value: int, percentile: float) -> float:
        """Return the level, in reward units, at a percentile from 0 to 100."""
        column, low, high = self._sorted[value], self._low[value], self._high[value]
        if low is high:
            return float(np.interp(percentile, low, column))
        if percentile <= low[0]:
            return float(column[0])
        below = bisect_right(low, percentile) - 1
        if percentile <= high[below] or below == len(column) - 1:
            return float(column[below])
        part = (percentile - high[below]) / (low[below + 1] - high[below])
        return float(column[below] + part * (column[below + 1] - column[below]))


def rank_correlations(columns: np.ndarray, masses: np.ndarray | None) -> np.ndarray:
    """Return Spearman's correlations between columns, (column, column); 0 with a constant one.

    Args:
        columns: (reply, column).
        masses: (reply,) as returned by :func:`reply_masses`.
    """
    if masses is None:
        from scipy.stats import rankdata

        ranks = rankdata(columns, axis=0)
        ranks = ranks - ranks.mean(axis=0)
    else:
        ranks = np.column_stack([_middle_ranks(column, masses) for column in columns.T])
        ranks = (ranks - masses @ ranks) * np.sqrt(masses)[:, None]
    norms = np.sqrt((ranks**2).sum(axis=0))
    normed = ranks / np.where(norms > 0, norms, 1.0)
    return np.asarray(normed.T @ normed)


def _middle_ranks(column: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Return (reply,) weighted ranks: the mass below each entry plus half the mass of its equals."""
    _, inverse = np.unique(column, return_inverse=True)
    level_masses = np.bincount(inverse, weights=masses)
    return np.asarray((np.cumsum(level_masses) - level_masses / 2)[inverse])
