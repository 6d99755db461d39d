"""Fit weights to choices between two replies to one prompt.

    P(a rather than b) = sigma( x . (z_a - z_b) ),    x >= 0,    x_j ~ half-normal(0, PRIOR)

z are standardised rewards and x weights in nats per standard deviation, so x / scale is lambda. The logarithm of the
posterior is strictly concave; its maximum is found by projected Newton steps, its covariance is the inverse Hessian.

Constraint: arrays in, a frozen result out.

Source: Bradley and Terry, "Rank analysis of incomplete block designs", 1952; docs/judgement.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from map_core.errors import InputError
from map_core.scoring.pairwise import PairAnswer
from map_core.solver.newton import newton_step, residuals

#: Standard deviation of the prior of each weight, in nats per standard deviation of the value; and the wider one for
#: intervals, since choices determine the direction of the weights better than their length.
PRIOR, WIDE_PRIOR = 1.0, 4.0
#: Share of wrong clicks that intervals allow for: a click then holds (1 - 2 share)^2 of its information at even odds.
WRONG = 0.05
#: Most Newton steps, most shrinkages of a step, and the largest residual of a maximum.
_STEPS, _SHRINKS, _TOLERANCE = 100, 40, 1e-10
#: The share of an answer that counts for the first reply.
_SHARE = {PairAnswer.FIRST: 1.0, PairAnswer.NEITHER: 0.5, PairAnswer.SECOND: 0.0}


@dataclass(frozen=True)
class PairChoice:
    """A choice: two rows of the table in the order shown, and the answer; "neither" counts half for each."""

    first: int
    second: int
    answer: PairAnswer


@dataclass(frozen=True, eq=False)
class PreferenceFit:
    """Weights from choices.

    Args:
        weights: (value,) the most probable x, in nats per standard deviation.
        precision: (value, value) negative Hessian of the log posterior at the weights.
        gradient: (value,) of the log likelihood alone at the weights: below 0 where x_j = 0 and the choices favour less
            of the value.
        information: (value, value) negative Hessian of the log likelihood.
    """

    weights: np.ndarray
    precision: np.ndarray
    gradient: np.ndarray
    information: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """(value, value) Laplace's approximation of the posterior's covariance, without the constraint x >= 0."""
        return np.linalg.inv(self.precision)

    def probability(self, differences: np.ndarray) -> np.ndarray:
        """Return the probability that the first reply is chosen, (...,), for differences z_a - z_b, (..., value)."""
        return np.asarray(expit(differences @ self.weights))


def fit_choices(differences: np.ndarray, answers: Sequence[PairAnswer], prior: float = PRIOR) -> PreferenceFit:
    """Find the weights that explain choices best.

    Args:
        differences: (choice, value) z of the first reply less that of the second, in standard deviations.
        answers: (choice,) which of them was chosen.
        prior: standard deviation of the half-normal prior of each weight, above 0.

    Raises:
        InputError: shapes do not fit together, a difference is not finite, or the prior is not above 0.

    Example:
        >>> fit = fit_choices(np.array([[1.0]]), [PairAnswer.FIRST])  # sigma(-x) = x
        >>> round(float(fit.weights[0]), 4)
        0.4011
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 2 or len(d) != len(answers):
        raise InputError(f"differences has shape {d.shape} for {len(answers)} answers; expected (choices, values).")
    if not np.isfinite(d).all():
        raise InputError("A difference of rewards is not finite; give standardised rewards of the table.")
    if not 0 < prior < np.inf:
        raise InputError(f"The prior's standard deviation is {prior!r}; expected a number above 0.")
    shares = np.array([_SHARE[PairAnswer(answer)] for answer in answers])
    ridge = np.eye(d.shape[1]) / prior**2
    x = np.zeros(d.shape[1])
    value = _log_posterior(x, d, shares, prior)
    for _ in range(_STEPS):
        likelihood_gradient, information = _derivatives(x, d, shares)
        gradient = likelihood_gradient - x / prior**2
        if residuals(x, gradient) <= _TOLERANCE:
            break
        step = newton_step(information + ridge, gradient, x)
        scale = 1.0
        for _ in range(_SHRINKS):
            candidate = np.maximum(x + scale * step, 0.0)
            candidate_value = _log_posterior(candidate, d, shares, prior)
            if candidate_value >= value + 1e-4 * scale * float(gradient @ step) - 1e-13 * (1 + abs(value)):
                break
            scale /= 2
        else:  # no step increases the posterior any more
            break
        x, value = candidate, candidate_value
    likelihood_gradient, information = _derivatives(x, d, shares)
    return PreferenceFit(x, information + ridge, likelihood_gradient, information)


def _log_posterior(x: np.ndarray, d: np.ndarray, shares: np.ndarray, prior: float) -> float:
    margins = d @ x
    return float(np.sum(shares * log_expit(margins) + (1 - shares) * log_expit(-margins)) - x @ x / (2 * prior**2))


def _derivatives(x: np.ndarray, d: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient, (value,), and negative Hessian, (value, value), of the log likelihood."""
    chosen = expit(d @ x)
    return d.T @ (shares - chosen), (d * (chosen * (1 - chosen))[:, None]).T @ d
