"""Standard errors from each prompt's score at the solution.

Weights solve mu(x) = d on the active values F, an equation of averages over prompts. With psi_i the influence of
prompt i on the levels and H the covariance of A,

    x_F - truth ~ -(H_FF)^-1 mean(psi_F)         so   cov(x_F) = H_FF^-1 S_FF H_FF^-1 / n,  S the covariance of psi
    KL  = max over x of x . d - A(x)             so   var(KL) = var_i(A_i) / n, by the envelope theorem
    levels of x on new prompts                   :    var(mu_j) = S_jj / n, active or slack

KL is the maximum of a noisy function and therefore biased upwards by tr(H_FF^-1 S_FF) / 2n; the variance of that term,
tr((H_FF^-1 S_FF)^2) / 2 n^2, is added to its own. Per prompt, psi_i = mu_i - mu. Pooled, prompts count by their
share of the tilted weight, psi_i = n mass_i (mu_i - mu), and log M is biased too, by -var / 2n. Constraint: targets
are constants in reward units, so base and scale of the sample only define units and have no error of their own.

Source: Huber, "The behavior of maximum likelihood estimates under nonstandard conditions", 1967; bias of an optimal
value in Shapiro, Dentcheva and Ruszczynski, "Lectures on Stochastic Programming", 2009, section 5.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.solver.newton import Solution

#: Directions of the covariance with less than this share of the largest variance are redundant.
NEGLIGIBLE = 1e-10


@dataclass(frozen=True, eq=False)
class Sandwich:
    """Standard errors of a solution, in standardised units.

    Args:
        weights: (value,) of x; 0 for values without weight, for which a first-order error is not defined.
        levels: (value,) of the levels of these weights on new prompts.
        kl: of the nats spent.
        kl_bias: expected excess of the nats over their true value.
        covariance: (value, value) of the weights.
    """

    weights: np.ndarray
    levels: np.ndarray
    kl: float
    kl_bias: float
    covariance: np.ndarray


def margin_error(oracle: Oracle, certificate: np.ndarray) -> float:
    """Compute the standard error of a margin from each prompt's support value at its certificate (envelope theorem).

    Args:
        oracle: the table's oracle.
        certificate: (value,) the minimising mix of the margin.

    Returns:
        The standard error, in standard deviations; NaN for a single prompt.
    """
    prompts = oracle.counted_prompts
    if prompts < 2:
        return math.nan
    support = oracle.best_by_prompt(certificate) @ certificate
    mass = oracle.by_prompt(np.zeros(len(certificate))).mass
    influence = mass * (support - mass @ support)
    return float(np.linalg.norm(influence)) * math.sqrt(prompts / (prompts - 1))


def sandwich(oracle: Oracle, solution: Solution) -> Sandwich:
    """Compute the standard errors of converged weights.

    Args:
        oracle: the table's oracle; its prompts are a sample of future ones.
        solution: converged weights.

    Raises:
        InputError: the table has a single prompt.
    """
    prompts = oracle.counted_prompts
    if prompts < 2:
        raise InputError("The table has 1 prompt; error bars need 2 or more. Build it with more prompts.")
    by_prompt = oracle.by_prompt(solution.weights)
    share = prompts * by_prompt.mass
    score = share[:, None] * (by_prompt.levels - solution.levels)
    spread = score.T @ score / (prompts - 1)
    active = np.flatnonzero(solution.weights > 0)
    active_block = np.ix_(active, active)
    inverse = np.linalg.pinv(solution.covariance[active_block], rcond=NEGLIGIBLE, hermitian=True)
    covariance = np.zeros_like(spread)
    covariance[active_block] = inverse @ spread[active_block] @ inverse / prompts
    if oracle.form is Form.POOLED:
        kl_score = share - prompts * oracle.by_prompt(np.zeros_like(solution.weights)).mass
    else:
        kl_score = share * (by_prompt.log_normaliser - by_prompt.mass @ by_prompt.log_normaliser)
    variance = float(kl_score @ kl_score) / (prompts - 1) / prompts
    ratio = inverse @ spread[active_block] / prompts
    bias = 0.5 * float(np.trace(ratio)) + (0.5 * variance if oracle.form is Form.POOLED else 0.0)
    return Sandwich(
        weights=np.sqrt(np.maximum(np.diag(covariance), 0.0)),
        levels=np.sqrt(np.diag(spread) / prompts),
        kl=math.sqrt(max(0.0, variance + 0.5 * float(np.trace(ratio @ ratio)))),
        kl_bias=bias,
        covariance=covariance,
    )
