"""Extract the reason of a server's refusal, so that a message can repeat it.

Constraint: standard library only.
"""

from __future__ import annotations

from map_core.models.endpoint import Connection

_LONGEST = 300


def server_reason(body: object, server: Connection) -> str:
    """Return the reason in the body of a refusal as one line without the key; empty where there is none."""
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body.get("error") or ""
    if isinstance(body, dict):
        body = body.get("message") or body
    return redacted(str(body), server) if body else ""


def redacted(text: str, server: Connection) -> str:
    """Return a server's text as one line of at most 300 characters, without the key that it was sent."""
    text = " ".join(text.split()).rstrip(".")
    if server.key_variable:
        text = text.replace(server.key, "***")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
