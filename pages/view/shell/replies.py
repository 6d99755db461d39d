"""Replies on the page: with their Markdown drawn and the mark of those that were cut, see ``map_core.text``.

Constraint: what is in a reply is text; its markup is made by :func:`map_core.text.reply_markup.reply_html` alone.
"""

from __future__ import annotations

import streamlit as st

from map_core.text.reply_markup import reply_html
from pages.view.shell import markup


def draw_reply(text: str) -> None:
    """Draw a reply as people read it.

    Args:
        text: of the reply, with the mark where it was cut (:func:`map_core.data.shown_replies.shown_reply`).
    """
    st.html(f'<div class="vp-reply">{reply_html(text)}</div>' if text.strip() else markup.note("(no words)"))
