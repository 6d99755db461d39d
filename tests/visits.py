"""Every page of the running app, and when a page has settled: for the tests that go to all of them, and screenshots."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Browser, BrowserContext, Locator, Page

SECONDS = 1000
#: Settled: no script runs and nothing was drawn for so long; after a mere change of width or colours; in milliseconds.
QUIET, QUIET_LOOK, AT_MOST = 700, 250, 60_000

_SETTLED = """([quiet, most]) => new Promise((resolve) => {
    const begun = performance.now();
    let last = begun;
    const ours = (one) => !one.target.closest?.("header");
    const see = (mutations) => { if (mutations.some(ours)) last = performance.now(); };
    const watch = new MutationObserver(see);
    watch.observe(document.body, { subtree: true, childList: true, characterData: true });
    const look = () => {
        const app = document.querySelector("[data-testid=stApp]");
        const busy = !app || app.dataset.testScriptState == "running" || app.dataset.testConnectionState != "CONNECTED"
            || document.querySelector("[data-testid=stSkeleton], [data-testid=stSpinner]");
        const now = performance.now();
        if (busy) last = now;
        if (now - last > quiet || now - begun > most) { watch.disconnect(); resolve(now - begun); }
        else setTimeout(look, 50);
    };
    look();
})"""


_LENGTHS = """() => new Promise((resolve) => {
    const seen = new Set();
    const look = () => {
        const panel = document.querySelector(".vp-panel");
        seen.add(panel?.querySelector("[data-column=base] .vp-reply")?.innerText.length ?? 0);
        if (!/^(Done|Stopped)/.test(panel?.querySelector("[role=status]")?.innerText ?? "")) return;
        watch.disconnect();
        resolve(seen.size);
    };
    const watch = new MutationObserver(look);
    watch.observe(document.body, { subtree: true, childList: true, characterData: true });
    look();
})"""


@dataclass(frozen=True)
class Place:
    """A page of the app: its title in the navigation, its name in the address ("" for the first), and the address."""

    title: str
    name: str
    address: str


def settle(page: Page, quiet: int = QUIET) -> None:
    """Wait until scripts, background work and figures have come to rest, a minute at most.

    Args:
        page: of the app.
        quiet: milliseconds without a change that are called rest.

    Raises:
        AssertionError: the page shows an exception, or says in words that something has failed.
    """
    page.wait_for_selector("h1, [data-testid=stException]", state="attached", timeout=60 * SECONDS)
    page.evaluate(_SETTLED, [quiet, AT_MOST])
    failed = page.locator("[data-testid=stException], [class*=st-key-failed_]")
    assert not failed.count(), f"{page.url} has failed: {failed.first.inner_text()}"


def keyed(page: Page, key: str) -> Locator:
    """Return the element or container of a key; while a script runs, the one that it has drawn.

    Streamlit keeps what an earlier run has drawn until the end of the next one: for a moment a key can be there twice.
    """
    return page.locator(f".st-key-{key}").first


def lengths_seen(page: Page) -> int:
    """Return how many lengths the base reply has on *Listen*, from now until its generation has ended."""
    return int(page.evaluate(_LENGTHS))


def fits(page: Page, what: str, width: int = 390) -> None:
    """Check that a page on a phone is not wider than the phone."""
    wide = page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth")
    assert wide <= width, f"{what} is {wide} pixels wide"


def places(browser: Browser | BrowserContext, address: str) -> list[Place]:
    """Every page that the navigation of the running app offers, in its order.

    A narrow window has them all in one list, without menus to open.
    """
    page = browser.new_page()
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(address)
    settle(page)
    links = page.locator("[data-testid=stSidebarNavLink]").evaluate_all(
        "links => links.map(link => [link.innerText.trim().split('\\n').pop(), link.href])"
    )
    page.close()
    assert links, "the navigation offers pages"
    return [Place(title, href.split("?")[0].removeprefix(address).strip("/"), href) for title, href in links]


def column(page: Page, key: str) -> Locator:
    """A column of the panel of replies: "base", "aligned" or "pinned_1"."""
    return page.locator(f'.vp-slot[data-column="{key}"]')


def unfold(page: Page, *keys: str) -> None:
    """Open expanders that are folded."""
    for key in keys:
        details = keyed(page, key).locator("details").first
        details.wait_for(timeout=60_000)
        if details.get_attribute("open") is None:
            details.locator("summary").first.click()
