"""Hold every reply to floors, by choosing among its own prompt's candidates.

Of all distributions on the candidates that meet the floors, the closest in KL to the tilted choice w is w conditioned
on these candidates; its distance is -log W, with W their probability under w. Where none meets every floor, those with
the least shortfall replace them: the root of the sum of squares of (floor - r)+ / s, with s the standard deviation of a
value among the candidates. Constraint: numpy only, one prompt.

Source: Csiszar, "I-divergence geometry of probability distributions and minimization problems", 1975.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from map_core.generation.choice import Choice, FloorCheck, choose

#: Shortfalls that differ by less than this, in standard deviations, are equal.
EQUAL = 1e-12


def choose_above_floors(
    rewards: Mapping[str, Sequence[float]],
    floors: Mapping[str, float],
    columns: np.ndarray,
    weights: Sequence[float],
    seed: int,
    *,
    log_offsets: np.ndarray | None = None,
    best: bool = False,
    base: int | None = None,
    headroom: float | None = None,
) -> Choice:
    """Pick one of K candidates by the weights, among those that meet the floors or else those with the least shortfall.

    Args:
        rewards: by value, one a candidate; NaN for one that could not be scored, which meets no floor.
        floors: by value, in reward units; those of values without rewards do not count yet.
        columns: (candidate, weight) what the weights multiply.
        weights: lambda, one a column.
        seed: of the draw.
        log_offsets: as for :func:`map_core.generation.choice.choose`.
        best: as for :func:`map_core.generation.choice.choose`.
        base: as for :func:`map_core.generation.choice.choose`.
        headroom: as for :func:`map_core.generation.choice.choose`.

    Returns:
        The choice; its ``kl`` is measured from the uniform choice among all candidates, and ``floors`` says what was
        met.

    Raises:
        InputError: as :func:`map_core.generation.choice.choose`.

    Example:
        >>> choice = choose_above_floors({"calm": (0.0, 1.0)}, {"calm": 0.5}, np.zeros((2, 0)), [], 0)
        >>> choice.probabilities, choice.floors.met
        ((0.0, 1.0), True)
    """
    free = choose(columns, weights, seed, log_offsets=log_offsets, best=best, base=base, headroom=headroom)
    known = {name: floor for name, floor in floors.items() if name in rewards}
    if not known:
        return free
    table = np.array([rewards[name] for name in known], dtype=np.float64).T
    missing = np.maximum(np.array(list(known.values())) - table, 0.0)
    paid = np.zeros(len(table)) if log_offsets is None else np.asarray(log_offsets, dtype=np.float64)
    eligible = np.isfinite(paid) & ~np.isnan(columns).any(axis=1)
    scored = eligible & ~np.isnan(table).any(axis=1)
    if not scored.any():
        return free
    met = scored & (missing == 0.0).all(axis=1)
    allowed = met if met.any() else scored & _nearest(missing, table[scored], scored)
    offsets = np.where(allowed, paid, math.inf)
    kept = choose(columns, weights, seed, log_offsets=offsets, best=best, base=base, headroom=headroom)
    # Measured against all candidates and not against the allowed ones alone.
    log_share = math.log(int(allowed.sum()) / int(eligible.sum()))
    picked = missing[kept.picked]
    check = FloorCheck(
        floors=known,
        met_by=tuple(met.tolist()),
        met=bool(met.any()),
        missed={name: float(short) for name, short in zip(known, picked, strict=True) if short > 0},
        nats=max(0.0, free.log_z - kept.log_z - log_share),
    )
    return replace(kept, log_z=kept.log_z + log_share, kl=kept.kl - log_share, floors=check)


def _nearest(missing: np.ndarray, scored_rewards: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """Return which candidates have the least shortfall, (candidate,) bool.

    Args:
        missing: (candidate, floor) by how much each misses each floor, in reward units.
        scored_rewards: (scored candidate, floor) rewards, which give the scale.
        scored: (candidate,) bool, those with rewards.
    """
    scale = scored_rewards.std(axis=0)
    shortfall = np.linalg.norm(missing / np.where(scale > 0, scale, 1.0), axis=1)
    return np.asarray(shortfall <= shortfall[scored].min() + EQUAL)
