"""Score an alignment method over a set of palettes by mean inner product and hypervolume, as PARM and UniARM do.

A palette's preference vector is lambda * sd divided by its sum: not negative, with sum 1. Levels are in standard
deviations of the base model's replies above the base level, so that all values count alike and the base model is 0.

Source: Lin et al., PARM, ICML 2025 (arXiv 2505.06274), section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from map_core.errors import EngineError

#: Reference of the hypervolume in every value, in deviations from the base level: below what palettes lead to.
REFERENCE = -1.0


@dataclass(frozen=True)
class PaletteSetScore:
    """The scores of a set of palettes; for both, higher is better.

    Args:
        mean_inner_product: mean over palettes of the inner product of preference vector and mean reward vector.
        hypervolume: volume that the mean reward vectors dominate, above the reference point.
        reference: coordinate of the reference point in every value.
    """

    mean_inner_product: float
    hypervolume: float
    reference: float = REFERENCE


def preference_vectors(lam: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Return lambda * sd divided by its sum, (palette, value).

    Args:
        lam: (palette, value) lambda, 1 / reward; at least one entry of each palette is above 0.
        deviations: (value,) standard deviations of the base model's replies, in reward units.
    """
    weights = lam * deviations
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def score_palette_set(preferences: np.ndarray, levels: np.ndarray, reference: float = REFERENCE) -> PaletteSetScore:
    """Compute mean inner product and hypervolume.

    Args:
        preferences: (palette, value) preference vectors, as :func:`preference_vectors` returns.
        levels: (palette, value) mean rewards of the replies, in deviations from the base level.
        reference: coordinate of the hypervolume's reference point in every value.

    Raises:
        EngineError: moocore is not installed.

    Source: Zitzler and Thiele, Multiobjective optimization using evolutionary algorithms, PPSN 1998, for the
    hypervolume.
    """
    try:
        import moocore
    except ImportError as error:
        raise EngineError("The hypervolume needs moocore. Run: pip install -r requirements-tune.txt") from error
    volume = moocore.hypervolume(levels, ref=np.full(levels.shape[1], reference), maximise=True)
    return PaletteSetScore(float((preferences * levels).sum(axis=1).mean()), float(volume), reference)


def score_ways(pushed: np.ndarray, levels: Mapping[str, np.ndarray]) -> dict[str, PaletteSetScore]:
    """Compute both numbers for several ways of aligning on the same palettes, over the values that any of them pushes.

    Args:
        pushed: (palette, value) lambda times the deviation of the base model's replies.
        levels: (palette, value) by way, as for :func:`score_palette_set`.

    Raises:
        EngineError: moocore is not installed.
    """
    preferences = preference_vectors(pushed, np.ones(pushed.shape[1]))
    asked = preferences.any(axis=0)
    return {way: score_palette_set(preferences[:, asked], rows[:, asked]) for way, rows in levels.items()}
