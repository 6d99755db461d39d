"""The scene with columns for what a palette asks for beyond averages, cached for all viewers.

While a fader moves, the columns are those from before the move: shares and use cases are exact all the same; the
thresholds of tails and the worst mixes of prompts are computed again once it rests.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from map_core.core.compute_once import ComputeOnce
from map_core.errors import InputError
from map_core.feasibility.aim import Aim, aim
from map_core.figures.theme import Theme
from map_core.palettes import palette as palettes
from map_core.palettes.palette import Palette
from map_core.text import protections
from pages.view.session.scene import Scene
from pages.view.shell import page_words

#: Scenes that are cached; each has a copy of the table's rewards with its columns.
MAX_REMEMBERED = 8
_scenes: ComputeOnce[Scene] = ComputeOnce(MAX_REMEMBERED)


def counted(scene: Scene, palette: Palette) -> Scene:
    """Return the scene with columns for what a palette asks for beyond averages; itself where that is nothing.

    Thread-safe; a caller waits where another one is computing the same.
    """
    if not palette.asks_beyond_averages:
        return scene
    key = _key(scene, palette)
    return _scenes.get(key, lambda: _counted(key, scene, palette))


def _key(scene: Scene, palette: Palette) -> tuple[Any, ...]:
    beside = palette.beside
    key: tuple[Any, ...] = (scene.key, tuple(palette.columns.items()), beside)
    if beside.no_cohort_below_base:
        key += (tuple(name for name, target in palette.targets.items() if not target.free),)
    if (
        beside.no_worse_tail or beside.worst_mean or beside.any_mix or beside.every_scorer
    ):  # their columns depend on the levels
        levels = palettes.standardised(palette, scene.table.values, scene.oracle, scene.percentiles)
        key += (levels.tobytes(),)
    return key


def _counted(key: tuple[Any, ...], scene: Scene, palette: Palette) -> Scene:
    problems: tuple[str, ...] = ()
    try:
        aimed = aim(scene.table, scene.oracle, palette)
    except InputError:
        palette, problems = _usable(scene, palette)
        aimed = aim(scene.table, scene.oracle, palette)
    return _with_aim(scene, key, aimed, problems)


def _usable(scene: Scene, palette: Palette) -> tuple[Palette, tuple[str, ...]]:
    """Return a palette without what this table cannot count, and why, a sentence each."""
    problems = []
    kept = replace(palette, columns={}, beside=type(palette.beside)())
    for name, level in palette.columns.items():
        tried = replace(kept, columns={**kept.columns, name: level})
        try:
            aim(scene.table, scene.oracle, tried)
            kept = tried
        except InputError as error:
            problems.append(page_words.of(error))
    try:
        whole = replace(kept, beside=palette.beside)
        aim(scene.table, scene.oracle, whole)
        kept = whole
    except InputError as error:
        problems.append(page_words.of(error))
    return kept, tuple(problems)


def _with_aim(scene: Scene, key: tuple[Any, ...], aimed: Aim, problems: tuple[str, ...]) -> Scene:
    table = aimed.table
    values = [table.index(column.value) for column in table.derived]
    colours = dict(scene.theme.chosen)
    colours |= {j: scene.colour(value) for j, value in enumerate(values, start=aimed.plain)}
    return replace(
        scene,
        key=key,
        table=table,
        oracle=aimed.oracle,
        names=protections.with_column_names(aimed, scene.names),
        cards=(*scene.cards, *(scene.cards[value] for value in values)),
        theme=Theme(colours),
        aim=aimed,
        problems=problems,
    )
