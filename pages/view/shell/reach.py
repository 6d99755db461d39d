"""Whether other people's devices can open an address of the app, and what to do where they cannot.

Constraint: no request is sent to find out; proxies and firewalls in between are not detected.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit, urlunsplit

from streamlit import config

from pages.view.shell import login_providers


def is_loopback(address: str) -> bool:
    """Return whether an address leads each device to itself.

    Example:
        >>> is_loopback("http://localhost:8501/join"), is_loopback("http://127.0.0.1"), is_loopback("http://10.0.0.5")
        (True, True, False)
    """
    host = urlsplit(address).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return False
    return number.is_loopback or number.is_unspecified


def network_host() -> str:
    """Return the address of this machine in its network; "" where it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            host = str(probe.getsockname()[0])
        except OSError:
            return ""
    return "" if is_loopback(f"http://{host}") else host


def listens_to_network() -> bool:
    """Return whether the configuration lets the app answer other machines."""
    listens_on = str(config.get_option("server.address") or "0.0.0.0")
    return listens_on in {"::", "0.0.0.0"} or not is_loopback(f"http://{_bracketed(listens_on)}")


def network_address(address: str) -> str:
    """Return an address with this machine's network address in place of a loopback host.

    It stays as it is where the app does not answer other machines, or the machine has no network.
    """
    host = network_host() if is_loopback(address) and listens_to_network() else ""
    return _with_host(address, host) if host else address


def problem(address: str) -> str:
    """Return why other devices cannot open an address, and what to do; "" where no problem is known."""
    if not is_loopback(address):
        return ""
    wrong = f"Other devices cannot open this link: on any device, {urlsplit(address).hostname} means that device."
    if login_providers.identifies_visitors():
        # People are let in at the address that the login or the proxy knows, and nowhere else.
        return f"{wrong} Open the app at the address where others log in, and the link changes with it."
    host = network_host()
    shared = _with_host(address, host) if host else ""
    base = f" at {urlunsplit((*urlsplit(shared)[:2], '', '', ''))}" if shared else " at this machine's own address"
    if listens_to_network():
        return f"{wrong} Open the app{base}, and the link changes with it."
    return f"{wrong} Start the app with --server.address 0.0.0.0 and VALUE_PALETTE_OPEN=1, and open it{base}."


def _with_host(address: str, host: str) -> str:
    parts = urlsplit(address)
    port = "" if parts.port is None else f":{parts.port}"
    return urlunsplit((parts.scheme, f"{_bracketed(host)}{port}", parts.path, parts.query, parts.fragment))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
