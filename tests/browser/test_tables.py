"""Test of the page Tables on a phone: an own file is uploaded, converted, shown, rated and deleted."""

from __future__ import annotations

import random

import pytest
from playwright.sync_api import expect

from tests.app_server import SECONDS
from tests.visits import check_fits_phone, keyed, settle

pytestmark = pytest.mark.browser
MARKUP = '"<img src=x onerror=""window.ran = true""> =1+1"'


def scored_csv() -> bytes:
    rng = random.Random(2)
    rows = ["prompt,reply,wit,tact"]
    rows += [f"Question {n // 8}?,{MARKUP},{rng.gauss(0, 1):.3f},{rng.gauss(0, 1):.3f}" for n in range(96)]
    return "\n".join(rows).encode()


def test_an_own_file_from_upload_to_the_frontier_and_deletion(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.set_default_timeout(60 * SECONDS)
    page = context.new_page()
    page.goto(f"{address}/tables?view=file")
    settle(page)
    page.locator("input[type=file]").set_input_files(
        {"name": "mine.csv", "mimeType": "text/csv", "buffer": scored_csv()},
    )
    expect(page.get_by_text("CSV, 4 columns. Its first rows:")).to_be_visible()
    check_fits_phone(page, "the choice of columns")
    page.get_by_role("button", name="Make the table").click()
    show = page.get_by_role("button", name="Look at it")
    expect(show).to_be_visible()
    expect(page.get_by_text("'prompt' holds the prompts, 'reply' the replies; values: wit, tact.")).to_be_visible()
    check_fits_phone(page, "what was made")
    show.click()
    expect(page.get_by_text("Every page now shows “mine”")).to_be_visible()
    check_fits_phone(page, "the list")
    page.get_by_role("radio", name="How good", exact=True).click()
    expect(keyed(page, "advice")).to_be_visible()
    expect(page.get_by_role("heading", name="How far each value goes by itself")).to_be_visible()
    settle(page)
    check_fits_phone(page, "how good it is")
    page.goto(f"{address}/tradeoffs?table=mine")
    settle(page)
    expect(keyed(page, "view_two").locator(".js-plotly-plot .main-svg").first).to_be_visible()
    assert "table=mine" in page.url
    assert page.evaluate("window.ran") is None
    page.goto(f"{address}/tables?table=mine")
    settle(page)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it for good").click()
    expect(page.get_by_text("“mine” was deleted.")).to_be_visible()
    expect(page.get_by_role("heading", name="mine", exact=True)).to_have_count(0)
    context.close()
