"""Tables: choose one, import one from a file, build one with a model, and see how good the open one is."""

from __future__ import annotations

import streamlit as st

from pages.view.session import header
from pages.view.shell import howto, tabs
from pages.view.tables import build_form, catalog, import_form, progress, quality

VIEWS = {
    "kept": ("Tables", catalog.draw_catalog),
    "file": ("From a file", import_form.draw_import_form),
    "build": ("Build", build_form.draw_build_form),
    "good": ("How good", quality.draw_quality),
}

header.draw_header(
    "Tables",
    "A table holds prompts, replies to each of them, and a score of every reply for each value. Everything this "
    "app says is based on one. Choose one, bring your own, or have one made.",
    use_case=False,
)
view = tabs.choose_view("tables", {name: title for name, (title, _) in VIEWS.items()})
howto.draw_howto(view)
if view != "good":
    progress.draw_progress()
with st.container(key=f"tables_{view}"):
    VIEWS[view][1]()
