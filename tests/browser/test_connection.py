"""A connection that is lost: the page says so by itself, marks what is not current, and goes on when it is back."""

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


#: Headers that hold between two ends of a connection; a proxy of before there were web sockets takes all of them off.
OF_ONE_HOP = ("connection", "upgrade", "keep-alive", "transfer-encoding")


@contextmanager
def without_web_sockets(address: str) -> Iterator[str]:
    """A proxy before the app that passes requests on, and no web socket."""
    place = urlsplit(address).netloc

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behind = http.client.HTTPConnection(place, timeout=60)
            kept = {name: text for name, text in self.headers.items() if name.lower() not in OF_ONE_HOP}
            behind.request("GET", self.path, headers=kept)
            answer = behind.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, text in answer.getheaders():
                if name.lower() not in (*OF_ONE_HOP, "content-length"):
                    self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            behind.close()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{proxy.server_port}"
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


#: Lets the 12 seconds pass at once; whether there were any to wait for.
NO_WAITING = """() => {
    const waits = document.querySelector(".vp-waiting").getAnimations();
    const delays = waits.map((one) => one.effect.getTiming().delay);
    waits.forEach((one) => one.finish());
    return delays;
}"""


def test_a_proxy_that_strips_web_sockets_is_said(context, address):
    page = context.new_page()
    sentence = page.locator(".vp-waiting")
    with without_web_sockets(address) as proxy:
        page.goto(proxy)
        page.wait_for_function("document.querySelector('[data-test-connection-state]')")
        expect(sentence).to_be_hidden()  # a connection takes a moment
        page.wait_for_function("document.querySelector('.vp-waiting').getAnimations().length == 1")
        assert page.evaluate(NO_WAITING) == [12_000]
        expect(sentence).to_be_visible()
        expect(sentence).to_contain_text("does not let web sockets through")
        expect(sentence).to_contain_text("docs/operations.md")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto(address)
    expect(keyed(page, "verdict").locator("h2").first).to_be_visible(timeout=60 * SECONDS)
    expect(sentence).to_have_count(0)
    page.close()


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
    expect(banner).to_contain_text("so it is not lost")
    # What is said of a page that was never drawn is not said of this one.
    expect(page.locator(".vp-waiting")).to_have_count(0)
    assert "not current" in headline.evaluate(mark)

    page.unroute("**/_stcore/health")
    expect(banner).to_contain_text("The connection is back", timeout=90 * SECONDS)
    assert "not current" not in headline.evaluate(mark)
    expect(banner).to_be_hidden(timeout=60 * SECONDS)
    page.close()


def mounted(context, content: str):
    """A page of this content, on which the bar has been mounted twice, as reruns do."""
    page = context.new_page()
    page.set_content(content)
    script = (ASSETS / "connection.js").read_text()
    page.add_script_tag(content=script.replace("export default function", "window.mount = function"), type="module")
    page.evaluate("(data) => { mount({ data }); mount({ data }); }", {"lost": connection.LOST, "back": connection.BACK})
    return page


def test_a_connection_that_was_lost_before_anybody_watched_is_said(context):
    page = mounted(context, "<main data-test-connection-state='PINGING_SERVER'></main>")
    expect(page.locator(".vp-connection")).to_have_text(connection.LOST)
    page.close()


def test_only_a_state_without_a_connection_is_a_lost_one(context):
    page = mounted(context, "<main data-test-connection-state='CONNECTED'></main>")
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


def test_a_page_of_which_nothing_is_left_is_loaded_again_and_says_so_where_that_was_tried(context, address):
    page = context.new_page()
    page.goto(address)
    headline = keyed(page, "verdict").locator("h2").first
    for banner in (0, 1):
        expect(headline).to_be_visible(timeout=60 * SECONDS)
        page.wait_for_function("document.documentElement.valuePaletteConnection")
        page.evaluate("document.getElementById('root').replaceChildren()")
        expect(page.get_by_text(connection.BROKEN)).to_have_count(banner)
    page.close()


def test_the_frameworks_own_dialog_of_a_lost_connection_is_closed_and_no_other(context):
    page = mounted(context, "<main></main>")
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
