"""Whether an address of the app leads the devices of other people to it, and what mends it where it does not.

Constraint: nothing is sent to find out; a proxy or a firewall in between is known to those who set it up.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit, urlunsplit

from streamlit import config


def is_loopback(address: str) -> bool:
    """Return whether an address means, on every device, that device itself.

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
    """Return the address of this machine in its network; "" where it has none. Nothing is sent to find out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            host = str(probe.getsockname()[0])
        except OSError:
            return ""
    return "" if is_loopback(f"http://{host}") else host


def listens_to_network() -> bool:
    """Return whether the app answers other machines; its configuration says so, not whether they get through."""
    listens_on = str(config.get_option("server.address") or "0.0.0.0")
    return listens_on in {"::", "0.0.0.0"} or not is_loopback(f"http://{_bracketed(listens_on)}")


def network_address(address: str) -> str:
    """Return an address with this machine's place in the network where it names the device itself.

    It stays as it is where the app does not answer others, or where the machine has no network.
    """
    host = network_host() if is_loopback(address) and listens_to_network() else ""
    return _with_host(address, host) if host else address


def problem(address: str) -> str:
    """Return why other devices cannot open an address, and what to do; "" where nothing is known against it."""
    if not is_loopback(address):
        return ""
    host = network_host()
    there = _with_host(address, host) if host else ""
    base = f" at {urlunsplit((*urlsplit(there)[:2], '', '', ''))}" if there else " at this machine's own address"
    wrong = f"No other device can open this: {urlsplit(address).hostname} is, on each device, that device itself."
    if listens_to_network():
        return f"{wrong} Open the app{base}, and the link changes with it."
    return f"{wrong} Start the app with --server.address 0.0.0.0 and VALUE_PALETTE_OPEN=1, and open it{base}."


def _with_host(address: str, host: str) -> str:
    parts = urlsplit(address)
    port = "" if parts.port is None else f":{parts.port}"
    return urlunsplit((parts.scheme, f"{_bracketed(host)}{port}", parts.path, parts.query, parts.fragment))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
