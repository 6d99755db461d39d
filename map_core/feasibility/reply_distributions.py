"""Statistics of re-weighted replies: worst mean, tail compared with the base model's, and the worst mix of prompts."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq

from map_core.core.types import Form
from map_core.data.distribution import reply_masses
from map_core.data.reward_table import RewardTable
from map_core.oracle import Oracle
from map_core.oracle.ragged import Groups


def reply_probabilities(table: RewardTable, oracle: Oracle, weights: np.ndarray) -> np.ndarray:
    """Return the probability of each reply of a table at weights x, (reply,) with sum 1; 0 for held-out prompts.

    Args:
        table: the table.
        oracle: the table's oracle, whose form applies.
        weights: (value,) in nats per standard deviation.
    """
    logits = np.where(oracle.constant, 0.0, oracle.standardise(table.rewards)) @ weights
    counts = table.candidates
    if oracle.form is Form.PER_PROMPT:
        _, within = Groups(counts, transposed=False).tilt(logits)
        mass = np.ones(len(counts)) if table.prompt_weights is None else table.prompt_weights
        return np.asarray(within * np.repeat(mass / mass.sum(), counts))
    base = reply_masses(table, Form.POOLED)
    if base is not None:
        with np.errstate(divide="ignore"):
            logits = logits + np.log(base)
    tilted = np.exp(logits - logits.max())
    return np.asarray(tilted / tilted.sum())


def tail_excess(rewards: np.ndarray, masses: np.ndarray, base: np.ndarray) -> tuple[float, float]:
    """Return the largest excess of the expected shortfall over the base model's, and its threshold.

    max over t of  E_p (t - r)+ - E_p0 (t - r)+, which is piecewise linear in t with corners at rewards.

    Args:
        rewards: (reply,) rewards of one value.
        masses: (reply,) probabilities p, with sum 1.
        base: (reply,) probabilities p0, with sum 1.

    Example:
        >>> excess, threshold = tail_excess(np.array([0.0, 1.0]), np.array([0.75, 0.25]), np.array([0.5, 0.5]))
        >>> excess, threshold
        (0.25, 1.0)
    """
    order = np.argsort(rewards, kind="stable")
    ordered, difference = rewards[order], (masses - base)[order]
    # Measured from the lowest reward, so that a large offset costs no digits.
    above = ordered - ordered[0]
    excess = above * np.cumsum(difference) - np.cumsum(difference * above)
    largest = int(np.argmax(excess))
    return float(max(excess[largest], 0.0)), float(ordered[largest])


def worst_mix(levels: np.ndarray, masses: np.ndarray, rho: float) -> tuple[np.ndarray, float]:
    """Return the mix of prompts within a KL divergence that gives the lowest level, and that level.

    min over v >= 0 with E v = 1 and E v log v <= rho of E v m; the solution is v proportional to exp(-theta m), or
    concentrated on the prompts with the lowest level.

    Args:
        levels: (prompt,) m.
        masses: (prompt,) probabilities of the prompts, with sum 1; those with 0 are ignored.
        rho: nats, 0 or more.

    Returns:
        (prompt,) v, and the lowest level.

    Example:
        >>> mix, level = worst_mix(np.array([0.0, 1.0]), np.array([0.5, 0.5]), 0.130812)
        >>> mix.round(4).tolist(), round(level, 4)
        ([1.5, 0.5], 0.25)
    """
    counted = masses > 0
    m, w = levels[counted], masses[counted]
    spread = float(m.max() - m.min())
    mix = np.zeros(len(levels))
    lowest = m <= m.min() + 1e-12 * max(spread, 1e-300)
    if spread <= 1e-12 * max(1.0, float(np.abs(m).max())) or rho <= 1e-15:
        mix[counted] = 1.0
    elif -math.log(float(w[lowest].sum())) <= rho:
        mix[counted] = lowest / float(w[lowest].sum())
    else:

        def tilted(log_theta: float) -> np.ndarray:
            v = np.exp(-math.exp(log_theta) * (m - m.min()) / spread)
            return np.asarray(v / (w @ v))

        def surplus(log_theta: float) -> float:
            v = tilted(log_theta)
            return float(w @ (v * np.log(np.maximum(v, 1e-300)))) - rho

        high = 0.0
        while surplus(high) < 0 and high < 60.0:
            high += 3.0
        mix[counted] = tilted(high if surplus(high) < 0 else brentq(surplus, -40.0, high, xtol=1e-13))
    return mix, float(masses @ (mix * levels))


def quantile(rewards: np.ndarray, masses: np.ndarray, share: float) -> float:
    """Return the ``share`` quantile: the smallest reward such that at least this probability is at or below it."""
    order = np.argsort(rewards, kind="stable")
    position = int(np.searchsorted(np.cumsum(masses[order]), share * (1 - 1e-12)))
    return float(rewards[order[min(position, len(rewards) - 1)]])


def worst_mean(rewards: np.ndarray, masses: np.ndarray, share: float) -> float:
    """Return the mean of the worst share of replies (CVaR), exactly: max over t of t - E (t - r)+ / share.

    Args:
        rewards: (reply,).
        masses: (reply,) probabilities, with sum 1.
        share: above 0 and at most 1.

    Example:
        >>> worst_mean(np.array([0.0, 1.0, 2.0]), np.full(3, 1 / 3), 2 / 3)
        0.5
    """
    threshold = quantile(rewards, masses, share)
    return threshold - float(masses @ np.maximum(threshold - rewards, 0.0)) / share
