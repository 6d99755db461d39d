"""Tests of meetings in real browsers: a host's wall and phones, which only the database connects."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect
from streamlit.proto.BackMsg_pb2 import BackMsg

from map_core.data import table_format
from pages.view.shell import reach
from tests.app_server import SECONDS, running
from tests.tables import make_table
from tests.visits import QUIET_STYLE, keyed, settle

pytestmark = pytest.mark.browser


def test_a_phone_joins_the_meeting_on_the_wall(browser, address):
    wall_context = browser.new_context(viewport={"width": 1440, "height": 900})
    phone_context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    for context in (wall_context, phone_context):
        context.set_default_timeout(60 * SECONDS)
    wall, phone = wall_context.new_page(), phone_context.new_page()
    wall.goto(f"{address}/groups")
    wall.get_by_role("button", name="Open a meeting").click()
    wall.get_by_label("What is it about?").fill("Launch")
    wall.get_by_label("What is it about?").press("Enter")
    keyed(wall, "meeting_open").locator("button").click()
    expect(wall.get_by_text("0 people have joined")).to_be_visible(timeout=60 * SECONDS)
    qr_image = wall.locator(".vp-qr img")
    expect(qr_image).to_be_visible()
    assert qr_image.evaluate("image => image.naturalWidth") > 50
    link = qr_image.get_attribute("alt").removeprefix("QR code of the link ")
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
    participant = keyed(wall, "meeting").locator(".vp-who", has_text="Ana")
    expect(participant).to_contain_text("<b>Ana</b>")
    expect(participant.locator("b")).to_have_count(0)
    expect(keyed(wall, "meeting_levels").locator(".js-plotly-plot")).to_be_visible(timeout=60 * SECONDS)
    expect(keyed(wall, "meeting_use_bargain").locator("button")).to_be_enabled(timeout=60 * SECONDS)
    # In the figure the name is a label: shown as typed, without bold text.
    labels = keyed(wall, "meeting_shares").locator(".ytick text", has_text="Ana")
    expect(labels).to_have_text("A  <b>Ana</b>")
    assert labels.locator("tspan[style*=bold]").count() == 0
    settle(wall, QUIET_STYLE)
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
    for context in (wall_context, phone_context):
        context.close()


def test_phones_join_by_the_machine_s_network_address_until_the_meeting_is_full(browser, tmp_path: Path):
    host = reach.network_host()
    if not host:
        pytest.skip("this machine is in no network")
    table_format.save(make_table(prompts=16, candidates=32, seed=5), tmp_path / "table.parquet")
    settings = {"VALUE_PALETTE_OPEN": "member", "VALUE_PALETTE_MEETING_SEATS": "3"}
    options = ("--server.address=0.0.0.0",)
    with running(tmp_path, tmp_path / "table.parquet", options=options, settings=settings) as server:
        contexts = [browser.new_context(viewport={"width": 1440, "height": 900})]
        contexts += [
            browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
            for _ in range(4)
        ]
        for context in contexts:
            context.set_default_timeout(60 * SECONDS)
        wall, *phones = (context.new_page() for context in contexts)
        sockets, sent = [], []

        def record(socket) -> None:
            app_side = socket.connect_to_server()
            sockets.append(app_side)
            socket.on_message(lambda message: (sent.append(message), app_side.send(message)))

        wall.route_web_socket(re.compile("_stcore/stream"), record)
        wall.goto(f"{server.address}/groups")
        wall.get_by_role("button", name="Open a meeting").click()
        keyed(wall, "meeting_open").locator("button").click()
        # Until somebody joins, the wall shows only how to join, as large as the screen allows.
        first = keyed(wall, "meeting_first")
        expect(first.locator(".vp-qr img")).to_be_visible(timeout=60 * SECONDS)
        assert first.locator(".vp-qr").bounding_box()["height"] >= 440
        link = first.locator(".vp-qr img").get_attribute("alt").removeprefix("QR code of the link ")
        assert urlsplit(link).hostname == host, "the QR code leads to this machine from the network"
        assert set(parse_qs(urlsplit(wall.url).query)) == {"palette", "meeting"}, "no secret on the wall"
        number = first.locator(".vp-code").inner_text()
        assert re.fullmatch(r"\d{3} \d{3}", number)
        for n, phone in enumerate(phones):
            if n % 2:
                phone.goto(f"http://{host}:{urlsplit(server.address).port}/join")
                phone.get_by_label("Number of the meeting").fill(number)
                phone.get_by_label("Number of the meeting").press("Enter")
                phone.get_by_role("button", name="Join").click()
            else:
                phone.goto(link)
            name = phone.get_by_label("You, or the group that you speak for")
            name.fill(f"Person {n}")
            name.press("Enter")
            keyed(phone, "ask_humor").locator("label").first.click()
            expect(keyed(phone, "join_verdict").locator("[role=status]")).to_be_visible()
            keyed(phone, "send").locator("button").click()
            if n < 3:
                expect(phone.get_by_text("You are in the picture")).to_be_visible()
            else:
                expect(phone.get_by_text("No more people can join from this network address.")).to_be_visible()
        expect(wall.get_by_text("3 people have joined")).to_be_visible(timeout=20 * SECONDS)
        # A phone that reloads is recognised; its link opened on another phone is not.
        phones[0].reload()
        expect(phones[0].get_by_text("You are in the picture, with 2 others.")).to_be_visible()
        phones[3].goto(phones[0].url)
        expect(phones[3].get_by_label("You, or the group that you speak for")).to_have_value("")
        # Projector mode on and off; the browser that opened the meeting is recognised after a reload.
        keyed(wall, "projector_on").locator("button").click()
        expect(wall.locator("[data-testid=stHeader]")).to_be_hidden()
        expect(keyed(wall, "meeting_close")).to_be_hidden()
        # The meeting reruns itself every other second. A rerun that was requested before projector mode arrives late
        # and draws nothing.
        auto_reruns = [message for message in sent if BackMsg.FromString(message).rerun_script.is_auto_rerun]
        sockets[-1].send(auto_reruns[0])
        settle(wall)
        # On a narrow screen the last line is readable: it ends above the button that leaves projector mode.
        full_size = wall.viewport_size
        wall.set_viewport_size({"width": 390, "height": 800})
        settle(wall)
        wall.locator("[data-testid=stMain]").evaluate("main => main.scrollTo(0, main.scrollHeight)")
        last_line, way_back = keyed(wall, "speaks").bounding_box(), keyed(wall, "projector_off").bounding_box()
        assert last_line["y"] + last_line["height"] <= way_back["y"]
        wall.set_viewport_size(full_size)
        settle(wall)
        keyed(wall, "projector_off").locator("button").click()
        expect(wall.locator("[data-testid=stHeader]")).to_be_visible()
        wall.reload()
        keyed(wall, "meeting_close").locator("button").first.click()
        keyed(wall, "meeting_end").locator("button").click()
        for phone in phones[:3]:
            expect(phone.get_by_text("This meeting is closed. 3 people took part")).to_be_visible()
            expect(phone.locator(".vp-common")).to_be_visible()
        for context in contexts:
            context.close()
