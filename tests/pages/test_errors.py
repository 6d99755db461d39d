"""Tests of error messages: what a viewer reads, what is logged, and what is no error."""

from __future__ import annotations

import logging
import runpy

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.local_script_runner import LocalScriptRunner

from pages.view.shell import garbage
from tests import ROOT


def broken(kind: str) -> None:
    """A page that fails or ends in the requested way."""
    import streamlit as st

    from map_core.errors import InputError
    from pages.view.shell import errors

    def inside() -> None:
        if kind == "fault":
            raise RuntimeError("a secret of the machine")
        if kind == "input":
            raise InputError("The table has no rows; expected one at least.")
        if kind == "stop":
            st.stop()
        if kind == "rerun" and "again" not in st.session_state:
            st.session_state["again"] = True
            st.rerun()

    with errors.guarded("The page"):
        if kind == "fragment":

            @st.fragment
            def piece() -> None:
                with errors.guarded("A part"):
                    raise RuntimeError("a secret of the machine")

            piece()
        inside()
        st.text("all is well")


def run(kind: str) -> AppTest:
    return AppTest.from_function(broken, args=(kind,), default_timeout=60).run()


def read(app: AppTest) -> str:
    parts = [element.value for element in (*app.header, *app.text)] + [
        element.proto.body for element in app.get("html")
    ]
    return "\n".join(parts)


def test_fault_is_explained_and_its_traceback_logged(caplog):
    with caplog.at_level(logging.ERROR, "value_palette"):
        app = run("fault")
    assert "Something went wrong here" in read(app)
    assert "secret" not in read(app)
    [record] = [entry for entry in caplog.records if entry.name == "value_palette"]
    assert record.args[0] == "The page"
    assert record.args[1] in read(app)
    assert "a secret of the machine" in str(record.exc_info[1])
    assert app.exception, "Streamlit and the tests must still know of it"


def test_input_errors_are_shown_verbatim():
    assert "The table has no rows; expected one at least." in read(run("input"))


def test_failed_fragment_is_reported_once():
    app = run("fragment")
    assert [header.value for header in app.header] == ["Something went wrong here"]


def test_style_that_hides_a_failed_fragment_belongs_to_it():
    """Streamlit collects bare style sheets elsewhere, where a fragment's would replace another and stay."""
    sheets = [element.proto.body for element in run("fragment").main.get("html") if "<style>" in element.proto.body]
    assert len(sheets) == 1
    assert '[data-testid="stException"] { display: none; }' in sheets[0]


@pytest.mark.parametrize(("kind", "then"), [("none", ["all is well"]), ("stop", []), ("rerun", ["all is well"])])
def test_stop_and_rerun_are_no_errors(kind, then):
    app = run(kind)
    assert not app.exception
    assert not app.header
    assert [element.value for element in app.text] == then


def test_start_again_clears_the_session():
    app = AppTest.from_function(broken, args=("fault",), default_timeout=60)
    app.session_state["kept"] = "something that breaks the page"
    app.session_state["viewer"] = "who asks"
    app.query_params["palette"] = "humor:p60"
    app.run()
    [button] = [candidate for candidate in app.button if candidate.label == "Start again"]
    button.click().run()
    assert "kept" not in app.session_state
    assert app.session_state["viewer"] == "who asks", "what runs for this viewer can still be stopped"
    assert "palette" not in app.query_params


def clicked() -> None:
    """A page whose callbacks fail."""
    import streamlit as st

    from map_core.errors import InputError
    from pages.view.shell import errors

    def fault() -> None:
        st.session_state["done"] = "half"
        raise RuntimeError("a secret of the machine")

    def bad() -> None:
        raise InputError("The name is empty; expected some letters.")

    errors.draw_failed_click()
    with errors.guarded("The page"):
        st.text_input("Name", key="name")
        st.button("Fault", on_click=fault)
        st.button("Bad", on_click=bad)

        @st.fragment
        def piece() -> None:
            st.slider("Much", 0, 9, on_change=fault)

        piece()
        st.text("the end of the page")


@pytest.fixture
def served(monkeypatch) -> None:
    """Run pages with the error handler of app.py, which AppTest does not use by itself."""
    monkeypatch.setattr("threadpoolctl.threadpool_limits", lambda **limits: None)
    monkeypatch.setattr(garbage, "collect_regularly", lambda: None)
    handler = runpy.run_path(str(ROOT / "app.py"))["app"]._on_script_error
    begin = LocalScriptRunner.__init__

    def begun(runner: LocalScriptRunner, *args, **kwargs) -> None:
        begin(runner, *args, **kwargs)
        runner._on_script_error = handler

    monkeypatch.setattr(LocalScriptRunner, "__init__", begun)


@pytest.fixture
def page(served) -> AppTest:
    opened = AppTest.from_function(clicked, default_timeout=60).run()
    return opened.text_input(key="name").set_value("kept").run()


def button(app: AppTest, label: str):
    [match] = [candidate for candidate in app.button if candidate.label == label]
    return match


def test_failed_click_is_reported_above_the_page_and_loses_nothing(page, caplog):
    with caplog.at_level(logging.ERROR, "value_palette"):
        button(page, "Fault").click().run()
    assert "That could not be done" in read(page)
    assert "secret" not in read(page)
    assert not page.exception
    assert page.text_input(key="name").value == "kept"
    assert "the end of the page" in read(page)
    assert page.session_state["done"] == "half"
    [record] = [entry for entry in caplog.records if entry.name == "value_palette"]
    assert record.args[1] in read(page)
    assert "a secret of the machine" in str(record.exc_info[1])
    page.run()
    assert "That could not be done" in read(page), "it stays until it is closed"
    button(page, "Close").click().run()
    assert "That could not be done" not in read(page)


def test_failed_change_within_a_fragment_is_reported(page):
    page.slider[0].set_value(4).run()
    assert "That could not be done" in read(page)
    assert page.slider[0].value == 4
    assert not page.exception


def test_input_error_of_a_click_is_shown_verbatim(page):
    button(page, "Bad").click().run()
    assert "The name is empty; expected some letters." in read(page)


def test_start_again_clears_the_error_of_a_click(page):
    button(page, "Fault").click().run()
    button(page, "Start again").click().run()
    assert "That could not be done" not in read(page)
    assert "done" not in page.session_state


def test_error_outside_all_pages_is_reported(served):
    def router() -> None:
        raise RuntimeError("a secret of the machine")

    opened = AppTest.from_function(router, default_timeout=60).run()
    assert "Something went wrong here" in read(opened)
    assert "secret" not in read(opened)
    assert not opened.exception
