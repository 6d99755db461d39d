"""The palette of this viewer: its history with undo and redo, its place in the address, and what is made of it.

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
from pages.view.shell import markup
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

#: Where a new palette begins: so many values above the base level, the others free.
FIRST_TARGETS, FIRST_PERCENTILE = 3, 60.0
#: Steps that are remembered.
MAX_STEPS = 200
#: How the history of somebody begins who opened a link, and who did not.
OPENED_FROM_LINK, STARTED = "Opened from a link.", "Started."
#: Parameters of the address that say what the palette is.
ADDRESS = ("palette", "use")


@dataclass(frozen=True)
class HistoryStep:
    """A palette as it was after one change.

    Args:
        palette: after the change.
        what: the change in words, with numbers; :func:`step_text` words it.
        when: in UTC.
        merge: a further change of the same name replaces this step; "" for a step of its own.
    """

    palette: Palette
    what: str
    when: datetime
    merge: str = ""


@dataclass(frozen=True)
class TakenStep:
    """The step by which a palette was taken as a whole: its place in the history, and the page on which it was."""

    place: int
    page: str


@dataclass(frozen=True)
class History:
    """The steps of this viewer, and the one in force; those after it were undone and can be done again."""

    steps: tuple[HistoryStep, ...]
    place: int

    @property
    def now(self) -> Palette:
        """The palette in force."""
        return self.steps[self.place].palette

    def with_step(self, step: HistoryStep) -> History:
        """Return the history one step further, without undone steps; a merging step replaces the one of its name."""
        past = self.steps[: self.place + 1]
        if step.merge and len(past) > 1 and past[-1].merge == step.merge:
            past = past[:-1]
        past = (*past, step)[-MAX_STEPS:]
        return History(past, len(past) - 1)


def history() -> History:
    """Return the steps of this viewer; :func:`current` has begun them."""
    held = HISTORY.get()
    assert held is not None, "the page has called current()"
    return held


def current(address: bool = True) -> tuple[Scene, Palette]:
    """Return the scene and the palette of this viewer: from the address, or a first one that can be had.

    Args:
        address: write the palette into the address; not at every move of a fader, which browsers limit.
    """
    held = HISTORY.get()
    scene = scenes.load(held.now.use_case if held else ALL)
    if held is not None and set(held.now.targets) != set(scene.table.values):
        held = _adapt_to_table(scene, held)
    if held is None:
        palette, change = _palette_of_address(scene)
        scene = scenes.load(palette.use_case)
        if not palette.targets:
            palette = initial_palette(scene)
        held = History((HistoryStep(palette, change, datetime.now(UTC)),), 0)
        HISTORY.set(held)
    if address:
        write_address(held.now)
    return scene, held.now


def current_counted(address: bool = True) -> tuple[Scene, Palette]:
    """Return the same with the table's columns of what the palette asks for beyond averages."""
    scene, palette = current(address)
    return aimed_scene.counted(scene, palette), palette


def asked_beyond_averages(palette: Palette) -> list[str]:
    """Return what a palette asks for beyond averages, a sentence each, and what of it is not counted."""
    scene = aimed_scene.counted(scenes.load(palette.use_case), palette)
    if scene.aim is None:
        return []
    asked = protections.asked_sentences(scene.aim, palette, lambda value: scene.names[scene.table.index(value)])
    return [*asked, *(f"Not counted: {problem}" for problem in scene.problems)]


def _adapt_to_table(scene: Scene, held: History) -> History | None:
    """Return the history after custom values came or went; None where the table is another one altogether."""
    values, now = scene.table.values, held.now.targets
    if not set(now) & set(values):
        return None
    missing = [name for name, target in now.items() if name not in values and not target.free]
    if missing:
        titles = sentences.listed([name.replace("_", " ") for name in missing])
        st.toast(markup.plain(f"Not offered any more, so without a target now: {titles}."), icon=":material/label_off:")
    free = Target(50.0, free=True)
    steps = tuple(
        replace(
            step, palette=replace(step.palette, targets={name: step.palette.targets.get(name, free) for name in values})
        )
        for step in held.steps
    )
    adapted = replace(held, steps=steps)
    HISTORY.set(adapted)
    return adapted


def _palette_of_address(scene: Scene) -> tuple[Palette, str]:
    """Return the palette that the address names, or an empty one; what cannot be read is said and left out."""
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
            ADDRESS_ERROR.set(str(error))
    use_case = parameters.get("use", ALL)
    return Palette(use_case if use_case in scene.table.use_case_names else ALL), STARTED


def draw_address_error() -> None:
    """Say once what was wrong with the link that was opened."""
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
    """Return where a new viewer begins: the preset to open on, else a few values above base, brought within reach."""
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
    """Return where the slider of value number ``j`` stands, in whole percentiles: at the base level for *keep*.

    None where the entry of the widget is set to it instead, see :meth:`Key.show`.
    """
    percentile = scene.percentile(j, 0.0) if target.keep else target.percentile
    place = int(np.clip(round(percentile), *scene.ranges[j]))
    return TARGET.of(scene.table.values[j]).show(place)


def standardised(scene: Scene, palette: Palette) -> np.ndarray:
    """Return the targets, (value,) in standard deviations above base, NaN for free values."""
    if scene.aim is not None:
        return scene.aim.standardised(palette)
    return palettes.standardised(palette, scene.table.values, scene.oracle, scene.percentiles)


def locked(scene: Scene, palette: Palette) -> np.ndarray:
    """Return which targets must not be relaxed, (value,) bool."""
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
    """Make a palette this viewer's, as a step that can be undone.

    Args:
        palette: the new one.
        what: the change in words, a sentence, with numbers.
        merge: further changes of the same name become one step, as those of one fader that is dragged.
    """
    if palette != history().now:
        HISTORY.set(history().with_step(HistoryStep(palette, what, datetime.now(UTC), merge)))


def step_text(step: HistoryStep) -> str:
    """Return what a step did, as this viewer reads results; it is kept with numbers."""
    return wordings.current().reworded(step.what)


def take_targets(scene: Scene, targets: np.ndarray, what: str) -> None:
    """Make exact targets this viewer's palette; NaN leaves a value as it is."""
    apply_with_undo(with_levels(scene, history().now, targets), what)


def apply_with_undo(palette: Palette, what: str) -> None:
    """Apply a palette that was taken as a whole, and offer to undo that on this page until something else changes."""
    apply(palette, what)
    TAKEN.set(TakenStep(history().place, OPEN_PAGE.get()))


def offers_undo(seconds: float = math.inf) -> bool:
    """Return whether a palette that was taken as a whole on this page is the last thing that happened.

    Args:
        seconds: after which nothing is offered any more.
    """
    held = history()
    if held.place == 0 or TAKEN.get() != TakenStep(held.place, OPEN_PAGE.get()):
        return False
    return (datetime.now(UTC) - held.steps[held.place].when).total_seconds() < seconds


def undo() -> None:
    """Go one step back."""
    go_to(history().place - 1)


def redo() -> None:
    """Do the step again that was undone last."""
    go_to(history().place + 1)


def go_to(place: int) -> None:
    """Make a step the current one; nothing where there is no such step."""
    held = history()
    if 0 <= place < len(held.steps):
        HISTORY.set(replace(held, place=place))


def draw_undo_line(seconds: float = math.inf) -> None:
    """Draw what was taken last on this page, with a way back, as long as :func:`offers_undo` says.

    The style sheet keeps it in sight while the page is scrolled: what was pressed may be far below.
    """
    held = history()
    if offers_undo(seconds):
        with st.container(horizontal=True, vertical_alignment="center", key="taken"):
            st.caption(markup.plain(step_text(held.steps[held.place])), width="content")
            st.button("Undo", key="undo", icon=":material/undo:", type="tertiary", on_click=undo)


def start_again() -> None:
    """Go back to the first palette of the same use case; that is a step as well."""
    apply(initial_palette(scenes.load(history().now.use_case)), "Started again.")


def current_assessment(scene: Scene, palette: Palette) -> Assessment:
    """Return the verdict on this viewer's palette, from memory when nothing moved."""
    targets, fixed = standardised(scene, palette), locked(scene, palette)
    key = (scene.key, targets.tobytes(), fixed.tobytes())
    held = ASSESSMENT.get()
    if held and held[0] == key:
        return held[1]
    assessment = scene.assess(targets, fixed)
    ASSESSMENT.set((key, assessment))
    return assessment


def in_use_case(palette: Palette, use_case: str) -> Palette:
    """Return the same percentiles of another use case's replies: exact levels belonged to the old one."""
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
    """Make the percentile of a plain slider the target."""
    palette, title = history().now, scene.names[scene.table.index(name)]
    target = palette.targets[name].at(float(TARGET.of(name).get()))
    apply(
        palette.with_target(name, target),
        f"Set {title} to {NUMBERS.level(target.percentile)}.",
        merge=f"target {name}",
    )


def on_free_toggled(name: str, title: str) -> None:
    """Take a value's target away, or give it its target again."""
    palette = history().now
    free = bool(FREE.of(name).get())
    target = replace(palette.targets[name], free=free)
    apply(palette.with_target(name, target), f"No preference for {title}." if free else f"Gave {title} a target.")


def on_locked_toggled(name: str, title: str) -> None:
    """Lock or unlock a value."""
    palette = history().now
    target = replace(palette.targets[name], locked=bool(LOCKED.of(name).get()))
    apply(palette.with_target(name, target), f"{'Locked' if target.locked else 'Unlocked'} {title}.")
