"""Who asks: a random id for each visit, which no address holds and no other visitor can know.

Background work is held in its name, turns of the generator are fair by it, and only the viewer who started a
generation may stop or steer it. A reload is a new visit.
"""

from __future__ import annotations

import secrets

from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.view.shell.session_keys import Key

VIEWER: Key[str] = Key("viewer", "")
#: The same for the browser's own use: it knows by it that what it kept is of an earlier visit.
VISIT: Key[str] = Key("visit", "")


def viewer_id() -> str:
    """Return the id of this visit, or "nobody" outside of a script run."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return "nobody"
    return VIEWER.get() or VIEWER.get_or_set(secrets.token_hex(16))
