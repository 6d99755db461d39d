"""Draw replies with their Markdown, shortened where they are cut.

Constraint: replies are untrusted text; only :func:`map_core.text.reply_markup.reply_html` makes markup of them.
"""

from __future__ import annotations

import streamlit as st

from map_core.core.cut_replies import shorter
from map_core.text.reply_markup import reply_html
from pages.view.shell import markup


def draw_reply(text: str) -> None:
    """Draw a reply; one that was cut, up to its last complete sentence, with the rest one click away.

    Args:
        text: of the reply, with the mark where it was cut (:func:`map_core.data.shown_replies.shown_reply`).
    """
    if not text.strip():
        st.html(markup.note("(no words)"))
        return
    whole = f'<div class="vp-reply">{reply_html(text)}</div>'
    if (short := shorter(text)) is None:
        st.html(whole)
        return
    # The style sheet shows one of the two, so that reading on needs no rerun.
    st.html(
        f'<div class="vp-reply vp-short">{reply_html(short)}</div>'
        f'<details class="vp-whole"><summary><span>Show more</span><span>Show less</span></summary>{whole}</details>'
    )
