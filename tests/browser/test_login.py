"""Tests of the login in a browser, with a real provider: login, logout, other tabs, and faults of the provider."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from map_core.data import table_format
from map_core.text.access import AccessRefusal
from tests import ROOT
from tests.app_server import SECONDS, free_port, running
from tests.login_provider import Provider, running_provider, secrets_file
from tests.tables import make_table
from tests.visits import settle

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class App:
    """The app with a login, and its provider."""

    address: str
    provider: Provider
    audit: Path


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("login")
    port = free_port()
    address = f"http://localhost:{port}"
    table_format.save(make_table(prompts=16, candidates=16, seed=5), folder / "table.parquet")
    with running_provider() as provider:
        (folder / "secrets.toml").write_text(secrets_file(provider, address))
        settings = {
            "STREAMLIT_SECRETS_FILES": str(folder / "secrets.toml"),
            "VALUE_PALETTE_OPERATORS": "chief@example.com",
            "VALUE_PALETTE_AUDIT_LOG": str(folder / "audit.jsonl"),
        }
        with running(folder, folder / "table.parquet", port=port, settings=settings) as server:
            yield App(server.address, provider, folder / "audit.jsonl")


@pytest.fixture(autouse=True)
def _reset_provider(app: App):
    yield
    app.provider.token, app.provider.forged, app.provider.broken, app.provider.refuses = {}, False, False, ""


@pytest.fixture
def visitor(browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


def log_in(page: Page, address: str, email: str = "ann@example.com") -> None:
    page.goto(address)
    page.get_by_role("link", name="Log in").click()
    page.get_by_label("Mail address").fill(email)
    page.get_by_role("button", name="Continue").click()


def account(page: Page):
    return page.locator(".st-key-account")


def open_account(page: Page) -> None:
    """Open the account menu once the page is settled: a run that ends later would close it."""
    expect(account(page).get_by_role("button")).to_be_visible()
    settle(page)
    account(page).get_by_role("button").click()


#: Prints the class and path of every route of the app; the last one serves Streamlit's pages and files.
LIST_ROUTES = """
import app

def walk(routes, before=""):
    for route in routes:
        path = before + getattr(route, "path", "")
        if getattr(route, "routes", None):
            walk(route.routes, path)
        else:
            print(type(route).__name__, path or "/")

walk(app.app._build_starlette_app().routes)
"""
#: Paths that the login itself needs, and the health check.
PUBLIC_PATHS = {"/_stcore/health", "/auth/login", "/oauth2callback"}
PAGES = ("/compare", "/join", "/static/js/index.js", "/app/static/fonts/newsreader-latin.woff2")


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, str]]:
    """Return class and path of each route, with a value in place of its parameters."""
    command = [sys.executable, "-c", LIST_ROUTES]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    entries = [line.split(" ", 1) for line in output.splitlines() if line.count(" ") == 1 and " /" in line]
    return [(kind, re.sub(r"{[^}]*}", "a", path)) for kind, path in entries]


def status_and_text(url: str, method: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=20) as response:
            return response.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_every_route_requires_a_login(app: App, routes: list[tuple[str, str]]):
    paths = dict.fromkeys(path for kind, path in routes if kind != "WebSocketRoute" and path not in PUBLIC_PATHS)
    assert {"/_stcore/metrics", "/media/a", "/_stcore/upload_file/a/a", "/component/a", "/"} <= set(paths)
    assert len(paths) >= 12
    for path in (*paths, *PAGES):
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"):
            if path == "/auth/logout":
                continue  # without a session it only redirects to the login
            sentence = "" if method == "HEAD" else AccessRefusal.LOG_IN.value
            assert status_and_text(f"{app.address}{path}", method) == (401, sentence), f"{method} {path}"


def test_every_web_socket_requires_a_login(app: App, routes: list[tuple[str, str]]):
    paths = [path for kind, path in routes if kind == "WebSocketRoute"]
    assert {"/_stcore/stream", "/live/desk"} <= set(paths)
    for path in paths:
        for headers in ({}, {"Cookie": "_streamlit_user=forged"}, {"X-Value-Palette-Visitor": "e30.00"}):
            with (
                pytest.raises(InvalidStatus) as error,
                connect(f"ws{app.address[4:]}{path}", origin=app.address, additional_headers=headers),
            ):
                pass
            assert error.value.response.status_code == 403, path


def test_health_requires_no_login(app: App):
    with urllib.request.urlopen(f"{app.address}/_stcore/health", timeout=10) as response:
        assert response.read() == b"ok"


def test_login_opens_the_requested_address_and_logout_ends_the_session(app: App, visitor):
    page = visitor.new_page()
    log_in(page, f"{app.address}/compare?palette=helpfulness:p61")
    expect(account(page)).to_contain_text("Ann")
    settle(page)
    assert re.search(r"/compare\?palette=helpfulness(:|%3A)p61", page.url), (
        "the page and the palette that were asked for"
    )
    open_account(page)
    expect(page.get_by_text("You are logged in as Ann, a member.")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text(AccessRefusal.LOGGED_OUT)).to_be_visible()
    assert app.provider.ended >= 1
    page.goto(app.address)
    expect(page.get_by_text(AccessRefusal.LOGGED_OUT)).to_be_visible()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    lines = [json.loads(line) for line in app.audit.read_text().splitlines()]
    own_lines = [line for line in lines if line["who"].startswith(app.provider.address)]
    assert [line["action"] for line in own_lines][-2:] == ["log in", "log out"]
    assert set().union(*lines) <= {"when", "who", "action", "kind", "what"}


def test_a_logout_in_another_tab_ends_the_session_here(app: App, visitor):
    tab, other_tab = visitor.new_page(), visitor.new_page()
    log_in(tab, app.address)
    expect(account(tab)).to_contain_text("Ann")
    tab.wait_for_url("**palette=**")
    other_tab.goto(f"{app.address}/auth/logout")
    expect(tab.get_by_text(AccessRefusal.LOGGED_OUT)).to_be_visible(timeout=20 * SECONDS)
    tab.get_by_role("link", name="Log in").click()
    tab.get_by_label("Mail address").fill("ann@example.com")
    tab.get_by_role("button", name="Continue").click()
    expect(account(tab)).to_contain_text("Ann")
    assert "palette=" in tab.url, "what was set is there again"


def test_an_operator_is_recognised_by_mail_address(app: App, visitor):
    page = visitor.new_page()
    log_in(page, app.address, "chief@example.com")
    open_account(page)
    expect(page.get_by_text("an operator of this app")).to_be_visible()


@pytest.mark.parametrize(
    ("token", "refusal"),
    [
        ({"exp": -3600, "iat": -7200}, AccessRefusal.EXPIRED_TOKEN),
        ({"aud": "another-app"}, AccessRefusal.WRONG_TOKEN),
        ({"iss": "https://evil.example"}, AccessRefusal.WRONG_TOKEN),
        ({"nonce": "another"}, AccessRefusal.WRONG_TOKEN),
        ({"iat": 3600, "exp": 7200}, AccessRefusal.CLOCK),
        ({"nbf": 3600}, AccessRefusal.CLOCK),
    ],
    ids=str,
)
def test_an_invalid_token_is_refused_with_a_reason(app: App, visitor, token: dict[str, object], refusal: AccessRefusal):
    app.provider.token = token
    page = visitor.new_page()
    log_in(page, app.address)
    expect(page.get_by_role("status")).to_have_text(refusal)
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    assert not [cookie for cookie in visitor.cookies() if cookie.get("name") == "_streamlit_user"]


def test_a_forged_token_is_refused(app: App, visitor):
    app.provider.forged = True
    page = visitor.new_page()
    log_in(page, app.address)
    expect(page.get_by_role("status")).to_have_text(AccessRefusal.WRONG_TOKEN)


def test_an_unreachable_provider_is_reported_and_recovers(app: App, visitor):
    app.provider.broken = True
    page = visitor.new_page()
    page.goto(app.address)
    page.get_by_role("link", name="Log in").click()
    expect(page.get_by_role("status")).to_have_text(AccessRefusal.UNREACHABLE)
    app.provider.broken = False
    log_in(page, app.address)
    expect(account(page)).to_contain_text("Ann")


def test_a_provider_that_fails_during_the_login_is_reported(app: App, visitor):
    page = visitor.new_page()
    page.goto(app.address)
    page.get_by_role("link", name="Log in").click()
    page.get_by_label("Mail address").fill("ann@example.com")
    page.route("**/authorize", lambda route: route.continue_())
    page.on("response", lambda response: setattr(app.provider, "broken", "/authorize" in response.url))
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("status")).to_have_text(AccessRefusal.UNREACHABLE)


def test_a_refused_or_stale_login_is_reported(app: App, visitor):
    page = visitor.new_page()
    for error, refusal in (("access_denied", AccessRefusal.STOPPED), ("invalid_request", AccessRefusal.REJECTED)):
        app.provider.refuses = error
        page.goto(app.address)
        page.get_by_role("link", name="Log in").click()
        expect(page.get_by_role("status")).to_have_text(refusal)
    page.goto(f"{app.address}/oauth2callback?code=a&state=b")
    expect(page.get_by_role("status")).to_have_text(AccessRefusal.STALE)
    page.goto(f"{app.address}/auth/login?provider=old")
    expect(page.get_by_role("status")).to_have_text(AccessRefusal.STALE)
