"""Apply prompt weights to any oracle: how often a prompt occurs in use, 0 when held out.

A prompt of weight v counts as v copies of it would; one of weight 0 is evaluated and never solved on. The results are
those of the plain oracle with each prompt's multiplicity, in the units of the weighted table: with m and q the weighted
base level and standard deviation in the plain table's units,

    z' = (z - m) / q,   x' = q x,   so   x' . z' = x . (z - m)   and   A'(x') = A(x) - x . m

Constraint: weights are relative; only their ratios matter.
"""

from __future__ import annotations

import numpy as np

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.oracle.base import BatchMoments, Oracle, PromptMoments

#: A variance below this share of the plain table's may be rounding; the replies then decide whether it is constant.
LITTLE_VARIANCE = 1e-9


class WeightedOracle(Oracle):
    """An oracle with a weight for each prompt.

    Args:
        oracle: any storage of the table, in which all prompts count alike.
        weights: (prompt,) finite, 0 or more, at least one above 0.

    Raises:
        InputError: the weights do not fit the prompts, or none is above 0.

    Example:
        >>> from map_core.oracle import MemoryOracle
        >>> plain = MemoryOracle([[0.0], [1.0], [0.0], [4.0]], [0, 2, 4], ("humor",), Form.PER_PROMPT)
        >>> float(WeightedOracle(plain, [3.0, 1.0]).base[0])
        0.875
    """

    prompt_weights: np.ndarray

    def __init__(self, oracle: Oracle, weights: np.ndarray) -> None:
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape != (oracle.prompts,) or not np.all(np.isfinite(weights) & (weights >= 0)) or not weights.any():
            raise InputError(
                f"There are weights of shape {weights.shape} for {oracle.prompts} prompts; expected one a prompt, each "
                "0 or more, and one at least above 0. Hold fewer prompts out."
            )
        self._plain = oracle
        self.values, self.form, self.resolution = oracle.values, oracle.form, oracle.resolution
        self.prompts, self.replies = oracle.prompts, oracle.replies
        self.prompt_weights = weights / weights.mean()
        # Kish's effective number of prompts, as a share of all.
        self._kish_share = self.prompt_weights.sum() ** 2 / (self.prompt_weights @ self.prompt_weights) / len(weights)
        self._use_weighted_units()

    def _use_weighted_units(self) -> None:
        """Set units, base levels, scales and candidates from the weighted moments of the base model."""
        plain, no_weights = self._plain, np.zeros(len(self.values))
        batch = plain.batch_moments(no_weights[None], multiplicity=self.prompt_weights[None], covariance=True)
        assert batch.covariance is not None
        by_prompt = plain.by_prompt(no_weights)
        mass = self.prompt_weights if self.form is Form.PER_PROMPT else self.prompt_weights * by_prompt.replies
        mass = mass / mass.sum()
        self._mean = batch.levels[0]
        variance = np.diag(batch.covariance[0]).copy()
        if self.form is Form.PER_PROMPT:
            variance += mass @ (by_prompt.levels - self._mean) ** 2
        self.constant = plain.constant.copy()
        for value in np.flatnonzero((variance <= LITTLE_VARIANCE) & ~plain.constant):
            self.constant[value] = self._is_constant(int(value))
        self._units = np.where(self.constant, 1.0 / plain.scale, np.sqrt(np.maximum(variance, 0.0)))
        self.base = plain.base + plain.scale * self._mean
        self.scale = np.where(self.constant, 1.0, plain.scale * self._units)
        if self.form is Form.PER_PROMPT:
            self._mean_candidates = float(mass @ by_prompt.replies)
            self.log_candidates = float(mass @ np.log(by_prompt.replies))
        else:
            self._mean_candidates = float(self.prompt_weights @ by_prompt.replies) * self._kish_share
            least = self.prompt_weights[self.prompt_weights > 0].min()
            self.log_candidates = float(np.log(self.prompt_weights @ by_prompt.replies / least))

    @property
    def mean_candidates(self) -> float:
        """Effective sample size of the base model, see :attr:`Oracle.mean_candidates`."""
        return self._mean_candidates

    def _is_constant(self, value: int) -> bool:
        """Return whether a value is the same for every reply to the prompts of positive weight."""
        unit = np.eye(len(self.values))[value]
        ends = [self._plain.best_by_prompt(sign * unit)[self.prompt_weights > 0, value] for sign in (1.0, -1.0)]
        return bool(np.ptp(ends) == 0)

    def batch_moments(
        self, weights: np.ndarray, *, multiplicity: np.ndarray | None = None, covariance: bool = False
    ) -> BatchMoments:
        """Return the moments at many weight vectors, see :meth:`Oracle.batch_moments`."""
        inner = np.asarray(weights, dtype=np.float64) / self._units
        counted = np.broadcast_to(self.prompt_weights, (len(inner), self.prompts))
        if multiplicity is not None:
            counted = counted * multiplicity
            # A bootstrap sample of held-out prompts alone is empty: the whole table replaces it.
            counted = np.where(counted.sum(axis=1, keepdims=True) > 0, counted, self.prompt_weights)
        plain = self._plain.batch_moments(inner, multiplicity=np.ascontiguousarray(counted), covariance=covariance)
        share = self._kish_share if self.form is Form.POOLED else 1.0
        return BatchMoments(
            plain.size * self._kish_share,
            plain.log_normaliser - inner @ self._mean,
            (plain.levels - self._mean) / self._units,
            None if plain.covariance is None else plain.covariance / np.outer(self._units, self._units),
            plain.ess * share,
            plain.concentration / share,
        )

    def of_values(self, which: np.ndarray) -> WeightedOracle | None:
        """Return an oracle of some of the values alone, see :meth:`Oracle.of_values`."""
        plain = self._plain.of_values(which)
        if plain is None:
            return None
        part = self._copy_of_values(which)
        part._plain, part._mean, part._units = plain, self._mean[which], self._units[which]
        return part

    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        """Return each prompt's moments, see :meth:`Oracle.by_prompt`."""
        inner = np.asarray(weights, dtype=np.float64) / self._units
        plain = self._plain.by_prompt(inner)
        mass = self.prompt_weights
        if self.form is Form.POOLED:
            # Relative to the highest that counts: a held-out one may be far above it.
            above = plain.log_normaliser - plain.log_normaliser[self.prompt_weights > 0].max()
            mass = self.prompt_weights * plain.replies * np.exp(np.minimum(above, 0.0))
        return PromptMoments(
            mass / mass.sum(),
            plain.log_normaliser - inner @ self._mean,
            (plain.levels - self._mean) / self._units,
            plain.replies,
        )

    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        """Return each prompt's best levels, see :meth:`Oracle.best_by_prompt`."""
        inner = np.asarray(weights, dtype=np.float64) / self._units
        return (self._plain.best_by_prompt(inner) - self._mean) / self._units

    def best(self, weights: np.ndarray) -> np.ndarray:
        """Return the levels of the best replies, see :meth:`Oracle.best`."""
        levels = self.best_by_prompt(weights)
        if self.form is Form.PER_PROMPT:
            return np.average(levels, axis=0, weights=self.prompt_weights)
        counted = np.flatnonzero(self.prompt_weights > 0)
        return levels[counted[np.argmax(levels[counted] @ weights)]]


def apply_prompt_weights(oracle: Oracle, weights: np.ndarray | None) -> Oracle:
    """Return the oracle itself where all prompts count alike, else a :class:`WeightedOracle` around it.

    Args:
        oracle: any storage of the table.
        weights: (prompt,) as for :class:`WeightedOracle`, or None.
    """
    if weights is None or (weights.shape == (oracle.prompts,) and np.ptp(weights) == 0 and weights[0] > 0):
        return oracle
    return WeightedOracle(oracle, weights)
