"""Palettes to begin from in the use case that is looked at, each with its verdict on this table."""

from __future__ import annotations

import streamlit as st

from map_core.presets import presets
from pages.view import palettes as pinning
from pages.view import palettes_marks as marks
from pages.view import palettes_today as today
from pages.view import stands, style, summary
from pages.view.scene import Scene


def show(scene: Scene, use_case: str) -> None:
    """A card a preset."""
    st.header("Begin from a preset")
    offered = presets(scene.table.values, scene.names, use_case)
    st.html(style.note(f"Starting points for {use_case[:1].lower() + use_case[1:]}. Take one, then move its targets."))
    known = stands.look_at("presets", [one.palette for one in offered])
    full = len(pinning.pinned()) >= pinning.MOST_PINNED
    with st.container(horizontal=True, key="presets"):
        for n, (one, stand) in enumerate(zip(offered, known, strict=True)):
            with st.container(border=True, key=f"preset_{n}"):
                st.html(marks.name(one.name))
                st.html(style.note(one.what))
                if stand is not None:
                    st.html(style.chips(today.asked(stand)))
                    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"preset_is_{n}"):
                        summary.badge(stand.assessment.verdict)
                        st.html(style.note(today.price(stand)), width="content")
                with st.container(horizontal=True, key=f"preset_buttons_{n}"):
                    st.button(
                        "Use",
                        key=f"preset_use_{n}",
                        icon=":material/input:",
                        on_click=today.use,
                        args=(one.palette, f"The preset {one.name} was taken."),
                    )
                    st.button(
                        "Pin",
                        key=f"preset_pin_{n}",
                        icon=":material/keep:",
                        type="tertiary",
                        on_click=pinning.pin,
                        args=(one.name, one.palette),
                        disabled=full,
                        help=today.PIN_FULL if full else "Look at it side by side",
                    )
