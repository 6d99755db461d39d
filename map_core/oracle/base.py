"""The contract between the mathematics and the data: weights in, moments out.

It works in the natural unit of a slider. With base level b_j and standard deviation s_j of value j under the
base model,

    z = (r - b) / s          standardised rewards
    x = s * lambda           weights in nats per standard deviation, so that x . z = lambda . (r - b)
    d = (c - b) / s          targets in standard deviations above the base level

so nothing above this floor meets a unit, an offset, or a value whose scale is 1e-9 or 1e9. Constraint: an
oracle never changes after it is made, so one may be shared between threads and cached.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from map_core.core.types import Form
from map_core.oracle.reward_stats import Spread

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

    def kl(self, weights: np.ndarray) -> float:
        """Distance from the base model, x . levels - A(x), in nats; 0 where rounding leaves less."""
        return max(0.0, float(weights @ self.levels) - self.log_normaliser)


@dataclass(frozen=True, eq=False)
class BatchMoments:
    """The tilted distributions at many weight vectors at once.

    Args:
        size: (batch,) prompts that count (replies when pooled), with their multiplicity.
        log_normaliser: (batch,) nats.
        levels: (batch, value).
        covariance: (batch, value, value); None where it was not asked for.
        ess: (batch,) replies a prompt that carry the weight: mean over prompts of 1 / sum_k P_ik^2; of the
            whole table when pooled.
        concentration: (batch,) mean over prompts of sum_k P_ik^2; of the whole table when pooled.
    """

    size: np.ndarray
    log_normaliser: np.ndarray
    levels: np.ndarray
    covariance: np.ndarray | None
    ess: np.ndarray
    concentration: np.ndarray

    def kl(self, weights: np.ndarray) -> np.ndarray:
        """(batch,) distance from the base model at these weights, (batch, value); see :meth:`Moments.kl`."""
        return np.maximum(0.0, np.sum(weights * self.levels, axis=1) - self.log_normaliser)


@dataclass(frozen=True, eq=False)
class PromptMoments:
    """Each prompt's part in the tilted distribution at one weight vector: what error bars are made of.

    Args:
        mass: (prompt,) probability of the prompt: 1 / n per prompt, its share of the tilted weight when pooled.
        log_normaliser: (prompt,) log of the prompt's mean exp(x . z), in nats.
        levels: (prompt, value) the prompt's own levels.
        replies: (prompt,) how many replies it has.
    """

    mass: np.ndarray
    log_normaliser: np.ndarray
    levels: np.ndarray
    replies: np.ndarray


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


class Oracle(ABC):
    """What a home of the data (memory, GPU, a file, a cluster) must be able to answer.

    Attributes:
        values: names, in the order of every (value,) array.
        form: per prompt or pooled.
        prompts: number of prompts, in both forms.
        replies: number of replies.
        base: (value,) levels of the base model, in reward units.
        scale: (value,) standard deviation under the base model, in reward units; 1 for a constant value.
        constant: (value,) bool, the value is the same for every reply.
        log_candidates: the most nats that any re-weighting can spend: the mean of log K over prompts,
            or the log of the number of replies when pooled.
        prompt_weights: (prompt,) how much each prompt counts, 0 when held out; None when all count alike.
        resolution: the residual, in standard deviations, that the arithmetic can tell from 0: 1e-10 in float64.
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

    @abstractmethod
    def batch_moments(
        self, weights: np.ndarray, *, multiplicity: np.ndarray | None = None, covariance: bool = False
    ) -> BatchMoments:
        """Moments at many weight vectors in one pass.

        Args:
            weights: (batch, value) x.
            multiplicity: (batch, prompt) how often each prompt counts for each weight vector, as in a bootstrap
                draw or in one half of the prompts; fractions are allowed and each row has a positive sum. Once
                each by default. Levels stay in the units of the whole table.
            covariance: compute covariances too.
        """

    @abstractmethod
    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        """Each prompt's own moments at weights x, (value,)."""

    @abstractmethod
    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        """(prompt, value) levels of each prompt's best reply for x; the first of equals."""

    def moments(self, weights: np.ndarray) -> Moments:
        """Log-normaliser, levels and covariance at weights x, (value,)."""
        at = self.batch_moments(weights[None], covariance=True)
        assert at.covariance is not None
        return Moments(float(at.log_normaliser[0]), at.levels[0], at.covariance[0])

    def best(self, weights: np.ndarray) -> np.ndarray:
        """Levels (value,) when every prompt answers with its best reply for x; h(x) = x . best(x).

        When pooled, the best reply of the whole table.
        """
        levels = self.best_by_prompt(weights)
        return levels.mean(axis=0) if self.form is Form.PER_PROMPT else levels[np.argmax(levels @ weights)]

    def effective_sample_size(self, weights: np.ndarray) -> EffectiveSampleSize:
        """How many replies the tilted distribution at x, (value,), rests on."""
        return self.sample_sizes(self.batch_moments(weights[None]))[0]

    def sample_sizes(self, batch: BatchMoments) -> list[EffectiveSampleSize]:
        """The effective sample size of each distribution of a batch."""
        if self.form is Form.POOLED:
            return [EffectiveSampleSize(float(ess), float(ess), float(self.replies)) for ess in batch.ess]
        candidates = self.replies / self.prompts
        pooled = batch.size / batch.concentration
        return [EffectiveSampleSize(float(e), float(p), candidates) for e, p in zip(batch.ess, pooled, strict=True)]

    def _describe(self, values: tuple[str, ...], form: Form, spread: Spread) -> None:
        """Set the attributes of the contract from where the rewards lie."""
        self.values, self.form = values, form
        self.prompts, self.replies = spread.prompts, spread.replies
        self.base, self.scale, self.constant = spread.mean, spread.scale, spread.constant
        pooled = form is Form.POOLED
        self.log_candidates = math.log(spread.replies) if pooled else spread.log_candidates

    def subsample(self, share: float) -> Oracle | None:
        """A cheap oracle over about this share of the prompts, in the same units; None where that gains nothing.

        Samples are nested: a smaller share is a part of a larger one. Starting points come from them, answers never.
        """
        return None

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
