"""The palette of this viewer: its history with undo and redo, the address, its targets, and its assessment.

Kept under keys of its own, because Streamlit forgets widgets when the page changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import streamlit as st

from map_core.core.types import Verdict
from map_core.errors import InputError
from map_core.feasibility import Assessment
from map_core.palettes import palette as palettes
from map_core.palettes import presets
from map_core.palettes.palette import ALL, Palette, Target
from map_core.text import protections, sentences
from map_core.text.wording import NUMBERS
from pages.view.session import aimed_scene
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from pages.view.shell import markup, page_words
from pages.view.shell import wording as wordings
from pages.view.shell.session_keys import OPEN_PAGE, Key, KeyFamily

HISTORY: Key[History | None] = Key("history", None)
ASSESSMENT: Key[tuple[tuple[object, ...], Assessment] | None] = Key("assessment", None)
ADDRESS_ERROR: Key[str] = Key("address_error", "")
TAKEN: Key[TakenStep | None] = Key("taken", None)
USE_CASE: Key[str] = Key("use_case", ALL)
TARGET: KeyFamily[int] = KeyFamily("target_{}", 0)
FREE: KeyFamily[bool] = KeyFamily("free_{}", False)
LOCKED: KeyFamily[bool] = KeyFamily("locked_{}", False)

#: The first palette of a table without presets: this many values at this percentile, the others free.
FIRST_TARGETS, FIRST_PERCENTILE = 3, 60.0
#: Steps of the history that are kept.
MAX_STEPS = 200
#: The text of the first step of a viewer who opened a link to a palette, and of one who did not.
OPENED_FROM_LINK, STARTED = "Opened from a link.", "Started."
#: Parameters of the address that hold the palette.
ADDRESS = ("palette", "use")


@dataclass(frozen=True)
class HistoryStep:
    """A palette as it was after one change.

    Args:
        palette: after the change.
        what: the change in words, with numbers; :func:`step_text` words it.
        when: in UTC.
        merge: a further change with the same name replaces this step; "" for a separate step.
    """

    palette: Palette
    what: str
    when: datetime
    merge: str = ""


@dataclass(frozen=True)
class TakenStep:
    """The step that replaced the whole palette: its position in the history, and the page on which it was made."""

    position: int
    page: str


@dataclass(frozen=True)
class History:
    """The steps of this viewer, and the position of the current one; those after it were undone and can be redone."""

    steps: tuple[HistoryStep, ...]
    position: int

    @property
    def now(self) -> Palette:
        """The current palette."""
        return self.steps[self.position].palette

    def with_step(self, step: HistoryStep) -> History:
        """Return the history with one more step and no undone ones; a merging step replaces the last of its name."""
        past = self.steps[: self.position + 1]
        if step.merge and len(past) > 1 and past[-1].merge == step.merge:
            past = past[:-1]
        past = (*past, step)[-MAX_STEPS:]
        return History(past, len(past) - 1)


def history() -> History:
    """Return the history of this viewer, which :func:`current` has started."""
    stored = HISTORY.get()
    assert stored is not None, "the page has called current()"
    return stored


def current(address: bool = True) -> tuple[Scene, Palette]:
    """Return the scene and the palette of this viewer: from the address, or a reachable first one.

    Args:
        address: write the palette into the address; not at every move of a fader, because browsers limit that.
    """
    stored = HISTORY.get()
    scene = scenes.load(stored.now.use_case if stored else ALL)
    if stored is not None and set(stored.now.targets) != set(scene.table.values):
        stored = _adapt_to_table(scene, stored)
    if stored is None:
        palette, change = _palette_of_address(scene)
        scene = scenes.load(palette.use_case)
        if not palette.targets:
            palette = initial_palette(scene)
        stored = History((HistoryStep(palette, change, datetime.now(UTC)),), 0)
        HISTORY.set(stored)
    if address:
        write_address(stored.now)
    return scene, stored.now


def current_counted(address: bool = True) -> tuple[Scene, Palette]:
    """Return the same, with columns in the scene for what the palette asks for beyond averages."""
    scene, palette = current(address)
    return aimed_scene.counted(scene, palette), palette


def asked_beyond_averages(palette: Palette) -> list[str]:
    """Return what a palette asks for beyond averages, a sentence each, and what of that is not counted."""
    scene = aimed_scene.counted(scenes.load(palette.use_case), palette)
    if scene.aim is None:
        return []
    asked = protections.asked_sentences(scene.aim, palette, lambda value: scene.names[scene.table.index(value)])
    return [*asked, *(f"Not counted: {problem}" for problem in scene.problems)]


def _adapt_to_table(scene: Scene, stored: History) -> History | None:
    """Return the history after custom values were added or removed; None where the table is a different one."""
    values, now = scene.table.values, stored.now.targets
    if not set(now) & set(values):
        return None
    missing = [name for name, target in now.items() if name not in values and not target.free]
    if missing:
        titles = sentences.listed([name.replace("_", " ") for name in missing])
        st.toast(markup.plain(f"No longer available, so without a target now: {titles}."), icon=":material/label_off:")
    free = Target(50.0, free=True)
    steps = tuple(
        replace(
            step, palette=replace(step.palette, targets={name: step.palette.targets.get(name, free) for name in values})
        )
        for step in stored.steps
    )
    adapted = replace(stored, steps=steps)
    HISTORY.set(adapted)
    return adapted


def _palette_of_address(scene: Scene) -> tuple[Palette, str]:
    """Return the palette that the address names, or an empty one; an error is kept for :func:`draw_address_error`."""
    parameters = {name: st.query_params[name] for name in ADDRESS if name in st.query_params}
    if "palette" in parameters:
        try:
            palette = Palette.from_query(parameters, scene.table.values)
            if palette.use_case not in (ALL, *scene.table.use_case_names):
                raise InputError(
                    f"The address names the use case {palette.use_case!r}, which this table does not have."
                )
            return palette, OPENED_FROM_LINK
        except InputError as error:
            ADDRESS_ERROR.set(page_words.of(error))
    use_case = parameters.get("use", ALL)
    return Palette(use_case if use_case in scene.table.use_case_names else ALL), STARTED


def draw_address_error() -> None:
    """Draw once what was wrong with the link that was opened."""
    if error := ADDRESS_ERROR.pop():
        st.warning("The link could not be read, so a first palette is shown.", icon=":material/link_off:")
        st.text(error)


def write_address(palette: Palette) -> None:
    """Write the palette into the address, so that a link opens the same view."""
    wanted = palette.to_query()
    for name in ADDRESS:
        if st.query_params.get(name) != wanted.get(name):
            if name in wanted:
                st.query_params[name] = wanted[name]
            else:
                st.query_params.pop(name, None)


def initial_palette(scene: Scene) -> Palette:
    """Return the first palette of a viewer: the opening preset, else a few values above base, brought within reach."""
    preset = presets.opening(scene.table.values, scene.use_case)
    if preset is not None and scene.assess(standardised(scene, preset.palette)).verdict is Verdict.REACHABLE:
        return preset.palette
    targets = {}
    for j, name in enumerate(scene.table.values):
        low, high = scene.ranges[j]
        base = float(np.clip(round(scene.percentile(j, 0.0)), low, high))
        free = j >= FIRST_TARGETS or bool(scene.oracle.constant[j])
        targets[name] = Target(base if free else float(np.clip(FIRST_PERCENTILE, low, high)), free=free)
    palette = Palette(scene.use_case, targets)
    assessment = scene.assess(standardised(scene, palette))
    if assessment.verdict is not Verdict.REACHABLE and assessment.nearest is not None:
        palette = with_levels(scene, palette, assessment.nearest.targets)
    return palette


def slider_place(scene: Scene, j: int, target: Target) -> int | None:
    """Return the default of the slider of value ``j``, in whole percentiles: the base level for *keep*.

    None where the entry of the widget is set to it instead, see :meth:`Key.show`.
    """
    percentile = scene.percentile(j, 0.0) if target.keep else target.percentile
    whole = int(np.clip(round(percentile), *scene.ranges[j]))
    return TARGET.of(scene.table.values[j]).show(whole)


def standardised(scene: Scene, palette: Palette) -> np.ndarray:
    """Return the targets, (value,) in standard deviations above base, NaN for free values."""
    if scene.aim is not None:
        return scene.aim.standardised(palette)
    return palettes.standardised(palette, scene.table.values, scene.oracle, scene.percentiles)


def locked(scene: Scene, palette: Palette) -> np.ndarray:
    """Return which targets must not be lowered, (value,) bool."""
    if scene.aim is not None:
        return scene.aim.locked(palette)
    return palettes.locked(palette, scene.table.values)


def with_levels(scene: Scene, palette: Palette, targets: np.ndarray) -> Palette:
    """Return the palette with exact (value,) targets in standard deviations above base; NaN keeps a value as it is."""
    changed = dict(palette.targets)
    if scene.aim is not None:
        targets = scene.aim.with_scorers(targets)
        palette = scene.aim.with_levels(palette, targets)
    for j in np.flatnonzero(~np.isnan(targets[: scene.plain])):
        name = scene.table.values[j]
        level = float(scene.oracle.base[j] + targets[j] * scene.oracle.scale[j])
        if not (changed[name].keep and targets[j] == 0.0):
            changed[name] = changed[name].at(scene.percentile(int(j), float(targets[j])), level)
    return replace(palette, targets=changed)


def apply(palette: Palette, what: str, merge: str = "") -> None:
    """Make a palette the current one, as a step that can be undone.

    Args:
        palette: the new one.
        what: the change in words, a sentence, with numbers.
        merge: further changes with the same name become one step, such as those of one drag of a fader.
    """
    if palette != history().now:
        HISTORY.set(history().with_step(HistoryStep(palette, what, datetime.now(UTC), merge)))


def step_text(step: HistoryStep) -> str:
    """Return the text of a step in this viewer's wording; it is kept with numbers."""
    return wordings.current().reworded(step.what)


def take_targets(scene: Scene, targets: np.ndarray, what: str) -> None:
    """Set exact targets, (value,) in standard deviations above base; NaN leaves a value as it is."""
    apply_with_undo(with_levels(scene, history().now, targets), what)


def apply_with_undo(palette: Palette, what: str) -> None:
    """Replace the whole palette, and offer to undo that on this page until something else changes."""
    apply(palette, what)
    TAKEN.set(TakenStep(history().position, OPEN_PAGE.get()))


def offers_undo(seconds: float = math.inf) -> bool:
    """Return whether the last step replaced the whole palette on this page.

    Args:
        seconds: after which undo is not offered any more.
    """
    stored = history()
    if stored.position == 0 or TAKEN.get() != TakenStep(stored.position, OPEN_PAGE.get()):
        return False
    return (datetime.now(UTC) - stored.steps[stored.position].when).total_seconds() < seconds


def undo() -> None:
    """Go one step back."""
    go_to(history().position - 1)


def redo() -> None:
    """Redo the step that was undone last."""
    go_to(history().position + 1)


def go_to(position: int) -> None:
    """Make a step the current one; do nothing where there is no such step."""
    stored = history()
    if 0 <= position < len(stored.steps):
        HISTORY.set(replace(stored, position=position))


def draw_undo_line(seconds: float = math.inf) -> None:
    """Draw the last step with an undo button, as long as :func:`offers_undo` says.

    The style sheet keeps it in view while the page is scrolled, because the button that was pressed may be far below.
    """
    stored = history()
    if offers_undo(seconds):
        with st.container(horizontal=True, vertical_alignment="center", key="taken"):
            st.caption(markup.plain(step_text(stored.steps[stored.position])), width="content")
            st.button("Undo", key="undo", icon=":material/undo:", type="tertiary", on_click=undo)


def start_again() -> None:
    """Go back to the first palette of the same use case, as a further step."""
    apply(initial_palette(scenes.load(history().now.use_case)), "Started again.")


def current_assessment(scene: Scene, palette: Palette) -> Assessment:
    """Return the assessment of this viewer's palette, from the session where nothing changed."""
    targets, fixed = standardised(scene, palette), locked(scene, palette)
    key = (scene.key, targets.tobytes(), fixed.tobytes())
    stored = ASSESSMENT.get()
    if stored and stored[0] == key:
        return stored[1]
    assessment = scene.assess(targets, fixed)
    ASSESSMENT.set((key, assessment))
    return assessment


def in_use_case(palette: Palette, use_case: str) -> Palette:
    """Return the palette with the same percentiles in another use case, without the exact levels of the old one."""
    targets = {name: replace(target, level=None) for name, target in palette.targets.items()}
    return replace(palette, use_case=use_case, targets=targets)


def _on_use_case_chosen() -> None:
    chosen = USE_CASE.get()
    what = "Changed to all use cases." if chosen == ALL else f"Changed to the use case {chosen}."
    apply(in_use_case(history().now, chosen), what)


def draw_use_case_picker() -> None:
    """Draw the choice of the use case, the same one on every page."""
    _, palette = current()
    whole = scenes.load(ALL).table
    use_cases = [ALL, *whole.use_case_names]
    st.selectbox(
        "Use case",
        use_cases,
        use_cases.index(USE_CASE.show(palette.use_case) or ALL),
        key=USE_CASE.name,
        on_change=_on_use_case_chosen,
    )


def on_slider_moved(scene: Scene, name: str) -> None:
    """Set a target to the percentile of its plain slider."""
    palette, title = history().now, scene.names[scene.table.index(name)]
    target = palette.targets[name].at(float(TARGET.of(name).get()))
    apply(
        palette.with_target(name, target),
        f"Set {title} to {NUMBERS.level(target.percentile)}.",
        merge=f"target {name}",
    )


def on_free_toggled(name: str, title: str) -> None:
    """Remove a value's target, or restore it."""
    palette = history().now
    free = bool(FREE.of(name).get())
    target = replace(palette.targets[name], free=free)
    apply(palette.with_target(name, target), f"No preference for {title}." if free else f"Gave {title} a target.")


def on_locked_toggled(name: str, title: str) -> None:
    """Lock or unlock a value."""
    palette = history().now
    target = replace(palette.targets[name], locked=bool(LOCKED.of(name).get()))
    apply(palette.with_target(name, target), f"{'Locked' if target.locked else 'Unlocked'} {title}.")
