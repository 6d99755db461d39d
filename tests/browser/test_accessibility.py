"""Accessibility of every page: axe-core in light and dark, heading levels, and nothing is wider than the window.

Heading levels are checked separately: each page has exactly one h1, and no level is skipped.

The pages are those of the navigation, so that a new page is covered without a change here, and those that only a link
leads to: a meeting's wall, the phone's page of a meeting, and a vote.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from tests import visits

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

WIDTHS = (390, 768, 1440, 2560)
#: Widths that axe checks: a phone and a desktop.
AXE_WIDTHS = (390, 1440)
SCHEMES = ("light", "dark")
#: Rules that are enforced although axe rates them moderate.
EXTRA_RULES = ("heading-order",)
#: The rules of axe about colours.
COLOR_RULES = ("color-contrast", "link-in-text-block")
#: Violations in markup that Streamlit generates and we cannot change: rule of axe, selector, and the reason.
STREAMLIT_ISSUES = (
    ("list", "[data-testid=stSidebarNav]", "the narrow navigation puts the headings of its sections between the items"),
    ("listitem", "[data-testid=stSidebarNav]", "the narrow navigation has items outside of a list below a section"),
)

_OVERFLOWS = """() => {
    const root = document.scrollingElement, overflows = [];
    if (root.scrollWidth > innerWidth) overflows.push(`the window, by ${root.scrollWidth - innerWidth} px`);
    const main = document.querySelector("[data-testid=stMain]");
    if (main.scrollWidth > main.clientWidth) overflows.push(`the page, by ${main.scrollWidth - main.clientWidth} px`);
    // Content inside a container that scrolls may be wider than the container.
    const scrolls = (element) => {
        for (let box = element.parentElement; box && box != main; box = box.parentElement)
            if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(box).overflowX)) return true;
        return false;
    };
    for (const element of main.querySelectorAll("[class*=st-key-], [class*=vp-], .js-plotly-plot")) {
        const box = element.getBoundingClientRect(), parent = element.parentElement.getBoundingClientRect();
        if (box.width > 1 && box.height > 1 && box.right > Math.max(parent.right, 0) + 1.5
            && box.right > innerWidth + 1 && !scrolls(element))
            overflows.push(`${element.className.slice(0, 60)}, by ${Math.round(box.right - parent.right)} px`);
    }
    return overflows.slice(0, 8);
}"""

_HEADINGS = """() => {
    const headings = [];
    const collect = (root) => {
        for (const element of root.querySelectorAll("*")) {
            if (/^H[1-6]$/.test(element.tagName) && element.checkVisibility())
                headings.push([+element.tagName[1], element.innerText]);
            if (element.shadowRoot) collect(element.shadowRoot);
        }
    };
    collect(document.querySelector("[data-testid=stMain]"));
    return headings;
}"""


@pytest.fixture(scope="module")
def app_pages(context, address) -> list[visits.AppPage]:
    """Return every page of the app."""
    wall = context.new_page()
    wall.goto(f"{address}/groups")
    wall.get_by_role("button", name="Open a meeting").click()
    visits.keyed(wall, "meeting_open").locator("button").click()
    wall.wait_for_url("**meeting=*")
    code = parse_qs(urlsplit(wall.url).query)["meeting"][0]
    wall.close()
    by_link = [
        visits.AppPage("A meeting's wall", "groups", f"{address}/groups?meeting={code}"),
        visits.AppPage("A meeting's phone", "join", f"{address}/join?meeting={code}"),
        visits.AppPage("Join a meeting", "join", f"{address}/join"),
        visits.AppPage("Vote", "vote", f"{address}/vote?palette=helpfulness:p60"),
    ]
    return [*visits.app_pages(context, address), *by_link]


@pytest.fixture(scope="module")
def tab(context) -> Page:
    """Return a tab that visits all pages; each visit begins as narrow as a phone and in the first colour scheme."""
    page = context.new_page()
    page.emulate_media(color_scheme=SCHEMES[0], reduced_motion="reduce")
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    return page


def open_page(tab: Page, app_page: visits.AppPage) -> None:
    """Open a page by its link in the navigation, without reloading the front end, or else by its address."""
    link = tab.locator(f'[data-testid=stSidebarNavLink][href="{app_page.address}"]')
    if link.count():
        link.evaluate("link => link.click()")  # a narrow window folds the navigation
        tab.wait_for_url(re.compile(re.escape(app_page.address.rstrip("/")) + r"/?(\?|$)"))
    else:
        tab.goto(app_page.address)
    visits.settle(tab)
    expect(tab.locator("[data-testid=stMain] h1")).to_have_count(1)


def violation_text(violation: dict[str, Any]) -> str:
    """Return a violation as text, with a line for each element."""
    nodes = "\n".join(f"    {node['target']}: {node['html'][:160]}" for node in violation["nodes"][:6])
    return f"{violation['impact']} {violation['id']}: {violation['help']}\n{nodes}"


_OUTSIDE = """([target, selectors]) => {
    const element = document.querySelector(target);
    return !element || !selectors.some((selector) => element.closest(selector));
}"""


def axe_violations(page, rules: tuple[str, ...] = ()) -> list[str]:
    """Return the serious and critical violations, by these rules or by all, without those of Streamlit's markup."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    texts = []
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    for violation in page.evaluate("options => axe.run(options)", options)["violations"]:
        selectors = [selector for rule, selector, _ in STREAMLIT_ISSUES if rule == violation["id"]]
        violation["nodes"] = [node for node in violation["nodes"] if page.evaluate(_OUTSIDE, [_host(node), selectors])]
        enforced = violation["impact"] in ("serious", "critical") or violation["id"] in EXTRA_RULES
        if enforced and violation["nodes"]:
            texts.append(violation_text(violation))
    return texts


def heading_errors(headings: list[tuple[int, str]]) -> list[str]:
    """Return the headings that skip a level after the one before, and every h1 but the first."""
    levels = [0, *(level for level, _ in headings)]
    return [
        f"h{level} after h{before}: {text}"
        for before, (level, text) in zip(levels, headings, strict=False)
        if level > before + 1 or (level == 1 and before)
    ]


def page_heading_errors(page: Page) -> list[str]:
    """Return the heading errors of a page."""
    return heading_errors(page.evaluate(_HEADINGS))


def overflows(page: Page) -> list[str]:
    """Return what is wider than the window."""
    return list(page.evaluate(_OVERFLOWS))


def settled_problems(page: Page, check: Callable[[Page], list[str]]) -> list[str]:
    """Return the problems of a page; if there are any, check again, since it may not have been fully drawn."""
    problems = check(page)
    if problems:
        visits.settle(page)
        problems = check(page)
    return problems


def test_skipped_heading_levels_are_reported():
    assert heading_errors([(1, "A"), (2, "B"), (3, "C"), (2, "D"), (3, "E")]) == []
    assert heading_errors([(1, "A"), (3, "B"), (2, "C"), (1, "D")]) == ["h3 after h1: B", "h1 after h2: D"]
    assert heading_errors([(2, "A")]) == ["h2 after h0: A"]


def _host(node: dict[str, Any]) -> str:
    """Return the selector of the element, or of its component where the element is inside a shadow root."""
    target = node["target"][0]
    return target if isinstance(target, str) else target[0]


def test_pages_have_no_serious_violations_and_fit_the_window(tab, app_pages, subtests):
    tab.goto(app_pages[0].address)
    current_scheme = SCHEMES[0]
    for app_page in app_pages:
        open_page(tab, app_page)
        with subtests.test(app_page.title, what="headings"):
            assert settled_problems(tab, page_heading_errors) == []
        # The order alternates: the scheme of the last check at a width is that of the first one at the next.
        schemes = SCHEMES
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 900})
            visits.settle(tab, visits.QUIET_STYLE)
            with subtests.test(app_page.title, width=width):
                assert settled_problems(tab, overflows) == []
            if width not in AXE_WIDTHS:
                continue
            for scheme in schemes:
                if scheme != current_scheme:
                    tab.emulate_media(color_scheme=scheme)
                    visits.settle(tab, visits.QUIET_STYLE)
                    current_scheme = scheme
                with subtests.test(app_page.title, width=width, scheme=scheme):
                    # The markup is the same in each scheme: after the first, only the rules about colours are checked.
                    rules = () if scheme == SCHEMES[0] else COLOR_RULES
                    problems = settled_problems(tab, partial(axe_violations, rules=rules))
                    assert not problems, "\n".join(problems)
            schemes = schemes[::-1]
        tab.set_viewport_size({"width": WIDTHS[0], "height": 900})
