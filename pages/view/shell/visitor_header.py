"""The signed header in which the gate passes the visitor on to the pages; the gate removes it from clients' requests.

Constraint: a page that is served without the gate recognises nobody; see :func:`read`.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Mapping

from starlette.types import Scope

from map_core.access import LOCAL, Role, Visitor

NAME = "x-value-palette-visitor"
_KEY = secrets.token_bytes(32)


def without(scope: Scope) -> Scope:
    """Return a request without this header."""
    name = NAME.encode()
    return {**scope, "headers": [(key, value) for key, value in scope["headers"] if key.lower() != name]}


def add(scope: Scope, visitor: Visitor) -> Scope:
    """Return a request with the visitor in this header."""
    claims = {"id": visitor.id, "name": visitor.name, "role": visitor.role}
    content = base64.urlsafe_b64encode(json.dumps(claims).encode())
    return {**scope, "headers": [*scope["headers"], (NAME.encode(), content + b"." + _signature(content))]}


def read(headers: Mapping[str, str]) -> Visitor | None:
    """Return the visitor of a request; None where the header is missing or its signature is wrong.

    Without any headers there is no request: the page is run by a test, or by a program on this machine.
    """
    if not headers:
        return LOCAL
    content, _, signature = str(headers.get(NAME) or "").encode("latin-1", "replace").partition(b".")
    if not content or not hmac.compare_digest(_signature(content), signature):
        return None
    claims = json.loads(base64.urlsafe_b64decode(content))
    return Visitor(claims["id"], claims["name"], Role(claims["role"]))


def _signature(content: bytes) -> bytes:
    return hmac.digest(_KEY, content, "sha256").hex().encode()
