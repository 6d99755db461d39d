"""The script of every visit: names the pages and runs the one that was asked for."""

from __future__ import annotations

import streamlit as st

from pages.view.shell import browser_back, errors, markup

#: A page a line, in the order of the bar: (file and address, title, icon); sections with a name open as a menu.
PAGES = {
    "": [
        ("palette", "Palette", "tune"),
        ("values", "Values", "label"),
        ("tradeoffs", "Trade-offs", "balance"),
        ("compare", "Compare", "compare"),
        ("palettes", "Palettes", "palette"),
        ("groups", "Groups", "groups"),
    ],
    "Study": [
        ("sequence", "Sequence", "format_list_numbered"),
        ("baselines", "Baselines", "casino"),
        ("tables", "Tables", "table_chart"),
        ("delivery", "Evidence", "fact_check"),
        ("report", "Report", "summarize"),
    ],
    "About": [
        ("how", "How it works", "functions"),
        ("limits", "Limits", "report"),
        ("documents", "Documents", "article"),
    ],
}


def page(name: str, title: str, icon: str) -> st.Page:
    """A page at its own address; the palette's is the first."""
    first = name == "palette"
    return st.Page(
        f"{name}.py", title=title, icon=f":material/{icon}:", default=first, url_path=None if first else name
    )


st.set_page_config(page_title="Value Palette", page_icon="assets/icon.svg", layout="wide")
markup.apply()
browser_back.install()
bar = {section: [page(*line) for line in lines] for section, lines in PAGES.items()}
# The phone's side of a meeting is reached by its link only.
bar[""].append(st.Page("join.py", title="Join a meeting", url_path="join", visibility="hidden"))
chosen = st.navigation(bar, position="top")
errors.draw_failed_click()
with errors.guarded(chosen.title):
    chosen.run()
