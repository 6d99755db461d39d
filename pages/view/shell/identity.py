"""Identify the sender of a request: the only place that reads cookies, headers and addresses for that.

There are three ways: a login by OpenID Connect (Streamlit's own, section ``[auth]`` of its secrets), a header of a
trusted proxy, and none, for an app that only listens on this machine or was opened on purpose. Constraint: no claim of
a client is believed without proof, and an app without any of these settings is closed.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from streamlit.auth_util import get_cookie_with_chunks, get_origin_from_redirect_uri
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from map_core.access import LOCAL, Visitor, settings
from map_core.text.access import AccessRefusal
from pages.view.shell import login_providers, reach

#: The path of the login, below the base path of the app.
LOGIN = "login"
MAX_ID, MAX_NAME = 200, 80
#: Headers that proxies add: a request that has one did not come from a browser on this machine.
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


@dataclass(frozen=True)
class Recognised:
    """The sender of a request, or why they are not admitted.

    Args:
        visitor: the sender; None where they are not admitted.
        refusal: why they are not admitted.
        login: id of the login, so that it can be ended; "" without one.
        ends: when the login expires, in seconds since 1970; None without one.
    """

    visitor: Visitor | None
    refusal: AccessRefusal | None = None
    login: str = ""
    ends: float | None = None


def recognise(request: HTTPConnection) -> Recognised:
    """Return the sender of a request.

    Raises:
        InputError: a setting cannot be read.
    """
    header = settings.proxy_header()
    if header and (values := request.headers.getlist(header)):
        return _of_proxy(request, values)
    if login_providers.has_login():
        known = of_cookies(request.cookies)
        if known.visitor is not None or settings.open_role() is None:
            return known
    if (role := settings.open_role()) is not None:
        return Recognised(Visitor("", "", role))
    if header:
        return Recognised(None, AccessRefusal.NO_PROXY)
    if reach.listens_to_network():
        return Recognised(None, AccessRefusal.CLOSED)
    if any(name in request.headers for name in FORWARDED):
        return Recognised(None, AccessRefusal.FORWARDED)
    return Recognised(LOCAL)


def browser_address(request: HTTPConnection) -> str:
    """Return the address of the browser, for counting only: as given by a proxy that is trusted or on this machine."""
    peer = request.client.host if request.client else ""
    through = _is_trusted(peer) or (not settings.trusted_proxies() and reach.is_loopback(f"http://{peer}"))
    forwarded = request.headers.get("x-forwarded-for", "").split(",")[-1].strip()
    return forwarded if through and forwarded else peer


def _is_trusted(peer: str) -> bool:
    """Return whether an address is that of a trusted proxy."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in settings.trusted_proxies())


def _of_proxy(request: HTTPConnection, values: list[str]) -> Recognised:
    """Return the sender that a proxy names, where the proxy is trusted."""
    if not _is_trusted(request.client.host if request.client else ""):
        return Recognised(None, AccessRefusal.FOREIGN_PROXY)
    name = values[0].encode("latin-1", "replace").decode("utf-8", "replace").strip()
    if len(values) != 1 or not name or len(name) > MAX_ID or not name.isprintable():
        return Recognised(None, AccessRefusal.NO_PROXY)
    claims = {"email": name, "email_verified": True, "user": name}
    return Recognised(Visitor(_id("proxy", name), name[:MAX_NAME], settings.role_of(claims)))


def of_cookies(cookies: Mapping[str, str]) -> Recognised:
    """Return the sender in a cookie of Streamlit's login, after checking its signature, age and origin."""
    if USER_COOKIE_NAME not in cookies:
        return Recognised(None, AccessRefusal.LOG_IN)
    hours, signed = settings.login_hours(), []

    def opened(name: str) -> bytes | None:
        try:
            serializer = URLSafeTimedSerializer(get_cookie_secret(), salt=name)
            text, moment = serializer.loads(cookies[name], max_age=int(hours * 3600), return_timestamp=True)
        except (BadData, KeyError, UnicodeError, ValueError):
            return None
        signed.append(moment.timestamp())
        return text.encode() if isinstance(text, str) else None

    try:
        content = get_cookie_with_chunks(opened, USER_COOKIE_NAME)
        claims: Any = json.loads(content) if content else None
    except ValueError:
        claims = None
    if not isinstance(claims, dict) or content is None:
        return Recognised(None, AccessRefusal.EXPIRED)
    subject, origin = claims.get("sub"), get_origin_from_redirect_uri()
    if not isinstance(subject, str) or not subject or not origin or claims.get("origin") != origin:
        return Recognised(None, AccessRefusal.EXPIRED)
    name = next((str(text) for key in ("name", "email", "preferred_username") if (text := claims.get(key))), subject)
    visitor = Visitor(_id(str(claims.get("iss", "")), subject), name[:MAX_NAME], settings.role_of(claims))
    began = min(signed)
    return Recognised(visitor, None, hashlib.sha256(content + f" {began}".encode()).hexdigest(), began + hours * 3600)


def _id(issuer: str, subject: str) -> str:
    """Return an id that is unique to a person of a provider."""
    text = f"{issuer}|{subject}"
    return text if len(text) <= MAX_ID else hashlib.sha256(text.encode()).hexdigest()
