"""The palette of this viewer: kept under keys of its own, because Streamlit forgets widgets when the page changes.

A target is remembered as the percentile that the slider shows and, where something exact was taken (the nearest
palette, a point of the frontier), as that exact level too, so that rounding never tips it out of reach again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from map_core.feasibility import Assessment
from map_core.glossary import Verdict
from pages.view import scene as scenes
from pages.view.scene import ALL, Scene

#: Where a new palette begins: so many values above the base level, the others free.
FIRST_TARGETS, FIRST_PERCENTILE = 3, 60.0


@dataclass(frozen=True)
class Target:
    """One slider: its percentile, the exact level in reward units where one was taken, and whether it is free."""

    percentile: float
    level: float | None = None
    free: bool = False


@dataclass(frozen=True)
class Palette:
    """The targets of this viewer by the name of the value, in one use case."""

    use_case: str
    targets: dict[str, Target]


def current() -> tuple[Scene, Palette]:
    """The scene and the palette of this viewer; a first one that can be had when there is none yet."""
    if PagesManager.uses_pages_directory:
        # Until app.py has run once in this process, Streamlit takes a folder named "pages" for an app of its older
        # kind and runs a page that is asked for by its address without app.py, its look and its navigation.
        PagesManager.uses_pages_directory = False
        st.rerun()
    palette: Palette | None = st.session_state.get("palette")
    scene = scenes.load(palette.use_case if palette else ALL)
    if palette is None or set(palette.targets) != set(scene.table.values):
        palette = _first(scene)
        st.session_state["palette"] = palette
    return scene, palette


def _first(scene: Scene) -> Palette:
    targets = {}
    for j, name in enumerate(scene.table.values):
        low, high = scene.ranges[j]
        base = float(np.clip(round(scene.percentile(j, 0.0)), low, high))
        free = j >= FIRST_TARGETS or bool(scene.oracle.constant[j])
        targets[name] = Target(base if free else float(np.clip(FIRST_PERCENTILE, low, high)), free=free)
    palette = Palette(scene.key[2] or ALL, targets)
    found = scene.assess(standardised(scene, palette))
    if found.verdict is not Verdict.REACHABLE and found.nearest is not None:
        palette = with_levels(scene, palette, found.nearest.targets)
    return palette


def standardised(scene: Scene, palette: Palette) -> np.ndarray:
    """The targets, (value,) in standard deviations above base, NaN for free values."""
    levels = np.full(len(scene.table.values), np.nan)
    for j, name in enumerate(scene.table.values):
        target = palette.targets[name]
        if not target.free:
            levels[j] = scene.percentiles.level(j, target.percentile) if target.level is None else target.level
    return scene.oracle.standardise(levels)


def with_levels(scene: Scene, palette: Palette, targets: np.ndarray) -> Palette:
    """The palette with exact targets, (value,) in standard deviations above base; NaN leaves a value as it is."""
    changed = dict(palette.targets)
    for j in np.flatnonzero(~np.isnan(targets)):
        level = float(scene.oracle.base[j] + targets[j] * scene.oracle.scale[j])
        changed[scene.table.values[j]] = Target(scene.percentile(int(j), float(targets[j])), level)
    return replace(palette, targets=changed)


def take(scene: Scene, targets: np.ndarray, what: str) -> None:
    """Make exact targets this viewer's palette, and remember the one before for :func:`undo`."""
    palette: Palette = st.session_state["palette"]
    st.session_state["palette_before"] = (palette, what)
    st.session_state["palette"] = with_levels(scene, palette, targets)


def undo() -> None:
    """Go back to the palette before the last one that was taken."""
    before = st.session_state.pop("palette_before", None)
    if before:
        st.session_state["palette"] = before[0]


def undo_line() -> None:
    """What was taken last, with a way back."""
    before = st.session_state.get("palette_before")
    if before:
        with st.container(horizontal=True, vertical_alignment="center", key="taken"):
            st.caption(before[1], width="content")
            st.button("Undo", key="undo", icon=":material/undo:", type="tertiary", on_click=undo)


def start_again() -> None:
    """Forget the palette; the next run makes the first one again, in the same use case."""
    palette: Palette = st.session_state["palette"]
    st.session_state.pop("palette_before", None)
    st.session_state["palette"] = _first(scenes.load(palette.use_case))


def assessed(scene: Scene, palette: Palette) -> Assessment:
    """The verdict on this viewer's palette, from memory when nothing moved."""
    targets = standardised(scene, palette)
    key = (scene.key, targets.tobytes())
    held = st.session_state.get("assessment")
    if held and held[0] == key:
        return held[1]
    found = scene.assess(targets)
    st.session_state["assessment"] = (key, found)
    return found


def _choose_use_case() -> None:
    palette: Palette = st.session_state["palette"]
    # The same percentiles of the new use case's replies: exact levels belonged to the old one.
    kept = {name: replace(target, level=None) for name, target in palette.targets.items()}
    st.session_state.pop("palette_before", None)
    st.session_state["palette"] = Palette(st.session_state["use_case"], kept)


def use_case_picker() -> None:
    """The choice of the use case, the same one on every page."""
    _, palette = current()
    whole = scenes.load(ALL).table
    st.session_state["use_case"] = palette.use_case
    st.selectbox("Use case", [ALL, *whole.use_case_names], key="use_case", on_change=_choose_use_case)


def move(scene: Scene, name: str) -> None:
    """Callback of a slider: its percentile becomes the target."""
    palette: Palette = st.session_state["palette"]
    target = Target(float(st.session_state[f"target_{name}"]))
    st.session_state["palette"] = replace(palette, targets=palette.targets | {name: target})


def set_free(name: str) -> None:
    """Callback of a toggle: the value is left free, or has its target again."""
    palette: Palette = st.session_state["palette"]
    target = replace(palette.targets[name], free=bool(st.session_state[f"free_{name}"]))
    st.session_state["palette"] = replace(palette, targets=palette.targets | {name: target})
