"""Tests of the login with a certified third-party provider: roles by its claims, and logout from both."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from map_core.data import table_format
from map_core.text.access import AccessRefusal
from tests import ROOT
from tests.app_server import free_port, running, wait_for
from tests.environments import node_environment
from tests.login_provider import CLIENT, Provider, secrets_file
from tests.tables import make_table

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.external, pytest.mark.timeout(900)]
PACKAGE = "oidc-provider@9.13.3"


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    folder, node = tmp_path_factory.mktemp("certified"), node_environment("oidc-provider", PACKAGE)
    table_format.save(make_table(prompts=8, candidates=8, seed=5), folder / "table.parquet")
    port, app_port = free_port(), free_port()
    app, provider = f"http://localhost:{app_port}", Provider(f"http://127.0.0.1:{port}")
    (folder / "secrets.toml").write_text(secrets_file(provider, app, 'client_kwargs = { prompt = "login" }\n'))
    script = ROOT / "tests" / "browser" / "certified_provider.mjs"
    program = shutil.which("node") or "node"
    with (folder / "provider.log").open("wb") as log:
        process = subprocess.Popen([program, str(script), str(port), app], cwd=node, stdout=log, stderr=log)
        try:
            wait_for(f"{provider.address}/.well-known/openid-configuration", process, folder / "provider.log")
            settings = {
                "STREAMLIT_SECRETS_FILES": str(folder / "secrets.toml"),
                "VALUE_PALETTE_OPERATORS": "chief@example.com",
            }
            with running(folder, folder / "table.parquet", port=app_port, settings=settings) as server:
                yield server.address
        finally:
            process.terminate()
            process.wait(15)


@pytest.mark.parametrize(("person", "role"), [("ann", "a member"), ("chief", "an operator of this app")])
def test_a_person_logs_in_and_out_again(address: str, browser, person: str, role: str):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}/tables")
    page.get_by_role("link", name="Log in").click()
    page.locator("input[name=login]").fill(person)
    page.locator("input[name=password]").fill("anything")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()
    account = page.locator(".st-key-account")
    expect(account).to_contain_text(f"Person {person}")
    assert page.url.startswith(f"{address}/tables")
    account.get_by_role("button").click()
    expect(page.get_by_text(f"You are logged in as Person {person}, {role}.")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    expect(page.get_by_role("status")).to_have_text(AccessRefusal.LOGGED_OUT)
    assert CLIENT not in page.url
    page.goto(address)
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    context.close()
