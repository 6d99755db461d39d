"""Authenticate requests by their key; without keys, on a local server, check the host name of the address."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from fastapi import Request

from map_core.errors import InputError
from map_core.server.errors import Refusal
from map_core.server.keys import KeyRing, ServerKey

#: The name of a key that has none.
NAMELESS = "default"
_ORIGIN = re.compile(r"https?://[^\s/?#]+")


class Access:
    """The check of each request.

    Args:
        key: a key without a name that clients may use, or None.
        loopback: the server listens on this machine only; requests of browsers to another host name are then refused
            (DNS rebinding).
        keys: keys that clients may use, each with its name and budget.
    """

    def __init__(self, key: str | None = None, loopback: bool = True, keys: Sequence[ServerKey] = ()) -> None:
        nameless = () if key is None else (ServerKey(NAMELESS, key),)
        self.keys, self._loopback = KeyRing((*nameless, *keys)), loopback

    def __call__(self, request: Request) -> None:
        """Check the key or, without keys, the host name, and store the client in ``request.state.client``.

        Turns and budgets are counted by client: the key's name or, without keys, the address.

        Raises:
            Refusal: the key is missing or wrong, or a local server is addressed by a name other than localhost, to
                which a foreign page may have led a browser.
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
            raise Refusal("This server only answers at localhost; use that address.", status=403)


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_origin(origin: str) -> str:
    """Return the origin of pages that may send requests from a browser.

    Raises:
        InputError: it does not consist of scheme, host and optional port.
    """
    if not _ORIGIN.fullmatch(origin):
        raise InputError(f"The origin is {origin!r}; expected SCHEME://HOST or SCHEME://HOST:PORT of a page's address.")
    return origin
