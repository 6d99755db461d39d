"""The first visit in a real Chromium: the landing leaves the desk in sight, and the tour moves it by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests import visits
from tests.app_server import SECONDS
from tests.browser.test_accessibility import findings
from tests.visits import keyed

pytestmark = pytest.mark.browser

#: A machine of many tasks is slow, and none of this is about time.
LONG = 60 * SECONDS


@pytest.fixture
def page(context, address):
    opened = context.new_page()
    opened.set_default_timeout(LONG)
    opened.goto(address)
    expect(opened.locator(".vp-desk [role=slider]").first).to_be_visible(timeout=LONG)
    yield opened
    opened.close()


def press(page: Page, key: str) -> None:
    """A button by the keyboard."""
    keyed(page, key).locator("button").focus()
    page.keyboard.press("Enter")


def test_the_tour_by_keyboard_from_the_landing_to_the_palette_from_before(page):
    visits.settle(page)
    page.evaluate("async () => { await document.fonts.ready }")
    landing = keyed(page, "welcome").bounding_box()
    assert landing["height"] <= 200
    assert page.locator(".vp-desk [role=slider]").first.bounding_box()["y"] < 700
    own = page.url
    press(page, "tour_start")
    strip = page.get_by_role("region", name="Tour")
    status = keyed(page, "verdict").get_by_role("status")
    expect(strip).to_contain_text("1 of 6", timeout=LONG)
    expect(status).to_contain_text("Reachable", timeout=LONG)
    press(page, "tour_next")
    expect(strip).to_contain_text("2 of 6", timeout=LONG)
    expect(status).to_contain_text("Not possible", timeout=LONG)
    expect(strip).to_contain_text("The verdict: not possible together.", timeout=LONG)
    visits.settle(page)
    assert findings(page) == []
    press(page, "tour_next")
    expect(status).to_contain_text("Reachable", timeout=LONG)
    expect(strip).to_contain_text("3 of 6", timeout=LONG)
    assert page.url != own
    press(page, "tour_end")
    press(page, "tour_restore")
    expect(strip).to_have_count(0, timeout=LONG)
    expect(page).to_have_url(own, timeout=LONG)


def test_the_tour_is_begun_from_how_it_works_as_well(page, address):
    page.goto(f"{address}/how")
    press(page, "how_tour")
    expect(page.get_by_role("region", name="Tour")).to_contain_text("1 of 6", timeout=LONG)
    expect(page.locator(".vp-desk [role=slider]").first).to_be_visible(timeout=LONG)


def test_an_address_that_is_no_page_is_said_in_words(page, address):
    page.goto(f"{address}/nothing-here")
    expect(page.get_by_role("dialog")).to_contain_text("does not seem to exist", timeout=LONG)
    page.keyboard.press("Escape")
    expect(page.locator(".vp-desk [role=slider]").first).to_be_visible(timeout=LONG)


def test_the_tour_goes_to_what_it_speaks_of_on_a_phone(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(LONG)
    page.goto(address)
    expect(page.locator(".vp-desk [role=slider]").first).to_be_visible(timeout=LONG)
    press(page, "tour_start")
    strip = page.get_by_role("region", name="Tour")
    seen = {}
    for number in range(1, 7):
        expect(strip).to_contain_text(f"{number} of 6", timeout=LONG)
        visits.settle(page)
        page.wait_for_timeout(1000)  # the page goes there once it has drawn the stop
        seen[number] = page.locator("[data-tour-shown]").evaluate_all("parts => parts.map(part => part.className)")
        below = keyed(page, "tour").bounding_box()
        assert below["y"] >= 0, "the strip is in sight"
        if seen[number]:
            first = page.locator("[data-tour-shown]")
            tops = [first.nth(n).bounding_box()["y"] for n in range(first.count())]
            assert any(below["y"] + below["height"] <= top < 844 for top in tops), f"stop {number} is out of sight"
        if number < 6:
            press(page, "tour_next")
    assert seen[1] == ["vp-row"]
    assert sum("st-key-verdict" in part for part in seen[2]) == 1
    assert len(seen[2]) == 3
    assert seen[5] == ["vp-example"]
    assert seen[6] == []
    press(page, "tour_end" if keyed(page, "tour_end").count() else "tour_next")
    expect(page.locator("[data-tour-shown]")).to_have_count(0)
    context.close()
