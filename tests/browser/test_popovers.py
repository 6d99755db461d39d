"""Tests of popover menus: they are inside the window with all their content, wherever the button is."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.app_server import SECONDS
from tests.browser.test_accessibility import COLOR_RULES, axe_violations
from tests.visits import keyed, settle

pytestmark = pytest.mark.browser

#: Pixels between the button and the lower edge of the window, from almost none to half a phone.
GAPS = (30, 120, 250, 420)


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_a_menu_near_the_lower_edge_of_the_window_shows_all_its_content(browser, address, width, height):
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.goto(address)
    settle(page)
    for key in ("share_data", "desk_save"):
        button = keyed(page, key).locator("button").first
        for gap in GAPS:
            box = button.bounding_box()
            page.locator("[data-testid=stMain]").evaluate(
                "(main, down) => main.scrollBy(0, down)", box["y"] + box["height"] - (height - gap)
            )
            button.click()
            body = page.locator("[data-testid=stPopoverBody]")
            expect(body.get_by_role("button").first).to_be_visible(timeout=60 * SECONDS)
            settle(page)
            box = body.bounding_box()
            hidden_pixels = body.evaluate("body => body.scrollHeight - body.clientHeight")
            assert hidden_pixels <= 1, f"{key}, {gap} pixels from the end: {hidden_pixels} of its pixels are hidden"
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= height
            page.keyboard.press("Escape")
            expect(body).to_have_count(0)
    context.close()


@pytest.mark.parametrize(
    ("scheme", "query"),
    [
        ("light", ""),
        ("dark", ""),
        ("light", "?embed=true&embed_options=dark_theme"),
        ("dark", "?embed=true&embed_options=light_theme"),
    ],
)
def test_a_menu_has_the_colours_of_the_scheme(browser, address, scheme, query):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{address}/groups{query}")
    page.get_by_role("button", name="Open a meeting").click()
    expect(keyed(page, "meeting_open").locator("button")).to_be_visible(timeout=60 * SECONDS)
    settle(page)
    assert axe_violations(page, COLOR_RULES) == []
    page.keyboard.press("Escape")
    keyed(page, "words").locator("button").click()
    expect(page.locator("[data-testid=stPopoverBody]").get_by_text("How it works, and all terms")).to_be_visible()
    settle(page)
    assert axe_violations(page, COLOR_RULES) == []
    context.close()
