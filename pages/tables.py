"""Tables: which one is looked at, one of one's own from a file or from a model, and how good the one at hand is."""

from __future__ import annotations

import streamlit as st

from pages.view import few_lines, summary, tables_build, tables_import, tables_kept, tables_quality, tables_work, views

VIEWS = {
    "kept": ("Tables", tables_kept.show),
    "file": ("From a file", tables_import.show),
    "build": ("Build", tables_build.show),
    "good": ("How good", tables_quality.show),
}

summary.head(
    "Tables",
    "A table holds prompts, replies to each of them, and a number a value for every reply. Everything that this app "
    "says rests on one. Choose which, bring your own, or have one made.",
    use_case=False,
)
view = views.choose("tables", {name: title for name, (title, _) in VIEWS.items()})
few_lines.show(view)
if view != "good":
    tables_work.show()
with st.container(key=f"tables_{view}"):
    VIEWS[view][1]()
