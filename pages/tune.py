"""Tune: fine-tune a model to a palette, with what that takes, its progress, and the results."""

from __future__ import annotations

import streamlit as st

from pages.view.session import aimed_scene, header, palette_cache, palette_state
from pages.view.tune import form, models, progress

scene, palette = palette_state.current()
counted = aimed_scene.counted(scene, palette)
own = palette_cache.AssessedPalette(scene, palette, palette_state.current_assessment(counted, palette))
header.draw_header(
    "Tune",
    "Write a palette into the model itself, so that its plain replies are the ones that you ask for. It learns from "
    "the replies in the table, and is then checked on prompts that it did not learn from.",
    heading="Tune a model",
)
form.draw_message()
progress.draw_progress()
models.draw_models()
with st.container(key="tune_form"):
    form.draw_form(own)
