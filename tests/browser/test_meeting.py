"""A meeting in real browsers: a host at the wall and a phone, which only the database joins."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.app_server import SECONDS
from tests.visits import QUIET_LOOK, keyed, settle

pytestmark = pytest.mark.browser


def test_a_phone_joins_the_picture_on_the_wall(browser, address):
    host = browser.new_context(viewport={"width": 1440, "height": 900})
    hand = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    for context in (host, hand):
        context.set_default_timeout(60 * SECONDS)
    wall, phone = host.new_page(), hand.new_page()
    wall.goto(f"{address}/groups")
    wall.get_by_role("button", name="Open a meeting").click()
    wall.get_by_label("What is it about?").fill("Launch")
    wall.get_by_label("What is it about?").press("Enter")
    keyed(wall, "meeting_open").locator("button").click()
    expect(wall.get_by_text("0 people have joined")).to_be_visible(timeout=60 * SECONDS)
    picture = wall.locator(".vp-qr img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 50
    link = picture.get_attribute("alt").removeprefix("QR code of the link ")
    assert re.fullmatch(re.escape(address) + r"/join\?meeting=[a-z2-9]{10}", link)

    phone.goto(link)
    phone.get_by_label("You, or the group that you speak for").fill("<b>Ana</b>")
    phone.get_by_label("You, or the group that you speak for").press("Enter")
    keyed(phone, "ask_humor").locator("label").first.click()
    fader = keyed(phone, "wish_humor").locator("input[type=range]")
    fader.focus()
    phone.keyboard.press("ArrowRight")
    expect(keyed(phone, "join_verdict").locator("[role=status]")).to_contain_text("Reachable")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    expect(phone.get_by_role("link", name="Explore")).to_have_count(0)
    keyed(phone, "send").locator("button").click()

    expect(wall.get_by_text("1 person has joined")).to_be_visible(timeout=20 * SECONDS)
    who = keyed(wall, "meeting").locator(".vp-who", has_text="Ana")
    expect(who).to_contain_text("<b>Ana</b>")
    expect(who.locator("b")).to_have_count(0)
    expect(keyed(wall, "meeting_levels").locator(".js-plotly-plot")).to_be_visible(timeout=60 * SECONDS)
    expect(keyed(wall, "meeting_use_bargain").locator("button")).to_be_enabled(timeout=60 * SECONDS)
    # In the figure the name is a label: shown as it was typed, and nothing of it is bold.
    labels = keyed(wall, "meeting_shares").locator(".ytick text", has_text="Ana")
    expect(labels).to_have_text("A  <b>Ana</b>")
    assert labels.locator("tspan[style*=bold]").count() == 0
    settle(wall, QUIET_LOOK)
    main = "document.querySelector('[data-testid=stMain]')"
    assert wall.evaluate(f"{main}.scrollHeight <= innerHeight && {main}.scrollWidth <= innerWidth")
    expect(phone.get_by_text("You are in the picture, the first one.")).to_be_visible()
    common = phone.locator(".vp-common")
    expect(common).to_contain_text(keyed(wall, "meeting").locator(".vp-agreed").inner_text())
    expect(common).to_contain_text(re.compile(r"You get (all that|\d+% of the way to what) you ask for\."))
    expect(phone.locator(".vp-strip-row", has_text="Humor")).to_contain_text(re.compile(r"Together p\d+"))
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390

    phone.reload()
    expect(phone.get_by_text("You are in the picture, the first one.")).to_be_visible()
    expect(phone.get_by_label("You, or the group that you speak for")).to_have_value("<b>Ana</b>")
    keyed(phone, "leave").locator("button").click()
    expect(wall.get_by_text("0 people have joined")).to_be_visible(timeout=20 * SECONDS)
    for context in (host, hand):
        context.close()
