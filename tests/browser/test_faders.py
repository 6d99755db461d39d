"""Tests of the faders in a real Chromium, by mouse, keyboard and touch: targets, verdicts, undo, links, answers."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from map_core.core.assets import ASSETS
from pages.view.palette import verdict
from pages.view.shell import errors
from tests.app_server import MARKUP, SECONDS
from tests.visits import QUIET_STYLE, keyed, settle

pytestmark = pytest.mark.browser


def open_desk(context: BrowserContext, address: str, path: str = "") -> Page:
    page = context.new_page()
    page.set_default_timeout(30 * SECONDS)
    page.goto(address + path)
    expect(page.locator(".vp-desk[data-settled=true] [role=slider]").first).to_be_visible(timeout=60 * SECONDS)
    settle(page, QUIET_STYLE)  # content drawn above a fader moves it away from the mouse
    return page


@pytest.fixture
def page(context, address):
    page = open_desk(context, address)
    yield page
    page.close()


def fader(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=name, exact=True)


def status(page: Page) -> Locator:
    return keyed(page, "verdict").get_by_role("status")


def handle_and_track(page: Page, name: str) -> tuple[float, float, dict]:
    """Return the centre of a fader's handle and the box of its track."""
    fader(page, name).scroll_into_view_if_needed()
    handle = fader(page, name).bounding_box()
    track = page.locator(f'.vp-row[data-value="{name.lower()}"] .vp-track').bounding_box()
    return handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2, track


def test_the_verdict_is_updated_during_a_drag(page):
    expect(status(page)).to_contain_text("Reachable")
    x, y, track = handle_and_track(page, "Humor")
    page.mouse.move(x, y)
    page.mouse.down()
    for share in (0.7, 0.8, 0.9, 0.99):
        page.mouse.move(track["x"] + share * track["width"], y)
    # The mouse button is still pressed.
    expect(status(page)).to_contain_text("Not possible")
    expect(fader(page, "Humor")).to_have_attribute("aria-valuetext", re.compile("^at least p99"))
    page.mouse.up()
    fix = page.locator(".vp-way:enabled")
    expect(fix.first).to_contain_text("humor")
    fix.first.click()
    expect(status(page)).to_contain_text("Reachable")
    expect(status(page)).not_to_contain_text("paper")
    undo = page.get_by_role("button", name="Undo")
    undo.click()
    expect(status(page)).to_contain_text("Not possible")
    expect(fader(page, "Humor")).to_have_attribute("aria-valuenow", "99")
    undo.click()  # the whole drag is one undo step
    expect(fader(page, "Humor")).to_have_attribute("aria-valuenow", re.compile("^60"))
    page.get_by_role("button", name="Redo").click()
    expect(fader(page, "Humor")).to_have_attribute("aria-valuenow", "99")


def test_the_last_of_many_moves_always_arrives(page):
    x, y, track = handle_and_track(page, "Harmlessness")
    page.mouse.move(x, y)
    page.mouse.down()
    for k in range(60):
        page.mouse.move(track["x"] + (0.5 + 0.002 * k) * track["width"], y)
    page.mouse.up()
    expect(page.locator(".vp-desk")).to_have_attribute("data-settled", "true")
    last = fader(page, "Harmlessness").get_attribute("aria-valuenow")
    expect(page).to_have_url(re.compile(f"harmlessness(%3A|:)p{last}(%3B|;)"))
    assert 61 <= float(last) <= 63
    # The handle was released: moving the mouse over the track changes nothing.
    page.mouse.move(track["x"] + 0.9 * track["width"], y)
    expect(fader(page, "Harmlessness")).to_have_attribute("aria-valuenow", last)


def test_faders_without_their_web_socket_use_reruns_of_the_page(context, address):
    page = context.new_page()
    page.route_web_socket(re.compile("/live/desk$"), lambda socket: socket.close())
    page.goto(address)
    expect(page.locator(".vp-desk[data-settled=true] [role=slider]").first).to_be_visible(timeout=60 * SECONDS)
    x, y, track = handle_and_track(page, "Humor")
    page.mouse.move(x, y)
    page.mouse.down()
    for share in (0.7, 0.8, 0.9, 0.99):
        page.mouse.move(track["x"] + share * track["width"], y)
    expect(status(page)).to_contain_text("Not possible", timeout=20 * SECONDS)
    page.mouse.up()
    expect(page.locator(".vp-desk")).to_have_attribute("data-settled", "true", timeout=20 * SECONDS)
    expect(page).to_have_url(re.compile("humor%3Ap99"))
    page.close()


def test_a_failed_answer_is_shown_and_replaced_by_the_next(context, address):
    page, broken = context.new_page(), [False]

    def maybe_failed(message: str | bytes) -> str | bytes:
        content = json.loads(message)
        if not broken[0] or "answer" not in content:
            return message
        stamp = {name: content["answer"][name] for name in ("session", "ack", "settled")}
        return json.dumps({"answer": verdict.failure_data(errors.Failure("", "", "1a2b3c")) | stamp})

    def intercept(socket) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: socket.send(maybe_failed(message)))

    page.route_web_socket(re.compile("/live/desk$"), intercept)
    page.goto(address)
    expect(page.locator(".vp-desk[data-settled=true] [role=slider]").first).to_be_visible(timeout=60 * SECONDS)
    x, y, track = handle_and_track(page, "Humor")
    page.mouse.move(x, y)
    page.mouse.down()
    broken[0] = True
    page.mouse.move(track["x"] + 0.62 * track["width"], y)
    expect(status(page)).to_contain_text("Something went wrong here")
    expect(status(page)).to_contain_text("the reference 1a2b3c; it is in the log")
    cost, fixes = page.get_by_role("heading", name="What it costs"), page.get_by_role("heading", name="How to fix it")
    expect(cost).to_be_hidden()
    expect(fixes).to_be_hidden()
    broken[0] = False
    page.mouse.move(track["x"] + 0.64 * track["width"], y)
    expect(status(page)).to_contain_text("Reachable")
    expect(cost).to_be_visible()
    page.mouse.up()
    expect(page).to_have_url(re.compile("humor%3Ap6[34]"))
    page.close()


def test_the_keyboard_does_all_that_the_mouse_does(page):
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


def test_an_invalid_number_changes_nothing(page):
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
    _, y, track = handle_and_track(page, "Humor")
    page.mouse.dblclick(track["x"] + 0.55 * track["width"], y)
    expect(fader(page, "Humor")).to_have_attribute("aria-valuetext", re.compile("^no preference"))


def test_a_horizontal_touch_moves_and_a_vertical_one_scrolls(browser, address):
    phone = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = open_desk(phone, address)
    _, _, track = handle_and_track(page, "Humor")
    drag = """([dx, dy, x, y]) => {
        const track = document.querySelector('.vp-row[data-value="humor"] .vp-track');
        const send = (type, x, y) => track.dispatchEvent(new PointerEvent(type,
            { bubbles: true, pointerId: 3, pointerType: 'touch', button: 0, clientX: x, clientY: y }));
        send('pointerdown', x, y);
        send('pointermove', x + dx, y + dy);
        send('pointermove', x + dx, y + dy);
        send('pointerup', x + dx, y + dy);
    }"""
    x, y = track["x"] + 0.3 * track["width"], track["y"] + track["height"] / 2
    page.evaluate(drag, [2, 40, x, y])
    expect(fader(page, "Humor")).to_have_attribute("aria-valuenow", re.compile("^60"))
    page.evaluate(drag, [0.2 * track["width"], 2, x, y])
    expect(fader(page, "Humor")).to_have_attribute("aria-valuenow", re.compile(r"^(49\.5|50|50\.5)$"))
    phone.close()


def test_a_link_opens_the_same_view(context, address):
    link = "/?palette=humor%3Ap71.5!%3Bpositivity%3Akeep&use=Stories"
    page = open_desk(context, address, link)
    expect(fader(page, "Humor")).to_have_attribute("aria-valuetext", re.compile(r"^at least p71\.5, locked"))
    expect(fader(page, "Positivity")).to_have_attribute("aria-valuetext", re.compile("^keep as it is"))
    expect(fader(page, "Helpfulness")).to_have_attribute("aria-valuetext", re.compile("^no preference"))
    expect(page.get_by_role("combobox", name="Use case")).to_have_value("Stories")
    page.close()


def test_an_unreadable_link_shows_a_message(context, address):
    page = open_desk(context, address, "/?palette=wisdom%3Ap70")
    expect(page.get_by_text("The link could not be read")).to_be_visible()
    expect(page.get_by_text("wisdom")).to_be_visible()
    expect(status(page)).to_contain_text("Reachable")
    page.close()


def test_replies_are_text_and_change_with_the_palette(page):
    example = page.locator(".vp-example")
    # Markdown is rendered, and everything else is text.
    expect(example).to_contain_text(MARKUP.replace("**", ""))
    expect(example.locator("strong").first).to_have_text("bold")
    assert example.locator("img, script, b").count() == 0
    assert page.evaluate("window.ran") is None
    before = example.locator(".vp-aligned .vp-reply").inner_text()
    replies = {before}
    for key in ("End", "Home", "PageUp", "PageUp", "PageUp", "PageUp"):
        fader(page, "Positivity").focus()
        page.keyboard.press(key)
        expect(page.locator(".vp-desk")).to_have_attribute("data-settled", "true")
        replies.add(example.locator(".vp-aligned .vp-reply").inner_text())
    assert len(replies) > 1
    page.get_by_role("button", name="Next prompt").click()
    expect(example).to_contain_text("Prompt 2 of 16")


def test_plain_sliders_replace_the_faders(page):
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
        page.keyboard.down("ArrowRight")  # no key up: the page's script does not know of it yet
    page.reload()
    expect(humor).to_have_attribute("aria-valuenow", str(before + 3), timeout=60 * SECONDS)
    expect(page).to_have_url(re.compile(f"humor%3Ap{before + 3}"))
    page.get_by_role("button", name="Undo").click()
    expect(humor).to_have_attribute("aria-valuenow", re.compile(f"^{before}"))


def test_a_late_answer_is_marked_until_it_arrives(context):
    page = answer_panel(context)
    is_marked = "document.documentElement.classList.contains('vp-calculating')"
    page.evaluate("request('a', 1)")
    assert not page.evaluate(is_marked), "an answer that is in time is shown without a word"
    page.wait_for_function(is_marked)
    assert page.get_by_role("status").get_attribute("aria-busy") == "true"
    page.evaluate("request('a', 2); update({ ack: 1 })")
    assert not page.evaluate(is_marked), "the next move is a moment ago"
    page.wait_for_function(is_marked)
    page.evaluate("update({ ack: 2 })")
    assert not page.evaluate(is_marked)
    page.evaluate("update({ undo: 'Undo: Set humor to 70.' })")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function(is_marked)
    page.evaluate("update({ pressed: sent.pressed })")
    assert not page.evaluate(is_marked)
    # Any other input on the page runs its script.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p data-testid=stMain><b></b><i></i></p>')")
    page.evaluate("document.querySelector('[data-testid=stMain] b').innerHTML = '<select><option>A use case</select>'")
    page.get_by_role("combobox").click()
    page.evaluate("document.body.setAttribute('data-test-script-state', 'running')")
    page.wait_for_function(is_marked)
    page.evaluate("document.body.setAttribute('data-test-script-state', 'notRunning')")
    page.wait_for_function(f"!{is_marked}")
    page.evaluate("document.querySelector('[data-testid=stMain] i').innerHTML = '<button>Start again</button>'")
    page.evaluate("document.querySelector('[data-testid=stMain] i').dataset.testid = 'stButton'")
    page.get_by_role("button", name="Start again").click()  # a button always runs the script
    page.wait_for_function(is_marked)
    page.close()


def answer_panel(context: BrowserContext) -> Page:
    """Return a page with the answer's component alone: ``update`` gives it data, ``sent`` holds what it reports."""
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
            window.sent = {};
            const parentElement = document.querySelector("main");
            const setTriggerValue = (name, value) => { count += 1; sent[name] = value; };
            window.update = (changes) => mount({ parentElement, data: Object.assign(data, changes), setTriggerValue });
            window.request = (session, ack) => window.valuePalette.asked(session, ack);
            update({});
        }""",
        data,
    )
    return page


def test_a_pending_result_is_polled_until_it_arrives(context):
    """Streamlit calls a component again only when its data change, so the component polls by itself."""
    page = answer_panel(context)
    page.evaluate("update({ again: 10 })")
    page.wait_for_function("count > 3")  # without another update
    page.evaluate("update({ again: 0 }); count = 0")
    page.evaluate("() => new Promise((done) => setTimeout(done, 50))")
    assert page.evaluate("count") == 0
    page.evaluate("update({ again: 10 })")
    page.wait_for_function("count > 0")
    page.evaluate("document.querySelector('main').replaceChildren()")  # another page is opened
    page.evaluate("() => new Promise((done) => setTimeout(() => { count = 0; setTimeout(done, 50); }, 50))")
    assert page.evaluate("count") == 0
    page.close()
