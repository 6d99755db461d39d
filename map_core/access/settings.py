"""Access settings: roles, the hosts that the app answers to, and trusted proxies.

All are environment variables, read at each use; ``docs/configuration.md`` lists them. Constraint: a setting that cannot
be parsed closes the app; it never opens it.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from map_core.access.visitor import Role
from map_core.errors import InputError

OPEN = "VALUE_PALETTE_OPEN"
OPERATORS, MEMBERS = "VALUE_PALETTE_OPERATORS", "VALUE_PALETTE_MEMBERS"
ALLOWED_HOSTS = "VALUE_PALETTE_ALLOWED_HOSTS"
PROXY_HEADER, PROXIES = "VALUE_PALETTE_PROXY_HEADER", "VALUE_PALETTE_TRUSTED_PROXIES"
LOGIN_HOURS = "VALUE_PALETTE_LOGIN_HOURS"
#: Hours after which somebody has to log in again.
DEFAULT_LOGIN_HOURS = 12.0

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def listed(name: str) -> tuple[str, ...]:
    """Return the entries of a setting that is a list, separated by commas."""
    return tuple(entry for part in os.environ.get(name, "").split(",") if (entry := part.strip()))


def role_setting(name: str, default: Role) -> Role:
    """Return the role that a setting names.

    Raises:
        InputError: it names none.
    """
    text = os.environ.get(name, "").strip().lower().removesuffix("s")
    if not text:
        return default
    if text not in list(Role):
        raise InputError(f"{name} is {os.environ[name]!r}; expected {', '.join(Role)}.")
    return Role(text)


def open_role() -> Role | None:
    """Return the role of anonymous visitors; None if they have no access.

    Raises:
        InputError: the setting cannot be read.
    """
    text = os.environ.get(OPEN, "").strip().lower()
    if text in ("", "0", "no", "false"):
        return None
    if text in ("1", "yes", "true"):
        return Role.GUEST
    if text not in (Role.GUEST, Role.MEMBER):
        raise InputError(f"{OPEN} is {os.environ[OPEN]!r}; expected 1 or guest, or member.")
    return Role(text)


def role_of(claims: Mapping[str, Any]) -> Role:
    """Return the role of somebody who logged in.

    Args:
        claims: the identity provider's claims; a mail address counts only if it is claimed to be verified.

    Raises:
        InputError: a setting cannot be parsed.
    """
    if _matches(OPERATORS, claims):
        return Role.OPERATOR
    return Role.MEMBER if not listed(MEMBERS) or _matches(MEMBERS, claims) else Role.GUEST


def _matches(name: str, claims: Mapping[str, Any]) -> bool:
    """Return whether an entry of a setting matches: a mail address, all those of a domain, or CLAIM=VALUE."""
    email = str(claims.get("email") or "").casefold()
    verified = claims.get("email_verified") in (True, "true") and email.count("@") == 1
    for entry in listed(name):
        claim, equals, value = entry.partition("=")
        if equals:
            claimed = claims.get(claim.strip())
            items = claimed if isinstance(claimed, list) else [claimed]
            if value.strip() in {str(item) for item in items if item is not None}:
                return True
        elif "@" not in entry:
            raise InputError(f"{name} has the entry {entry!r}; expected a mail address, *@DOMAIN, or CLAIM=VALUE.")
        elif verified and entry.casefold() in (email, f"*@{email.partition('@')[2]}"):
            return True
    return False


def proxy_header() -> str:
    """Return the name of the header in which a proxy sends the visitor's address; "" for none."""
    return os.environ.get(PROXY_HEADER, "").strip().lower()


def trusted_proxies() -> tuple[Network, ...]:
    """Return the addresses of the proxies whose header is trusted.

    Raises:
        InputError: an entry is neither an address nor a network.
    """
    return _networks(listed(PROXIES))


@lru_cache(maxsize=4)
def _networks(entries: tuple[str, ...]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(entry, strict=False) for entry in entries)
    except ValueError as error:
        raise InputError(f"{PROXIES} cannot be read ({error}); expected addresses such as 10.0.0.7/32.") from error


def login_hours() -> float:
    """Return the number of hours after which visitors have to log in again.

    Raises:
        InputError: the setting is not a number above 0, or is more than 720.
    """
    text = os.environ.get(LOGIN_HOURS, "").strip()
    try:
        hours = float(text) if text else DEFAULT_LOGIN_HOURS
    except ValueError:
        hours = -1.0
    if not 0 < hours <= 720:
        raise InputError(f"{LOGIN_HOURS} is {text!r}; expected a number of hours above 0, at most 720.")
    return hours
