"""Whether visitors are identified: by a login provider in Streamlit's secrets, or by a trusted proxy."""

from __future__ import annotations

from collections.abc import Mapping

from streamlit.auth_util import get_secrets_auth_section

from map_core.access import settings


def has_login() -> bool:
    """Return whether a login provider is set up."""
    return bool(get_secrets_auth_section())


def identifies_visitors() -> bool:
    """Return whether visitors are identified, by a login or by a proxy's header."""
    return has_login() or bool(settings.proxy_header())


def providers() -> tuple[str, ...]:
    """Return the names of the login providers; "default" is the one without a name."""
    section = get_secrets_auth_section()
    named = [name for name, value in section.items() if isinstance(value, Mapping) and "client_id" in value]
    return (*(["default"] if "client_id" in section else []), *named)
