"""The presets of the current use case, each with its verdict on the open table."""

from __future__ import annotations

import streamlit as st

from map_core.palettes.palette import ALL
from map_core.palettes.presets import presets
from pages.view.palettes import markup as marks
from pages.view.palettes import shared
from pages.view.session import header, palette_cache
from pages.view.session.scene import Scene
from pages.view.shell import confirmation, markup


def draw_presets(scene: Scene, use_case: str) -> None:
    """Draw a card for each preset."""
    st.header("Start from a preset")
    offered = presets(scene.table.values, scene.names, use_case)
    prompts = "all use cases" if use_case == ALL else use_case
    st.html(markup.note(f"Starting points for {prompts}. Use one, then change its targets."))
    assessed = palette_cache.known_palettes("presets", [preset.palette for preset in offered])
    with st.container(horizontal=True, key="presets"):
        for n, (preset, known) in enumerate(zip(offered, assessed, strict=True)):
            with st.container(border=True, key=f"preset_{n}"):
                st.html(marks.name(preset.name))
                st.html(markup.note(preset.what))
                if known is not None:
                    st.html(markup.chips(shared.target_chips(known), scene.theme))
                    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"preset_is_{n}"):
                        header.draw_verdict_badge(known.assessment.verdict)
                        st.html(markup.note(shared.price_sentence(known)), width="content")
                with st.container(horizontal=True, key=f"preset_buttons_{n}"):
                    st.button(
                        "Use",
                        key=f"preset_use_{n}",
                        icon=":material/input:",
                        on_click=shared.use_palette,
                        args=(preset.palette, f"Switched to the preset {preset.name}."),
                    )
                    shared.draw_pin(f"preset_pin_{n}", f"preset_{n}", preset.name, preset.palette)
                confirmation.draw(f"preset_{n}")
