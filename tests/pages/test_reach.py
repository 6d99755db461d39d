"""Tests of links that other devices cannot open: they are reported with a remedy."""

from __future__ import annotations

import pytest
from streamlit import config

from pages.view.shell import reach


@pytest.fixture(autouse=True)
def _a_machine_in_a_network(monkeypatch):
    monkeypatch.setattr(reach, "network_host", lambda: "192.168.1.5")


@pytest.fixture(params=["localhost", "0.0.0.0"])
def listens_on(request):
    before = config.get_option("server.address")
    config.set_option("server.address", request.param)
    yield request.param
    config.set_option("server.address", before)


@pytest.mark.parametrize(
    "address",
    ["http://localhost:8501/join", "http://127.0.0.1", "http://127.1.2.3:80/", "http://[::1]:8501", "http://0.0.0.0:1"],
)
def test_loopback_addresses_are_reported_with_a_remedy(address, listens_on):
    assert reach.is_loopback(address)
    assert "Other devices cannot open this link" in reach.problem(address)
    mend = "Start the app with --server.address 0.0.0.0" if listens_on == "localhost" else "Open the app at"
    assert mend in reach.problem(address)
    assert "http://192.168.1.5" in reach.problem(address)


@pytest.mark.parametrize("address", ["", "/", "http://192.168.1.5:8501/", "https://palette.example.org/join?meeting=a"])
def test_other_addresses_are_accepted(address, listens_on):
    assert reach.problem(address) == ""
    assert reach.network_address(address) == address


def test_network_address_is_used_where_the_app_listens_there(listens_on):
    address = "http://localhost:8501/groups"
    shared = "http://192.168.1.5:8501/groups" if listens_on == "0.0.0.0" else address
    assert reach.network_address(address) == shared


def test_without_a_network_no_address_is_named(monkeypatch):
    monkeypatch.setattr(reach, "network_host", lambda: "")
    assert reach.network_address("http://localhost:8501") == "http://localhost:8501"
    assert "open it at this machine's own address." in reach.problem("http://localhost:8501")


def test_app_with_logins_is_not_advised_to_open(monkeypatch, listens_on):
    monkeypatch.setenv("VALUE_PALETTE_PROXY_HEADER", "X-Forwarded-Email")
    message = reach.problem("http://localhost:8501/join")
    assert "Open the app at the address where others log in" in message
    assert "VALUE_PALETTE_OPEN" not in message
    assert reach.problem("https://palette.example.org/join") == ""
