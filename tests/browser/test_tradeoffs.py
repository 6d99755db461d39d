"""Tests of the page Explore in a real browser: clicks in figures and the address, which AppTest does not cover."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.app_server import SECONDS
from tests.visits import keyed, settle

pytestmark = pytest.mark.browser

TIMEOUT = 60 * SECONDS


@pytest.fixture
def page(context):
    page = context.new_page()
    page.set_viewport_size({"width": 1440, "height": 1200})
    page.set_default_timeout(TIMEOUT)
    yield page
    page.close()


def click_point(page: Page, plot: Locator, trace: str, point: int) -> None:
    """Click a point of a trace with the mouse."""
    plot.scroll_into_view_if_needed()
    settle(page)
    x, y = plot.evaluate(
        """(plot, [name, point]) => {
            const trace = plot._fullData.find(d => d.name == name), box = plot.getBoundingClientRect();
            const {xaxis, yaxis} = plot._fullLayout;
            const x = xaxis._offset + xaxis.d2p(trace.x[point]), y = yaxis._offset + yaxis.d2p(trace.y[point]);
            return [box.left + x, box.top + y];
        }""",
        [trace, point],
    )
    page.mouse.move(x, y)
    page.mouse.click(x, y)


def test_a_page_is_styled_a_few_times_while_its_figure_is_drawn(browser, page, address):
    """A CSS rule on the whole page that depends on its content would restyle it for each mark that Plotly measures."""
    browser.start_tracing(page=page, categories=["devtools.timeline"])
    page.goto(f"{address}/tradeoffs")
    settle(page)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    styled = sum(event["args"].get("elementCount", 0) for event in events if event["name"] == "UpdateLayoutTree")
    elements = page.evaluate("document.querySelectorAll('*').length")
    assert page.locator(".js-plotly-plot").count() == 1
    assert elements < styled < 10 * elements


def test_a_cell_opens_its_pair_and_updates_the_address(page, address):
    page.goto(f"{address}/tradeoffs?view=pairs")
    settle(page)
    cell = keyed(page, "pair_1_2").locator(".js-plotly-plot")
    expect(cell).to_be_visible(timeout=TIMEOUT)
    click_point(page, cell, "open", 40)
    expect(page.get_by_role("heading", name="What is possible together")).to_be_visible(timeout=TIMEOUT)
    settle(page)
    assert "view=two" in page.url
    assert "pair=harmlessness%2Chumor" in page.url
    expect(keyed(page, "view_two")).to_contain_text("Harmlessness")


def test_a_line_is_previewed_and_used(page, address):
    page.goto(f"{address}/tradeoffs?view=lines")
    settle(page)
    click_point(page, keyed(page, "view_lines").locator(".js-plotly-plot"), "line 0", 0)
    panel = keyed(page, "what_if_lines")
    expect(panel).to_contain_text("One of the palettes at 1 nats.", timeout=TIMEOUT)
    panel.get_by_role("button", name="Use this").click()
    expect(panel).to_contain_text("This is your palette now.", timeout=TIMEOUT)
    panel.get_by_role("button", name="Undo").click()
    expect(panel).to_contain_text("You gain helpfulness", timeout=TIMEOUT)


def test_choices_are_in_the_address_but_add_no_history_entries(page, address):
    page.goto(f"{address}/tradeoffs?view=lines&lines_budgets=0.5")
    settle(page)
    before = page.evaluate("history.length")
    tint = keyed(page, "lines_tint").get_by_role("radio", name="Its cost")
    tint.click()
    settle(page)
    assert "lines_tint=Its+cost" in page.url
    assert page.evaluate("history.length") == before
    keyed(page, "tradeoffs_view").get_by_role("radio", name="Two values").click()
    settle(page)
    assert "lines_tint" not in page.url
    assert page.evaluate("history.length") == before + 1, "an entry a view"
    page.go_back()
    settle(page)
    expect(tint).to_be_checked()
    assert "lines_budgets=0.5" in page.url
    page.reload()
    settle(page)
    expect(tint).to_be_checked()
