"""Arithmetic on a block of whole, standardised prompts that fits a core's cache.

Constraint: the data may be float32; every log-sum-exp and every sum is float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from map_core.core.types import Form
from map_core.oracle.base import BatchMoments, Moments, PromptMoments
from map_core.oracle.combine import prompt_mass
from map_core.oracle.ragged import Groups
from map_core.oracle.reward_stats import RewardStats
from map_core.oracle.threads import Scratch

#: Most weight vectors times replies that are tilted at once.
TILTED = 131_072
#: Most numbers for which one vectorised call is faster than a loop over columns.
SMALL = 131_072

_scratch = Scratch()


class Block:
    """Whole prompts of a table, standardised.

    The two forms differ only in the groups of the log-sum-exp: each prompt's replies, or all replies.

    Args:
        z: (value, reply) standardised rewards as ``prompts`` arranges them, float32 or float64.
        prompts: the replies of each prompt.
        form: per prompt or pooled.
    """

    def __init__(self, z: np.ndarray, prompts: Groups, form: Form) -> None:
        self._stored, self._form, self._prompts = z, form, prompts
        self._groups = prompts if form is Form.PER_PROMPT else Groups(np.array([z.shape[1]]))
        self.prompts, self.replies = len(prompts.counts), z.shape[1]
        #: Prompts, or replies when pooled: the weight of this block in averages.
        self.size = self.prompts if form is Form.PER_PROMPT else z.shape[1]

    @classmethod
    def of(
        cls,
        columns: Iterable[np.ndarray],
        counts: np.ndarray,
        stats: RewardStats,
        form: Form,
        out: np.ndarray | None = None,
    ) -> Block:
        """Standardise rewards, a (reply,) column a value, in the units of a table with these statistics.

        Args:
            columns: (reply,) rewards of each value.
            counts: (prompt,) replies of each prompt.
            stats: statistics of the whole table.
            form: per prompt or pooled.
            out: (value, reply) array to write to; a new one by default.
        """
        prompts, columns = Groups(counts), list(columns)
        z = np.empty((len(columns), len(columns[0])), columns[0].dtype) if out is None else out
        precise = _scratch.take("weighted", z.shape[1:], np.dtype(np.float64))
        for row, column, mean, scale, constant in zip(z, columns, stats.mean, stats.scale, stats.constant, strict=True):
            if constant:
                row[:] = 0.0
                continue
            standardised = row if row.dtype == np.float64 else precise
            prompts.arrange(column, standardised)
            standardised -= mean
            standardised *= 1.0 / scale  # never beyond the largest number: a deviation below 1e-162 counts as 0
            if standardised is not row:
                row[:] = standardised
        return cls(z, prompts, form)

    @classmethod
    def streamed(cls, columns: Sequence[np.ndarray], counts: np.ndarray, stats: RewardStats, form: Form) -> Block:
        """Standardise in float64 into scratch memory, valid until this thread's next call, for streamed data."""
        out = _scratch.take("z", (len(columns), len(columns[0])), np.dtype(np.float64))
        return cls.of(columns, counts, stats, form, out)

    @classmethod
    def subsample(cls, blocks: Sequence[Block], share: float) -> Block:
        """Return one block of the first prompts of each block: about this share of them, and at least one."""
        counts, parts = [], []
        for block in blocks:
            first = max(1, int(share * block.prompts))
            counts.append(block._prompts.counts[:first])
            groups = Groups(counts[-1], block._prompts.transposed)
            parts.append(groups.in_order(block._prompts.first(block._stored, first)))
        prompts = Groups(np.concatenate(counts))
        return cls(prompts.arranged(np.concatenate(parts, axis=1)), prompts, blocks[0]._form)

    def of_values(self, which: np.ndarray) -> Block:
        """Return a block with some of the values alone."""
        return Block(self._stored[which], self._prompts, self._form)

    def moments(self, weights: np.ndarray) -> Moments:
        """Return log-normaliser, levels and covariance at x, (value,)."""
        z = self._precise()
        log_normaliser, probabilities = self._tilted(weights, z)
        levels, covariance = _levels_and_covariance(z, probabilities, self._groups)
        return Moments(log_normaliser, levels, covariance)

    def _precise(self) -> np.ndarray:
        """Return the rewards in float64; valid until this thread's next call."""
        if self._stored.dtype == np.float64:
            return self._stored
        z = _scratch.take("z", self._stored.shape, np.dtype(np.float64))
        np.copyto(z, self._stored)
        return z

    def _tilted(self, weights: np.ndarray, z: np.ndarray) -> tuple[float, np.ndarray]:
        """Return A and the probabilities within each group, (reply,), at x, (value,)."""
        logits = np.dot(weights, z, out=_scratch.take("logits", z.shape[1:], z.dtype))
        log_normaliser, probabilities = self._groups.tilt(logits)
        return float(log_normaliser.sum()) / len(log_normaliser), probabilities

    def batch_moments(self, weights: np.ndarray, multiplicity: np.ndarray | None, covariance: bool) -> BatchMoments:
        """Return the moments at x, (batch, value), a few weight vectors at a time; see :meth:`Oracle.batch_moments`."""
        z = self._precise()
        per_prompt = self._form is Form.PER_PROMPT
        if per_prompt and multiplicity is not None and len(weights) > len(z) and np.all(weights == weights[0]):
            return self._reweighted_prompts(z, weights[0], multiplicity, covariance)
        second_moments = _SecondMoments(z, len(weights)) if covariance else None
        tilt = self._tilted_prompts if per_prompt else self._tilted_whole
        step = max(1, TILTED // z.shape[1])
        starts = range(0, len(weights), step)
        parts = [
            tilt(
                z,
                second_moments,
                weights[start : start + step],
                None if multiplicity is None else multiplicity[start : start + step],
            )
            for start in starts
        ]
        return parts[0] if len(parts) == 1 else stack_batches(parts)

    def _tilted_prompts(
        self, z: np.ndarray, second_moments: _SecondMoments | None, weights: np.ndarray, multiplicity: np.ndarray | None
    ) -> BatchMoments:
        log_normalisers, probabilities = self._prompts.tilt(np.dot(weights, z))
        weighted = _scratch.take("weighted", probabilities.shape, probabilities.dtype)
        concentration = self._prompts.sum(np.square(probabilities, out=weighted))
        size, share = _shares(np.ones_like(log_normalisers) if multiplicity is None else multiplicity)
        means = np.stack([self._prompts.sum(np.multiply(probabilities, row, out=weighted)) for row in z], axis=-1)
        levels = np.einsum("bg,bgi->bi", share, means)
        second = None
        if second_moments is not None:
            self._prompts.combine(np.multiply, probabilities, share)
            between = (means * share[:, :, None]).transpose(0, 2, 1) @ means
            second = second_moments(probabilities) - between
        return BatchMoments(
            size,
            (share * log_normalisers).sum(axis=1),
            levels,
            second,
            (share / concentration).sum(axis=1),
            (share * concentration).sum(axis=1),
        )

    def _reweighted_prompts(
        self, z: np.ndarray, weights: np.ndarray, multiplicity: np.ndarray, covariance: bool
    ) -> BatchMoments:
        """Return the moments at one x, (value,), in many samples of the prompts, whose own are computed once."""
        log_normalisers, probabilities = self._prompts.tilt(np.dot(weights, z))
        concentration = self._prompts.sum(np.square(probabilities))
        weighted = _scratch.take("weighted", probabilities.shape, probabilities.dtype)
        means = np.stack([self._prompts.sum(np.multiply(probabilities, row, out=weighted)) for row in z])
        size, share = _shares(multiplicity)
        second = None
        if covariance:
            rows, columns = np.triu_indices(len(z))
            of_prompts = np.empty((len(rows), self.prompts))
            for pair, (i, j) in enumerate(zip(rows, columns, strict=True)):
                np.multiply(np.multiply(z[i], z[j], out=weighted), probabilities, out=weighted)
                of_prompts[pair] = self._prompts.sum(weighted) - means[i] * means[j]
            second = np.empty((len(share), len(z), len(z)))
            second[:, rows, columns] = second[:, columns, rows] = np.dot(share, of_prompts.T)
        return BatchMoments(
            size,
            np.dot(share, log_normalisers),
            np.dot(share, means.T),
            second,
            np.dot(share, 1.0 / concentration),
            np.dot(share, concentration),
        )

    def _tilted_whole(
        self, z: np.ndarray, second_moments: _SecondMoments | None, weights: np.ndarray, multiplicity: np.ndarray | None
    ) -> BatchMoments:
        logits, copies = np.dot(weights, z), np.ones((1, 1))
        size = np.full(len(weights), float(z.shape[1]))
        if multiplicity is not None:
            # A prompt that counts v times is v copies of its replies. A row without any has size 0 and is ignored.
            size = multiplicity @ self._prompts.counts.astype(float)
            counted = np.where(size[:, None] > 0, multiplicity, 1.0)
            copies = self._prompts.repeat(counted)
            with np.errstate(divide="ignore"):
                logits += np.log(copies)
        log_mean, mass = self._groups.tilt(logits)
        concentration = (mass**2 / np.where(copies > 0, copies, 1.0)).sum(axis=1)
        levels = np.dot(mass, z.T)
        second = None
        if second_moments is not None:
            second = second_moments(mass) - levels[:, :, None] * levels[:, None, :]
        log_size = np.log(np.where(size > 0, size, 1.0) / z.shape[1])
        return BatchMoments(size, log_mean[:, 0] - log_size, levels, second, 1.0 / concentration, concentration)

    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        """Return each prompt's own moments at x, (value,)."""
        z, counts = self._precise(), self._prompts.counts
        log_normaliser, probabilities = self._prompts.tilt(weights @ z)
        levels = self._prompts.sum(z * probabilities).T
        return PromptMoments(prompt_mass(self._form, log_normaliser, counts), log_normaliser, levels, counts)

    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        """Return the levels, (prompt, value), of each prompt's best reply for x."""
        rows = self._prompts.best(self._logits(weights))
        return np.take(self._stored, rows, axis=1).T.astype(np.float64)

    def best(self, weights: np.ndarray) -> np.ndarray:
        """Return the levels, (value,), of the best replies for x: one a prompt, or one in all when pooled."""
        logits = self._logits(weights)
        rows = self._prompts.best(logits) if self._form is Form.PER_PROMPT else [np.argmax(logits)]
        return np.add.reduce(np.take(self._stored, rows, axis=1), axis=1, dtype=np.float64) / len(rows)

    def _logits(self, weights: np.ndarray) -> np.ndarray:
        return np.dot(weights, self._precise())


def _shares(multiplicity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of prompts in each row, (batch,), and each prompt's share of it, (batch, prompt)."""
    size = multiplicity.sum(axis=1)
    return size, multiplicity / np.where(size > 0, size, 1.0)[:, None]


def _levels_and_covariance(z: np.ndarray, probabilities: np.ndarray, groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """Return levels (value,) and covariance (value, value), averaged over groups.

    Args:
        z: (value, reply) standardised rewards.
        probabilities: (reply,) P within each group.
        groups: the groups of replies.
    """
    size, count = len(z), len(groups.counts)
    if z.size <= SMALL:
        weighted = z * probabilities
        of_group = groups.sum(weighted)
        second = weighted @ z.T
    else:
        weighted = _scratch.take("weighted", probabilities.shape, z.dtype)
        of_group, second = np.empty((size, count), z.dtype), np.empty((size, size))
        for j in range(size):
            groups.sum(np.multiply(z[j], probabilities, out=weighted), out=of_group[j])
            second[j:, j] = second[j, j:] = np.dot(z[j:], weighted)  # unlike @, lets other threads run
    return of_group.sum(axis=1, dtype=np.float64) / count, (second - of_group @ of_group.T) / count


def stack_batches(parts: list[BatchMoments]) -> BatchMoments:
    """Concatenate batches of weight vectors over the same data."""

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    covariance = None if parts[0].covariance is None else column("covariance")
    return BatchMoments(
        column("size"), column("log_normaliser"), column("levels"), covariance, column("ess"), column("concentration")
    )


class _SecondMoments:
    """Sums of z_i z_j over replies, (batch, value, value), at any masses (batch, reply).

    For a large batch over a small block the products z_i z_j are computed once.
    """

    def __init__(self, z: np.ndarray, batch: int) -> None:
        self._z, self._upper = z, np.triu_indices(len(z))
        self._products: np.ndarray | None = None
        if z.size <= SMALL and batch > len(z):
            self._products = _scratch.take("products", (len(self._upper[0]), z.shape[1]), z.dtype)
            first = 0
            for j in range(len(z)):
                np.multiply(z[j], z[j:], out=self._products[first : first + len(z) - j])
                first += len(z) - j

    def __call__(self, mass: np.ndarray) -> np.ndarray:
        z, (rows, columns) = self._z, self._upper
        matrices = np.empty((len(mass), len(z), len(z)))
        if self._products is None:
            weighted = _scratch.take("weighted", z.shape[1:], z.dtype)
            for matrix, of_reply in zip(matrices, mass, strict=True):
                for j in range(len(z)):
                    matrix[j:, j] = matrix[j, j:] = np.dot(z[j:], np.multiply(z[j], of_reply, out=weighted))
        else:
            matrices[:, rows, columns] = matrices[:, columns, rows] = np.dot(mass, self._products.T)
        return matrices
