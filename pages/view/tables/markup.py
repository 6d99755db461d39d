"""Shared by the views of the page Tables: titles, the facts of a table, and the last message."""

from __future__ import annotations

from html import escape

import streamlit as st

from map_core.catalog import TableEntry
from map_core.core import amounts
from pages.view.shell.session_keys import Key

MESSAGE: Key[str] = Key("tables_said", "")


def title(name: str, tag: str = "") -> str:
    """Return a table's name, with a small mark of its state."""
    mark = f'<span class="vp-tag">{escape(tag)}</span>' if tag else ""
    return f'<h2 class="vp-table">{escape(name)}{mark}</h2>'


def table_facts(table: TableEntry) -> str:
    """Return what a table holds, in one line."""
    each = table.replies / max(1, table.prompts)
    replies = amounts.counted(table.replies, "reply", "replies", grouped=True)
    facts = [
        amounts.counted(table.prompts, "prompt", grouped=True),
        f"{replies}, {amounts.fixed(each, grouped=True)} a prompt" if each >= 1.05 else "one reply a prompt",
        amounts.counted(len(table.values), "value", grouped=True),
        table.model,
        f"from {table.source}" if table.source else "",
        amounts.byte_size(table.bytes),
        f"{table.changed:%d %b %Y, %H:%M} UTC",
    ]
    return " · ".join(fact for fact in facts if fact)


def set_message(text: str) -> None:
    """Set the message at the top of the next view."""
    MESSAGE.set(text)


def draw_message() -> None:
    """Draw the last message once."""
    if text := MESSAGE.pop():
        with st.container(key="tables_said_line"):
            st.text(text)
