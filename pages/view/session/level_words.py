"""Words for the targets of a palette, and for the levels of a table's values as records of tuned models have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from map_core.palettes.palette import Palette
from map_core.text.tuning import GRID, LevelWords
from pages.view.session.scene import Scene
from pages.view.shell import wording


def value_titles(scene: Scene) -> dict[str, str]:
    """Return the title of each value, by name."""
    return {name: scene.title(j) for j, name in enumerate(scene.table.values)}


def level_grids(scene: Scene) -> dict[str, Sequence[float]]:
    """Return the levels at the percentiles of :data:`map_core.text.tuning.GRID`, by value, in reward units."""
    return {
        name: [float(scene.percentiles.level(j, float(percentile))) for percentile in GRID]
        for j, name in enumerate(scene.table.values)
    }


def level_words(scene: Scene) -> LevelWords:
    """Return words for the levels of a table's values, in this viewer's wording."""
    return LevelWords(value_titles(scene), level_grids(scene), wording.current())


def target_chips(scene: Scene, palette: Palette, targets: np.ndarray | None = None) -> list[tuple[int, str]]:
    """Return the position of each value with a target and the target in short; "as it is" for one that is kept.

    Args:
        scene: of the palette's use case.
        palette: to describe; it may lack values of the table.
        targets: (value,) exact percentiles, where they are known; NaN for one that is not counted.
    """
    chips = []
    for j, name in enumerate(scene.table.values[: scene.plain]):
        target = palette.targets.get(name)
        if target is None or target.free:
            continue
        percentile = target.percentile if targets is None else float(targets[j])
        if np.isnan(percentile):
            continue
        chips.append((j, f"{scene.names[j]} {'as it is' if target.keep else wording.current().level(percentile)}"))
    return chips
