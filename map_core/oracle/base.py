"""The contract between the mathematics and the data: weights in, moments out.

Everything is in standardised units. With base level b_j and standard deviation s_j of value j under the
base model,

    z = (r - b) / s          standardised rewards
    x = s * lambda           weights in nats per standard deviation, so that x . z = lambda . (r - b)
    d = (c - b) / s          targets in standard deviations above the base level

so the packages above never deal with units, offsets or extreme scales (1e-9, 1e9). Constraint: an oracle is immutable,
so it may be shared between threads and cached.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from map_core.core.reward_levels import RewardLevels
from map_core.core.types import Form
from map_core.oracle.reward_stats import RewardStats

#: A covariance whose smallest eigenvalue is below this share of its largest one is singular.
REDUNDANT = 1e-11
#: Share of the prompts on which redundancy of values is tested first, and the least eigenvalue that rules it out.
RANK_SHARE, FULL_RANK = 1 / 64, 1e-3


def is_singular(covariance: np.ndarray) -> bool:
    """Return whether a covariance, (value, value), has a direction without variance."""
    eigenvalues = np.linalg.eigvalsh(covariance)
    return bool(eigenvalues[0] <= REDUNDANT * max(eigenvalues[-1], 1e-300))


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of the tilted distribution at one weight vector.

    Args:
        log_normaliser: A(x), in nats.
        levels: (value,) the gradient of A: realised levels, in standard deviations above base.
        covariance: (value, value) the Hessian of A.
    """

    log_normaliser: float
    levels: np.ndarray
    covariance: np.ndarray

    def kl(self, weights: np.ndarray) -> float:
        """Return the KL divergence from the base model, x . levels - A(x), in nats; 0 where rounding gives less."""
        return max(0.0, float(weights @ self.levels) - self.log_normaliser)


@dataclass(frozen=True, eq=False)
class BatchMoments:
    """Moments of the tilted distributions at many weight vectors.

    Args:
        size: (batch,) number of prompts (replies when pooled), counted with multiplicity.
        log_normaliser: (batch,) nats.
        levels: (batch, value).
        covariance: (batch, value, value); None where it was not requested.
        ess: (batch,) effective sample size: mean over prompts of 1 / sum_k P_ik^2; of the whole table when pooled.
        concentration: (batch,) mean over prompts of sum_k P_ik^2; of the whole table when pooled.
    """

    size: np.ndarray
    log_normaliser: np.ndarray
    levels: np.ndarray
    covariance: np.ndarray | None
    ess: np.ndarray
    concentration: np.ndarray

    def kl(self, weights: np.ndarray) -> np.ndarray:
        """Return the KL divergence, (batch,) nats, at these weights, (batch, value); see :meth:`Moments.kl`."""
        return np.maximum(0.0, np.sum(weights * self.levels, axis=1) - self.log_normaliser)


@dataclass(frozen=True, eq=False)
class PromptMoments:
    """Moments of each prompt at one weight vector, for error bars.

    Args:
        mass: (prompt,) probability of the prompt: 1 / n per prompt, its share of the tilted weight when pooled.
        log_normaliser: (prompt,) log of the prompt's mean exp(x . z), in nats.
        levels: (prompt, value) the prompt's own levels.
        replies: (prompt,) its number of replies.
    """

    mass: np.ndarray
    log_normaliser: np.ndarray
    levels: np.ndarray
    replies: np.ndarray


@dataclass(frozen=True)
class EffectiveSampleSize:
    """Effective sample size of a tilted distribution, in replies.

    Source: Kish, "Survey Sampling", 1965; as a diagnostic of importance weights, Owen, "Monte Carlo theory, methods and
    examples", section 9.3.

    Args:
        per_prompt: mean over prompts of 1 / sum_k P_ik^2; in the pooled form the same as ``pooled``.
        pooled: 1 / sum_ik P_ik^2 with P normalised over the whole table.
        candidates: upper bound of ``per_prompt``, that of the base model: the mean of K over prompts, each by its
            weight; when pooled all replies, or as many as carry the weight of the prompts.
    """

    per_prompt: float
    pooled: float
    candidates: float


class Oracle(ABC):
    """Interface of a storage of a reward table: memory, a GPU, a file or a cluster.

    Attributes:
        values: names, in the order of every (value,) array.
        form: per prompt or pooled.
        prompts: number of prompts, in both forms.
        replies: number of replies.
        base: (value,) levels of the base model, in reward units.
        scale: (value,) standard deviation under the base model, in reward units; 1 for a constant value.
        constant: (value,) bool, the value is the same for every reply.
        log_candidates: the largest KL of any re-weighting, in nats: the mean of log K over prompts, or the log of the
            number of replies when pooled.
        prompt_weights: (prompt,) how much each prompt counts, 0 when held out; None when all count alike.
        resolution: smallest residual, in standard deviations, that the arithmetic resolves: 1e-10 in float64.
    """

    values: tuple[str, ...]
    form: Form
    prompts: int
    replies: int
    base: np.ndarray
    scale: np.ndarray
    constant: np.ndarray
    log_candidates: float
    prompt_weights: np.ndarray | None = None
    resolution: float = 1e-10

    @property
    def counted(self) -> np.ndarray:
        """Which prompts count in a solve, (prompt,) bool: those of weight above 0, which are not held out."""
        return np.ones(self.prompts, dtype=bool) if self.prompt_weights is None else self.prompt_weights > 0

    @property
    def counted_prompts(self) -> int:
        """Number of prompts that count, each once however much it weighs: the evidence that error bars rest on."""
        return self.prompts if self.prompt_weights is None else int(np.count_nonzero(self.prompt_weights))

    @property
    def mean_candidates(self) -> float:
        """Effective sample size of the base model, see :class:`EffectiveSampleSize`."""
        return self.replies if self.form is Form.POOLED else self.replies / self.prompts

    @abstractmethod
    def batch_moments(
        self, weights: np.ndarray, *, multiplicity: np.ndarray | None = None, covariance: bool = False
    ) -> BatchMoments:
        """Return the moments at many weight vectors from one pass over the table.

        Args:
            weights: (batch, value) x.
            multiplicity: (batch, prompt) how often each prompt counts for each weight vector, as in a bootstrap
                sample or in one half of the prompts; fractions are allowed and each row has a positive sum. 1 by
                default. Levels stay in the units of the whole table.
            covariance: compute covariances too.
        """

    @abstractmethod
    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        """Return each prompt's own moments at weights x, (value,)."""

    @abstractmethod
    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        """Return the levels, (prompt, value), of each prompt's best reply for x, (value,); the first one on ties."""

    def moments(self, weights: np.ndarray) -> Moments:
        """Return log-normaliser, levels and covariance at weights x, (value,)."""
        batch = self.batch_moments(weights[None], covariance=True)
        assert batch.covariance is not None
        return Moments(float(batch.log_normaliser[0]), batch.levels[0], batch.covariance[0])

    def best(self, weights: np.ndarray) -> np.ndarray:
        """Return the mean levels, (value,), of each prompt's best reply for x, (value,); x . levels is h(x).

        h is the support function of the levels that re-weighting can reach. When pooled, the levels are those of the
        best reply of the whole table.
        """
        levels = self.best_by_prompt(weights)
        return levels.mean(axis=0) if self.form is Form.PER_PROMPT else levels[np.argmax(levels @ weights)]

    def effective_sample_size(self, weights: np.ndarray) -> EffectiveSampleSize:
        """Return the effective sample size at weights x, (value,)."""
        return self.sample_sizes(self.batch_moments(weights[None]))[0]

    def sample_sizes(self, batch: BatchMoments) -> list[EffectiveSampleSize]:
        """Return the effective sample size of each distribution of a batch."""
        if self.form is Form.POOLED:
            return [EffectiveSampleSize(float(ess), float(ess), float(self.mean_candidates)) for ess in batch.ess]
        candidates = float(self.mean_candidates)
        pooled = batch.size / batch.concentration
        return [EffectiveSampleSize(float(e), float(p), candidates) for e, p in zip(batch.ess, pooled, strict=True)]

    def _describe(self, values: tuple[str, ...], form: Form, stats: RewardStats) -> None:
        """Set the attributes of the interface from the table's statistics."""
        self.values, self.form = values, form
        self.prompts, self.replies = stats.prompts, stats.replies
        self.base, self.scale, self.constant = stats.mean, stats.scale, stats.constant
        pooled = form is Form.POOLED
        self.log_candidates = math.log(stats.replies) if pooled else stats.log_candidates

    def subsample(self, share: float) -> Oracle | None:
        """Return a cheap oracle over about this share of the prompts, in the same units; None if none would be cheaper.

        Subsamples are nested: a smaller share is a part of a larger one. They give starting points, never results.
        """
        return None

    def of_values(self, which: np.ndarray) -> Oracle | None:
        """Return an oracle of some of the values alone, in the same units; None if it would not be cheaper.

        Args:
            which: (some,) positions of the values, each once.
        """
        return None

    @cached_property
    def base_moments(self) -> Moments:
        """Moments of the base model, at weights 0."""
        return self.moments(np.zeros(len(self.values)))

    @cached_property
    def highest(self) -> np.ndarray:
        """(value,) highest level that re-weighting can give each value, whatever the others' are."""
        return np.array([self.best(unit)[j] for j, unit in enumerate(np.eye(len(self.values)))])

    @cached_property
    def lowest(self) -> np.ndarray:
        """(value,) lowest level that re-weighting can give each value, whatever the others' are."""
        return np.array([self.best(-unit)[j] for j, unit in enumerate(np.eye(len(self.values)))])

    @cached_property
    def has_redundant_values(self) -> bool:
        """Whether some mix of the values never varies between replies to a prompt, so weights are not unique.

        A subsample is tested first: the covariance of the whole is at least its share times that of the subsample.
        """
        part = self.subsample(RANK_SHARE)
        if part is not None and np.linalg.eigvalsh(part.base_moments.covariance)[0] > FULL_RANK:
            return False
        return is_singular(self.base_moments.covariance)

    def _copy_of_values(self, which: np.ndarray) -> Self:
        """Return a shallow copy that describes some of the values alone."""
        part = self._uncached_copy()
        part.values = tuple(self.values[position] for position in which)
        part.base, part.scale, part.constant = self.base[which], self.scale[which], self.constant[which]
        return part

    def _uncached_copy(self) -> Self:
        """Return a shallow copy without cached properties, for a part of the table."""
        part = copy(self)
        for name in [name for name in vars(part) if isinstance(getattr(type(self), name, None), cached_property)]:
            del part.__dict__[name]
        return part

    def standardise(self, levels: np.ndarray) -> np.ndarray:
        """Convert levels in reward units, (..., value), to standard deviations above base."""
        return (levels - self.base) / self.scale

    def deviations(self, targets: np.ndarray) -> np.ndarray:
        """Return targets, (..., value), as standard deviations above base.

        Levels in reward units (:class:`~map_core.core.reward_levels.RewardLevels`, as
        :func:`map_core.palettes.targets.resolve` returns them) are converted; other arrays are in that unit already.
        """
        return self.standardise(targets) if isinstance(targets, RewardLevels) else np.asarray(targets, dtype=float)

    def rewards_at(self, levels: np.ndarray) -> np.ndarray:
        """Convert levels in standard deviations above base, (..., value), to reward units."""
        return self.base + levels * self.scale
