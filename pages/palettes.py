"""What was saved, pinned, blended and done: palettes kept under a name, side by side, between each other, over time."""

from __future__ import annotations

import streamlit as st

from pages.view.palettes import blend, import_export, presets, save_form, saved, side_by_side, timeline
from pages.view.palettes.blend import End
from pages.view.session import header, palette_cache, palette_state
from pages.view.shell import tabs

VIEWS = {
    "saved": "Saved",
    "presets": "Presets",
    "beside": "Side by side",
    "blend": "Blend",
    "timeline": "Timeline",
}

scene, palette = palette_state.current()
own = palette_cache.Stand(scene, palette, palette_state.assessed(scene, palette))
header.head(
    "Palettes", "Keep a palette under a name, begin from another, hold several side by side, and see how yours changed."
)
header.palette_line(scene, own.assessment)
palette_state.undo_line()
view = tabs.choose("palettes", VIEWS)
kept = save_form.store() if view in ("saved", "blend") else None
found = save_form.saved(kept) if kept is not None else ()
with st.container(key=f"palettes_{view}"):
    if view == "saved":
        if kept is not None:
            left, right = st.columns([1, 1.5], gap="large")
            with left:
                save_form.form(kept)
            with right:
                saved.show(kept, found)
        left, right = st.columns([1, 1.5], gap="large")
        with left:
            import_export.show_link()
        with right:
            if kept is not None:
                import_export.show(kept, found)
    elif view == "presets":
        presets.show(scene, palette.use_case)
    elif view == "beside":
        side_by_side.show(own)
    elif view == "blend":
        blend.show(own, [End(one.name, one.palette) for one in found if palette_cache.fits(one.palette)])
    else:
        timeline.show(own)
