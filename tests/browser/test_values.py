"""Test of the page Values in a browser: a value defined in words, scored by the real model, judged, and set."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from map_core.data import table_format
from map_core.scoring import DEFAULT_EMBEDDER
from tests.app_server import MARKUP, SECONDS, running
from tests.lazy import needs_models
from tests.tables import make_table
from tests.visits import check_fits_phone, keyed, settle

pytestmark = [pytest.mark.browser, needs_models(DEFAULT_EMBEDDER)]


@pytest.fixture(scope="module")
def own_address(tmp_path_factory):
    """Serve a separate app: a value in use would add a fader to the page of every other test."""
    folder = tmp_path_factory.mktemp("values")
    table = make_table(prompts=16, candidates=8, seed=5)
    table_format.save(
        replace(table, replies=tuple(f"{text} {MARKUP}" for text in table.replies)), folder / "table.parquet"
    )
    with running(folder, folder / "table.parquet", numbers=True) as server:
        yield server.address


def test_a_value_from_words_to_a_slider(browser, own_address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.set_default_timeout(60 * SECONDS)
    page = context.new_page()
    page.goto(f"{own_address}/values")
    settle(page)
    check_fits_phone(page, "the page")
    page.get_by_role("button", name="Define a value").click()
    page.get_by_role("textbox", name="Name").fill("<i>Calm</i> nurse")
    page.get_by_role("textbox", name="More like this").fill("sounds like a calm nurse")
    page.get_by_role("textbox", name="Less like this").fill("sounds like a salesman")
    check_fits_phone(page, "the page")
    page.get_by_role("button", name="Define and score it").click()
    page.get_by_role("button", name="Judge 15 pairs").click()
    settle(page)
    for number in range(1, 16):
        expect(page.locator(".vp-question .vp-tag")).to_have_text(f"{number} of 15")
        if number == 1:
            check_fits_phone(page, "the page")
            expect(keyed(page, "values_reply_0")).to_contain_text("<script>window.ran = true</script>")
            assert keyed(page, "values_is_first").locator("button").bounding_box()["height"] >= 44
            keyed(page, "values_is_first").locator("button").click()  # by touch
        else:
            page.keyboard.press("1")
    expect(page.locator(".vp-word")).to_contain_text("of 15 judged pairs")
    check_fits_phone(page, "the page")
    page.get_by_role("button", name="Use it as a target").click()
    confirm = page.get_by_role("button", name="Use it all the same")
    remove = page.get_by_role("button", name="Remove the slider")
    expect(confirm.or_(remove)).to_be_visible()
    if confirm.is_visible():
        confirm.click()
    expect(remove).to_be_visible()
    page.get_by_role("link", name="Set its target").click()
    expect(page.get_by_role("slider", name="<i>Calm</i> nurse")).to_be_visible()
    assert not page.evaluate("() => window.ran === true")
    context.close()
