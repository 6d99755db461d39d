"""Every page of the running app by axe-core, in light and dark, and by a ruler: nothing is wider than the window.

Headings are told one by one: a page has one of the first rank, and none leaves a rank out.

The pages are those of the navigation, so a page that is added is covered by being there, and those that are reached
by a link alone: a meeting's wall, the phone's side of it, and a vote.
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
#: Where axe looks: a telephone and a desk.
LOOKED_AT = (390, 1440)
SCHEMES = ("light", "dark")
#: Rules of axe that are held although it calls them moderate.
ALSO = ("heading-order",)
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

_HEADINGS = """() => {
    const found = [];
    const look = (root) => {
        for (const one of root.querySelectorAll("*")) {
            if (/^H[1-6]$/.test(one.tagName) && one.checkVisibility()) found.push([+one.tagName[1], one.innerText]);
            if (one.shadowRoot) look(one.shadowRoot);
        }
    };
    look(document.querySelector("[data-testid=stMain]"));
    return found;
}"""


@pytest.fixture(scope="module")
def places(context, address) -> list[visits.Place]:
    """Every page of the app."""
    wall = context.new_page()
    wall.goto(f"{address}/groups")
    wall.get_by_role("button", name="Open a meeting").click()
    visits.keyed(wall, "meeting_open").locator("button").click()
    wall.wait_for_url("**meeting=*")
    code = parse_qs(urlsplit(wall.url).query)["meeting"][0]
    wall.close()
    by_link = [
        visits.Place("A meeting's wall", "groups", f"{address}/groups?meeting={code}"),
        visits.Place("A meeting's phone", "join", f"{address}/join?meeting={code}"),
        visits.Place("Join a meeting", "join", f"{address}/join"),
        visits.Place("Vote", "vote", f"{address}/vote?palette=helpfulness:p60"),
    ]
    return [*visits.places(context, address), *by_link]


@pytest.fixture(scope="module")
def tab(context) -> Page:
    """A tab that goes from page to page, as narrow as a telephone and in the first scheme at the beginning of each."""
    opened = context.new_page()
    opened.emulate_media(color_scheme=SCHEMES[0], reduced_motion="reduce")
    opened.set_viewport_size({"width": WIDTHS[0], "height": 900})
    return opened


def go(tab: Page, place: visits.Place) -> None:
    """Open a page by its link in the navigation, without loading the front end again, or else by its address."""
    link = tab.locator(f'[data-testid=stSidebarNavLink][href="{place.address}"]')
    if link.count():
        link.evaluate("link => link.click()")  # a narrow window has the navigation folded
        tab.wait_for_url(re.compile(re.escape(place.address.rstrip("/")) + r"/?(\?|$)"))
    else:
        tab.goto(place.address)
    visits.settle(tab)
    expect(tab.locator("[data-testid=stMain] h1")).to_have_count(1)


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
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    for violation in page.evaluate("options => axe.run(options)", asked)["violations"]:
        selectors = [selector for rule, selector, _ in NOT_OURS if rule == violation["id"]]
        violation["nodes"] = [node for node in violation["nodes"] if page.evaluate(_OURS, [_host(node), selectors])]
        held = violation["impact"] in ("serious", "critical") or violation["id"] in ALSO
        if held and violation["nodes"]:
            kept.append(said(violation))
    return kept


def leaves_out(headings: list[tuple[int, str]]) -> list[str]:
    """The headings that leave a rank out after the one before, and every one of the first rank but the first."""
    ranks = [0, *(rank for rank, _ in headings)]
    return [
        f"h{rank} after h{before}: {text}"
        for before, (rank, text) in zip(ranks, headings, strict=False)
        if rank > before + 1 or (rank == 1 and before)
    ]


def headings_left_out(page: Page) -> list[str]:
    """The headings of a page that leave a rank out."""
    return leaves_out(page.evaluate(_HEADINGS))


def too_wide(page: Page) -> list[str]:
    """What of a page is wider than the window."""
    return list(page.evaluate(_OVER))


def at_rest(page: Page, look: Callable[[Page], list[str]]) -> list[str]:
    """What is found on a page, looked for once more where anything is: it may still have been drawn."""
    problems = look(page)
    if problems:
        visits.settle(page)
        problems = look(page)
    return problems


def test_headings_that_leave_a_rank_out_are_told():
    assert leaves_out([(1, "A"), (2, "B"), (3, "C"), (2, "D"), (3, "E")]) == []
    assert leaves_out([(1, "A"), (3, "B"), (2, "C"), (1, "D")]) == ["h3 after h1: B", "h1 after h2: D"]
    assert leaves_out([(2, "A")]) == ["h2 after h0: A"]


def _host(node: dict[str, Any]) -> str:
    """The selector of the element, of its component where it is inside a shadow root."""
    target = node["target"][0]
    return target if isinstance(target, str) else target[0]


def test_no_page_has_a_serious_fault_or_is_wider_than_the_window(tab, places, subtests):
    tab.goto(places[0].address)
    shown = SCHEMES[0]
    for place in places:
        go(tab, place)
        with subtests.test(place.title, what="headings"):
            assert at_rest(tab, headings_left_out) == []
        # To and fro: the scheme that a width ends with is the one that the next begins with.
        turns = SCHEMES
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 900})
            visits.settle(tab, visits.QUIET_LOOK)
            with subtests.test(place.title, width=width):
                assert at_rest(tab, too_wide) == []
            if width not in LOOKED_AT:
                continue
            for scheme in turns:
                if scheme != shown:
                    tab.emulate_media(color_scheme=scheme)
                    visits.settle(tab, visits.QUIET_LOOK)
                    shown = scheme
                with subtests.test(place.title, width=width, scheme=scheme):
                    # Other colours are the same markup: only what colours can spoil is looked at again.
                    rules = () if scheme == SCHEMES[0] else OF_COLOURS
                    problems = at_rest(tab, partial(findings, rules=rules))
                    assert not problems, "\n".join(problems)
            turns = turns[::-1]
        tab.set_viewport_size({"width": WIDTHS[0], "height": 900})
