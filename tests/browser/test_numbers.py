"""Tests of the switch *Show numbers* in a real browser: visible on a phone, kept over a reload and in a new tab."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.app_server import SECONDS
from tests.visits import keyed

pytestmark = pytest.mark.browser

TIMEOUT = 60 * SECONDS


@pytest.fixture
def own_context(browser):
    """Return a browser context without a stored choice, as wide as a phone."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    yield context
    context.close()


def open_desk(context, address: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    page.goto(address)
    expect(page.locator(".vp-desk [role=slider]").first).to_be_visible(timeout=TIMEOUT)
    return page


def switch(page: Page):
    return keyed(page, "show_numbers").locator("label")


def test_the_choice_is_kept_over_a_reload_in_a_new_tab_and_on_other_pages(own_context, address):
    page = open_desk(own_context, address)
    cost = page.locator(".vp-answer .vp-cost b").first
    expect(switch(page)).to_be_in_viewport()
    # The shared server shows numbers where nothing was chosen.
    expect(cost).to_have_text(re.compile("^Like picking the best of"))
    switch(page).click()
    expect(cost).to_have_text(re.compile("effort$"), timeout=TIMEOUT)
    page.wait_for_function("document.cookie.includes('value_palette_numbers=off')")
    page.reload()
    expect(page.locator(".vp-answer .vp-cost b").first).to_have_text(re.compile("effort$"), timeout=TIMEOUT)
    other_page = open_desk(own_context, f"{address}/?palette=helpfulness:p60")
    expect(other_page.locator(".vp-answer .vp-cost b").first).to_have_text(re.compile("effort$"), timeout=TIMEOUT)
    assert "p60" in other_page.url
    other_page.goto(f"{address}/baselines")
    expect(keyed(other_page, "show_numbers").locator("input")).not_to_be_checked(timeout=TIMEOUT)


def test_while_a_fader_moves_the_words_stay_plain(own_context, address):
    page = open_desk(own_context, address)
    switch(page).click()
    caption = page.locator(".vp-row-said").first
    expect(caption).to_have_text(re.compile(r"base model \d+, you get \d+"), timeout=TIMEOUT)
    handle = page.locator(".vp-desk [role=slider]").first
    handle.focus()
    for _ in range(5):
        page.keyboard.down("ArrowRight")
    expect(caption).not_to_have_text(re.compile(r"\bp\d"))
    page.keyboard.up("ArrowRight")
    wishes = "a little more|clearly more|a lot more|nearly the best"
    expect(caption).to_have_text(re.compile(rf"^({wishes}), base model \d+"))
    expect(caption).not_to_have_text(re.compile(r"\bp\d"))
