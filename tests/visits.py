"""Helpers of browser tests and screenshots: all pages of the running app, and waiting until a page is idle."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Browser, BrowserContext, Locator, Page

SECONDS = 1000
#: Milliseconds without a script run or a DOM change until a page counts as idle; after changes of style only; timeout.
QUIET, QUIET_STYLE, AT_MOST = 700, 250, 60_000

_SETTLED = """([quiet, most]) => new Promise((resolve) => {
    const begun = performance.now();
    let last = begun;
    const inPage = (mutation) => !mutation.target.closest?.("header");
    const onMutation = (mutations) => { if (mutations.some(inPage)) last = performance.now(); };
    const watch = new MutationObserver(onMutation);
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
    const lengths = new Set();
    const look = () => {
        const panel = document.querySelector(".vp-panel");
        lengths.add(panel?.querySelector("[data-column=base] .vp-reply")?.innerText.length ?? 0);
        if (!/^(Done|Stopped)/.test(panel?.querySelector("[role=status]")?.innerText ?? "")) return;
        watch.disconnect();
        resolve(lengths.size);
    };
    const watch = new MutationObserver(look);
    watch.observe(document.body, { subtree: true, childList: true, characterData: true });
    look();
})"""


@dataclass(frozen=True)
class AppPage:
    """A page of the app: title in the navigation, name in the address ("" for the first), and address."""

    title: str
    name: str
    address: str


def settle(page: Page, quiet: int = QUIET) -> None:
    """Wait until scripts, background work and figures are idle, for a minute at most.

    Args:
        page: of the app.
        quiet: milliseconds without a change until the page counts as idle.

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


def count_reply_lengths(page: Page) -> int:
    """Return the number of distinct lengths of the base reply on *Listen* until its generation ends."""
    return int(page.evaluate(_LENGTHS))


def check_fits_phone(page: Page, what: str, width: int = 390) -> None:
    """Check that a page on a phone is not wider than the phone."""
    wide = page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth")
    assert wide <= width, f"{what} is {wide} pixels wide"


def app_pages(browser: Browser | BrowserContext, address: str) -> list[AppPage]:
    """Return every page in the navigation of the running app, in its order.

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
    return [AppPage(title, href.split("?")[0].removeprefix(address).strip("/"), href) for title, href in links]


def column(page: Page, key: str) -> Locator:
    """Return a column of the panel of replies: "base", "aligned" or "pinned_1"."""
    return page.locator(f'.vp-slot[data-column="{key}"]')


def unfold(page: Page, *keys: str) -> None:
    """Open collapsed expanders."""
    for key in keys:
        details = keyed(page, key).locator("details").first
        details.wait_for(timeout=60_000)
        if details.get_attribute("open") is None:
            details.locator("summary").first.click()
