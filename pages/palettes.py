"""Library: saved palettes, presets, palettes side by side, blends of two, and the timeline."""

from __future__ import annotations

import streamlit as st

from pages.view.compare import vote_link
from pages.view.palettes import blend, import_export, presets, save_form, saved, side_by_side, timeline
from pages.view.palettes.blend import BlendEnd
from pages.view.session import aimed_scene, header, palette_cache, palette_state, share
from pages.view.shell import tabs

VIEWS = {
    "saved": "Saved",
    "presets": "Presets",
    "beside": "Side by side",
    "blend": "Blend",
    "timeline": "Timeline",
}

scene, palette = palette_state.current()
counted = aimed_scene.counted(scene, palette)
own = palette_cache.AssessedPalette(scene, palette, palette_state.current_assessment(counted, palette))
header.draw_header(
    "Library",
    "Save a palette under a name, start from another, compare several side by side, and see how yours changed.",
    heading="Library of palettes",
)
header.draw_palette_line(counted, own.assessment)
palette_state.draw_undo_line()
view = tabs.choose_view("palettes", VIEWS)
database = save_form.open_store() if view in ("saved", "blend") else None
stored = save_form.saved_palettes(database) if database is not None else ()
with st.container(key=f"palettes_{view}"):
    if view == "saved":
        if database is not None:
            left, right = st.columns([1, 1.5], gap="large")
            with left:
                save_form.draw_save_form(database)
            with right:
                saved.draw_saved(database, stored)
        left, right = st.columns([1, 1.5], gap="large")
        with left:
            import_export.draw_link()
            vote_link.draw_link(share.address_query(palette))
        with right:
            if database is not None:
                import_export.draw_files(database, stored)
    elif view == "presets":
        presets.draw_presets(scene, palette.use_case)
    elif view == "beside":
        side_by_side.draw_side_by_side(own)
    elif view == "blend":
        blend.draw_blend(
            own,
            [
                BlendEnd(palette.name, palette.palette)
                for palette in stored
                if palette_cache.fits_table(palette.palette)
            ],
        )
    else:
        timeline.draw_timeline(own)
