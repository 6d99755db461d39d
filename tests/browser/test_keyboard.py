"""The main task by keyboard alone: from the first page to a reachable palette, to its report and to Listen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests import visits
from tests.app_server import SECONDS
from tests.visits import keyed

pytestmark = pytest.mark.browser

#: Key presses that suffice to reach anything on a page.
MAX_STEPS = 250

_FOCUS = """() => {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    if (!element || element === document.body) return {};
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    return {
        role: element.getAttribute("role") || element.tagName.toLowerCase(),
        name: (element.getAttribute("aria-label") || element.innerText || "").trim(),
        kind: element.className.toString(),
        href: element.getAttribute("href") || "",
        bar: Boolean(element.closest("header")),
        seen: style.outlineStyle !== "none" || style.boxShadow !== "none",
        inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
    };
}"""

Focus = dict[str, object]


def focus(page: Page) -> Focus:
    """Return what has the focus, inside components as well."""
    return page.evaluate(_FOCUS)


def tab_to(page: Page, is_wanted: Callable[[Focus], bool], description: str, key: str = "Tab") -> Focus:
    """Press a key until the wanted element has the focus; check that it is in view with a visible focus mark."""
    passed_names: list[str] = []
    for _ in range(MAX_STEPS):
        page.keyboard.press(key)
        focused = focus(page)
        if focused and is_wanted(focused):
            assert focused["seen"], f"the focus on {description} cannot be seen"
            assert focused["inside"], f"the focus on {description} is out of sight"
            return focused
        passed_names.append(str(focused.get("name"))[:24])
    pytest.fail(f"{key} never came to {description}, but to {passed_names[:60]}")


def link(name: str) -> Callable[[Focus], bool]:
    return lambda focused: focused["role"] in ("a", "menuitem") and str(focused["name"]).split("\n")[-1].strip() == name


def test_a_palette_is_set_reported_and_compared_by_keyboard_alone(browser, address):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(address)
    visits.settle(page)
    verdict = keyed(page, "verdict").locator("[role=status]").first

    # The first element skips the navigation.
    first = tab_to(page, lambda focused: True, "the skip link")
    assert first["name"] == "Skip to main content"
    page.keyboard.press("Enter")
    tab_to(page, lambda focused: focused["role"] == "slider", "a fader")
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

    # A suggested fix is a button; pressing it makes the palette reachable.
    expect(page.locator(".vp-way").first).to_be_visible(timeout=60 * SECONDS)
    tab_to(page, lambda focused: "vp-way" in str(focused["kind"]).split(), "a way out")
    page.keyboard.press("Enter")
    expect(verdict).not_to_contain_text("Not possible", timeout=30 * SECONDS)
    palette = page.url

    # The report is in a menu of the navigation.
    menu = {"role": "button", "name": "Report", "bar": True}
    tab_to(page, lambda focused: all(focused[key] == menu[key] for key in menu), "the menu Report")
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem").first).to_be_visible()
    tab_to(page, link("Report"), "the report", key="ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Report").first).to_be_visible(timeout=60 * SECONDS)
    visits.settle(page)
    assert page.url != palette

    # Listen shows the same palette.
    tab_to(page, link("Listen"), "Listen")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Listen").first).to_be_visible(timeout=60 * SECONDS)
    visits.settle(page)
    expect(keyed(page, "palette_line")).to_contain_text("Reachable")
    context.close()
