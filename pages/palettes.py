"""What was saved, pinned, blended and done: palettes kept under a name, side by side, between each other, over time."""

from __future__ import annotations

import streamlit as st

from pages.view import (
    palettes_beside,
    palettes_blend,
    palettes_files,
    palettes_keep,
    palettes_presets,
    palettes_saved,
    palettes_timeline,
    stands,
    state,
    summary,
    views,
)
from pages.view.palettes_blend import End

VIEWS = {
    "saved": "Saved",
    "presets": "Presets",
    "beside": "Side by side",
    "blend": "Blend",
    "timeline": "Timeline",
}

scene, palette = state.current()
own = stands.Stand(scene, palette, state.assessed(scene, palette))
summary.head(
    "Palettes", "Keep a palette under a name, begin from another, hold several side by side, and see how yours changed."
)
summary.palette_line(scene, own.assessment)
state.undo_line()
view = views.choose("palettes", VIEWS)
kept = palettes_keep.store() if view in ("saved", "blend") else None
found = palettes_keep.saved(kept) if kept is not None else ()
with st.container(key=f"palettes_{view}"):
    if view == "saved":
        if kept is not None:
            left, right = st.columns([1, 1.5], gap="large")
            with left:
                palettes_keep.form(kept)
            with right:
                palettes_saved.show(kept, found)
        left, right = st.columns([1, 1.5], gap="large")
        with left:
            palettes_files.show_link()
        with right:
            if kept is not None:
                palettes_files.show(kept, found)
    elif view == "presets":
        palettes_presets.show(scene, palette.use_case)
    elif view == "beside":
        palettes_beside.show(own)
    elif view == "blend":
        palettes_blend.show(own, [End(one.name, one.palette) for one in found if stands.fits(one.palette)])
    else:
        palettes_timeline.show(own)
