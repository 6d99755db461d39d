"""Who may ask: the key, and on this machine alone the name by which the server is addressed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from fastapi import Request

from map_core.errors import InputError
from map_core.server.errors import Refusal
from map_core.server.keys import KeyRing, ServerKey

#: The name of a key that was given without one.
NAMELESS = "default"
_ORIGIN = re.compile(r"https?://[^\s/?#]+")


class Access:
    """Checks each request.

    Args:
        key: that clients must show, or None; one without a name.
        loopback: it listens on this machine alone; then browsers that were led here by another name are refused.
        keys: that clients must show, each with its name and budget.
    """

    def __init__(self, key: str | None = None, loopback: bool = True, keys: Sequence[ServerKey] = ()) -> None:
        nameless = () if key is None else (ServerKey(NAMELESS, key),)
        self.keys, self._loopback = KeyRing((*nameless, *keys)), loopback

    def __call__(self, request: Request) -> None:
        """Check the key, or without one that a local server is addressed as such; note who asks.

        Turns and budgets go by that: the key's name, or without keys the address; ``request.state.client`` holds it.

        Raises:
            Refusal: no key or another one, or a name of this machine that a foreign page may have led a browser to.
        """
        request.state.client = request.client.host if request.client else ""
        if self.keys:
            owner = self.keys.owner(request.headers.get("authorization", ""))
            if owner is None:
                raise Refusal(
                    "The API key is missing or wrong; expected the header 'Authorization: Bearer KEY' with this "
                    "server's key.",
                    status=401,
                    code="invalid_api_key",
                )
            request.state.client = owner
        elif self._loopback and not is_loopback(request.url.hostname or ""):
            raise Refusal("This server answers to localhost alone; address it so.", status=403)


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_origin(origin: str) -> str:
    """Return the origin of pages that may ask from a browser.

    Raises:
        InputError: it is no scheme, host and port.
    """
    if not _ORIGIN.fullmatch(origin):
        raise InputError(f"The origin is {origin!r}; expected SCHEME://HOST or SCHEME://HOST:PORT of a page's address.")
    return origin
