"""A table in memory whose prompts count differently: by how often they occur in use, and not at all when held out.

A prompt of weight v counts as v copies of it would; one of weight 0 is looked at and never solved on. The answers are
those of the plain table with each prompt's multiplicity, in the units of the weighted one: with m and q the weighted
base level and standard deviation in the plain table's units,

    z' = (z - m) / q,   x' = q x,   so   x' . z' = x . (z - m)   and   A'(x') = A(x) - x . m

Constraint: weights are relative; only their ratios matter.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from map_core.errors import InputError
from map_core.glossary import Form
from map_core.oracle.contract import Batch, Moments, Oracle, PromptMoments, is_singular
from map_core.oracle.memory import MemoryOracle

#: A variance below this share of the plain table's is none.
NO_VARIANCE = 1e-24


class WeightedOracle(MemoryOracle):
    """A table held in memory, with a weight for each prompt.

    Args:
        rewards, offsets, values, form, threads: as for :class:`MemoryOracle`.
        weights: (prompt,) 0 or more, finite; one at least above 0.

    Raises:
        InputError: the weights do not fit the prompts, or none is above 0; or as :class:`MemoryOracle`.
    """

    def __init__(
        self,
        rewards: np.ndarray,
        offsets: np.ndarray,
        values: tuple[str, ...],
        form: Form,
        weights: np.ndarray,
        *,
        threads: int | None = None,
    ) -> None:
        super().__init__(rewards, offsets, values, form, threads=threads)
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape != (self.prompts,) or not np.all(np.isfinite(weights) & (weights >= 0)) or not weights.any():
            raise InputError(
                f"There are weights of shape {weights.shape} for {self.prompts} prompts; expected one a prompt, each 0 "
                "or more, and one at least above 0. Hold fewer prompts out."
            )
        self.counted = weights / weights.mean()
        # Weights that differ carry less than as many equal ones would (Kish's effective number of prompts).
        self._carried = self.counted.sum() ** 2 / (self.counted @ self.counted) / len(weights)
        self._use_weighted_units()

    counted: np.ndarray

    def _use_weighted_units(self) -> None:
        nothing = np.zeros((1, len(self.values)))
        at = super().many(nothing, multiplicity=self.counted[None], covariance=True)
        assert at.covariance is not None
        by_prompt = super().by_prompt(nothing[0])
        mass = self.counted if self.form is Form.PER_PROMPT else self.counted * by_prompt.replies
        mass = mass / mass.sum()
        self._middle = at.levels[0]
        variance = np.diag(at.covariance[0]).copy()
        if self.form is Form.PER_PROMPT:
            variance += mass @ (by_prompt.levels - self._middle) ** 2
        self.constant = self.constant | (variance <= NO_VARIANCE)
        self._units = np.where(self.constant, 1.0, np.sqrt(np.maximum(variance, 0.0)))
        self.base = self.base + self.scale * self._middle
        self.scale = np.where(self.constant, 1.0, self.scale * self._units)
        if self.form is Form.PER_PROMPT:
            self.log_candidates = float(mass @ np.log(by_prompt.replies))
        else:
            self.log_candidates = float(np.log(self.counted @ by_prompt.replies))

    def many(self, weights: np.ndarray, *, multiplicity: np.ndarray | None = None, covariance: bool = False) -> Batch:
        inner = np.asarray(weights, dtype=np.float64) / self._units
        counted = np.broadcast_to(self.counted, (len(inner), self.prompts))
        if multiplicity is not None:
            counted = counted * multiplicity
            # A draw of nothing but held-out prompts says nothing: the whole table stands in for it.
            counted = np.where(counted.sum(axis=1, keepdims=True) > 0, counted, self.counted)
        at = super().many(inner, multiplicity=np.ascontiguousarray(counted), covariance=covariance)
        carried = self._carried if self.form is Form.POOLED else 1.0
        return Batch(
            at.size * self._carried,
            at.log_normaliser - inner @ self._middle,
            (at.levels - self._middle) / self._units,
            None if at.covariance is None else at.covariance / np.outer(self._units, self._units),
            at.ess * carried,
            at.concentration / carried,
        )

    def moments(self, weights: np.ndarray) -> Moments:
        return Oracle.moments(self, np.asarray(weights, dtype=np.float64))

    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        inner = np.asarray(weights, dtype=np.float64) / self._units
        at = super().by_prompt(inner)
        mass = at.mass * self.counted
        return PromptMoments(
            mass / mass.sum(),
            at.log_normaliser - inner @ self._middle,
            (at.levels - self._middle) / self._units,
            at.replies,
        )

    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        inner = np.asarray(weights, dtype=np.float64) / self._units
        return (super().best_by_prompt(inner) - self._middle) / self._units

    def best(self, weights: np.ndarray) -> np.ndarray:
        levels = self.best_by_prompt(weights)
        if self.form is Form.PER_PROMPT:
            return np.average(levels, axis=0, weights=self.counted)
        counted = np.flatnonzero(self.counted > 0)
        return levels[counted[np.argmax(levels[counted] @ weights)]]

    def subsample(self, share: float) -> Oracle | None:
        return None

    @cached_property
    def has_redundant_values(self) -> bool:
        return is_singular(self.base_moments.covariance)
