"""How rewards are distributed over the base model's replies, each reply counted as a solve counts it.

A prompt counts by its weight, and not at all when it is held out. In the per-prompt form its replies share that weight;
in the pooled form each of them has it. Where all replies count alike, quantiles are those of NumPy's method "linear"; a
reply that counts as c others is c equal replies, so that a table with weights and one with copies have the same
quantiles.
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

#: Largest denominator of a ratio of two replies' masses that is taken for a ratio of counts, and most copies in all.
MAX_DENOMINATOR, MAX_COPIES = 1000, 10**12


def reply_masses(table: RewardTable, form: Form | None = None) -> np.ndarray | None:
    """Return how much each reply counts in a solve, (reply,), with sum 1; None where all count alike.

    Args:
        table: the replies.
        form: of the solve; the table's own by default.
    """
    weights, counts = table.prompt_weights, table.candidates
    pooled = (form or table.form) is Form.POOLED
    if weights is None:
        if pooled or np.ptp(counts) == 0:
            return None
        weights = np.ones(len(counts))
    of_reply = np.repeat(weights if pooled else weights / counts, counts)
    if np.ptp(of_reply) <= 1e-12 * of_reply.max():
        return None
    return np.asarray(of_reply / of_reply.sum())


def copies_of(masses: np.ndarray) -> np.ndarray | None:
    """Return the least whole numbers in the ratio of these masses, (reply,) float; None where there are none.

    Args:
        masses: (reply,) 0 or more, at least one above 0.
    """
    distinct, place = np.unique(masses, return_inverse=True)
    least = distinct[distinct > 0][0]
    ratios = [Fraction(float(mass / least)).limit_denominator(MAX_DENOMINATOR) for mass in distinct]
    if not np.allclose([float(ratio) for ratio in ratios], distinct / least, rtol=1e-9, atol=0.0):
        return None
    common = math.lcm(*(ratio.denominator for ratio in ratios))
    counts = [int(ratio * common) for ratio in ratios]
    divisor = math.gcd(*counts)
    copies = np.array([count // divisor for count in counts], dtype=np.float64)[place]
    return copies if copies.sum() <= MAX_COPIES else None


def typical_candidates(table: RewardTable) -> int:
    """Return the median number of replies to a prompt, each prompt by its weight; of two middle ones the mean, cut."""
    weights, counts = table.prompt_weights, table.candidates
    if weights is None:
        return int(np.median(counts))
    counts, weights = counts[weights > 0], weights[weights > 0]
    order = np.argsort(counts, kind="stable")
    copies = copies_of(weights)
    ends = np.cumsum((weights if copies is None else copies)[order])
    # Without a common measure the copies are many, and both middle ones at half of the weight.
    middle = [ends[-1] / 2] * 2 if copies is None else [(ends[-1] - 1) // 2, ends[-1] // 2]
    places = np.minimum(np.searchsorted(ends, middle, side="right"), len(counts) - 1)
    return int(counts[order][places].mean())


class Percentiles:
    """Conversion between levels and percentiles of the base model's replies.

    A share is converted to replies of 100. The level of a use case, or under another mix of prompts, is one of its
    value's replies.

    Args:
        table: the replies.
        form: of the solves whose levels are converted; the table's own by default.
    """

    def __init__(self, table: RewardTable, form: Form | None = None) -> None:
        masses = reply_masses(table, form)
        if masses is None:
            # Contiguous columns: a page needs a hundred percentiles at every move of a fader.
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
        # From the first to the last of the copies of each reply, as percentiles; without a common measure the copies
        # are many and the steps between neighbours nothing.
        size, gap = (masses, 0.0) if copies is None else (copies, 1.0)
        span = size.sum() - gap
        ends = [np.cumsum(size[of_value]) for of_value in order]
        self._high = [100.0 * (end - gap) / span if span > 0 else np.full(len(end), 50.0) for end in ends]
        self._low = [
            100.0 * (end - size[of_value]) / span if span > 0 else np.full(len(end), 50.0)
            for end, of_value in zip(ends, order, strict=True)
        ]
        self._convert_derived(table)

    def _convert_derived(self, table: RewardTable) -> None:
        """Read derived columns by what they are made of, and not by their own numbers, which a mass has stretched."""
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
        """Return the percentiles, (level,), at which rewards of counted replies begin: of equal ones the lowest."""
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
        masses: as of :func:`reply_masses`.
    """
    if masses is None:
        from scipy.stats import rankdata

        ranks = rankdata(columns, axis=0)
        ranks = ranks - ranks.mean(axis=0)
        size = np.sqrt((ranks**2).sum(axis=0))
        safe = np.where(size > 0, size, 1.0)
        return np.asarray((ranks / safe).T @ (ranks / safe))
    ranks = np.column_stack([_middle_ranks(column, masses) for column in columns.T])
    ranks = (ranks - masses @ ranks) * np.sqrt(masses)[:, None]
    size = np.sqrt((ranks**2).sum(axis=0))
    safe = np.where(size > 0, size, 1.0)
    return np.asarray((ranks / safe).T @ (ranks / safe))


def _middle_ranks(column: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Return the share of mass below each entry and half of that of its equals, (reply,)."""
    _, place = np.unique(column, return_inverse=True)
    of_level = np.bincount(place, weights=masses)
    return np.asarray((np.cumsum(of_level) - of_level / 2)[place])
