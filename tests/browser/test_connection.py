"""Tests of a lost connection: the page shows a message, marks what is not current, and recovers afterwards."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from map_core.core.assets import ASSETS
from pages.view.shell import connection
from tests.app_server import SECONDS
from tests.visits import keyed, settle

pytestmark = pytest.mark.browser


#: Hop-by-hop headers; a proxy that knows no web sockets removes all of them.
HOP_BY_HOP = ("connection", "upgrade", "keep-alive", "transfer-encoding")


@contextmanager
def without_web_sockets(address: str) -> Iterator[str]:
    """Run a proxy in front of the app that forwards requests, but no web sockets."""
    host = urlsplit(address).netloc

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            upstream = http.client.HTTPConnection(host, timeout=60)
            forwarded = {name: text for name, text in self.headers.items() if name.lower() not in HOP_BY_HOP}
            upstream.request("GET", self.path, headers=forwarded)
            response = upstream.getresponse()
            body = response.read()
            self.send_response(response.status)
            for name, text in response.getheaders():
                if name.lower() not in (*HOP_BY_HOP, "content-length"):
                    self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            upstream.close()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{proxy.server_port}"
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


#: Ends the delay of 12 seconds at once and returns the delays that were pending.
SKIP_DELAY = """() => {
    const animations = document.querySelector(".vp-waiting").getAnimations();
    const delays = animations.map((animation) => animation.effect.getTiming().delay);
    animations.forEach((animation) => animation.finish());
    return delays;
}"""


def test_a_proxy_that_strips_web_sockets_is_reported(context, address):
    page = context.new_page()
    sentence = page.locator(".vp-waiting")
    with without_web_sockets(address) as proxy:
        page.goto(proxy)
        page.wait_for_function("document.querySelector('[data-test-connection-state]')")
        expect(sentence).to_be_hidden()  # a connection takes a moment
        page.wait_for_function("document.querySelector('.vp-waiting').getAnimations().length == 1")
        assert page.evaluate(SKIP_DELAY) == [12_000]
        expect(sentence).to_be_visible()
        expect(sentence).to_contain_text("does not let web sockets through")
        expect(sentence).to_contain_text("docs/operations.md")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto(address)
    expect(keyed(page, "verdict").locator("h2").first).to_be_visible(timeout=60 * SECONDS)
    expect(sentence).to_have_count(0)
    page.close()


def test_a_lost_connection_is_shown_until_it_is_back(context, address):
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
    expect(banner).to_contain_text("so it is not lost")
    # The message of a page that was never drawn is not shown here.
    expect(page.locator(".vp-waiting")).to_have_count(0)
    assert "not current" in headline.evaluate(mark)

    page.unroute("**/_stcore/health")
    expect(banner).to_contain_text("The connection is back", timeout=90 * SECONDS)
    assert "not current" not in headline.evaluate(mark)
    expect(banner).to_be_hidden(timeout=60 * SECONDS)
    page.close()


SET_STATE = "(state) => document.querySelector('main').setAttribute('data-test-connection-state', state)"


def page_with_banner(context, content: str, clock: bool = False):
    """Return a page with this content on which the banner was mounted twice, as reruns do.

    Args:
        context: of the browser.
        content: HTML.
        clock: stop the page's clock, which the test then moves on.
    """
    page = context.new_page()
    if clock:
        page.clock.install(time=0)
        page.clock.pause_at(1000)
    page.set_content(content)
    script = (ASSETS / "connection.js").read_text()
    page.add_script_tag(content=script.replace("export default function", "window.mount = function"), type="module")
    page.evaluate("(data) => { mount({ data }); mount({ data }); }", {"lost": connection.LOST, "back": connection.BACK})
    return page


def test_a_connection_lost_before_the_banner_is_mounted_is_shown(context):
    page = page_with_banner(context, "<main data-test-connection-state='PINGING_SERVER'></main>")
    expect(page.locator(".vp-connection")).to_have_text(connection.LOST)
    page.close()


def test_only_disconnected_states_show_the_banner(context):
    page = page_with_banner(context, "<main data-test-connection-state='CONNECTED'></main>")
    banner = page.locator(".vp-connection")
    expect(banner).to_have_count(1)
    for state in ("PINGING_SERVER", "DISCONNECTED_FOREVER"):
        page.evaluate(SET_STATE, state)
        expect(banner).to_have_text(connection.LOST)
        expect(page.locator("html")).to_have_class("vp-disconnected")
        page.evaluate(SET_STATE, "CONNECTED")
        expect(banner).to_have_text(connection.BACK)
        expect(page.locator("html")).not_to_have_class("vp-disconnected")
    expect(banner).to_be_hidden()
    page.close()


def test_a_short_interruption_is_not_reported(context):
    page = page_with_banner(context, "<main data-test-connection-state='CONNECTED'></main>", clock=True)
    banner = page.locator(".vp-connection")
    expect(banner).to_have_count(1)
    for state, wait, visible in (("CONNECTING", 500, False), ("CONNECTED", 1200, False), ("CONNECTING", 1200, True)):
        page.evaluate(SET_STATE, state)
        page.clock.run_for(wait)
        assert banner.is_visible() == visible
    page.close()


def test_an_empty_page_is_reloaded_once_and_then_shows_a_message(context, address):
    page = context.new_page()
    page.goto(address)
    headline = keyed(page, "verdict").locator("h2").first
    for banner in (0, 1):
        expect(headline).to_be_visible(timeout=60 * SECONDS)
        page.wait_for_function("document.documentElement.valuePaletteConnection")
        page.evaluate("document.getElementById('root').replaceChildren()")
        expect(page.get_by_text(connection.BROKEN)).to_have_count(banner)
    page.close()


def test_only_the_framework_s_dialog_of_a_lost_connection_is_closed(context):
    page = page_with_banner(context, "<main></main>")
    for title in ("Save the palette", "Connection error"):
        page.evaluate(
            """(title) => {
              const dialog = document.createElement("div");
              dialog.dataset.testid = "stDialog";
              dialog.innerHTML = `<h2>${title}</h2><button aria-label="Close">x</button>`;
              dialog.querySelector("button").addEventListener("click", () => dialog.remove());
              document.body.append(dialog);
            }""",
            title,
        )
    expect(page.get_by_test_id("stDialog")).to_have_count(1)
    expect(page.get_by_test_id("stDialog")).to_contain_text("Save the palette")
    page.close()
