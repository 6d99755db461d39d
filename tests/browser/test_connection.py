"""A connection that is lost: the page says so by itself, marks what is not current, and goes on when it is back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from map_core.core.assets import ASSETS
from pages.view.shell import connection
from tests.app_server import SECONDS
from tests.visits import keyed, settle

pytestmark = pytest.mark.browser


def test_a_lost_connection_is_said_until_it_is_back(context, address):
    page = context.new_page()
    page.set_default_timeout(60 * SECONDS)
    sockets = []

    def connect(socket) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    page.route_web_socket(re.compile("_stcore/stream"), connect)
    page.goto(address)
    headline = keyed(page, "verdict").locator("h2").first
    expect(headline).to_be_visible(timeout=60 * SECONDS)
    settle(page)
    banner = page.locator(".vp-connection")
    expect(banner).to_be_hidden()
    mark = "node => getComputedStyle(node, '::after').content"
    assert "not current" not in headline.evaluate(mark)

    page.route("**/_stcore/health", lambda route: route.abort())
    sockets[-1].close()
    expect(banner).to_contain_text("The connection to the app is lost", timeout=60 * SECONDS)
    expect(banner).to_contain_text("nothing of it is lost")
    assert "not current" in headline.evaluate(mark)

    page.unroute("**/_stcore/health")
    expect(banner).to_contain_text("The connection is back", timeout=90 * SECONDS)
    assert "not current" not in headline.evaluate(mark)
    expect(banner).to_be_hidden(timeout=60 * SECONDS)
    page.close()


def test_only_a_state_without_a_connection_is_a_lost_one(context):
    page = context.new_page()
    page.set_content("<main data-test-connection-state='CONNECTED'></main>")
    script = (ASSETS / "connection.js").read_text()
    page.add_script_tag(content=script.replace("export default function", "window.mount = function"), type="module")
    page.evaluate("(data) => { mount({ data }); mount({ data }); }", {"lost": connection.LOST, "back": connection.BACK})
    banner = page.locator(".vp-connection")
    expect(banner).to_have_count(1)
    become = "(state) => document.querySelector('main').setAttribute('data-test-connection-state', state)"
    for state in ("PINGING_SERVER", "DISCONNECTED_FOREVER"):
        page.evaluate(become, state)
        expect(banner).to_have_text(connection.LOST)
        expect(page.locator("html")).to_have_class("vp-disconnected")
        page.evaluate(become, "CONNECTED")
        expect(banner).to_have_text(connection.BACK)
        expect(page.locator("html")).not_to_have_class("vp-disconnected")
    expect(banner).to_be_hidden()
    page.evaluate(become, "CONNECTING")
    page.evaluate(become, "CONNECTED")  # back at once: nothing to speak of
    page.wait_for_timeout(1200)
    expect(banner).to_be_hidden()
    page.close()
