"""The desk under a hand, a keyboard and a finger, in a real Chromium: what is set, what is said, what comes back."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from map_core.core.assets import ASSETS
from pages.view.palette import verdict
from pages.view.shell import errors
from tests.app_server import MARKUP, SECONDS
from tests.visits import QUIET_LOOK, keyed, settle

pytestmark = pytest.mark.browser


def opened(context: BrowserContext, address: str, path: str = "") -> Page:
    page = context.new_page()
    page.set_default_timeout(30 * SECONDS)
    page.goto(address + path)
    expect(page.locator(".vp-desk[data-settled=true] [role=slider]").first).to_be_visible(timeout=60 * SECONDS)
    settle(page, QUIET_LOOK)  # what is drawn above a fader moves it down, away from a hand that was about to take it
    return page


@pytest.fixture
def page(context, address):
    made = opened(context, address)
    yield made
    made.close()


def fader(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=name, exact=True)


def status(page: Page) -> Locator:
    return keyed(page, "verdict").get_by_role("status")


def place(page: Page, name: str) -> tuple[float, float, dict]:
    """Where a fader's handle is, and its track."""
    fader(page, name).scroll_into_view_if_needed()
    handle = fader(page, name).bounding_box()
    track = page.locator(f'.vp-row[data-value="{name.lower()}"] .vp-track').bounding_box()
    return handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2, track


def test_the_answer_comes_while_the_hand_still_holds_the_fader(page):
    expect(status(page)).to_contain_text("Reachable")
    x, y, track = place(page, "Humor")
    page.mouse.move(x, y)
    page.mouse.down()
    for share in (0.7, 0.8, 0.9, 0.99):
        page.mouse.move(track["x"] + share * track["width"], y)
    # The button of the mouse is still down.
    expect(status(page)).to_contain_text("Not possible")
    expect(fader(page, "Humor")).to_have_attribute("aria-valuetext", re.compile("^at least p99"))
    page.mouse.up()
    way = page.locator(".vp-way:enabled")
    expect(way.first).to_contain_text("humor")
    way.first.click()
    expect(status(page)).to_contain_text("Reachable")
    expect(status(page)).not_to_contain_text("paper")
    undo = page.get_by_role("button", name="Undo")
    undo.click()
    expect(status(page)).to_contain_text("Not possible")
    expect(fader(page, "Humor")).to_have_attribute("aria-valuenow", "99")
    undo.click()  # the whole drag is one step
    expect(fader(page, "Humor")).to_have_attribute("aria-valuenow", re.compile("^60"))
    page.get_by_role("button", name="Redo").click()
    expect(fader(page, "Humor")).to_have_attribute("aria-valuenow", "99")


def test_the_last_of_many_moves_always_arrives(page):
    x, y, track = place(page, "Harmlessness")
    page.mouse.move(x, y)
    page.mouse.down()
    for k in range(60):
        page.mouse.move(track["x"] + (0.5 + 0.002 * k) * track["width"], y)
    page.mouse.up()
    expect(page.locator(".vp-desk")).to_have_attribute("data-settled", "true")
    last = fader(page, "Harmlessness").get_attribute("aria-valuenow")
    expect(page).to_have_url(re.compile(f"harmlessness(%3A|:)p{last}(%3B|;)"))
    assert 61 <= float(last) <= 63
    # What was held is not held any more: the mouse passes over without a change.
    page.mouse.move(track["x"] + 0.9 * track["width"], y)
    expect(fader(page, "Harmlessness")).to_have_attribute("aria-valuenow", last)


def test_a_desk_without_web_sockets_of_its_own_goes_by_way_of_the_page(context, address):
    page = context.new_page()
    page.route_web_socket(re.compile("/live/desk$"), lambda socket: socket.close())
    page.goto(address)
    expect(page.locator(".vp-desk[data-settled=true] [role=slider]").first).to_be_visible(timeout=60 * SECONDS)
    x, y, track = place(page, "Humor")
    page.mouse.move(x, y)
    page.mouse.down()
    for share in (0.7, 0.8, 0.9, 0.99):
        page.mouse.move(track["x"] + share * track["width"], y)
    expect(status(page)).to_contain_text("Not possible", timeout=20 * SECONDS)
    page.mouse.up()
    expect(page.locator(".vp-desk")).to_have_attribute("data-settled", "true", timeout=20 * SECONDS)
    expect(page).to_have_url(re.compile("humor%3Ap99"))
    page.close()


def test_an_answer_that_failed_is_said_and_the_next_one_takes_its_place(context, address):
    page, broken = context.new_page(), [False]

    def spoken(message: str | bytes) -> str | bytes:
        told = json.loads(message)
        if not broken[0] or "answer" not in told:
            return message
        stamp = {name: told["answer"][name] for name in ("session", "ack", "settled")}
        return json.dumps({"answer": verdict.failure_data(errors.Failure("", "", "1a2b3c")) | stamp})

    def between(socket) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: socket.send(spoken(message)))

    page.route_web_socket(re.compile("/live/desk$"), between)
    page.goto(address)
    expect(page.locator(".vp-desk[data-settled=true] [role=slider]").first).to_be_visible(timeout=60 * SECONDS)
    x, y, track = place(page, "Humor")
    page.mouse.move(x, y)
    page.mouse.down()
    broken[0] = True
    page.mouse.move(track["x"] + 0.62 * track["width"], y)
    expect(status(page)).to_contain_text("Something went wrong here")
    expect(status(page)).to_contain_text("the reference 1a2b3c; it is in the log")
    cost, ways = page.get_by_role("heading", name="What it costs"), page.get_by_role("heading", name="How to fix it")
    expect(cost).to_be_hidden()
    expect(ways).to_be_hidden()
    broken[0] = False
    page.mouse.move(track["x"] + 0.64 * track["width"], y)
    expect(status(page)).to_contain_text("Reachable")
    expect(cost).to_be_visible()
    page.mouse.up()
    expect(page).to_have_url(re.compile("humor%3Ap6[34]"))
    page.close()


def test_the_keyboard_does_all_that_the_hand_does(page):
    humor = fader(page, "Humor")
    humor.focus()
    before = round(float(humor.get_attribute("aria-valuenow")))
    page.keyboard.press("ArrowRight")
    expect(humor).to_have_attribute("aria-valuenow", str(before + 1))
    page.keyboard.press("PageDown")
    expect(humor).to_have_attribute("aria-valuenow", str(before - 9))
    page.keyboard.press("End")
    expect(humor).to_have_attribute("aria-valuenow", "100")
    expect(status(page)).to_contain_text("Not possible")
    page.keyboard.press("Home")
    expect(humor).to_have_attribute("aria-valuetext", re.compile("^may drop to p0"))
    page.keyboard.type("57.5")
    page.keyboard.press("Enter")
    expect(humor).to_have_attribute("aria-valuenow", "57.5")
    expect(humor).to_be_focused()
    page.keyboard.press("l")
    expect(humor).to_have_attribute("aria-valuetext", re.compile("locked"))
    page.keyboard.press("Delete")
    expect(humor).to_have_attribute("aria-valuetext", re.compile("^no preference"))
    expect(page.locator(".vp-desk")).to_have_attribute("data-settled", "true")
    expect(page).not_to_have_url(re.compile("humor"))


def test_what_is_no_number_changes_nothing(page):
    number = page.get_by_role("textbox", name="Humor: target as a percentile")
    for typed in ("abc", "-3", "101", ""):
        number.fill(typed)
        number.press("Enter")
        expect(fader(page, "Humor")).to_have_attribute("aria-valuenow", re.compile("^60"))


def test_modes_and_double_click(page):
    mode = page.get_by_role("combobox", name="Humor: what is asked")
    mode.select_option("keep")
    expect(fader(page, "Humor")).to_have_attribute("aria-valuetext", re.compile("^keep as it is"))
    expect(page).to_have_url(re.compile("humor(%3A|:)keep"))
    mode.select_option("may_drop")
    expect(fader(page, "Humor")).to_have_attribute("aria-valuetext", re.compile("^may drop to p"))
    _, y, track = place(page, "Humor")
    page.mouse.dblclick(track["x"] + 0.55 * track["width"], y)
    expect(fader(page, "Humor")).to_have_attribute("aria-valuetext", re.compile("^no preference"))


def test_a_finger_sideways_moves_and_downwards_scrolls(browser, address):
    hand = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = opened(hand, address)
    _, _, track = place(page, "Humor")
    tell = """([dx, dy, x, y]) => {
        const track = document.querySelector('.vp-row[data-value="humor"] .vp-track');
        const send = (type, x, y) => track.dispatchEvent(new PointerEvent(type,
            { bubbles: true, pointerId: 3, pointerType: 'touch', button: 0, clientX: x, clientY: y }));
        send('pointerdown', x, y);
        send('pointermove', x + dx, y + dy);
        send('pointermove', x + dx, y + dy);
        send('pointerup', x + dx, y + dy);
    }"""
    x, y = track["x"] + 0.3 * track["width"], track["y"] + track["height"] / 2
    page.evaluate(tell, [2, 40, x, y])
    expect(fader(page, "Humor")).to_have_attribute("aria-valuenow", re.compile("^60"))
    page.evaluate(tell, [0.2 * track["width"], 2, x, y])
    expect(fader(page, "Humor")).to_have_attribute("aria-valuenow", re.compile(r"^(49\.5|50|50\.5)$"))
    hand.close()


def test_a_link_opens_the_same_view(context, address):
    link = "/?palette=humor%3Ap71.5!%3Bpositivity%3Akeep&use=Stories"
    page = opened(context, address, link)
    expect(fader(page, "Humor")).to_have_attribute("aria-valuetext", re.compile(r"^at least p71\.5, locked"))
    expect(fader(page, "Positivity")).to_have_attribute("aria-valuetext", re.compile("^keep as it is"))
    expect(fader(page, "Helpfulness")).to_have_attribute("aria-valuetext", re.compile("^no preference"))
    expect(page.get_by_role("combobox", name="Use case")).to_have_value("Stories")
    page.close()


def test_a_link_that_cannot_be_read_says_so(context, address):
    page = opened(context, address, "/?palette=wisdom%3Ap70")
    expect(page.get_by_text("The link could not be read")).to_be_visible()
    expect(page.get_by_text("wisdom")).to_be_visible()
    expect(status(page)).to_contain_text("Reachable")
    page.close()


def test_replies_are_text_and_change_with_the_palette(page):
    shown = page.locator(".vp-example")
    # Markdown is drawn, and everything else is text.
    expect(shown).to_contain_text(MARKUP.replace("**", ""))
    expect(shown.locator("strong").first).to_have_text("bold")
    assert shown.locator("img, script, b").count() == 0
    assert page.evaluate("window.ran") is None
    before = shown.locator(".vp-aligned .vp-reply").inner_text()
    seen = {before}
    for key in ("End", "Home", "PageUp", "PageUp", "PageUp", "PageUp"):
        fader(page, "Positivity").focus()
        page.keyboard.press(key)
        expect(page.locator(".vp-desk")).to_have_attribute("data-settled", "true")
        seen.add(shown.locator(".vp-aligned .vp-reply").inner_text())
    assert len(seen) > 1
    page.get_by_role("button", name="Next prompt").click()
    expect(shown).to_contain_text("Prompt 2 of 16")


def test_plain_sliders_stand_in(page):
    keyed(page, "plain_desk").locator("label").click()
    slider = keyed(page, "target_humor").locator("input[type=range]")
    expect(slider).to_be_visible()
    slider.focus()
    page.keyboard.press("End")
    expect(status(page)).to_contain_text(re.compile("ossible"))
    keyed(page, "plain_desk").locator("label").click()
    expect(fader(page, "Humor")).to_be_visible()


def test_keys_pressed_just_before_a_reload_are_not_lost(page):
    humor = fader(page, "Humor")
    before = round(float(humor.get_attribute("aria-valuenow")))
    humor.focus()
    for _ in range(3):
        page.keyboard.down("ArrowRight")  # not let go: the page itself has not heard of it
    page.reload()
    expect(humor).to_have_attribute("aria-valuenow", str(before + 3), timeout=60 * SECONDS)
    expect(page).to_have_url(re.compile(f"humor%3Ap{before + 3}"))
    page.get_by_role("button", name="Undo").click()
    expect(humor).to_have_attribute("aria-valuenow", re.compile(f"^{before}"))


def test_an_answer_that_is_late_is_marked_until_it_is_there(context):
    page = answer_panel(context)
    late = "document.documentElement.classList.contains('vp-calculating')"
    page.evaluate("asked('a', 1)")
    assert not page.evaluate(late), "an answer that is in time is shown without a word"
    page.wait_for_function(late)
    assert page.get_by_role("status").get_attribute("aria-busy") == "true"
    page.evaluate("asked('a', 2); take({ ack: 1 })")
    assert not page.evaluate(late), "the next move is a moment ago"
    page.wait_for_function(late)
    page.evaluate("take({ ack: 2 })")
    assert not page.evaluate(late)
    page.evaluate("take({ undo: 'Undo: Set humor to 70.' })")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function(late)
    page.evaluate("take({ pressed: told.pressed })")
    assert not page.evaluate(late)
    # What else a hand does on the page runs its script.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p data-testid=stMain><b></b><i></i></p>')")
    page.evaluate("document.querySelector('[data-testid=stMain] b').innerHTML = '<select><option>A use case</select>'")
    page.get_by_role("combobox").click()
    page.evaluate("document.body.setAttribute('data-test-script-state', 'running')")
    page.wait_for_function(late)
    page.evaluate("document.body.setAttribute('data-test-script-state', 'notRunning')")
    page.wait_for_function(f"!{late}")
    page.evaluate("document.querySelector('[data-testid=stMain] i').innerHTML = '<button>Start again</button>'")
    page.evaluate("document.querySelector('[data-testid=stMain] i').dataset.testid = 'stButton'")
    page.get_by_role("button", name="Start again").click()  # which runs it for certain
    page.wait_for_function(late)
    page.close()


def answer_panel(context: BrowserContext) -> Page:
    """A page with the answer's component alone: ``take`` gives it data, ``told`` has what it sent."""
    page = context.new_page()
    page.set_content("<main><div class=vp-answer></div></main>")
    script = (ASSETS / "nodes.js").read_text() + (ASSETS / "answer.js").read_text()
    page.add_script_tag(
        content=script.replace("export default function", "window.mount = function mount"), type="module"
    )
    data = verdict.failure_data(errors.Failure("", "", "")) | {"settled": True, "session": "a", "ack": 0}
    page.evaluate(
        """(data) => {
            window.count = 0;
            window.told = {};
            const parentElement = document.querySelector("main");
            const setTriggerValue = (name, value) => { count += 1; told[name] = value; };
            window.take = (changed) => mount({ parentElement, data: Object.assign(data, changed), setTriggerValue });
            window.asked = (session, ack) => window.valuePalette.asked(session, ack);
            take({});
        }""",
        data,
    )
    return page


def test_what_is_computed_is_asked_for_until_it_is_there_and_no_longer(context):
    """Streamlit calls a component again only when its data differ from those before."""
    page = answer_panel(context)
    page.evaluate("take({ again: 10 })")
    page.wait_for_function("count > 3")  # without another call
    page.evaluate("take({ again: 0 }); count = 0")
    page.evaluate("() => new Promise((done) => setTimeout(done, 50))")
    assert page.evaluate("count") == 0
    page.evaluate("take({ again: 10 })")
    page.wait_for_function("count > 0")
    page.evaluate("document.querySelector('main').replaceChildren()")  # another page is opened
    page.evaluate("() => new Promise((done) => setTimeout(() => { count = 0; setTimeout(done, 50); }, 50))")
    assert page.evaluate("count") == 0
    page.close()
