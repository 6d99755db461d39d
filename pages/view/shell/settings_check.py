"""Check the settings of who may use the app, and print at the start who is admitted."""

from __future__ import annotations

import sys

import uvicorn.config
from streamlit.auth_util import validate_auth_credentials
from streamlit.errors import StreamlitAuthError

from map_core.access import settings
from map_core.access.rules import CREATES, role_that_creates
from map_core.errors import InputError
from map_core.text.access import AccessRefusal
from pages.view.shell import login_providers, reach


def check_settings() -> None:
    """Read every access setting of the environment, so that an invalid one closes the app.

    Raises:
        InputError: one is not valid.
    """
    settings.open_role(), settings.trusted_proxies(), settings.login_hours(), settings.role_of({})
    for kind in CREATES:
        role_that_creates(kind)


def see_true_addresses() -> None:
    """Disable uvicorn's replacement of a request's address by a header, before the server is set up.

    By default uvicorn trusts that header from this machine, so that any program on it could pose as a trusted proxy.
    The option for it is read before the app is loaded, so the middleware itself is replaced.
    """
    assert hasattr(uvicorn.config, "ProxyHeadersMiddleware"), "another uvicorn; see where it reads X-Forwarded-For"
    setattr(uvicorn.config, "ProxyHeadersMiddleware", lambda app, trusted_hosts: app)  # noqa: B010


def print_state() -> None:
    """Print in the terminal who is admitted."""
    try:
        check_settings()
        roles = settings.open_role()
        for name in login_providers.providers() if login_providers.has_login() else ():
            validate_auth_credentials(name)
    except (InputError, StreamlitAuthError) as error:
        state = f"CLOSED. {' '.join(str(error).split())}"
    else:
        if login_providers.has_login():
            state = f"by login ({', '.join(login_providers.providers()) or 'no provider has a client_id'})"
        elif settings.proxy_header():
            believed = ", ".join(settings.listed(settings.PROXIES)) or "nobody"
            state = f"as the header {settings.proxy_header()} of {believed} says"
        else:
            state = "" if roles or not reach.listens_to_network() else AccessRefusal.CLOSED.value
        if roles:
            state += f"{'; ' if state else ''}everybody who reaches it, as a {roles.value}"
    if state:
        print(f"  Who is let in: {state}", file=sys.stderr, flush=True)
