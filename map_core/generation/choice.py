"""Choosing one reply from K candidates with probability softmax(lambda . r): the aligned sampler's last step.

Constraint: numpy only, no model and no clock. A choice depends on the rewards, the weights and the seed, and on
nothing else, so that it can be held against the exact tilted distribution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from map_core.core.softmax import softmax
from map_core.errors import InputError

# Each pick has a random stream of its own: the base reply is known before the first token is drawn,
# and drawing it must not move the aligned pick.
_BASE_STREAM, _ALIGNED_STREAM, _RACE_STREAM = 0xBA5E, 0xA119, 0x4ACE


@dataclass(frozen=True)
class FloorCheck:
    """What floors for every reply came to, see :mod:`map_core.generation.reply_floors`.

    Args:
        floors: by value, in reward units.
        met_by: (candidate,) which candidates meet every floor.
        met: the pick was among these; else among the nearest.
        missed: by how much the picked one misses a floor, by value, in reward units; empty where it meets all.
        nats: KL divergence from the choice without floors.
    """

    floors: Mapping[str, float]
    met_by: tuple[bool, ...]
    met: bool
    missed: Mapping[str, float]
    nats: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "floors": dict(self.floors),
            "met": self.met,
            "candidates_that_meet": sum(self.met_by),
            "missed": dict(self.missed),
            "nats": self.nats,
        }


@dataclass(frozen=True)
class Choice:
    """What re-weighting K candidates gave.

    Args:
        probabilities: softmax_k(lambda . r_k - offset_k), one per candidate, adding up to 1.
        log_z: log( mean_k exp(lambda . r_k - offset_k) ), the estimate of the log-normaliser, in nats.
        ess: effective sample size 1 / sum_k p_k^2, from 1 (one candidate carries all) to K.
        kl: nats spent against the base model, sum_k p_k lambda . r_k - log_z. For whole replies that is
            log K + sum_k p_k log p_k, from 0 to log K.
        error: standard error of the expected lambda . r under these probabilities, in nats.
        picked: the candidate drawn with these probabilities.
        base: the candidate drawn uniformly from the same K, see :func:`base_pick`.
        floors: what floors for every reply came to; None without any.
        decided: no further candidate could be picked, see :func:`race`; None where the pick was no race.
    """

    probabilities: tuple[float, ...]
    log_z: float
    ess: float
    kl: float
    error: float
    picked: int
    base: int
    floors: FloorCheck | None = None
    decided: bool | None = None

    @property
    def more_would_help(self) -> bool:
        """Too few candidates carry the choice (fewer than 4, or a quarter of K below 16), or none meets the floors.

        Where the pick was a race, a further candidate could still win it.
        """
        unmet = self.floors is not None and not self.floors.met
        open_still = self.ess < least_carrying(len(self.probabilities)) if self.decided is None else not self.decided
        return unmet or open_still


def least_carrying(candidates: int) -> float:
    """Candidates that should carry a choice, by effective sample size: 4, a quarter of K below 16, at least 1.5.

    One candidate can carry no choice at all, so more always help.
    """
    return min(4.0, max(1.5, candidates / 4))


def base_pick(candidates: int, seed: int) -> int:
    """Return the candidate that stands for the base model: uniform over K and known before sampling starts.

    Args:
        candidates: K, from 1.
        seed: the generation's seed, a whole number from 0.

    Raises:
        InputError: K is below 1 or the seed is negative.
    """
    if candidates < 1:
        raise InputError(f"The number of candidates is {candidates}; expected a whole number from 1.")
    return int(_stream(seed, _BASE_STREAM).integers(candidates))


def choose(
    rewards: ArrayLike,
    weights: ArrayLike,
    seed: int,
    *,
    log_offsets: ArrayLike | None = None,
    best: bool = False,
    base: int | None = None,
    headroom: float | None = None,
) -> Choice:
    """Pick one of K candidates with probability softmax_k(lambda . r_k - offset_k), in log space.

    Rewards are first measured from each value's best candidate, which leaves the probabilities as they are and keeps
    rewards of 1e6 as exact as rewards of 1.

    Args:
        rewards: (candidate, value), higher is better, finite; a row with a NaN is a candidate that could not be scored
            and is never picked.
        weights: (value,), 1/reward, finite; zero for a value that is shown and not asked for.
        seed: a whole number from 0; the same seed makes the same picks.
        log_offsets: (candidate,) nats of lambda . r that earlier re-sampling has paid for already; +inf for a candidate
            that is not to be chosen from. None for zeros.
        best: pick the most probable candidate and not one at random; the numbers stay those of the softmax.
        base: the base candidate, when it is known; :func:`base_pick` of all candidates otherwise.
        headroom: nats; pick by :func:`race` instead, which also says whether more candidates could change the pick.

    Raises:
        InputError: no candidate that can be chosen, shapes that do not match, a reward or weight that is not finite.

    Example:
        >>> choose([[0.0], [np.log(3.0)]], [1.0], seed=0).probabilities
        (0.25, 0.75)

    Source: Wang et al., ICLR 2025 (arXiv 2410.19198), decoding by re-sampling K replies of the base model; offsets:
    Del Moral, Doucet, Jasra, Sequential Monte Carlo samplers, JRSS B 2006.
    """
    table = np.asarray(rewards, dtype=np.float64)
    lam = np.asarray(weights, dtype=np.float64)
    if table.ndim != 2 or lam.shape != table.shape[1:]:
        raise InputError(
            f"Rewards have shape {table.shape} and weights {lam.shape}; "
            "expected (candidate, value) and one weight per value."
        )
    count = table.shape[0]
    paid = np.zeros(count) if log_offsets is None else np.asarray(log_offsets, dtype=np.float64)
    if paid.shape != (count,) or np.isnan(paid).any():
        raise InputError(f"The offsets have shape {paid.shape} for {count} candidates; expected one number each.")
    for what, array in (("reward", table), ("weight", lam)):
        if np.isinf(array).any() or (what == "weight" and np.isnan(array).any()):
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise InputError(f"The {what} at {place} is {array[place]}; expected finite numbers.")
    eligible = np.isfinite(paid) & ~np.isnan(table).any(axis=1)
    if not eligible.any():
        raise InputError("There is no candidate to choose from; expected at least one.")

    chosen_from = table[eligible]
    reference = np.where(lam >= 0, chosen_from.max(axis=0), chosen_from.min(axis=0))
    with np.errstate(over="ignore", invalid="ignore"):
        gains = ((chosen_from - reference) * lam).sum(axis=1)
        offset = float(reference @ lam)
    scores = gains - paid[eligible]
    if not (math.isfinite(scores.max()) and math.isfinite(offset)):
        raise InputError("Weights times rewards go beyond the largest number; expected smaller weights.")

    distribution = softmax(scores)
    probabilities = np.zeros(count)
    probabilities[eligible] = distribution.probabilities
    # Offsets are part of the scores and not of what the choice spends against the base model.
    kl = distribution.expectation(gains) - distribution.log_mean if paid[eligible].any() else distribution.kl
    decided: bool | None = None
    if best:
        picked = int(np.argmax(probabilities))
    elif headroom is None:
        picked = _draw(probabilities, _stream(seed, _ALIGNED_STREAM))
    else:
        # Waiting times belong to candidates, so that those of the first ones stay when more are drawn.
        waits = np.asarray(_stream(seed, _RACE_STREAM).standard_exponential(count))[eligible]
        winner, decided = race(scores, headroom, waits)
        picked = int(np.flatnonzero(eligible)[winner])
    return Choice(
        probabilities=tuple(probabilities.tolist()),
        log_z=offset + distribution.log_mean,
        ess=distribution.effective_sample_size,
        kl=kl,
        error=distribution.standard_error(gains),
        picked=picked,
        base=base_pick(count, seed) if base is None else base,
        decided=decided,
    )


def race(scores: np.ndarray, headroom: float, waits: np.ndarray) -> tuple[int, bool]:
    """Pick one of the first candidates of an endless row so that drawing the others could not change the pick.

    Candidates arrive at the times t_1 < t_2 < ... of a Poisson process, and the one with the least t_k / w_k wins,
    where w_k = exp(min(score_k, bound)) and the bound is the mean score, its standard error and the headroom added up.
    Over the endless row the winner is distributed exactly as the base model times w; and once the winner's t / w is
    below t_K / exp(bound), no later candidate can win. So drawing may stop there without a bias, although when it stops
    depends on the scores. Two things are approximate: scores above the bound count as the bound
    (:func:`map_core.analysis.headroom.headroom_for` says how much that can change), and the mean is that of the
    candidates so far. Where it happens to be low, drawing would end early; the standard error makes up for that. On
    models that can be written out and 0.02 allowed, the total variation to the tilt is 0.05 to 0.07 without it and 0.01
    to 0.02 with it (``python -m tests.benchmarks candidates``).

    Args:
        scores: (candidate,) lambda . r in nats, in the order in which they were drawn.
        headroom: nats above the mean score that count; of use from two candidates on.
        waits: (candidate,) exponential waiting times between arrivals, of mean 1.

    Returns:
        The winner so far, and whether no further candidate can win.

    Source: Maddison, A Poisson process model for Monte Carlo, 2016 (arXiv 1602.05986).
    """
    if len(scores) == 1:
        return 0, False
    arrivals = np.log(np.cumsum(waits))
    bound = float(scores.mean() + scores.std(ddof=1) / math.sqrt(len(scores))) + headroom
    keys = arrivals - np.minimum(scores, bound)
    winner = int(np.argmin(keys))
    return winner, bool(keys[winner] <= arrivals[-1] - bound)


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
