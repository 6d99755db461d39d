"""The switch *Show numbers* in a real browser: found at once on a phone too, kept over a reload and in a new tab."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.app_server import SECONDS
from tests.visits import keyed

pytestmark = pytest.mark.browser

LONG = 60 * SECONDS


@pytest.fixture
def own_context(browser):
    """A browser that has chosen nothing, as wide as a phone."""
    opened = browser.new_context(viewport={"width": 390, "height": 844})
    yield opened
    opened.close()


def opened(context, address: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(LONG)
    page.goto(address)
    expect(page.locator(".vp-desk [role=slider]").first).to_be_visible(timeout=LONG)
    return page


def switch(page: Page):
    return keyed(page, "show_numbers").locator("label")


def test_a_choice_holds_over_a_reload_in_a_new_tab_and_on_other_pages(own_context, address):
    page = opened(own_context, address)
    cost = page.locator(".vp-answer .vp-cost b").first
    expect(switch(page)).to_be_in_viewport()
    # The shared server shows numbers to those who have chosen nothing.
    expect(cost).to_have_text(re.compile("^Like picking the best of"))
    switch(page).click()
    expect(cost).to_have_text(re.compile("effort$"), timeout=LONG)
    page.wait_for_function("document.cookie.includes('value_palette_numbers=off')")
    page.reload()
    expect(page.locator(".vp-answer .vp-cost b").first).to_have_text(re.compile("effort$"), timeout=LONG)
    other = opened(own_context, f"{address}/?palette=helpfulness:p60")
    expect(other.locator(".vp-answer .vp-cost b").first).to_have_text(re.compile("effort$"), timeout=LONG)
    assert "p60" in other.url
    other.goto(f"{address}/baselines")
    expect(keyed(other, "show_numbers").locator("input")).not_to_be_checked(timeout=LONG)


def test_while_a_fader_moves_the_words_stay_plain(own_context, address):
    page = opened(own_context, address)
    switch(page).click()
    caption = page.locator(".vp-row-said").first
    expect(caption).to_have_text(re.compile(r"base model \d+, you get \d+"), timeout=LONG)
    handle = page.locator(".vp-desk [role=slider]").first
    handle.focus()
    for _ in range(5):
        page.keyboard.down("ArrowRight")
    expect(caption).not_to_have_text(re.compile(r"\bp\d"))
    page.keyboard.up("ArrowRight")
    wishes = "a little more|clearly more|a lot more|nearly the best"
    expect(caption).to_have_text(re.compile(rf"^({wishes}), base model \d+"))
    expect(caption).not_to_have_text(re.compile(r"\bp\d"))
