"""A table held in memory, value by reply, in blocks that fit a core's cache.

Constraint: the data may be float32; every log-sum-exp and every sum is float64.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from itertools import pairwise
from typing import TypeVar

import numpy as np

from map_core.errors import InputError
from map_core.glossary import Form
from map_core.oracle.combine import (
    combine_batches,
    combine_best,
    combine_moments,
    combine_prompts,
    prompt_mass,
)
from map_core.oracle.contract import Batch, Moments, Oracle, PromptMoments
from map_core.oracle.spread import Spread, combine_spreads
from map_core.rewards import RewardTable

T = TypeVar("T")

#: Numbers in a block: with the few arrays of that size that a pass needs, about a core's second-level cache.
BLOCK = 131_072
#: Weight vectors times replies that are tilted at once.
TILTED = 262_144


class Groups:
    """Replies that share a log-sum-exp, one group after another along the last axis.

    Args:
        offsets: (group + 1,) where each group begins, from 0.
    """

    def __init__(self, offsets: np.ndarray) -> None:
        self.starts, self.counts = offsets[:-1], np.diff(offsets)
        self._uniform = int(self.counts[0]) if np.all(self.counts == self.counts[0]) else 0
        self._log_counts = np.log(self.counts)

    def sum(self, rows: np.ndarray) -> np.ndarray:
        """(..., reply) to (..., group)."""
        if self._uniform:
            return rows.reshape(*rows.shape[:-1], -1, self._uniform).sum(axis=-1)
        return np.add.reduceat(rows, self.starts, axis=-1)

    def max(self, rows: np.ndarray) -> np.ndarray:
        """(..., reply) to (..., group)."""
        if self._uniform:
            return rows.reshape(*rows.shape[:-1], -1, self._uniform).max(axis=-1)
        return np.maximum.reduceat(rows, self.starts, axis=-1)

    def combine(self, operation: np.ufunc, rows: np.ndarray, groups: np.ndarray) -> None:
        """Apply a ufunc in place to each reply and its group's number: (..., reply) and (..., group)."""
        if self._uniform:
            by_group = rows.reshape(*rows.shape[:-1], -1, self._uniform)
            operation(by_group, groups[..., None], out=by_group)
        else:
            operation(rows, np.repeat(groups, self.counts, axis=-1), out=rows)

    def tilt(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log of each group's mean exp(logit), (..., group), and P within each group, in the place of the logits."""
        top = self.max(logits)
        self.combine(np.subtract, logits, top)
        np.exp(logits, out=logits)
        total = self.sum(logits)
        self.combine(np.divide, logits, total)
        return top + np.log(total) - self._log_counts, logits

    def best(self, logits: np.ndarray) -> np.ndarray:
        """(group,) row of each group's first highest logit, (reply,)."""
        if self._uniform:
            return self.starts + logits.reshape(-1, self._uniform).argmax(axis=1)
        hits = np.flatnonzero(logits == np.repeat(self.max(logits), self.counts))
        return hits[np.searchsorted(hits, self.starts)]


class Block:
    """Whole prompts of a table, standardised: the arithmetic of one part.

    The two forms differ only in where the log-sum-exp is cut: after each prompt's replies, or nowhere.

    Args:
        z: (value, reply) standardised rewards, float32 or float64.
        offsets: (prompt + 1,) where each prompt's replies begin, from 0.
        form: per prompt or pooled.
    """

    def __init__(self, z: np.ndarray, offsets: np.ndarray, form: Form) -> None:
        self._stored, self._form = z, form
        self._prompts = Groups(offsets)
        self._groups = self._prompts if form is Form.PER_PROMPT else Groups(np.array([0, z.shape[1]]))
        #: Prompts, or replies when pooled: the weight of this block among others.
        self.size = len(offsets) - 1 if form is Form.PER_PROMPT else z.shape[1]

    @property
    def _z(self) -> np.ndarray:
        return self._stored.astype(np.float64, copy=False)

    def moments(self, weights: np.ndarray) -> Moments:
        """Log-normaliser, levels and covariance at x, (value,)."""
        z, groups = self._z, len(self._groups.counts)
        log_normaliser, within = self._groups.tilt(weights @ z)
        weighted = z * within
        of_group = self._groups.sum(weighted)
        covariance = (weighted @ z.T - of_group @ of_group.T) / groups
        return Moments(float(log_normaliser.sum()) / groups, of_group.sum(axis=1) / groups, covariance)

    def many(self, weights: np.ndarray, multiplicity: np.ndarray | None, covariance: bool) -> Batch:
        """Moments at x of shape (batch, value), a few weight vectors at a time; see :meth:`Oracle.many`."""
        z = self._z
        upper = np.triu_indices(len(z))
        products = z[upper[0]] * z[upper[1]] if covariance else None
        tilt = self._tilted_prompts if self._form is Form.PER_PROMPT else self._tilted_whole
        step = max(1, TILTED // z.shape[1])
        starts = range(0, len(weights), step)
        parts = [
            tilt(
                z,
                products,
                weights[start : start + step],
                None if multiplicity is None else multiplicity[start : start + step],
            )
            for start in starts
        ]
        return parts[0] if len(parts) == 1 else _stacked(parts)

    def _tilted_prompts(
        self, z: np.ndarray, products: np.ndarray | None, weights: np.ndarray, multiplicity: np.ndarray | None
    ) -> Batch:
        of_prompt, within = self._prompts.tilt(weights @ z)
        concentration = self._prompts.sum(within**2)
        counted = np.ones_like(of_prompt) if multiplicity is None else multiplicity
        size = counted.sum(axis=1)
        share = counted / np.where(size > 0, size, 1.0)[:, None]
        means = np.stack([self._prompts.sum(within * row) for row in z], axis=-1)
        levels = np.einsum("bg,bgi->bi", share, means)
        second = None
        if products is not None:
            self._prompts.combine(np.multiply, within, share)
            between = (means * share[:, :, None]).transpose(0, 2, 1) @ means
            second = _symmetric(within @ products.T, len(z)) - between
        return Batch(
            size,
            (share * of_prompt).sum(axis=1),
            levels,
            second,
            (share / concentration).sum(axis=1),
            (share * concentration).sum(axis=1),
        )

    def _tilted_whole(
        self, z: np.ndarray, products: np.ndarray | None, weights: np.ndarray, multiplicity: np.ndarray | None
    ) -> Batch:
        logits, copies = weights @ z, np.ones((1, 1))
        size = np.full(len(weights), float(z.shape[1]))
        if multiplicity is not None:
            # A prompt that counts v times is v copies of its replies. A row without any is told by its size alone.
            size = multiplicity @ self._prompts.counts.astype(float)
            counted = np.where(size[:, None] > 0, multiplicity, 1.0)
            copies = np.repeat(counted, self._prompts.counts, axis=1)
            with np.errstate(divide="ignore"):
                logits += np.log(copies)
        log_mean, mass = self._groups.tilt(logits)
        concentration = (mass**2 / np.where(copies > 0, copies, 1.0)).sum(axis=1)
        levels = mass @ z.T
        second = None
        if products is not None:
            second = _symmetric(mass @ products.T, len(z)) - levels[:, :, None] * levels[:, None, :]
        log_size = np.log(np.where(size > 0, size, 1.0) / z.shape[1])
        return Batch(size, log_mean[:, 0] - log_size, levels, second, 1.0 / concentration, concentration)

    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        """Each prompt's own moments at x, (value,)."""
        z, counts = self._z, self._prompts.counts
        log_normaliser, within = self._prompts.tilt(weights @ z)
        levels = self._prompts.sum(z * within).T
        return PromptMoments(prompt_mass(self._form, log_normaliser, counts), log_normaliser, levels, counts)

    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        """(prompt, value) levels of each prompt's best reply for x."""
        return self._best_of(self._prompts, weights)

    def best(self, weights: np.ndarray) -> np.ndarray:
        """(value,) levels of the best replies for x: one a prompt, or one in all when pooled."""
        return self._best_of(self._groups, weights).mean(axis=0)

    def _best_of(self, groups: Groups, weights: np.ndarray) -> np.ndarray:
        rows = groups.best(weights @ self._stored)
        return self._stored[:, rows].T.astype(np.float64)


class MemoryOracle(Oracle):
    """A table held in memory.

    Args:
        rewards: (reply, value), ordered by prompt; float32 is kept as it is, all else becomes float64.
        offsets: (prompt + 1,) where each prompt's replies begin.
        values: names of the values.
        form: per prompt or pooled.

    Raises:
        InputError: the per-prompt form is asked for and no prompt has two replies.

    Example:
        >>> oracle = MemoryOracle([[0.0], [1.0]], [0, 2], ("humor",), Form.PER_PROMPT)
        >>> float(oracle.base[0])
        0.5
    """

    def __init__(self, rewards: np.ndarray, offsets: np.ndarray, values: tuple[str, ...], form: Form) -> None:
        rewards, offsets = np.asarray(rewards), np.asarray(offsets, dtype=np.int64)
        if rewards.dtype != np.float32:
            rewards = rewards.astype(np.float64, copy=False)
        counts = np.diff(offsets)
        if form is Form.PER_PROMPT and np.all(counts == 1):
            raise InputError(
                "The per-prompt form needs prompts with two replies or more; here every prompt has one. "
                "Use the pooled form, or build the table with more candidates."
            )
        cuts = _cuts(offsets, max(1, BLOCK // rewards.shape[1]))
        rows = [slice(offsets[first], offsets[last]) for first, last in pairwise(cuts)]
        spread = combine_spreads(
            form, [Spread.of(rewards[r], counts[a:b], form) for r, (a, b) in zip(rows, pairwise(cuts), strict=True)]
        )
        self._describe(tuple(values), form, spread)
        if rewards.dtype == np.float32:
            self.resolution = 1e-6
        z = np.empty(rewards.shape[::-1], dtype=rewards.dtype)
        for r in rows:
            deviation = np.where(self.constant, 0.0, (rewards[r] - self.base) / self.scale)
            z[:, r] = deviation.T
        self._hold(z, offsets, cuts)

    def _hold(self, z: np.ndarray, offsets: np.ndarray, cuts: list[int]) -> None:
        """Keep standardised rewards (value, reply), cut into blocks before these prompts."""
        self._z, self._offsets, self._cuts = z, offsets, cuts
        self._blocks = [
            Block(z[:, offsets[a] : offsets[b]], offsets[a : b + 1] - offsets[a], self.form) for a, b in pairwise(cuts)
        ]
        self._sizes = [block.size for block in self._blocks]

    @classmethod
    def of(cls, table: RewardTable, form: Form | None = None) -> MemoryOracle:
        """The oracle of a table, in the table's own form unless another is asked for."""
        return cls(table.rewards, table.offsets, table.values, table.form if form is None else form)

    def moments(self, weights: np.ndarray) -> Moments:
        return combine_moments(self.form, self._sizes, self._each(lambda block: block.moments(weights)))

    def many(self, weights: np.ndarray, *, multiplicity: np.ndarray | None = None, covariance: bool = False) -> Batch:
        weights = np.asarray(weights, dtype=np.float64)

        def of_block(block: Block, first: int, last: int) -> Batch:
            counted = None if multiplicity is None else np.asarray(multiplicity[:, first:last], dtype=np.float64)
            return block.many(weights, counted, covariance)

        prompts = pairwise(self._cuts)
        parts = [of_block(block, a, b) for block, (a, b) in zip(self._blocks, prompts, strict=True)]
        return combine_batches(self.form, parts)

    def best(self, weights: np.ndarray) -> np.ndarray:
        return combine_best(self.form, weights, self._sizes, self._each(lambda block: block.best(weights)))

    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        return combine_prompts(self.form, self._each(lambda block: block.by_prompt(weights)))

    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        return np.concatenate(self._each(lambda block: block.best_by_prompt(weights)))

    def subsample(self, share: float) -> Oracle | None:
        every = round(1.0 / share)
        if len(self._blocks) == 1 or every < 2 or self.prompts < 2 * every:
            return None
        chosen = np.arange(0, self.prompts, every)
        counts = np.diff(self._offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self._offsets[chosen] - offsets[:-1], counts) + np.arange(offsets[-1])
        part = copy(self)
        for cached in ("base_moments", "has_redundant_values"):
            part.__dict__.pop(cached, None)
        part.prompts, part.replies = len(chosen), len(rows)
        part._hold(self._z[:, rows], offsets, _cuts(offsets, max(1, BLOCK // len(self.values))))
        return part

    def _each(self, ask: Callable[[Block], T]) -> list[T]:
        return [ask(block) for block in self._blocks]


def _cuts(offsets: np.ndarray, replies: int) -> list[int]:
    """Prompt numbers at which to cut a table so that a part has about so many replies, and at least one prompt."""
    wanted = np.searchsorted(offsets, np.arange(replies, offsets[-1], replies))
    return [0, *(int(cut) for cut in np.unique(wanted) if 0 < cut < len(offsets) - 1), len(offsets) - 1]


def _stacked(parts: list[Batch]) -> Batch:
    """Batches of the same data, one after another."""

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    covariance = None if parts[0].covariance is None else column("covariance")
    return Batch(
        column("size"), column("log_normaliser"), column("levels"), covariance, column("ess"), column("concentration")
    )


def _symmetric(upper: np.ndarray, size: int) -> np.ndarray:
    """(batch, pair) entries on and above the diagonal as (batch, size, size) matrices."""
    rows, columns = np.triu_indices(size)
    matrices = np.empty((len(upper), size, size))
    matrices[:, rows, columns] = upper
    matrices[:, columns, rows] = upper
    return matrices
