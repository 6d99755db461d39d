"""Combine the results of the parts of a table; parts (blocks, row groups, workers) return averages and not replies.

Parts hold whole prompts. Per prompt, moments are averages over prompts, so parts average by their number of
prompts. Pooled, a part's share of the tilted distribution is its size times exp(A): the parts' log-normalisers
are combined by log-sum-exp and their levels and covariances as those of a mixture. Every array has the part as
its first axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from map_core.core.types import Form
from map_core.oracle.base import BatchMoments, Moments, PromptMoments


def combine_batches(form: Form, parts: Sequence[BatchMoments]) -> BatchMoments:
    """Combine the batches of the parts into that of the whole table; a part may have size 0 in a row."""
    if len(parts) == 1:
        return parts[0]
    size = np.array([part.size for part in parts])
    log_normaliser = np.array([part.log_normaliser for part in parts])
    levels = np.array([part.levels for part in parts])
    covariance = None
    if parts[0].covariance is not None:
        covariance = np.array([part.covariance for part in parts])
    concentration, ess = np.array([part.concentration for part in parts]), np.array([part.ess for part in parts])
    total, mass = _mass(form, size, log_normaliser)
    mean = np.einsum("pb,pbi->bi", mass, levels)
    if covariance is not None:
        covariance = np.einsum("pb,pbij->bij", mass, covariance)
        if form is Form.POOLED:
            deviation = levels - mean
            covariance += np.einsum("pb,pbi,pbj->bij", mass, deviation, deviation)
    if form is Form.POOLED:
        concentration = (mass**2 * concentration).sum(axis=0)
        return BatchMoments(size.sum(axis=0), total, mean, covariance, 1.0 / concentration, concentration)
    return BatchMoments(
        size.sum(axis=0), total, mean, covariance, (mass * ess).sum(axis=0), (mass * concentration).sum(axis=0)
    )


def combine_moments(form: Form, sizes: Sequence[int], parts: Sequence[Moments]) -> Moments:
    """Combine the moments of the parts, each of ``sizes`` prompts (replies when pooled), into those of the whole."""
    if len(parts) == 1:
        return parts[0]
    levels = np.array([part.levels for part in parts])
    covariances = np.array([part.covariance for part in parts])
    total, mass = _mass(form, np.array(sizes, dtype=float), np.array([part.log_normaliser for part in parts]))
    mean = mass @ levels
    covariance = np.tensordot(mass, covariances, 1)
    if form is Form.POOLED:
        deviation = levels - mean
        covariance += (mass[:, None] * deviation).T @ deviation
    return Moments(float(total), mean, covariance)


def combine_best(form: Form, weights: np.ndarray, sizes: Sequence[int], parts: Sequence[np.ndarray]) -> np.ndarray:
    """Combine the best levels, (value,), of the parts into those of the whole table."""
    levels = np.array(parts)
    if form is Form.POOLED:
        best: np.ndarray = levels[np.argmax(levels @ weights)]
        return best
    return np.average(levels, axis=0, weights=np.array(sizes, dtype=float))


def combine_prompts(form: Form, parts: Sequence[PromptMoments]) -> PromptMoments:
    """Concatenate the prompts of the parts; masses sum to 1 over the whole table."""
    log_normaliser = np.concatenate([part.log_normaliser for part in parts])
    replies = np.concatenate([part.replies for part in parts])
    return PromptMoments(
        prompt_mass(form, log_normaliser, replies),
        log_normaliser,
        np.concatenate([part.levels for part in parts]),
        replies,
    )


def prompt_mass(form: Form, log_normaliser: np.ndarray, replies: np.ndarray) -> np.ndarray:
    """Return each prompt's probability under the tilted distribution, (prompt,)."""
    if form is Form.PER_PROMPT:
        return np.full(len(replies), 1.0 / len(replies))
    mass: np.ndarray = replies * np.exp(log_normaliser - log_normaliser.max())
    return mass / mass.sum()


def _mass(form: Form, size: np.ndarray, log_normaliser: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-normaliser of the whole, (...,), and each part's probability, (part, ...)."""
    if form is Form.PER_PROMPT:
        mass = size / size.sum(axis=0)
        return (mass * log_normaliser).sum(axis=0), mass
    nonempty = np.where(size > 0, log_normaliser, -np.inf)
    top = nonempty.max(axis=0)
    weight = size * np.exp(nonempty - top)
    total = weight.sum(axis=0)
    return top + np.log(total / size.sum(axis=0)), weight / total
