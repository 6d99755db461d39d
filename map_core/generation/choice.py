"""Choose one reply from K candidates with probability softmax(lambda . r): the aligned sampler's last step.

Constraint: numpy only, no model and no clock. A choice depends on the rewards, the weights and the seed, and on
nothing else, so that it can be compared with the exact tilted distribution.
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
# and drawing it must not change the aligned pick.
_BASE_STREAM, _ALIGNED_STREAM, _RACE_STREAM = 0xBA5E, 0xA119, 0x4ACE


@dataclass(frozen=True)
class FloorCheck:
    """Which candidates meet the floors for every reply, see :mod:`map_core.generation.reply_floors`.

    Args:
        floors: by value, in reward units.
        met_by: (candidate,) whether each candidate meets every floor.
        met: whether any does; the pick is then among these, else among those with the least shortfall.
        missed: by how much the picked candidate misses a floor, by value, in reward units; empty where it meets all.
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
    """The candidate picked from K, with its probabilities and their cost.

    Args:
        probabilities: softmax_k(lambda . r_k - offset_k), one per candidate, adding up to 1.
        log_z: log( mean_k exp(lambda . r_k - offset_k) ), the estimate of the log-normaliser, in nats.
        ess: effective sample size 1 / sum_k p_k^2, from 1 (one candidate carries all) to K.
        kl: nats spent against the base model, sum_k p_k lambda . r_k - log_z. For whole replies that is
            log K + sum_k p_k log p_k, from 0 to log K.
        error: standard error of the expected lambda . r under these probabilities, in nats.
        picked: the candidate drawn with these probabilities.
        base: the candidate drawn uniformly from the same K, see :func:`base_pick`.
        floors: which candidates meet the floors for every reply; None without floors.
        decided: whether no further candidate could be picked, see :func:`race`; None where the pick was no race.
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
        """Whether more candidates could improve the choice.

        They could where no candidate meets the floors, where a race is not decided, and without a race where the
        effective sample size is below :func:`least_ess`.
        """
        unmet = self.floors is not None and not self.floors.met
        undecided = self.ess < least_ess(len(self.probabilities)) if self.decided is None else not self.decided
        return unmet or undecided


def least_ess(candidates: int) -> float:
    """Return the effective sample size that a choice should have: 4, or a quarter of K below 16, and at least 1.5.

    A single candidate never has it, since it leaves no choice.
    """
    return min(4.0, max(1.5, candidates / 4))


def base_pick(candidates: int, seed: int) -> int:
    """Return the candidate that is the base model's reply: uniform over K and known before sampling starts.

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

    Rewards are first shifted by those of each value's best candidate, which leaves the probabilities unchanged and
    keeps rewards of 1e6 as precise as rewards of 1.

    Args:
        rewards: (candidate, value), higher is better, finite; a row with a NaN is a candidate that could not be scored
            and is never picked.
        weights: (value,), 1/reward, finite; 0 for a value that is shown without being weighted.
        seed: a whole number from 0; the same seed makes the same picks.
        log_offsets: (candidate,) nats of lambda . r that earlier re-sampling has already accounted for; +inf for a
            candidate that must not be picked. None for zeros.
        best: pick the most probable candidate and not one at random; the numbers stay those of the softmax.
        base: the base candidate, when it is known; :func:`base_pick` of all candidates otherwise.
        headroom: nats; pick by :func:`race` instead, which also says whether more candidates could change the pick.

    Raises:
        InputError: no candidate can be picked, shapes do not match, or a reward or weight is not finite.

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
    for label, array, invalid in (("reward", table, np.isinf(table)), ("weight", lam, ~np.isfinite(lam))):
        if invalid.any():
            index = tuple(int(i) for i in np.argwhere(invalid)[0])
            raise InputError(f"The {label} at {index} is {array[index]}; expected finite numbers.")
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
        raise InputError("The products of weights and rewards overflow; expected smaller weights.")

    distribution = softmax(scores)
    probabilities = np.zeros(count)
    probabilities[eligible] = distribution.probabilities
    # Offsets are part of the scores, but not of the divergence of the choice from the base model.
    kl = distribution.expectation(gains) - distribution.log_mean if paid[eligible].any() else distribution.kl
    decided: bool | None = None
    if best:
        picked = int(np.argmax(probabilities))
    elif headroom is None:
        picked = _draw(probabilities, _stream(seed, _ALIGNED_STREAM))
    else:
        # Each candidate has a waiting time of its own, which stays the same when more are drawn.
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
    """Pick one of the first candidates of an infinite sequence, and say whether later ones could change the pick.

    Candidates arrive at the times t_1 < t_2 < ... of a Poisson process, and the one with the least t_k / w_k wins,
    where w_k = exp(min(score_k, bound)) and the bound is the mean score plus its standard error plus the headroom. Over
    the infinite sequence the winner is distributed exactly as the base model times w; and once the winner's t / w is
    below t_K / exp(bound), no later candidate can win. So drawing may stop there without bias, although the stopping
    time depends on the scores. Two things are approximate: scores above the bound count as the bound
    (:func:`map_core.analysis.headroom.headroom_for` says how much that can change), and the mean is that of the
    candidates so far. Where it happens to be low, drawing would end early; the standard error compensates for that. On
    models small enough to enumerate, with 0.02 allowed, the total variation distance to the tilt is 0.05 to 0.07
    without it and 0.01 to 0.02 with it (``python -m tests.benchmarks candidates``).

    Args:
        scores: (candidate,) lambda . r in nats, in the order in which they were drawn.
        headroom: nats above the mean score that still count; without effect for a single candidate.
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
    """Draw a candidate by inverting the distribution function; one of probability zero is never drawn."""
    edges = np.cumsum(probabilities)
    index = int(np.searchsorted(edges, stream.random() * edges[-1], side="right"))
    # Rounding can push the draw onto the upper end, past the last candidate of positive probability.
    return min(index, int(np.flatnonzero(probabilities)[-1]))


def _stream(seed: int, purpose: int) -> np.random.Generator:
    if seed < 0:
        raise InputError(f"The seed is {seed}; expected a whole number from 0.")
    return np.random.default_rng([seed, purpose])
