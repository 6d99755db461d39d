"""Every page of the running app by axe-core, in light and dark, and by a ruler: nothing is wider than the window.

The pages are those of the navigation, so a page that is added is covered by being there.
"""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests import visits

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

WIDTHS = (390, 768, 1440, 2560)
#: Where axe looks: a telephone and a desk.
LOOKED_AT = (390, 1440)
SCHEMES = ("light", "dark")
#: The rules of axe that look at colours.
OF_COLOURS = ("color-contrast", "link-in-text-block")
#: Faults in markup that Streamlit makes and we cannot change: rule of axe, selector, and what it is.
NOT_OURS = (
    ("list", "[data-testid=stSidebarNav]", "the narrow navigation puts the headings of its sections between the items"),
    ("listitem", "[data-testid=stSidebarNav]", "the narrow navigation has items outside of a list below a section"),
)

_OVER = """() => {
    const root = document.scrollingElement, found = [];
    if (root.scrollWidth > innerWidth) found.push(`the window, by ${root.scrollWidth - innerWidth} px`);
    const main = document.querySelector("[data-testid=stMain]");
    if (main.scrollWidth > main.clientWidth) found.push(`the page, by ${main.scrollWidth - main.clientWidth} px`);
    // What may be wider than its container scrolls inside it.
    const scrolls = (one) => {
        for (let box = one.parentElement; box && box != main; box = box.parentElement)
            if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(box).overflowX)) return true;
        return false;
    };
    for (const one of main.querySelectorAll("[class*=st-key-], [class*=vp-], .js-plotly-plot")) {
        const box = one.getBoundingClientRect(), around = one.parentElement.getBoundingClientRect();
        if (box.width > 1 && box.height > 1 && box.right > Math.max(around.right, 0) + 1.5
            && box.right > innerWidth + 1 && !scrolls(one))
            found.push(`${one.className.slice(0, 60)}, by ${Math.round(box.right - around.right)} px`);
    }
    return found.slice(0, 8);
}"""


@pytest.fixture(scope="module")
def places(browser, address) -> list[visits.Place]:
    """Every page of the app."""
    return visits.places(browser, address)


def said(violation: dict[str, Any]) -> str:
    """A finding of axe as a line a place."""
    nodes = "\n".join(f"    {node['target']}: {node['html'][:160]}" for node in violation["nodes"][:6])
    return f"{violation['impact']} {violation['id']}: {violation['help']}\n{nodes}"


_OURS = """([target, selectors]) => {
    const one = document.querySelector(target);
    return !one || !selectors.some((selector) => one.closest(selector));
}"""


def findings(page, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe finds serious or critical here, by these rules or by all, without what is not ours."""
    asked: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        asked["runOnly"] = {"type": "rule", "values": list(rules)}
    kept = []
    for violation in Axe().run(page, options=asked).response["violations"]:
        selectors = [selector for rule, selector, _ in NOT_OURS if rule == violation["id"]]
        violation["nodes"] = [node for node in violation["nodes"] if page.evaluate(_OURS, [_host(node), selectors])]
        if violation["impact"] in ("serious", "critical") and violation["nodes"]:
            kept.append(said(violation))
    return kept


def _host(node: dict[str, Any]) -> str:
    """The selector of the element, of its component where it is inside a shadow root."""
    target = node["target"][0]
    return target if isinstance(target, str) else target[0]


def test_no_page_has_a_serious_fault_or_is_wider_than_the_window(browser, places, subtests):
    for place in places:
        context = browser.new_context(viewport={"width": LOOKED_AT[-1], "height": 900}, reduced_motion="reduce")
        page = context.new_page()
        page.goto(place.address)
        visits.settle(page)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            visits.settle(page, visits.QUIET_LOOK)
            with subtests.test(place.title, width=width):
                assert page.evaluate(_OVER) == []
            for scheme in SCHEMES if width in LOOKED_AT else ():
                page.emulate_media(color_scheme=scheme)
                visits.settle(page, visits.QUIET_LOOK)
                with subtests.test(place.title, width=width, scheme=scheme):
                    # Other colours are the same markup: only what colours can spoil is looked at again.
                    found = findings(page) if scheme == SCHEMES[0] else findings(page, OF_COLOURS)
                    assert not found, "\n".join(found)
        context.close()
