"""One line on every page: the model, its size, the table, what it is good for, and a link to change it.

Constraint: a table that cannot be opened has no line; the page itself says what is wrong with it.
"""

from __future__ import annotations

from html import escape

import streamlit as st

from map_core.text.speaker import speaker
from pages.view.session import scene as scenes


def draw_speaker_line(change: bool = True) -> None:
    """Draw the line.

    Args:
        change: with the link to the page Tables.
    """
    if (metadata := scenes.table_metadata()) is None:
        return
    speaking = speaker(metadata)
    name = scenes.chosen_table()
    table = f"table {name}" if name else "the app's own table"
    line = f"{speaking.model}, {speaking.size}, {table}: {speaking.good_for}"
    markup = (
        f'<p class="vp-speaks" title="{escape(line, quote=True)}"><b>{escape(speaking.model)}</b>'
        f'<span class="vp-speaks-more">, {escape(speaking.size)}, {escape(table)}</span>: '
        f'<span class="vp-speaks-more">{escape(speaking.good_for)}</span>'
        f'<span class="vp-speaks-short" aria-hidden="true">{escape(speaking.short)}</span></p>'
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="speaks"):
        st.html(markup, width="content")
        if change:
            st.page_link("tables.py", label="Change", help="Choose another table, or a model that writes new replies")
