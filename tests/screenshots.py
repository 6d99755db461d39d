"""Pictures of every page of the running app: ``python -m tests.screenshots`` at three widths, in light and dark.

With ``--readme`` those that README.md shows are written to assets/ instead. The app runs on its embedded table, on
loopback, with a database of its own that is thrown away. Constraint: a page is looked at when it has settled.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from map_core.store import SETTING
from tests import ROOT, visits
from tests.app_server import running
from tests.browser_setup import find_chromium

WIDTHS = {390: 844, 768: 1024, 1440: 900}
SCHEMES = ("light", "dark")
#: What README shows: the page's name in the address, the file, the height that is shown, and what is pressed first.
README = (
    ("", "screenshot-palette.png", 1120, "Hide"),
    ("tradeoffs", "screenshot-tradeoffs.png", 960, None),
    ("compare", "screenshot-compare.png", 1000, None),
    ("groups", "screenshot-groups.png", 1120, "Look at an example"),
)
MOST_BYTES = 250_000
#: Background work looks up every half second, longer on a busy machine: rest for a picture, in milliseconds.
AT_REST = 3_000
#: Pages longer than this are cut: nobody looks at more.
LONGEST = 6_000


@contextmanager
def app(table: Path | None) -> Iterator[tuple[Browser, str]]:
    """A Chromium, and where the app answers."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("There is no Chromium here; python -m tests.browser_setup brings one.")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[SETTING] = f"sqlite:///{folder}/palettes.sqlite"
        with running(Path(folder), table) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            yield browser, server.address
            browser.close()


def height_of(page: Page) -> int:
    """What the page needs without scrolling: Streamlit scrolls inside the window, so the window is made as high."""
    needed = page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollHeight")
    return min(int(needed), LONGEST)


def every_page(browser: Browser, address: str, folder: Path) -> int:
    """Each page at each width in each scheme; how many pictures there are."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for place in visits.app_pages(browser, address):
        context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        page = context.new_page()
        page.goto(place.address)
        visits.settle(page, AT_REST)
        for width, height in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": height})
            visits.settle(page, visits.QUIET_STYLE)
            page.set_viewport_size({"width": width, "height": max(height_of(page), height)})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                visits.settle(page, visits.QUIET_STYLE)
                page.screenshot(path=folder / f"{place.name or 'palette'}-{width}-{scheme}.png")
                count += 1
        print(place.title, flush=True)
        context.close()
    return count


def for_readme(browser: Browser, address: str, folder: Path) -> None:
    """What README shows, in light, small enough for a repository."""
    there = {place.name: place for place in visits.app_pages(browser, address)}
    for name, file, height, pressed in README:
        if name not in there:
            print(f"{file}: the app has no page {name!r}")
            continue
        page = browser.new_page(viewport={"width": 1440, "height": height}, reduced_motion="reduce")
        page.goto(there[name].address)
        visits.settle(page, AT_REST)
        if pressed:
            page.get_by_role("button", name=pressed).first.click()
            visits.settle(page, AT_REST)
        if name == "compare" and not ask(page):
            print(f"{file}: the models are not here")
        else:
            path = folder / file
            path.write_bytes(small(page.screenshot()))
            print(f"{path}: {path.stat().st_size:,} bytes")
        page.close()


def ask(page: Page) -> bool:
    """Have a prompt answered; False where nothing can be generated."""
    button = page.locator(".st-key-generate button")
    if button.is_disabled():
        return False
    button.click()
    aligned = page.locator(".vp-slot[data-column=aligned]")
    aligned.get_by_text("under your palette").first.wait_for(timeout=300 * visits.SECONDS)
    visits.settle(page)
    # Both replies from their first line on, below the bar of pages.
    page.locator(".vp-slot").first.evaluate("(slot) => slot.scrollIntoView()")
    page.locator("[data-testid=stMain]").evaluate("(main) => main.scrollBy(0, -84)")
    visits.settle(page, visits.QUIET_STYLE)
    return True


def small(png: bytes) -> bytes:
    """The same picture with 256 colours, chosen so that the few that tell values stay exactly as they are."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    while True:
        out = io.BytesIO()
        few = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
        few.save(out, "PNG", optimize=True)
        if out.tell() <= MOST_BYTES:
            return out.getvalue()
        picture = picture.resize((picture.width * 9 // 10, picture.height * 9 // 10), Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=ROOT / "screenshots", help="folder for the pictures of all pages")
    parser.add_argument("--readme", action="store_true", help="only those of README.md, to assets/")
    parser.add_argument("--table", type=Path, help="another table than the embedded one")
    arguments = parser.parse_args()
    with app(arguments.table) as (browser, address):
        if arguments.readme:
            for_readme(browser, address, ROOT / "assets")
        else:
            print(f"{every_page(browser, address, arguments.out)} pictures in {arguments.out}")


if __name__ == "__main__":
    main()
