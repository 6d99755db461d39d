"""Where palettes stand that are looked at beside this viewer's own: their verdicts, levels and costs.

Each is looked at once a process and remembered. Constraint: what is drawn waits for nothing; what is not known yet is
looked at in the background, and the page is drawn again when it is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import streamlit as st

from map_core.analysis.generation_weights import effective_solution
from map_core.core.jobs import Job, shared_jobs
from map_core.feasibility import Assessment
from map_core.figures.palette_comparison import PaletteSnapshot
from map_core.palettes import palette as palettes
from map_core.palettes.palette import ALL, Palette
from map_core.solver.newton import Solution
from pages.view.session import palette_state
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from pages.view.shell import background, markup

REMEMBERED = 2048


@dataclass(frozen=True, eq=False)
class AssessedPalette:
    """A palette and what is said of it.

    Args:
        scene: of its use case.
        palette: what is asked for.
        assessment: what is said of it.
    """

    scene: Scene
    palette: Palette
    assessment: Assessment

    @property
    def solution(self) -> Solution | None:
        """Its own solution; None when it is out of reach."""
        return self.assessment.solution

    @property
    def speaks(self) -> Solution | None:
        """What speaks for it: its own solution, or that of the nearest palette that can be had."""
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
        """The palette as it is drawn beside others."""
        found = self.solution
        weights = np.full(len(self.scene.names), np.nan) if found is None else found.weights / self.scene.oracle.scale
        return PaletteSnapshot(name, self.assessment.verdict, self.targets, self.levels, weights, self.kl)

    def _percentiles(self, levels: np.ndarray) -> np.ndarray:
        units = self.scene.units()
        return np.array([float(units.of(j, np.array(levels[j]))) for j in range(len(levels))])


_known: OrderedDict[Hashable, AssessedPalette] = OrderedDict()
_lock = threading.Lock()


def assessed_palette(scene: Scene, palette: Palette) -> AssessedPalette:
    """Where a palette stands in the scene of its use case, from memory when somebody looked before."""
    key, targets, locked = _asked(scene, palette)
    known = _remembered(key)
    if known is None:
        known = AssessedPalette(scene, palette, scene.assess(targets, locked))
        with _lock:
            _known[key] = known
            while len(_known) > REMEMBERED:
                _known.popitem(last=False)
    return known


def known_palettes(name: str, wanted: Sequence[Palette]) -> tuple[AssessedPalette | None, ...]:
    """Where several palettes stand, None where that is not known yet; the page is drawn again when it is.

    Args:
        name: of the place on the page that asks.
        wanted: palettes that :func:`fits_table` calls this table's.
    """
    asked = [(scenes.load(one.use_case), one) for one in wanted]
    found = tuple(_remembered(_asked(scene, palette)[0]) for scene, palette in asked)
    missing = [pair for pair, stand in zip(asked, found, strict=True) if stand is None]
    if missing:

        def work(job: Job) -> int:
            for scene, palette in missing:
                job.check()
                assessed_palette(scene, palette)
            return len(missing)

        key = tuple(_asked(scene, palette)[0] for scene, palette in missing)
        before = shared_jobs().get((name, key))
        if before is not None and before.error:  # it would fail again, and the page be drawn for ever
            st.html(markup.note(f"Some palettes could not be looked at: {before.error}"))
        else:
            background.poll(background.job(name, key, work), lambda job: None)
    return found


def _asked(scene: Scene, palette: Palette) -> tuple[Hashable, np.ndarray, np.ndarray]:
    """A key of what is looked at, the targets, and those that are locked."""
    targets, locked = palette_state.standardised(scene, palette), palettes.locked(palette, scene.table.values)
    return (scene.key, targets.tobytes(), locked.tobytes()), targets, locked


def _remembered(key: Hashable) -> AssessedPalette | None:
    with _lock:
        if key in _known:
            _known.move_to_end(key)
        return _known.get(key)


def fits_table(palette: Palette) -> bool:
    """The palette speaks of the table that is looked at: it asks for values of it, in one of its use cases."""
    table = scenes.load(ALL).table
    asked = {name for name, target in palette.targets.items() if not target.free}
    return asked <= set(table.values) and palette.use_case in (ALL, *table.use_case_names)
