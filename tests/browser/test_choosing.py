"""Finding targets by choosing, in a browser: by touch and keyboard, with undo and a reload, up to the faders."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.app_server import SECONDS
from tests.browser.test_accessibility import axe_violations
from tests.visits import check_fits_phone, keyed, settle

pytestmark = pytest.mark.browser


def test_targets_are_found_by_choosing_on_a_phone(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.set_default_timeout(60 * SECONDS)
    page = context.new_page()
    page.goto(address)
    settle(page)
    page.get_by_role("link", name="No numbers in mind? Find them by choosing").click()
    progress = keyed(page, "choose_question").locator(".vp-question .vp-tag")
    expect(progress).to_have_text("1 of 15")
    settle(page)
    assert axe_violations(page) == []
    check_fits_phone(page, "the question")
    keyed(page, "choose_first").locator("button").click()
    expect(progress).to_have_text("2 of 15")
    for number in range(3, 9):
        page.keyboard.press("ArrowLeft")
        expect(progress).to_have_text(f"{number} of 15")
    page.keyboard.press("ArrowRight")
    expect(progress).to_have_text("9 of 15")
    page.keyboard.press("Backspace")
    expect(progress).to_have_text("8 of 15")
    page.keyboard.press("ArrowDown")
    expect(progress).to_have_text("9 of 15")
    settle(page)  # the number is drawn before the replies
    reply = keyed(page, "choose_reply_0").inner_text()
    page.reload()
    expect(progress).to_have_text("9 of 15")
    expect(keyed(page, "choose_reply_0")).to_have_text(reply, use_inner_text=True)
    page.get_by_role("button", name="See what my choices say").click()
    expect(keyed(page, "choose_result")).to_contain_text("You saw no difference once.")
    page.get_by_role("button", name="Set these targets").click()
    expect(page.get_by_role("heading", name="Set your targets")).to_be_visible()
    expect(keyed(page, "verdict").get_by_role("status")).to_contain_text("Reachable")
    context.close()
