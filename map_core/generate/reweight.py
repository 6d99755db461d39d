"""Choosing one reply from K candidates with probability softmax(lambda . r): the aligned sampler's last step.

Constraint: numpy only, no model and no clock. A choice depends on the rewards, the weights and the seed, and on
nothing else, so that it can be held against the exact tilted distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from map_core.errors import InputError

# The two picks have random streams of their own: the base reply is known before the first token is drawn,
# and drawing it must not move the aligned pick.
_BASE_STREAM, _ALIGNED_STREAM = 0xBA5E, 0xA119


@dataclass(frozen=True)
class Choice:
    """What re-weighting K candidates gave.

    Args:
        probabilities: softmax_k(lambda . r_k), one per candidate, adding up to 1.
        log_z: log( (1/K) sum_k exp(lambda . r_k) ), the estimate of the log-normaliser, in nats.
        ess: effective sample size 1 / sum_k p_k^2, from 1 (one candidate carries all) to K.
        kl: nats spent against the uniform pick, log K + sum_k p_k log p_k, from 0 to log K.
        picked: the candidate drawn with these probabilities.
        base: the candidate drawn uniformly from the same K, see :func:`base_pick`.
    """

    probabilities: tuple[float, ...]
    log_z: float
    ess: float
    kl: float
    picked: int
    base: int


def base_pick(candidates: int, seed: int) -> int:
    """The candidate that stands for the base model: uniform over K and known before sampling starts.

    Args:
        candidates: K, from 1.
        seed: the generation's seed, a whole number from 0.

    Raises:
        InputError: K is below 1 or the seed is negative.
    """
    if candidates < 1:
        raise InputError(f"The number of candidates is {candidates}; expected a whole number from 1.")
    return int(_stream(seed, _BASE_STREAM).integers(candidates))


def choose(rewards: ArrayLike, weights: ArrayLike, seed: int) -> Choice:
    """Pick one of K candidates with probability softmax_k(lambda . r_k), in log space.

    Rewards are first measured from each value's best candidate, which leaves the probabilities as they are and keeps
    rewards of 1e6 as exact as rewards of 1.

    Args:
        rewards: (candidate, value), higher is better, finite.
        weights: (value,), 1/reward, finite; zero for a value that is shown and not asked for.
        seed: a whole number from 0; the same seed makes the same picks.

    Raises:
        InputError: no candidate, shapes that do not match, a reward or weight that is not finite.

    Example:
        >>> choose([[0.0], [np.log(3.0)]], [1.0], seed=0).probabilities
        (0.25, 0.75)

    Source: Wang et al., ICLR 2025 (arXiv 2410.19198), decoding by re-sampling K replies of the base model.
    """
    table = np.asarray(rewards, dtype=np.float64)
    lam = np.asarray(weights, dtype=np.float64)
    if table.ndim != 2 or lam.shape != table.shape[1:]:
        raise InputError(
            f"Rewards have shape {table.shape} and weights {lam.shape}; "
            "expected (candidate, value) and one weight per value."
        )
    if table.shape[0] < 1:
        raise InputError("There is no candidate to choose from; expected at least one.")
    for what, array in (("reward", table), ("weight", lam)):
        if not np.isfinite(array).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise InputError(f"The {what} at {place} is {array[place]}; expected finite numbers.")

    reference = np.where(lam >= 0, table.max(axis=0), table.min(axis=0))
    with np.errstate(over="ignore", invalid="ignore"):
        scores = ((table - reference) * lam).sum(axis=1)
        offset = float(reference @ lam)
    best = float(scores.max())
    if not (math.isfinite(best) and math.isfinite(offset)):
        raise InputError("Weights times rewards go beyond the largest number; expected smaller weights.")

    scaled = np.exp(scores - best)
    total = float(scaled.sum())
    log_probabilities = scores - best - math.log(total)
    probabilities = scaled / total
    carried = probabilities > 0.0
    spent = float((probabilities[carried] * log_probabilities[carried]).sum())
    log_k = math.log(table.shape[0])
    return Choice(
        probabilities=tuple(probabilities.tolist()),
        log_z=offset + best + math.log(total) - log_k,
        ess=1.0 / float((probabilities**2).sum()),
        kl=min(max(log_k + spent, 0.0), log_k),
        picked=_draw(probabilities, _stream(seed, _ALIGNED_STREAM)),
        base=base_pick(table.shape[0], seed),
    )


def _draw(probabilities: np.ndarray, stream: np.random.Generator) -> int:
    """Inverse of the distribution function; a candidate of probability zero is never drawn."""
    edges = np.cumsum(probabilities)
    place = int(np.searchsorted(edges, stream.random() * edges[-1], side="right"))
    # Rounding can push the draw onto the upper end, past the last candidate that carries anything.
    return min(place, int(np.flatnonzero(probabilities)[-1]))


def _stream(seed: int, purpose: int) -> np.random.Generator:
    if seed < 0:
        raise InputError(f"The seed is {seed}; expected a whole number from 0.")
    return np.random.default_rng([seed, purpose])
