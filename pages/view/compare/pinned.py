"""The palettes compared on Listen: the current one, which can be changed here, and the pinned ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from map_core.core.unused_name import unused_name
from map_core.data.derived_columns import Cohort
from map_core.feasibility import Assessment
from map_core.palettes.palette import Palette
from pages.view.compare import generator
from pages.view.session import aimed_scene, header, kept, level_words, palette_cache, palette_state
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from pages.view.shell import confirmation, markup
from pages.view.shell import wording as wordings
from pages.view.shell.kept_keys import KeptKey
from pages.view.shell.session_keys import Key

PIN_NAME: Key[str] = Key("pin_name", "")
STEERED: Key[list[int]] = Key("steered", [])

MAX_PINNED = 3


@dataclass(frozen=True)
class PinnedPalette:
    """A copy of a palette that was pinned under a name."""

    name: str
    palette: Palette


def _dump(pins: tuple[PinnedPalette, ...]) -> list[list[Any]]:
    return [[pin.name, kept.dump_palette(pin.palette)] for pin in pins]


def _read(content: Any) -> tuple[PinnedPalette, ...]:
    return tuple(PinnedPalette(str(name)[:40], kept.read_palette(palette)) for name, palette in content[:MAX_PINNED])


PINNED: KeptKey[tuple[PinnedPalette, ...]] = KeptKey("pinned", (), _dump, _read)


@dataclass(frozen=True, eq=False)
class PaletteColumn:
    """A palette's column: its name, the key of its container, and its weights for the candidates drawn so far."""

    name: str
    key: str
    weights: generator.SteeringWeights


def pinned_palettes() -> tuple[PinnedPalette, ...]:
    """Return the palettes that this viewer has pinned, the first one first."""
    return PINNED.get()


def columns(
    scene: Scene, assessment: Assessment, candidates: int, cohorts: tuple[Cohort, ...] = ()
) -> tuple[PaletteColumn, ...]:
    """Return the current palette and the pinned ones, with weights for these candidates and the prompt's cohorts."""
    pins = pinned_palettes()
    all_columns = [
        PaletteColumn(
            "Your palette" if pins else "Aligned model",
            "aligned",
            generator.steering_weights(scene, assessment, candidates, cohorts),
        )
    ]
    for number, pinned in enumerate(pins, start=1):
        pinned_scene = aimed_scene.counted(scenes.load(pinned.palette.use_case), pinned.palette)
        targets = palette_state.standardised(pinned_scene, pinned.palette)
        locked = palette_state.locked(pinned_scene, pinned.palette)
        assessed = palette_cache.assess_once(pinned_scene, targets, locked)
        weights = generator.steering_weights(pinned_scene, assessed, candidates, cohorts)
        all_columns.append(PaletteColumn(pinned.name, f"pinned_{number}", weights))
    return tuple(all_columns)


def pin(name: str, palette: Palette, place: str) -> None:
    """Pin a palette under a name, to which a number is added where it is taken; nothing when full.

    Args:
        name: of the palette.
        palette: as it is now.
        place: of the page, at which it is confirmed.
    """
    used_names = {"Your palette", "Base model", *(pinned.name for pinned in pinned_palettes())}
    if len(pinned_palettes()) < MAX_PINNED:
        pinned = PinnedPalette(unused_name(name, used_names.__contains__), palette)
        PINNED.set((*pinned_palettes(), pinned))
        confirmation.confirm(place, f"{pinned.name} is pinned: it answers beside yours on Listen.")


def _pin() -> None:
    """Pin a copy of the current palette, which the faders no longer change."""
    pin(str(PIN_NAME.get() or "").strip() or next_pin_name(), palette_state.history().now, "pin")
    PIN_NAME.set("")


def next_pin_name() -> str:
    """Return the name of a palette that is pinned without one."""
    used_names = {pinned.name for pinned in pinned_palettes()}
    return next(name for number in range(1, MAX_PINNED + 2) if (name := f"Palette {number}") not in used_names)


def unpin(index: int) -> None:
    """Unpin a palette."""
    PINNED.set(tuple(pinned for k, pinned in enumerate(pinned_palettes()) if k != index))


def _use(index: int) -> None:
    """Make a pinned palette the current one."""
    palette_state.apply_with_undo(pinned_palettes()[index].palette, f"Switched to {pinned_palettes()[index].name}.")


def draw_palettes(scene: Scene, assessment: Assessment, candidates: int, cohorts: tuple[Cohort, ...] = ()) -> None:
    """Draw the current palette with its verdict and weights, and the pinned ones with their buttons."""
    steering = generator.steering_weights(scene, assessment, candidates, cohorts)
    header.draw_palette_line(scene, assessment, steering.by_value, candidates)
    palette_state.draw_undo_line()
    if steering.note:
        st.html(markup.note(steering.note))
    for index, pinned in enumerate(pinned_palettes()):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"pinned_line_{index}"):
            st.html(markup.name(pinned.name), width="content")
            st.html(
                markup.chips(_target_chips(pinned.palette), scene.theme) or markup.note("no value has a target"),
                width="content",
            )
            with st.container(horizontal=True, width="content", key=f"pinned_buttons_{index}"):
                st.button("Use", key=f"use_{index}", type="tertiary", on_click=_use, args=(index,))
                st.button("Unpin", key=f"unpin_{index}", type="tertiary", on_click=unpin, args=(index,))


def draw_pin_control() -> None:
    """Draw the popover that pins the current palette under a name."""
    full = len(pinned_palettes()) >= MAX_PINNED
    with st.popover("Pin this palette", icon=":material/keep:", disabled=full, key="pin_popover"):
        st.text_input("Name", key=PIN_NAME.name, max_chars=40, placeholder=next_pin_name())
        st.button("Pin", key="pin", type="primary", on_click=_pin, disabled=full)
        st.html(markup.note("It then answers in a column of its own, from the same candidates."))
    confirmation.draw("pin")


def _target_chips(palette: Palette) -> list[tuple[int, str]]:
    scene = scenes.load(palette.use_case)
    where = [] if palette.use_case == scenes.ALL else [(-1, palette.use_case)]
    return where + level_words.target_chips(scene, palette)


def draw_faders(scene: Scene, palette: Palette) -> None:
    """Draw small sliders for the targets of the current palette; a change re-weights what is being written."""
    values = list(range(scene.plain))
    st.html(markup.value_colours(len(values), scene.theme))
    chosen = STEERED.show([j for j in values if not palette.targets[scene.table.values[j]].free])
    st.pills(
        "Values with a target",
        values,
        selection_mode="multi",
        default=chosen,
        format_func=lambda j: markup.plain(scene.title(j)),
        key=STEERED.name,
        on_change=_steer,
        args=(scene,),
    )
    with st.container(horizontal=True, key="faders"):
        for j, name in enumerate(scene.table.values[: scene.plain]):
            target = palette.targets[name]
            if target.free:
                continue
            low, high = scene.ranges[j]
            percentile = palette_state.slider_place(scene, j, target)
            with st.container(key=f"value_{j}"):
                st.slider(
                    markup.plain(scene.title(j)),
                    low,
                    high,
                    percentile,
                    step=1,
                    format=f"{wordings.current().mark}%d",
                    key=palette_state.TARGET.of(name).name,
                    on_change=palette_state.on_slider_moved,
                    args=(scene, name),
                )


def _steer(scene: Scene) -> None:
    """Give the chosen values their targets, and the others none."""
    palette = palette_state.history().now
    targets = {
        name: replace(palette.targets[name], free=j not in STEERED.get())
        for j, name in enumerate(scene.table.values[: scene.plain])
    }
    palette_state.apply(replace(palette, targets=targets), "Chose which values have a target.")
