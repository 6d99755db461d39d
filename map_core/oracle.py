"""All that the mathematics needs from data, behind one contract: weights in, moments out.

The contract works in the natural unit of a slider. With base level b_j and standard deviation s_j of value j
under the base model,

    z = (r - b) / s          standardised rewards
    x = s * lambda           weights in nats per standard deviation, so that x . z = lambda . (r - b)
    d = (c - b) / s          targets in standard deviations above the base level

so nothing above this file meets a unit, an offset, or a value whose scale is 1e-9 or 1e9. Constraint: an
oracle never changes after it is made, so one may be shared between threads and cached.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from map_core.errors import InputError
from map_core.glossary import Form
from map_core.rewards import RewardTable

#: A covariance whose smallest eigenvalue is below this share of its largest one is singular.
REDUNDANT = 1e-11


def is_singular(covariance: np.ndarray) -> bool:
    """Whether a covariance, (value, value), has a direction without variance."""
    eigenvalues = np.linalg.eigvalsh(covariance)
    return bool(eigenvalues[0] <= REDUNDANT * max(eigenvalues[-1], 1e-300))


@dataclass(frozen=True, eq=False)
class Moments:
    """The tilted distribution at one weight vector.

    Args:
        log_normaliser: A(x), in nats.
        levels: (value,) the gradient of A: realised levels, in standard deviations above base.
        covariance: (value, value) the Hessian of A.
    """

    log_normaliser: float
    levels: np.ndarray
    covariance: np.ndarray


class Oracle(ABC):
    """What a home of the data (memory, GPU, a file, a cluster) must be able to answer.

    Attributes:
        values: names, in the order of every (value,) array.
        form: per prompt or pooled.
        base: (value,) levels of the base model, in reward units.
        scale: (value,) standard deviation under the base model, in reward units; 1 for a constant value.
        constant: (value,) bool, the value is the same for every reply.
        log_candidates: the most nats that any re-weighting can spend: the mean of log K over prompts,
            or the log of the number of replies when pooled.
    """

    values: tuple[str, ...]
    form: Form
    base: np.ndarray
    scale: np.ndarray
    constant: np.ndarray
    log_candidates: float

    @abstractmethod
    def moments(self, weights: np.ndarray) -> Moments:
        """Log-normaliser, levels and covariance at weights x, (value,)."""

    @abstractmethod
    def many(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-normalisers (batch,) and levels (batch, value) at many weight vectors (batch, value)."""

    @abstractmethod
    def best(self, weights: np.ndarray) -> np.ndarray:
        """Levels (value,) when every prompt answers with its best reply for x; h(x) = x . best(x)."""

    @abstractmethod
    def effective_sample_size(self, weights: np.ndarray) -> EffectiveSampleSize:
        """How many replies the tilted distribution at x rests on."""

    @cached_property
    def base_moments(self) -> Moments:
        """The moments of the base model itself, at weights 0."""
        return self.moments(np.zeros(len(self.values)))

    @cached_property
    def has_redundant_values(self) -> bool:
        """Some mix of the values never varies between replies to a prompt, so weights are not unique."""
        return is_singular(self.base_moments.covariance)

    def standardise(self, levels: np.ndarray) -> np.ndarray:
        """Levels in reward units, (..., value), as standard deviations above base."""
        return (levels - self.base) / self.scale

    def rewards_at(self, levels: np.ndarray) -> np.ndarray:
        """Levels in standard deviations above base, (..., value), in reward units."""
        return self.base + levels * self.scale


@dataclass(frozen=True)
class EffectiveSampleSize:
    """Replies that carry the weight.

    Args:
        per_prompt: mean over prompts of 1 / sum_k P_ik^2; in the pooled form the same as ``pooled``.
        pooled: 1 / sum_ik P_ik^2 with P normalised over the whole table.
        candidates: replies behind the average of ``per_prompt``: the mean of K, or all replies when pooled.
    """

    per_prompt: float
    pooled: float
    candidates: float


class MemoryOracle(Oracle):
    """A table held in memory as float64, value by reply.

    The two forms differ only in where the log-sum-exp is cut: after each prompt's replies, or nowhere. A
    ``group`` below is therefore a prompt in the one form and the whole table in the other.

    Args:
        rewards: (reply, value), ordered by prompt.
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
        rewards, offsets = np.asarray(rewards, dtype=np.float64), np.asarray(offsets, dtype=np.int64)
        if form is Form.PER_PROMPT and np.all(np.diff(offsets) == 1):
            raise InputError(
                "The per-prompt form needs prompts with two replies or more; here every prompt has one. "
                "Use the pooled form, or build the table with more candidates."
            )
        if form is Form.POOLED:
            offsets = np.array([0, len(rewards)])
        counts = np.diff(offsets)
        self.values, self.form = tuple(values), form
        self._starts, self._counts = offsets[:-1], counts
        self._uniform = int(counts[0]) if np.all(counts == counts[0]) else 0
        self._share = np.repeat(1.0 / (counts * len(counts)), counts)
        self._log_counts = np.log(counts)
        self.log_candidates = float(self._log_counts.mean())

        self.base = self._share @ rewards
        deviation = rewards - self.base
        spread = np.sqrt(self._share @ deviation**2)
        # A constant column's mean need not equal its entries to the last bit: what is left is rounding, not spread.
        self.constant = (np.ptp(rewards, axis=0) == 0) | (spread <= 1e-13 * np.abs(rewards).max(axis=0))
        self.scale = np.where(self.constant, 1.0, spread)
        deviation[:, self.constant] = 0.0
        self._z = np.ascontiguousarray((deviation / self.scale).T)

    @classmethod
    def of(cls, table: RewardTable, form: Form | None = None) -> MemoryOracle:
        """The oracle of a table, in the table's own form unless another is asked for."""
        return cls(table.rewards, table.offsets, table.values, table.form if form is None else form)

    def _sum(self, rows: np.ndarray) -> np.ndarray:
        """Sums over each group's replies: (..., reply) to (..., group)."""
        if self._uniform:
            return rows.reshape(*rows.shape[:-1], -1, self._uniform).sum(axis=-1)
        return np.add.reduceat(rows, self._starts, axis=-1)

    def _max(self, rows: np.ndarray) -> np.ndarray:
        if self._uniform:
            return rows.reshape(*rows.shape[:-1], -1, self._uniform).max(axis=-1)
        return np.maximum.reduceat(rows, self._starts, axis=-1)

    def _combine(self, operation: np.ufunc, rows: np.ndarray, groups: np.ndarray) -> None:
        """Apply a ufunc in place to each reply and its group's number: (..., reply) and (..., group)."""
        if self._uniform:
            by_group = rows.reshape(*rows.shape[:-1], -1, self._uniform)
            operation(by_group, groups[..., None], out=by_group)
        else:
            operation(rows, np.repeat(groups, self._counts, axis=-1), out=rows)

    def _tilt(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A per weight vector, and P within each group, for x of shape (..., value)."""
        logits = weights @ self._z
        top = self._max(logits)
        self._combine(np.subtract, logits, top)
        np.exp(logits, out=logits)
        total = self._sum(logits)
        log_normaliser = np.mean(top + np.log(total) - self._log_counts, axis=-1)
        self._combine(np.divide, logits, total)
        return log_normaliser, logits

    def moments(self, weights: np.ndarray) -> Moments:
        log_normaliser, within = self._tilt(weights)
        groups = len(self._counts)
        weighted = self._z * (within / groups)
        of_group = self._sum(weighted)
        covariance = weighted @ self._z.T - (of_group @ of_group.T) * groups
        return Moments(float(log_normaliser), of_group.sum(axis=1), (covariance + covariance.T) / 2)

    def many(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log_normaliser, levels = np.empty(len(weights)), np.empty(weights.shape)
        step = max(1, 4_000_000 // self._z.shape[1])
        for start in range(0, len(weights), step):
            part = slice(start, start + step)
            log_normaliser[part], within = self._tilt(weights[part])
            levels[part] = within @ self._z.T / len(self._counts)
        return log_normaliser, levels

    def best(self, weights: np.ndarray) -> np.ndarray:
        logits = weights @ self._z
        if self._uniform:
            rows = self._starts + logits.reshape(-1, self._uniform).argmax(axis=1)
        else:
            hits = np.flatnonzero(logits == np.repeat(self._max(logits), self._counts))
            rows = hits[np.searchsorted(hits, self._starts)]
        return self._z[:, rows].mean(axis=1)

    def effective_sample_size(self, weights: np.ndarray) -> EffectiveSampleSize:
        _, within = self._tilt(weights)
        concentration = self._sum(within**2)
        groups = len(concentration)
        return EffectiveSampleSize(
            per_prompt=float(np.mean(1.0 / concentration)),
            pooled=float(groups**2 / concentration.sum()),
            candidates=float(np.mean(self._counts)),
        )
