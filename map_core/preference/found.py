"""Turn choices into a palette: levels with intervals, and the evidence on each value.

The levels that the fitted weights give are targets whose solution these weights are. Where too few replies would carry
the weights, they are shortened along their ray, since choices determine their direction better than their length.
Constraint: arrays in, a frozen result out; :mod:`map_core.text.choosing` describes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from map_core.data.reward_table import RewardTable
from map_core.feasibility.trust import trust
from map_core.oracle import Oracle
from map_core.preference.choices import WIDE_PRIOR, WRONG, PairChoice, PreferenceFit
from map_core.preference.pairs import differences_of, fit
from map_core.scoring.pairwise import PairAnswer

#: Ratios of a weight to its standard deviation from which the value becomes a target, and from which it is sure.
_LEANS, _SURE = 0.5, 1.645
#: Draws of the weights for the intervals, and the intervals' probability.
_DRAWS, LEVEL = 400, 0.9

#: Standard deviations up to which two targets are the same; an address has twelve digits of a level.
_SAME = 1e-6


class Evidence(StrEnum):
    """The evidence of the choices on one value."""

    MORE = "more"
    LEANS = "leans"
    NOTHING = "nothing"
    LESS = "less"


@dataclass(frozen=True, eq=False)
class FoundPalette:
    """A palette inferred from choices.

    Args:
        evidence: (value,) the evidence on each value.
        weights: (value,) x of the values that become targets, in nats per standard deviation, 0 for the others.
        targets: (value,) the levels that the weights give, in standard deviations above base; NaN for a value without
            a weight.
        low: (value,) lower ends of the 90% intervals of the levels.
        high: (value,) upper ends.
        kl: nats that the weights cost.
        shortened: factor by which the weights were shortened, below 1 where too few replies would carry them.
        explained: choices that the weights order as chosen; an equal pair counts half.
        decided: choices that preferred one reply.
        undecided: the other choices.
    """

    evidence: tuple[Evidence, ...]
    weights: np.ndarray
    targets: np.ndarray
    low: np.ndarray
    high: np.ndarray
    kl: float
    shortened: float
    explained: float
    decided: int
    undecided: int

    @property
    def has_targets(self) -> bool:
        """Whether the choices favour any value."""
        return bool(np.any(~np.isnan(self.targets)))

    def gave(self, targets: np.ndarray) -> np.ndarray:
        """Return which targets, (value,) in standard deviations, are still those of this palette, (value,) bool."""
        return np.asarray(np.abs(targets - self.targets) <= _SAME)


def found_palette(table: RewardTable, oracle: Oracle, choices: Sequence[PairChoice], seed: int = 0) -> FoundPalette:
    """Turn choices into a palette.

    Args:
        table: whose replies were shown.
        oracle: its moments.
        choices: in any number; without any, no value has a target.
        seed: of the draws for the intervals.
    """
    fitted = fit(table, oracle, choices)
    deviation = np.sqrt(np.diag(fitted.covariance))
    evidence = tuple(_evidence(fitted, deviation, j) for j in range(len(oracle.values)))
    kept = np.array([item in (Evidence.MORE, Evidence.LEANS) for item in evidence])
    weights = np.where(kept, fitted.weights, 0.0)
    shortened = trusted_share(oracle, weights)
    draws = _draws(fit(table, oracle, choices, WIDE_PRIOR), seed)
    moments = oracle.moments(shortened * weights)
    levels = oracle.batch_moments(shortened * draws).levels
    low, high = np.quantile(levels, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    decided = [choice for choice in choices if choice.answer is not PairAnswer.NEITHER]
    signs = np.array([1.0 if choice.answer is PairAnswer.FIRST else -1.0 for choice in decided])
    margins = differences_of(table, oracle, decided) @ weights
    return FoundPalette(
        evidence=evidence,
        weights=shortened * weights,
        targets=np.where(kept, moments.levels, np.nan),
        low=np.minimum(low, moments.levels),
        high=np.maximum(high, moments.levels),
        kl=moments.kl(shortened * weights),
        shortened=shortened,
        explained=float(np.sum(0.5 * (1.0 + np.sign(signs * margins)))),
        decided=len(decided),
        undecided=len(choices) - len(decided),
    )


def palette_behind(
    table: RewardTable, oracle: Oracle, choices: Sequence[PairChoice], targets: np.ndarray
) -> FoundPalette | None:
    """Return the palette of choices if at least one target is still one of its levels; else None.

    Args:
        table: whose replies were shown.
        oracle: its moments.
        choices: the choices; without any, the result is None.
        targets: (value,) in standard deviations above base, NaN for free values.
    """
    if not choices:
        return None
    palette = found_palette(table, oracle, choices)
    return palette if palette.gave(targets).any() else None


def _evidence(fitted: PreferenceFit, deviation: np.ndarray, j: int) -> Evidence:
    ratio = fitted.weights[j] / deviation[j]
    if ratio >= _LEANS:
        return Evidence.MORE if ratio >= _SURE else Evidence.LEANS
    # The score test of x_j = 0 against a negative weight, which no palette has.
    score = fitted.gradient[j] / np.sqrt(max(fitted.information[j, j], 1e-12))
    return Evidence.LESS if fitted.weights[j] == 0 and score <= -_SURE else Evidence.NOTHING


def _draws(fitted: PreferenceFit, seed: int) -> np.ndarray:
    """Draw weights, (draw, value), from Laplace's approximation with a share of wrong clicks, truncated at 0."""
    lost = 1.0 - (1.0 - 2.0 * WRONG) ** 2
    root = np.linalg.cholesky(np.linalg.inv(fitted.precision - lost * fitted.information))
    normal = np.random.default_rng(seed).normal(size=(_DRAWS, len(root)))
    return np.maximum(fitted.weights + normal @ root.T, 0.0)


def trusted_share(oracle: Oracle, weights: np.ndarray) -> float:
    """Return the largest factor, up to 1, at which weights, (value,), rest on enough replies, by bisection."""

    def trusted(share: float) -> bool:
        return trust(oracle, oracle.effective_sample_size(share * weights)) >= 0

    if trusted(1.0) or not trusted(0.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if trusted(middle) else (low, middle)
    return low
