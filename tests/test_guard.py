"""Errors in words: what a viewer reads, what the log keeps, and what is no error."""

from __future__ import annotations

import logging

import pytest
from streamlit.testing.v1 import AppTest


def broken(kind: str) -> None:
    """A page that fails, or ends, in the way that is asked for."""
    import streamlit as st

    from map_core.errors import InputError
    from pages.view import guard

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

    with guard.guarded("The page"):
        if kind == "fragment":

            @st.fragment
            def piece() -> None:
                with guard.guarded("A part"):
                    raise RuntimeError("a secret of the machine")

            piece()
        inside()
        st.text("all is well")


def run(kind: str) -> AppTest:
    return AppTest.from_function(broken, args=(kind,), default_timeout=60).run()


def read(app: AppTest) -> str:
    said = [one.value for one in (*app.subheader, *app.text)] + [one.proto.body for one in app.get("html")]
    return "\n".join(said)


def test_a_fault_is_said_in_words_and_the_log_has_the_traceback(caplog):
    with caplog.at_level(logging.ERROR, "value_palette"):
        app = run("fault")
    assert "Something went wrong here" in read(app)
    assert "secret" not in read(app)
    [record] = [one for one in caplog.records if one.name == "value_palette"]
    assert record.args[0] == "The page"
    assert record.args[1] in read(app)
    assert "a secret of the machine" in str(record.exc_info[1])
    assert app.exception, "Streamlit and the tests must still know of it"


def test_what_a_person_can_mend_is_said_as_it_is():
    assert "The table has no rows; expected one at least." in read(run("input"))


def test_a_failed_part_is_said_once():
    app = run("fragment")
    assert [one.value for one in app.subheader] == ["Something went wrong here"]


@pytest.mark.parametrize(("kind", "then"), [("none", ["all is well"]), ("stop", []), ("rerun", ["all is well"])])
def test_a_stop_and_a_rerun_are_no_errors(kind, then):
    app = run(kind)
    assert not app.exception
    assert not app.subheader
    assert [one.value for one in app.text] == then


def test_start_again_forgets_what_was_set():
    app = AppTest.from_function(broken, args=("fault",), default_timeout=60)
    app.session_state["kept"] = "something that breaks the page"
    app.query_params["palette"] = "humor:p60"
    app.run()
    [button] = [one for one in app.button if one.label == "Start again"]
    button.click().run()
    assert "kept" not in app.session_state
    assert "palette" not in app.query_params
