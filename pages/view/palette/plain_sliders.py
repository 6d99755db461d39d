"""Plain sliders in place of the faders, which send on release: by choice, or where the live component does not run."""

from __future__ import annotations

import streamlit as st

from map_core.palettes.palette import Target
from map_core.text import sentences
from pages.view.session import palette_state
from pages.view.session.live_answer import LiveAnswer
from pages.view.shell import markup
from pages.view.shell.session_keys import Key

PLAIN_DESK: Key[bool] = Key("plain_desk", False)


def draw_sliders(live: LiveAnswer) -> None:
    """Draw a slider for each value, with its base and realised level below."""
    scene, solution = live.scene, live.assessment.solution
    st.html(markup.value_colours(len(scene.names), scene.theme))
    st.html(markup.rail_key())
    for j, name in enumerate(scene.table.values[: scene.plain]):
        target, title = live.palette.targets[name], scene.title(j)
        low, high = scene.ranges[j]
        base = scene.percentile(j, 0.0)
        realised = None if solution is None else scene.percentile(j, float(solution.levels[j]))
        with st.container(key=f"value_{j}", gap=None):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"**{markup.plain(title)}**", help=markup.plain(scene.cards[j].replace("**", "")))
                st.html(markup.readout(*_readout(live, j, target)))
                _draw_toggles(name, scene.names[j], target)
            place = palette_state.slider_place(scene, j, target)
            st.slider(
                f"{markup.plain(title)}: "
                + live.wording.pick("target in percentiles of the", "target: better than this many of 100")
                + " replies of the base model",
                low,
                high,
                place,
                step=1,
                format=f"{live.wording.mark}%d",
                key=palette_state.TARGET.of(name).name,
                on_change=palette_state.on_slider_moved,
                args=(scene, name),
                disabled=target.free,
                label_visibility="collapsed",
                help=markup.plain(scene.cards[j].replace("**", "")),
            )
            along = f"{title}: base model at {live.wording.level(base)}"
            along += "" if realised is None else f", realised at {live.wording.level(realised)}"
            span = high - low
            st.html(
                markup.rail(
                    j, (base - low) / span, None if realised is None else (realised - low) / span, along, scene.theme
                )
            )


def _draw_toggles(name: str, title: str, target: Target) -> None:
    st.toggle(
        "Locked",
        bool(palette_state.LOCKED.of(name).show(target.locked)),
        key=palette_state.LOCKED.of(name).name,
        on_change=palette_state.on_locked_toggled,
        args=(name, title),
        disabled=target.free,
        help="A locked target is not lowered where the palette is not possible.",
    )
    st.toggle(
        "No preference",
        bool(palette_state.FREE.of(name).show(target.free)),
        key=palette_state.FREE.of(name).name,
        on_change=palette_state.on_free_toggled,
        args=(name, title),
    )


def _readout(live: LiveAnswer, j: int, target: Target) -> tuple[str, str]:
    scene, wording = live.scene, live.wording
    if not wording.numbers:
        now = f"base model {wording.level(scene.percentile(j, 0.0))}"
        if target.free:
            return "no preference", now
        return "kept as it is" if target.keep else wording.level(target.percentile), now
    base = scene.oracle.base[j]
    if target.free:
        return "no preference", f"base model {sentences.number(base)}"
    if target.keep:
        return "kept as it is", f"base model {sentences.number(base)}"
    level = scene.percentiles.level(j, target.percentile) if target.level is None else target.level
    place = wording.level(target.percentile)
    return place, f"reward {sentences.number(level)}, base model {sentences.number(base)}"
