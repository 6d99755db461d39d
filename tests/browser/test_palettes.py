"""Test of the page Library on a phone: palettes saved, pinned, compared, blended, restored, and opened by a link."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.app_server import SECONDS
from tests.visits import check_fits_phone, keyed, settle

pytestmark = pytest.mark.browser
NAME = "<b>Calm</b> *and* kind"


def open_view(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()
    settle(page)
    check_fits_phone(page, name)


def test_palettes_from_saving_to_the_link(browser, address):
    suffix = uuid4().hex[:6]  # names are unique, and a rerun finds what this run has saved
    quick, name = f"Desk {suffix}", f"{NAME} {suffix}"
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.set_default_timeout(60 * SECONDS)
    page = context.new_page()
    page.goto(address)
    settle(page)
    keyed(page, "desk_save").locator("button").first.click()
    page.get_by_label("Name", exact=True).fill(quick)
    keyed(page, "save").locator("button").click()
    expect(page.get_by_text(f"{quick} is saved.")).to_be_visible()
    page.goto(f"{address}/palettes")
    settle(page)
    expect(page.locator("[class*=st-key-saved_head_]", has_text=quick)).to_be_visible()
    page.get_by_label("Name", exact=True).first.fill(name)
    page.get_by_role("button", name="Save", exact=True).click()
    saved = page.locator("[class*=st-key-saved_head_]", has_text=name)
    expect(saved).to_be_visible()
    expect(saved.get_by_text("Reachable")).to_be_visible()

    open_view(page, "Presets")
    page.get_by_role("button", name="Pin", exact=True).first.click()
    settle(page)
    page.get_by_role("button", name="Use", exact=True).nth(2).click()
    expect(page.get_by_text("Switched to the preset More humor.")).to_be_visible()

    open_view(page, "Side by side")
    expect(page.get_by_role("heading", name="More helpfulness")).to_be_visible()
    expect(keyed(page, "beside_chart").locator(".main-svg").first).to_be_visible()
    replies = page.locator("[class*=st-key-beside_reply_]")
    assert replies.count() == 2
    expect(replies.first).to_contain_text("<script>window.ran = true</script> bold")
    tops = keyed(page, "beside").locator("> div").evaluate_all("all => all.map(div => div.getBoundingClientRect().top)")
    assert tops == sorted(set(tops)), "columns stack on a phone"

    open_view(page, "Blend")
    page.get_by_role("slider", name="Share of the second").press("ArrowRight")
    expect(page.get_by_role("heading", name="45% Your palette, 55% More helpfulness")).to_be_visible()
    expect(keyed(page, "blend_chart").locator(".main-svg").first).to_be_visible()
    page.get_by_role("button", name="Use this blend").click()
    settle(page)

    open_view(page, "Timeline")
    expect(page.get_by_role("heading", name="1. Started.")).to_be_visible()
    expect(keyed(page, "timeline_chart").locator(".main-svg").first).to_be_visible()
    keyed(page, "step_go_1").locator("button").click()
    expect(page.get_by_text("Step 2 of 3 in this session.")).to_be_visible()

    open_view(page, "Saved")
    link = page.locator("[data-testid=stCode] code").filter(has_not_text="/vote").inner_text()
    chips = keyed(page, "palette_line").locator(".vp-chips").inner_text()
    other_page = context.new_page()
    other_page.goto(link)
    settle(other_page)
    assert other_page.evaluate("location.pathname") == "/"
    other_page.goto(f"{address}/palettes{other_page.evaluate('location.search')}&view=timeline")
    expect(other_page.get_by_role("heading", name="How this palette came about")).to_be_visible()
    expect(keyed(other_page, "palette_line").locator(".vp-chips")).to_have_text(chips.replace("\n", ""))
    assert page.evaluate("window.ran") is None
    context.close()
