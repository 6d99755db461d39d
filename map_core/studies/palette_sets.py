"""What a way of aligning comes to over a set of palettes, as PARM and UniARM report it: two numbers.

A palette's preference vector is lambda . sd over its sum: how much of it each value is, in units of a deviation, not
negative and of sum 1. Levels are deviations of the base model's replies away from the base model's level, so that all
values count alike and the base model is 0. Source: Lin et al., PARM, ICML 2025 (arXiv 2505.06274), section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from map_core.errors import EngineError

#: Each value's reference for the hypervolume, in deviations from the base level: further down than palettes push.
REFERENCE = -1.0


@dataclass(frozen=True)
class PaletteSetScore:
    """Two numbers of a set of palettes, both larger where it is better.

    Args:
        mean_inner_product: mean over palettes of preference vector . mean reward vector of the replies.
        hypervolume: of what the mean reward vectors dominate, down to the reference in every value.
        reference: of the hypervolume.
    """

    mean_inner_product: float
    hypervolume: float
    reference: float = REFERENCE


def preference_vectors(lam: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Return lambda . sd over its sum, (palette, value).

    Args:
        lam: (palette, value) lambda, 1 / reward; one of each palette above 0.
        deviations: (value,) of the base model's replies, in reward units.
    """
    pushed = lam * deviations
    return np.asarray(pushed / pushed.sum(axis=1, keepdims=True))


def score_palette_set(preferences: np.ndarray, levels: np.ndarray, reference: float = REFERENCE) -> PaletteSetScore:
    """Compute both numbers.

    Args:
        preferences: (palette, value) of :func:`preference_vectors`.
        levels: (palette, value) mean rewards of the replies, in deviations from the base level.
        reference: of the hypervolume, the same for every value.

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
