"""Palettes of a delivery study: graded ones of one to all values, and random attainable ones.

Constraint: palettes are chosen by attainability on the table, before any reply is generated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.core.types import Form, Verdict
from map_core.data.distribution import Percentiles
from map_core.data.reward_table import RewardTable
from map_core.data.subsample import subsample_candidates
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, assess
from map_core.oracle import MemoryOracle
from map_core.studies.delivery.split import SUBSETS
from map_core.studies.reproduce import random_palettes

#: Percentile of palettes with one value, and how many percentiles below its grade the second mixture of a size is.
ALONE, LOWER = 70, 10
#: Percentiles of mixtures, the highest first.
GRADES = (80, 75, 70, 65, 60, 55, 50)
#: Percentiles of the first three values together, as of humor, helpful and harmless in the paper.
TOGETHER = (50, 60, 70, 80)
#: The highest percentile, as a share, of a random palette's targets.
HIGHEST = 0.8


@dataclass(frozen=True, eq=False)
class StudyPalette:
    """A palette of a study.

    Args:
        targets: (value,) in reward units, NaN for a free value.
        percentile: percentile of the base model's replies that all targets are at; None where they differ.
    """

    targets: np.ndarray
    percentile: int | None


def graded_palettes(table: RewardTable, candidates: int, *, seed: int = 0) -> tuple[StudyPalette, ...]:
    """Choose the first three values together at four percentiles, each value alone, and two mixtures of every size.

    The first mixture of a size has the highest of :data:`GRADES` at which it is reachable with K candidates; the
    second, of other values, is :data:`LOWER` percentiles below the highest at which it is reachable.

    Args:
        table: the replies that percentiles and attainability are computed from.
        candidates: K of the generator.
        seed: seed of the mixtures and the subsamples.
    """
    oracle = MemoryOracle.of(subsample_candidates(table, candidates, subsets=SUBSETS, seed=seed), Form.PER_PROMPT)
    percentiles, size = Percentiles(table, oracle.form), len(table.values)

    def palette_at(values: np.ndarray, percentile: int) -> StudyPalette:
        targets = np.full(size, np.nan)
        for j in values:
            targets[j] = percentiles.level(int(j), percentile)
        return StudyPalette(targets, percentile)

    def highest_grade(values: np.ndarray) -> int:
        for grade in GRADES:
            if assess(oracle, oracle.standardise(palette_at(values, grade).targets)).verdict is Verdict.REACHABLE:
                return grade
        return GRADES[-1]

    rng = np.random.default_rng(seed)
    palettes = [palette_at(np.arange(min(3, size)), percentile) for percentile in TOGETHER]
    palettes += [palette_at(np.array([j]), ALONE) for j in range(size)]
    for count in range(2, size + 1):
        first, second = rng.permutation(size)[:count], rng.permutation(size)[:count]
        palettes.append(palette_at(first, highest_grade(first)))
        palettes.append(palette_at(second, max(GRADES[-1], highest_grade(second) - LOWER)))
    return tuple(palettes)


def reachable_palettes(
    table: RewardTable, solved_on: RewardTable, candidates: int, count: int, *, seed: int = 0
) -> tuple[StudyPalette, ...]:
    """Draw random palettes of one to all values, each target uniform in percentiles from the base level to ``HIGHEST``.

    Args:
        table: the replies that percentiles and base levels are computed from.
        solved_on: the prompts that attainability is decided on; the same table, or a part of it.
        candidates: K of the generator.
        count: number of palettes, which are returned in the order of the draw.
        seed: seed of the draw and of the subsamples.

    Raises:
        InputError: fewer than ``count`` of 100 random palettes of each size are attainable.
    """
    oracle = MemoryOracle.of(subsample_candidates(solved_on, candidates, seed=seed), Form.PER_PROMPT)
    base, attainable = MemoryOracle.of(table), AttainableLevels(oracle)
    palettes: list[StudyPalette] = []
    for draw in range(100):
        for size in range(1, len(oracle.values) + 1):
            targets = random_palettes(table, base, size, 1, highest=HIGHEST, seed=[seed, draw, size])[0]
            if len(palettes) < count and attainable.margin(oracle.standardise(targets)).attainable:
                palettes.append(StudyPalette(targets, None))
        if len(palettes) == count:
            return tuple(palettes)
    raise InputError(
        f"Of 100 random palettes of each size only {len(palettes)} are possible; ask for fewer than {count}."
    )
