"""The script of every visit: define the pages and run the one that was asked for.

To add a page: write ``pages/NAME.py`` (read the palette with ``palette_state.current()``, draw ``header.draw_header``
with its title, compute, draw), put what it draws into a package ``pages/view/NAME`` on the floor that
``tests/test_layering.py`` gives it, add a line to :data:`PAGES` below, the page's terms to ``PAGE_TERMS`` in
``pages/view/shell/glossary.py``, and a test to ``tests/pages``.
"""

from __future__ import annotations

from contextlib import suppress

import streamlit as st
from streamlit.runtime.scriptrunner import StopException

from pages.view.session import kept
from pages.view.shell import account, browser_back, connection, errors, markup
from pages.view.shell.session_keys import OPEN_PAGE

#: A page a line, in the order of the bar: (file and address, title, icon); sections with a name open as a menu, after
#: the pages without one. Titles say what people do there; addresses stay as they are, for links that exist.
PAGES = {
    "": [
        ("palette", "Set", "tune"),
        ("tradeoffs", "Explore", "balance"),
        ("compare", "Listen", "compare"),
        ("groups", "Agree", "groups"),
        ("palettes", "Library", "palette"),
    ],
    "Data": [
        ("values", "Values", "label"),
        ("tables", "Tables", "table_chart"),
        ("tune", "Tune", "school"),
    ],
    "Report": [
        ("report", "Report", "summarize"),
        ("delivery", "Evidence", "fact_check"),
        ("sequence", "Sequence", "format_list_numbered"),
        ("baselines", "Baselines", "casino"),
    ],
    "Help": [
        ("how", "How it works", "functions"),
        ("limits", "Limits", "report"),
        ("documents", "Documents", "article"),
    ],
}


def page(name: str, title: str, icon: str) -> st.Page:
    """Return a page at its own address; *Set* is the first page and has none."""
    first = name == "palette"
    return st.Page(
        f"{name}.py", title=title, icon=f":material/{icon}:", default=first, url_path=None if first else name
    )


def draw_visit() -> None:
    """Draw the frame around every page, and the page that was asked for."""
    markup.apply()
    account.admit()
    browser_back.install()
    connection.install()
    bar = {section: [page(*line) for line in lines] for section, lines in PAGES.items()}
    # Meetings on phones and votes are opened by their links only.
    bar[""].append(st.Page("join.py", title="Join a meeting", url_path="join", visibility="hidden"))
    bar[""].append(st.Page("vote.py", title="Vote", url_path="vote", visibility="hidden"))
    # Opened from the page Set.
    bar[""].append(st.Page("choose.py", title="Choose", url_path="choose", visibility="hidden"))
    chosen = st.navigation(bar, position="top")
    # Set and Choose draw it in their own fragments; the pages for phones have nothing to keep.
    if chosen.url_path not in ("", "choose", "join", "vote"):
        kept.draw()
    account.draw()
    errors.draw_failed_click()
    OPEN_PAGE.set(chosen.title)
    with errors.guarded(chosen.title):
        chosen.run()


st.set_page_config(page_title="Value Palette", page_icon="assets/icon.svg", layout="wide")
# Streamlit forgets the fragments of the run before once a run has come to its end, which st.stop() keeps it from. Drawn
# again where something else is by then, such a fragment would end the whole page in the browser.
with suppress(StopException):
    draw_visit()
