"""Words for the levels of a table's values, as records of tuned models have them: by name and in reward units."""

from __future__ import annotations

from collections.abc import Sequence

from map_core.text import sentences
from map_core.text.tuning import GRID, LevelWords
from pages.view.session.scene import Scene
from pages.view.shell import wording


def value_titles(scene: Scene) -> dict[str, str]:
    """Return the title of each value, by name."""
    return {name: sentences.capitalised(scene.names[j]) for j, name in enumerate(scene.table.values)}


def level_grids(scene: Scene) -> dict[str, Sequence[float]]:
    """Return the levels at the percentiles of :data:`map_core.text.tuning.GRID`, by value, in reward units."""
    return {
        name: [float(scene.percentiles.level(j, float(percentile))) for percentile in GRID]
        for j, name in enumerate(scene.table.values)
    }


def level_words(scene: Scene) -> LevelWords:
    """Return words for the levels of a table's values, in this viewer's wording."""
    return LevelWords(value_titles(scene), level_grids(scene), wording.current())
