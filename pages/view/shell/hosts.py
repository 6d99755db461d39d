"""Check the Host and Origin headers of requests.

A site whose name resolves to this machine (DNS rebinding) sends its own name as Host and as Origin, and both agree. So
host names are checked against a list; a numeric address cannot be rebound and is always allowed where the app answers
other machines.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from streamlit import config
from streamlit.auth_util import get_origin_from_redirect_uri

from map_core.access import settings
from pages.view.shell import reach


def is_allowed_host(request: HTTPConnection) -> bool:
    """Return whether the Host of a request is a name of the app."""
    hosts = request.headers.getlist("host")
    name = _name(f"//{hosts[0]}") if len(hosts) == 1 else ""
    if not name:
        return False
    allowed = _allowed_names()
    if name in allowed or "*" in allowed or any(name.endswith(entry[1:]) for entry in allowed if entry[:2] == "*."):
        return True
    if reach.is_loopback(f"http://{hosts[0]}"):
        return True
    return reach.listens_to_network() and (_is_number(name) or name in _own_names())


def is_own_origin(request: HTTPConnection) -> bool:
    """Return whether the Origin of a request, where it has one, is the app itself."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _allowed_names() -> set[str]:
    """Return the names in the settings, and the host of the address to which a login returns."""
    names = {*settings.listed(settings.ALLOWED_HOSTS), *config.get_option("server.allowedHosts")}
    return {name.lower().rstrip(".") for name in names} | {_name(get_origin_from_redirect_uri() or "")} - {""}


@lru_cache(maxsize=1)
def _own_names() -> frozenset[str]:
    own = socket.gethostname().lower()
    return frozenset({own, f"{own.partition('.')[0]}.local"})


def _name(address: str) -> str:
    """Return the host of an address without its port; "" where it cannot be read."""
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises for a port that is not a number
    except ValueError:
        return ""
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return ""
    return (parts.hostname or "").rstrip(".")


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
