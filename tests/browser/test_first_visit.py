"""Tests of the first visit in a real Chromium: the welcome leaves the faders in view; the tour works by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests import visits
from tests.app_server import SECONDS
from tests.browser.test_accessibility import axe_violations
from tests.visits import keyed

pytestmark = pytest.mark.browser

#: A busy machine is slow, and no test here is about time.
TIMEOUT = 60 * SECONDS


@pytest.fixture
def page(context, address):
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    page.goto(address)
    expect(page.locator(".vp-desk [role=slider]").first).to_be_visible(timeout=TIMEOUT)
    yield page
    page.close()


def press(page: Page, key: str) -> None:
    """Press a button by keyboard."""
    keyed(page, key).locator("button").focus()
    page.keyboard.press("Enter")


def test_tour_by_keyboard_restores_the_previous_palette(page):
    visits.settle(page)
    page.evaluate("async () => { await document.fonts.ready }")
    welcome_box = keyed(page, "welcome").bounding_box()
    assert welcome_box["height"] <= 200
    assert page.locator(".vp-desk [role=slider]").first.bounding_box()["y"] < 700
    url_before = page.url
    press(page, "tour_start")
    strip = page.get_by_role("region", name="Tour")
    status = keyed(page, "verdict").get_by_role("status")
    expect(strip).to_contain_text("1 of 6", timeout=TIMEOUT)
    expect(status).to_contain_text("Reachable", timeout=TIMEOUT)
    press(page, "tour_next")
    expect(strip).to_contain_text("2 of 6", timeout=TIMEOUT)
    expect(status).to_contain_text("Not possible", timeout=TIMEOUT)
    expect(strip).to_contain_text("The verdict: not possible together.", timeout=TIMEOUT)
    visits.settle(page)
    assert axe_violations(page) == []
    press(page, "tour_next")
    expect(status).to_contain_text("Reachable", timeout=TIMEOUT)
    expect(strip).to_contain_text("3 of 6", timeout=TIMEOUT)
    assert page.url != url_before
    press(page, "tour_end")
    press(page, "tour_restore")
    expect(strip).to_have_count(0, timeout=TIMEOUT)
    expect(page).to_have_url(url_before, timeout=TIMEOUT)


def test_tour_starts_from_how_it_works_too(page, address):
    page.goto(f"{address}/how")
    press(page, "how_tour")
    expect(page.get_by_role("region", name="Tour")).to_contain_text("1 of 6", timeout=TIMEOUT)
    expect(page.locator(".vp-desk [role=slider]").first).to_be_visible(timeout=TIMEOUT)


def test_unknown_address_shows_a_message(page, address):
    page.goto(f"{address}/nothing-here")
    expect(page.get_by_role("dialog")).to_contain_text("does not seem to exist", timeout=TIMEOUT)
    page.keyboard.press("Escape")
    expect(page.locator(".vp-desk [role=slider]").first).to_be_visible(timeout=TIMEOUT)


def test_tour_scrolls_to_its_subject_on_a_phone(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    page.clock.install()
    page.goto(address)
    expect(page.locator(".vp-desk [role=slider]").first).to_be_visible(timeout=TIMEOUT)
    press(page, "tour_start")
    strip = page.get_by_role("region", name="Tour")
    shown = {}
    for number in range(1, 7):
        expect(strip).to_contain_text(f"{number} of 6", timeout=TIMEOUT)
        visits.settle(page)
        page.clock.fast_forward(1000)  # the tour scrolls 0.15 s after a stop, and once more after 0.9 s
        shown[number] = page.locator("[data-tour-shown]").evaluate_all("parts => parts.map(part => part.className)")
        box = keyed(page, "tour").bounding_box()
        assert box["y"] >= 0, "the strip is in sight"
        if shown[number]:
            parts = page.locator("[data-tour-shown]")
            tops = [parts.nth(n).bounding_box()["y"] for n in range(parts.count())]
            assert any(box["y"] + box["height"] <= top < 844 for top in tops), f"stop {number} is out of sight"
        if number < 6:
            press(page, "tour_next")
    assert shown[1] == ["vp-row"]
    assert sum("st-key-verdict" in part for part in shown[2]) == 1
    assert len(shown[2]) == 3
    assert shown[5] == ["vp-example"]
    assert shown[6] == []
    press(page, "tour_end" if keyed(page, "tour_end").count() else "tour_next")
    expect(page.locator("[data-tour-shown]")).to_have_count(0)
    context.close()
