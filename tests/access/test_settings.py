"""Tests of the access settings: roles from mail addresses and claims, proxies, login hours, and invalid settings."""

from __future__ import annotations

import ipaddress

import pytest

from map_core.access import Role, settings
from map_core.errors import InputError

ANN = {"email": "Ann@Example.com", "email_verified": True, "sub": "1", "groups": ["staff", "map-operators"]}


@pytest.mark.parametrize(
    ("operators", "members", "claims", "role"),
    [
        ("", "", ANN, Role.MEMBER),
        ("ann@example.com", "", ANN, Role.OPERATOR),
        ("bob@x.org, ANN@EXAMPLE.COM", "", ANN, Role.OPERATOR),
        ("*@example.com", "", ANN, Role.OPERATOR),
        ("groups=map-operators", "", ANN, Role.OPERATOR),
        ("sub=1", "", ANN, Role.OPERATOR),
        ("sub=11", "", ANN, Role.MEMBER),
        ("", "bob@x.org", ANN, Role.GUEST),
        ("", "*@example.com", ANN, Role.MEMBER),
        ("", "*@example.com", ANN | {"email": "ann@evil-example.com"}, Role.GUEST),
        ("", "*@example.com", ANN | {"email": "ann@example.com@evil.org"}, Role.GUEST),
        ("ann@example.com", "", ANN | {"email_verified": False}, Role.MEMBER),
        ("ann@example.com", "", {"email": "ann@example.com", "sub": "1"}, Role.MEMBER),  # the address is not verified
        ("*@", "*@", {"sub": "1"}, Role.GUEST),
        ("email=", "", {"sub": "1"}, Role.MEMBER),
    ],
)
def test_settings_decide_the_role_of_a_login(monkeypatch, operators: str, members: str, claims: dict, role: Role):
    monkeypatch.setenv(settings.OPERATORS, operators)
    monkeypatch.setenv(settings.MEMBERS, members)
    assert settings.role_of(claims) is role


def test_entry_that_matches_nobody_is_reported(monkeypatch):
    monkeypatch.setenv(settings.OPERATORS, "ann")
    with pytest.raises(InputError, match="VALUE_PALETTE_OPERATORS has the entry 'ann'; expected a mail address"):
        settings.role_of(ANN)


@pytest.mark.parametrize(
    ("text", "role"), [("", None), ("0", None), ("1", Role.GUEST), ("guest", Role.GUEST), ("Member", Role.MEMBER)]
)
def test_setting_decides_the_role_without_a_login(monkeypatch, text: str, role: Role | None):
    monkeypatch.setenv(settings.OPEN, text)
    assert settings.open_role() is role


@pytest.mark.parametrize("text", ["operator", "2", "yess"])
def test_anonymous_visitors_never_become_operators(monkeypatch, text: str):
    monkeypatch.setenv(settings.OPEN, text)
    with pytest.raises(InputError, match="expected 1 or guest, or member"):
        settings.open_role()


def test_trusted_proxies_are_addresses_and_networks(monkeypatch):
    monkeypatch.setenv(settings.PROXIES, "10.0.0.7, 172.16.0.0/12,::1")
    assert ipaddress.ip_address("172.20.1.1") in settings.trusted_proxies()[1]
    assert ipaddress.ip_address("10.0.0.8") not in settings.trusted_proxies()[0]
    monkeypatch.setenv(settings.PROXIES, "proxy.example")
    with pytest.raises(InputError, match="expected addresses such as"):
        settings.trusted_proxies()


@pytest.mark.parametrize("text", ["0", "-1", "nan", "1e9", "long"])
def test_login_hours_must_be_a_number(monkeypatch, text: str):
    monkeypatch.setenv(settings.LOGIN_HOURS, text)
    with pytest.raises(InputError, match="expected a number of hours"):
        settings.login_hours()


def test_a_login_lasts_twelve_hours_unless_set(monkeypatch):
    assert settings.login_hours() == 12
    monkeypatch.setenv(settings.LOGIN_HOURS, "0.5")
    assert settings.login_hours() == 0.5
