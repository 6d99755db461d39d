"""Assessments of palettes other than this viewer's current one: their verdicts, levels and costs.

Each is computed once per process and cached. Constraint: drawing never waits; what is not known yet is computed in the
background, and the page is drawn again when it is.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import streamlit as st

from map_core.analysis.generation_weights import effective_solution
from map_core.core.compute_once import ComputeOnce
from map_core.core.jobs import Job, shared_jobs
from map_core.feasibility import Assessment
from map_core.figures.palette_comparison import PaletteSnapshot
from map_core.palettes.palette import ALL, Palette
from map_core.solver.newton import Solution
from pages.view.session import aimed_scene, palette_state
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from pages.view.shell import background, markup, page_words

#: Palettes that are cached for each table.
MAX_REMEMBERED = 512


@dataclass(frozen=True, eq=False)
class AssessedPalette:
    """A palette and its assessment.

    Args:
        scene: of its use case, with the values of the table alone.
        palette: what is asked for.
        assessment: of the palette.
    """

    scene: Scene
    palette: Palette
    assessment: Assessment

    @cached_property
    def counted(self) -> Scene:
        """The scene of the assessment, with columns for what is asked beyond averages."""
        return aimed_scene.counted(self.scene, self.palette)

    @property
    def solution(self) -> Solution | None:
        """Its own solution; None when it is out of reach."""
        return self.assessment.solution

    @property
    def effective_solution(self) -> Solution | None:
        """Its own solution, or that of the nearest reachable palette; None where there is neither."""
        return effective_solution(self.assessment)

    @cached_property
    def targets(self) -> np.ndarray:
        """(value,) percentiles that it asks for, NaN for free values."""
        return self._percentiles(self.assessment.targets)

    @cached_property
    def levels(self) -> np.ndarray:
        """(value,) percentiles that it gives, NaN when it is out of reach."""
        values = len(self.scene.names)
        return np.full(values, np.nan) if self.solution is None else self._percentiles(self.solution.levels)

    @property
    def kl(self) -> float:
        """Nats; NaN when it is out of reach."""
        return float("nan") if self.solution is None else float(self.solution.kl)

    def snapshot(self, name: str) -> PaletteSnapshot:
        """Return the palette as it is drawn beside others."""
        solution = self.solution
        plain = len(self.scene.names)
        weights = np.full(plain, np.nan) if solution is None else solution.weights[:plain] / self.scene.oracle.scale
        return PaletteSnapshot(name, self.assessment.verdict, self.targets, self.levels, weights, self.kl)

    def _percentiles(self, levels: np.ndarray) -> np.ndarray:
        units = self.scene.units()
        return np.array([float(units.of(j, np.array(levels[j]))) for j in range(len(self.scene.names))])


#: The assessments of each table that somebody has open. Nothing in it refers to the scene, so that a table is freed
#: with its assessments when nobody has it open any more.
_assessments: WeakKeyDictionary[Scene, ComputeOnce[Assessment]] = WeakKeyDictionary()
_lock = threading.Lock()


def assess_once(scene: Scene, targets: np.ndarray, locked: np.ndarray) -> Assessment:
    """Assess targets, from the cache where they were assessed before; a concurrent caller waits for the first one.

    Args:
        scene: the table.
        targets: (value,) in standard deviations above base, NaN for free values.
        locked: (value,) bool, those that must not give way in the nearest palette.
    """
    return _cache(scene).get((*_key(targets, locked), None), lambda: scene.assess(targets, locked))


def assessed_palette(scene: Scene, palette: Palette) -> AssessedPalette:
    """Assess a palette in the scene of its use case, from the cache where it was assessed before."""

    def assess() -> Assessment:
        counted = aimed_scene.counted(scene, palette)
        return counted.assess(palette_state.standardised(counted, palette), palette_state.locked(counted, palette))

    return AssessedPalette(scene, palette, _cache(scene).get(_key_of(scene, palette), assess))


def known_palettes(name: str, wanted: Sequence[Palette]) -> tuple[AssessedPalette | None, ...]:
    """Return what is known of several palettes; None where that is being computed, after which the page is drawn again.

    Args:
        name: of the background job, one per part of the page.
        wanted: palettes that fit the table, see :func:`fits_table`.
    """
    pairs = [(scenes.load(palette.use_case), palette) for palette in wanted]
    assessed = tuple(_known(scene, palette) for scene, palette in pairs)
    if None not in assessed:
        return assessed

    def work(job: Job) -> list[Assessment]:
        assessments = []
        for scene, palette in pairs:
            job.check()
            assessments.append(assessed_palette(scene, palette).assessment)
        return assessments

    key = tuple((scene.key, _key_of(scene, palette)) for scene, palette in pairs)
    before = shared_jobs().get((name, key))
    if before is not None and before.error and not _draw_failure(name, before.error):
        return assessed  # without a click it would fail again at each run of the page
    job = background.job(name, key, work)
    if job.result is None:
        background.poll(job, lambda job: None)
        return assessed
    # The job has its own references, because the cache may have evicted what it computed.
    return tuple(
        AssessedPalette(scene, palette, assessment)
        for (scene, palette), assessment in zip(pairs, job.result, strict=True)
    )


def _draw_failure(name: str, error: str) -> bool:
    """Draw why palettes could not be assessed, and return whether that is to be tried again."""
    st.html(markup.note(f"Some palettes could not be checked: {page_words.of(error)}"))
    return st.button("Try again", key=f"{name}_check_again", icon=":material/refresh:")


def _key_of(scene: Scene, palette: Palette) -> Hashable:
    """Return what the assessment of a palette depends on."""
    targets, locked = palette_state.standardised(scene, palette), palette_state.locked(scene, palette)
    beyond = (tuple(palette.columns.items()), palette.beside) if palette.asks_beyond_averages else None
    return *_key(targets, locked), beyond


def _key(targets: np.ndarray, locked: np.ndarray) -> tuple[bytes, bytes]:
    return targets.tobytes(), locked.tobytes()


def _cache(scene: Scene) -> ComputeOnce[Assessment]:
    with _lock:
        return _assessments.setdefault(scene, ComputeOnce(MAX_REMEMBERED))


def _known(scene: Scene, palette: Palette) -> AssessedPalette | None:
    """Return the cached assessment of a palette; None where there is none yet."""
    assessment = _cache(scene).peek(_key_of(scene, palette))
    return None if assessment is None else AssessedPalette(scene, palette, assessment)


def fits_table(palette: Palette) -> bool:
    """Return whether a palette asks only for values of the open table, in one of its use cases."""
    table = scenes.load(ALL).table
    targeted = {name for name, target in palette.targets.items() if not target.free}
    return targeted <= set(table.values) and palette.use_case in (ALL, *table.use_case_names)
