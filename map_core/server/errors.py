"""Errors in OpenAI's format, and the limits of a request.

Constraint: standard library only; a message never repeats a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from map_core.errors import PaletteError


@dataclass(frozen=True)
class RequestLimits:
    """Limits of one request, and of all requests together.

    Args:
        body: bytes of a request.
        messages: messages of a chat, and prompts or replies of one request.
        characters: characters of a chat, all messages together.
        candidates: K, and candidates over all replies of one request (K times n).
        tokens: of the longest reply.
        replies: n.
        waiting: requests in the queue.
        at_once: replies that are written at the same time.
    """

    body: int = 2_000_000
    messages: int = 256
    characters: int = 200_000
    candidates: int = 1024
    tokens: int = 1024
    replies: int = 16
    waiting: int = 64
    at_once: int = 16


#: The JSON schema of every error, for /openapi.json.
ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
#: The error responses of every endpoint, for /openapi.json.
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, "content": {"application/json": {"schema": ERROR_SCHEMA}}}
    for status, meaning in (
        ("4XX", "The request is not served; the message says what came, what was expected and what to do."),
        ("5XX", "The server cannot answer: it is being stopped, or its model cannot be loaded."),
    )
}


class Refusal(PaletteError):
    """A request that is not served.

    Args:
        message: what came, what was expected and what to do.
        status: of HTTP.
        kind: OpenAI's "type" of the error.
        param: the invalid field.
        code: OpenAI's "code", if there is one.
        retry_after: seconds after which the request may succeed.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.param, self.code, self.retry_after = status, kind, param, code, retry_after

    def as_json(self) -> dict[str, Any]:
        """Return the error in OpenAI's format."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers of the response."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def shortened(text: str) -> str:
    """Shorten a client's text so that a message can repeat it."""
    return text if len(text) <= 80 else text[:77] + "..."
