"""Targets found by choosing, in a browser: keys and a thumb, a way back, a reload, and the faders stand there."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.app_server import SECONDS
from tests.browser.test_accessibility import findings
from tests.visits import fits, keyed, settle

pytestmark = pytest.mark.browser


def test_from_set_to_targets_by_choosing_on_a_phone(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.set_default_timeout(60 * SECONDS)
    page = context.new_page()
    page.goto(address)
    settle(page)
    page.get_by_role("link", name="No numbers in mind? Find them by choosing").click()
    place = keyed(page, "choose_question").locator(".vp-question .vp-tag")
    expect(place).to_have_text("1 of 15")
    settle(page)
    assert findings(page) == []
    fits(page, "the question")
    keyed(page, "choose_first").locator("button").click()
    expect(place).to_have_text("2 of 15")
    for number in range(3, 9):
        page.keyboard.press("ArrowLeft")
        expect(place).to_have_text(f"{number} of 15")
    page.keyboard.press("ArrowRight")
    expect(place).to_have_text("9 of 15")
    page.keyboard.press("Backspace")
    expect(place).to_have_text("8 of 15")
    page.keyboard.press("ArrowDown")
    expect(place).to_have_text("9 of 15")
    settle(page)  # the number comes before the replies
    reply = keyed(page, "choose_reply_0").inner_text()
    page.reload()
    expect(place).to_have_text("9 of 15")
    expect(keyed(page, "choose_reply_0")).to_have_text(reply, use_inner_text=True)
    page.get_by_role("button", name="See what my choices say").click()
    expect(keyed(page, "choose_result")).to_contain_text("You saw no difference once.")
    page.get_by_role("button", name="Set these targets").click()
    expect(page.get_by_role("heading", name="Set your targets")).to_be_visible()
    expect(keyed(page, "verdict").get_by_role("status")).to_contain_text("Reachable")
    context.close()
