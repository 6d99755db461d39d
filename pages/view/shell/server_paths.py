"""Paths of the server in what pages say: whole for whoever runs the app, the last name alone for other visitors.

Constraint: no page shows a path, or a text of the library that may have one, but through this module;
:mod:`pages.view.shell.page_words` applies it to all messages.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from map_core.access import Role, settings
from map_core.core.kept_folder import kept_folder
from pages.view.shell import login_providers, operator, visitor_header

#: Further folders of a path, and all folders of one; not those of an address on the web, nor a slash between words.
_FURTHER = r"(?:[^/\s'\"()<>]+/)*"
_FOLDERS = re.compile(rf"(?<![\w./~-])(?:~|/[^/\s'\"()<>]+)/{_FURTHER}")


def are_shown() -> bool:
    """Return whether this visitor may read them: operators, and all where only this machine is let in."""
    if get_script_run_ctx(suppress_warning=True) is not None:
        known = visitor_header.read(st.context.headers)
        if known is not None and operator.role_of(known) is Role.OPERATOR:
            return True
    return not (login_providers.identifies_visitors() or settings.open_role() is not None)


def shown(path: Path) -> str:
    """Return a path as this visitor may read it."""
    return str(path) if are_shown() else path.name


def in_text(text: str) -> str:
    """Return a text with its paths as this visitor may read them."""
    if "/" not in text or are_shown():
        return text
    # Where a name has a space in it, only those that are known can be told from what is around them.
    known = {kept_folder(), Path(os.environ.get("VALUE_PALETTE_TABLE", "")).parent, Path.cwd(), Path.home()}
    for folder in sorted({str(path.absolute()) for path in known}, key=len, reverse=True):
        text = re.sub(f"{re.escape(folder)}/{_FURTHER}", "", text)
    return _FOLDERS.sub("", text)
