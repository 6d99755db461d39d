"""A random id for each visit, which is in no address and which no other visitor can know.

Background jobs belong to it, the turns of the generator are shared out by it, and only the viewer who started a
generation may stop or steer it. A reload is a new visit.
"""

from __future__ import annotations

import secrets

from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.view.shell.session_keys import Key

VIEWER: Key[str] = Key("viewer", "")
#: An id for the browser, which recognises by it what was kept by an earlier visit.
VISIT: Key[str] = Key("visit", "")


def viewer_id() -> str:
    """Return the id of this visit, or "nobody" outside of a script run."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return "nobody"
    return VIEWER.get() or VIEWER.get_or_set(secrets.token_hex(16))
