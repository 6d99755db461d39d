"""The main job without a mouse: Tab, arrows, Enter and Space lead from the first page to a palette that can be had,
to its report and to Listen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests import visits
from tests.app_server import SECONDS
from tests.visits import keyed

pytestmark = pytest.mark.browser

#: So many steps lead to anything on a page.
MOST = 250

_FOCUS = """() => {
    let one = document.activeElement;
    while (one?.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
    if (!one || one === document.body) return {};
    const style = getComputedStyle(one), box = one.getBoundingClientRect();
    return {
        role: one.getAttribute("role") || one.tagName.toLowerCase(),
        name: (one.getAttribute("aria-label") || one.innerText || "").trim(),
        kind: one.className.toString(),
        href: one.getAttribute("href") || "",
        bar: Boolean(one.closest("header")),
        seen: style.outlineStyle !== "none" || style.boxShadow !== "none",
        inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
    };
}"""

Focus = dict[str, object]


def focus(page: Page) -> Focus:
    """What has the focus, inside components as well."""
    return page.evaluate(_FOCUS)


def tab_to(page: Page, wanted: Callable[[Focus], bool], what: str, key: str = "Tab") -> Focus:
    """Press a key until the focus is where it is wanted, in sight and with a visible mark."""
    passed: list[str] = []
    for _ in range(MOST):
        page.keyboard.press(key)
        focused = focus(page)
        if focused and wanted(focused):
            assert focused["seen"], f"the focus on {what} cannot be seen"
            assert focused["inside"], f"the focus on {what} is out of sight"
            return focused
        passed.append(str(focused.get("name"))[:24])
    pytest.fail(f"{key} never came to {what}, but to {passed[:60]}")


def link(name: str) -> Callable[[Focus], bool]:
    return lambda found: found["role"] in ("a", "menuitem") and str(found["name"]).split("\n")[-1].strip() == name


def test_a_palette_is_made_reported_and_compared_by_keys_alone(browser, address):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(address)
    visits.settle(page)
    verdict = keyed(page, "verdict").locator("[role=status]").first

    # The first stop leads past the navigation.
    first = tab_to(page, lambda found: True, "the skip link")
    assert first["name"] == "Skip to main content"
    page.keyboard.press("Enter")
    tab_to(page, lambda found: found["role"] == "slider", "a fader")
    assert focus(page)["name"], "a fader is named after its value"

    # The fader goes up until the palette is out of reach.
    fader = page.locator("[role=slider]:focus")
    before = float(fader.get_attribute("aria-valuenow") or "nan")
    for _ in range(20):
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        expect(page.locator(".vp-desk")).to_have_attribute("data-settled", "true", timeout=30 * SECONDS)
        if "Not possible" in verdict.inner_text():
            break
    expect(verdict).to_contain_text("Not possible", timeout=30 * SECONDS)
    assert float(fader.get_attribute("aria-valuenow") or "nan") > before

    # A way out is a button: it is taken, and the palette can be had.
    expect(page.locator(".vp-way").first).to_be_visible(timeout=60 * SECONDS)
    tab_to(page, lambda found: "vp-way" in str(found["kind"]).split(), "a way out")
    page.keyboard.press("Enter")
    expect(verdict).not_to_contain_text("Not possible", timeout=30 * SECONDS)
    palette = page.url

    # The report, in the menu of the navigation.
    menu = {"role": "button", "name": "Report", "bar": True}
    tab_to(page, lambda found: all(found[key] == menu[key] for key in menu), "the menu Report")
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem").first).to_be_visible()
    tab_to(page, link("Report"), "the report", key="ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Report").first).to_be_visible(timeout=60 * SECONDS)
    visits.settle(page)
    assert page.url != palette

    # And Listen, which knows the same palette.
    tab_to(page, link("Listen"), "Listen")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Listen").first).to_be_visible(timeout=60 * SECONDS)
    visits.settle(page)
    expect(keyed(page, "palette_line")).to_contain_text("Reachable")
    context.close()
