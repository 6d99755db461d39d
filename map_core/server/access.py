"""Who may ask: the key, and on this machine alone the name by which the server is addressed."""

from __future__ import annotations

import hmac
import ipaddress
import re

from fastapi import Request

from map_core.errors import InputError
from map_core.server.errors import Refusal

_ORIGIN = re.compile(r"https?://[^\s/?#]+")


class Access:
    """Checks each request.

    Args:
        key: that clients must show, or None.
        loopback: it listens on this machine alone; then browsers that were led here by another name are refused.
    """

    def __init__(self, key: str | None = None, loopback: bool = True) -> None:
        self._key, self._loopback = key, loopback

    def __call__(self, request: Request) -> None:
        """Check the key, or without one that a local server is addressed as such.

        Raises:
            Refusal: no key or another one, or a name of this machine that a foreign page may have led a browser to.
        """
        if self._key is not None:
            authorization = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(authorization, f"Bearer {self._key}".encode()):
                raise Refusal(
                    "The API key is missing or wrong; expected the header 'Authorization: Bearer KEY' with this "
                    "server's key.",
                    status=401,
                    code="invalid_api_key",
                )
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
