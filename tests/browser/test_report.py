"""Tests of the report in a real Chromium: downloaded from the page, opened offline, printed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.visits import keyed

SECONDS = 1000

pytestmark = pytest.mark.browser


def test_the_report_is_downloaded_and_opens_offline(browser, address, tmp_path):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(60 * SECONDS)
    page = context.new_page()
    page.goto(f"{address}/report?palette=helpfulness:p60;humor:p55")
    expect(keyed(page, "share_report").locator("button").first).to_be_visible(timeout=60 * SECONDS)
    with page.expect_download() as download:
        keyed(page, "share_report").locator("button").first.click()
    download.value.save_as(tmp_path / "report.html")

    # The page previews the same document in a frame that runs no scripts.
    frame = keyed(page, "report_preview").locator("iframe")
    expect(frame).to_have_attribute("sandbox", "", timeout=60 * SECONDS)
    expect(frame.content_frame.get_by_role("status")).to_contain_text("Reachable", timeout=60 * SECONDS)

    keyed(page, "share_link").locator("button").click()
    expect(keyed(page, "share_link").locator("button")).to_contain_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == f"{address}/?palette=helpfulness:p60;humor:p55"
    context.close()

    offline_context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
    report = offline_context.new_page()
    errors, urls = [], []
    report.on("console", lambda message: errors.append(message.text))
    report.on("pageerror", lambda error: errors.append(str(error)))
    report.on("request", lambda request: urls.append(request.url))
    report.goto((tmp_path / "report.html").as_uri())
    expect(report.get_by_role("status")).to_contain_text("Reachable")
    expect(report.get_by_role("status")).to_contain_text("Both targets are met")
    assert errors == []
    assert [url for url in urls if not url.startswith(("file:", "data:"))] == []
    assert report.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    # HTML in the table's replies is shown as text, and their Markdown becomes a few tags without attributes.
    assert report.evaluate("document.querySelectorAll('script, .reply img, .reply a').length") == 0
    tags = "[...document.querySelectorAll('.reply *')].map(node => [node.localName, node.attributes.length])"
    assert {tuple(tag) for tag in report.evaluate(tags)} <= {(name, 0) for name in ("p", "br", "strong", "em", "code")}
    pdf = report.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 2
    offline_context.close()


def test_the_snippets_open_on_a_click(browser, address):
    context = browser.new_context()
    context.set_default_timeout(60 * SECONDS)
    page = context.new_page()
    page.goto(f"{address}/report?palette=humor:p60")
    keyed(page, "share_engineers").locator("button").first.click()
    expect(page.get_by_text("python -m map_core solve")).to_be_visible(timeout=60 * SECONDS)
    page.get_by_role("tab", name="Weights").click()
    expect(page.get_by_text("table_sha256")).to_be_visible()
    context.close()
