"""Tests of widgets that move faster than the page reruns: a rerun must not reset them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from map_core.palettes.palette import ALL
from map_core.store import database, meetings, table_key
from tests.pages.app_script import APP


@pytest.fixture(params=["palette.py", "compare.py"])
def page(app, request):
    return app.switch_page(request.param).run()


def test_moved_slider_is_not_reset(page):
    """Streamlit's ``set_value`` makes a browser discard moves since the value was sent."""
    for percentile in (61, 62):
        page.slider(key="target_humor").set_value(percentile).run()
        slider = page.slider(key="target_humor")
        assert (slider.value, slider.proto.set_value) == (percentile, False)
        assert page.session_state["history"].now.targets["humor"].percentile == percentile


def test_slider_follows_other_changes(page):
    page.slider(key="target_humor").set_value(72).run()
    history = page.session_state["history"]
    page.session_state["history"] = replace(history, position=0)  # as undo does
    slider = page.run().slider(key="target_humor")
    assert (slider.value, slider.proto.value, slider.proto.set_value) == (60, [60.0], True)


def test_new_slider_starts_at_the_target(app, table):
    """Other ends make a new widget, which starts at its default: the target and not the lower end."""
    app.slider(key="target_humor").set_value(72).run()
    app.selectbox(key="use_case").set_value("Stories").run()
    for page in ("compare.py", "palette.py"):
        app.switch_page(page).run()
        assert app.slider(key="target_humor").value == 72
        app.selectbox(key="use_case").set_value(ALL if page == "compare.py" else "Stories").run()
        assert app.slider(key="target_humor").value == 72
        assert app.session_state["history"].now.targets["humor"].percentile == 72


def test_toggles_pills_and_the_use_case_are_not_reset(app):
    app.toggle(key="locked_humor").set_value(True).run()
    app.selectbox(key="use_case").set_value("Stories").run()
    assert not app.toggle(key="locked_humor").proto.set_value
    assert not app.selectbox(key="use_case").proto.set_value
    app.switch_page("compare.py").run()
    app.button_group(key="steered").set_value([0, 1]).run()
    assert app.button_group(key="steered").value == [0, 1]
    assert not app.button_group(key="steered").proto.set_value


def test_slider_on_a_phone_is_not_reset(table):
    meeting = meetings.open_meeting(database(), "Tone", ALL, table_key(table))
    phone = AppTest.from_file(APP, default_timeout=60)
    phone.query_params["meeting"] = meeting.code
    phone.switch_page("join.py").run()
    phone.toggle(key="ask_humor").set_value(True).run()
    assert not phone.toggle(key="ask_humor").proto.set_value
    phone.slider(key="wish_humor").set_value(71).run()
    slider = phone.slider(key="wish_humor")
    assert (slider.value, slider.proto.set_value) == (71, False)


def test_slider_of_a_kept_value_is_at_its_base_level(page):
    history = page.session_state["history"]
    target = replace(history.now.targets["humor"], percentile=80.0, keep=True)
    palette = replace(history.now, targets={**history.now.targets, "humor": target})
    page.session_state["history"] = history.with_step(replace(history.steps[-1], palette=palette))
    base = page.run().slider(key="target_humor").value
    assert base != 80
    freed = replace(palette, targets={**palette.targets, "humor": replace(target, keep=False)})
    page.session_state["history"] = history.with_step(replace(history.steps[-1], palette=freed))
    assert page.run().slider(key="target_humor").value == 80
