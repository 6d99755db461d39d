"""Tests of replies over the web socket: streamed without reruns of the page, after a lost socket, and without one."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from map_core.models.packaged import DEFAULT_MODEL
from map_core.scoring import DEFAULT_EMBEDDER
from tests.app_server import SECONDS, slow_model
from tests.lazy import needs_models
from tests.visits import column, count_reply_lengths, keyed, settle, unfold

pytestmark = [
    pytest.mark.browser,
    pytest.mark.model,
    needs_models(DEFAULT_MODEL, DEFAULT_EMBEDDER),
]


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60 * SECONDS)
    yield page
    context.close()


def generate(page, address: str, candidates: int = 8, tokens: int = 64) -> None:
    """Open the page and generate replies to the prompt in its box."""
    page.goto(f"{address}/compare")
    expect(keyed(page, "generate").locator("button")).to_be_enabled(timeout=120 * SECONDS)
    unfold(page, "how")
    for key, number in (("candidates_k", candidates), ("max_new_tokens", tokens)):
        box = keyed(page, key).locator("input")
        box.fill(str(number))
        box.press("Tab")
        expect(box).to_have_value(str(number))
    keyed(page, "palette_line").wait_for()
    settle(page)
    keyed(page, "generate").locator("button").click()


def status(page):
    return page.locator(".vp-panel [role=status]")


def test_ctrl_enter_generates_with_the_words_just_typed(page, address):
    page.goto(f"{address}/compare")
    expect(keyed(page, "generate").locator("button")).to_be_enabled(timeout=120 * SECONDS)
    settle(page)
    box = page.get_by_role("textbox", name="Prompt")
    box.fill("Name a colour.")
    box.press("Control+Enter")
    expect(page.locator(".vp-panel .vp-asked")).to_contain_text("Name a colour.", timeout=60 * SECONDS)
    expect(status(page)).to_contain_text("Done", timeout=60 * SECONDS)


def test_replies_are_streamed_without_reruns_and_the_controls_follow_at_the_end(page, server):
    frames: dict[str, list[float]] = {"stream": [], "desk": []}

    def record(socket) -> None:
        name = socket.url.split("?")[0].rsplit("/", 1)[-1]
        socket.on("framereceived", lambda payload: frames.setdefault(name, []).append(time.monotonic()))

    page.on("websocket", record)
    with slow_model(server):
        generate(page, server.address, candidates=16, tokens=96)
        expect(status(page)).to_contain_text(re.compile("Writing: 16 candidates, [1-9]"), timeout=120 * SECONDS)
        expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
        start = time.monotonic()
        assert count_reply_lengths(page) > 3
        end = time.monotonic()
    expect(keyed(page, "better_aligned").locator("button")).to_be_visible()
    interval = (start, end - 1.5)  # the final rerun begins when the replies end
    assert interval[0] < interval[1], "it took long enough to tell"
    counts = {name: len([t for t in times if interval[0] < t < interval[1]]) for name, times in frames.items()}
    assert counts["desk"] >= 3
    assert counts["stream"] == 0
    expect(keyed(page, "stop").locator("button")).to_be_disabled()


def test_a_lost_socket_reconnects_and_continues_with_the_current_replies(page, server):
    sockets = []

    def connect(socket) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    page.route_web_socket(re.compile("/live/desk"), connect)
    with slow_model(server):
        generate(page, server.address, candidates=16, tokens=96)
        expect(status(page)).to_contain_text(re.compile("Writing: 16 candidates, [1-9]"), timeout=120 * SECONDS)
        expect(column(page, "base").locator(".vp-reply")).to_have_text(re.compile(r"\w+ \w+ \w+"))
        sockets[-1].close()
        before = column(page, "base").locator(".vp-reply").inner_text()
    expect(status(page)).to_contain_text("Done: 16 candidates", timeout=240 * SECONDS)
    assert len(sockets) > 1, "the page has opened it again"
    reply = column(page, "base").locator(".vp-reply").inner_text()
    assert reply[:10] == before[:10]
    expect(keyed(page, "better_aligned").locator("button")).to_be_visible()
    page.reload()
    expect(status(page)).to_contain_text("Done: 16 candidates")
    assert column(page, "base").locator(".vp-reply").inner_text() == reply, "nothing was lost or came twice"


def test_without_the_socket_the_page_falls_back_to_reruns(page, server):
    page.route_web_socket(re.compile("/live/desk"), lambda socket: socket.close())
    with slow_model(server):
        generate(page, server.address, candidates=8, tokens=64)
        expect(status(page)).to_contain_text(re.compile("Writing: 8 candidates, [1-9]"), timeout=120 * SECONDS)
        assert count_reply_lengths(page) > 3
    expect(keyed(page, "better_aligned").locator("button")).to_be_visible()
    expect(keyed(page, "stop").locator("button")).to_be_disabled()


def test_with_a_silent_socket_the_page_falls_back_to_reruns(page, server):
    page.route_web_socket(re.compile("/live/desk"), lambda socket: socket.on_message(lambda message: None))
    with slow_model(server, pause=1.0):  # still running when the page stops waiting and falls back to reruns
        generate(page, server.address, candidates=8, tokens=64)
        expect(status(page)).to_contain_text(re.compile("Writing: 8 candidates, [1-9]"), timeout=120 * SECONDS)
    expect(status(page)).to_contain_text("Done: 8 candidates", timeout=240 * SECONDS)
    expect(keyed(page, "better_aligned").locator("button")).to_be_visible()
    expect(keyed(page, "stop").locator("button")).to_be_disabled()


def test_stop_beside_the_replies_keeps_what_is_written(page, server):
    with slow_model(server):
        generate(page, server.address, candidates=64, tokens=96)  # far from done when stopped
        expect(column(page, "base").locator(".vp-reply")).to_have_text(re.compile(r"\w+ \w+"), timeout=120 * SECONDS)
        page.locator(".vp-panel .vp-progress").get_by_role("button", name="Stop").click()
    expect(status(page)).to_contain_text("Stopped", timeout=5 * SECONDS)
    assert column(page, "base").locator(".vp-reply").inner_text()
    expect(keyed(page, "stop").locator("button")).to_be_disabled()
