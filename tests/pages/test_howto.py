"""Tests of the instructions on pages: the buttons that they name exist, and every page shows them."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest

from pages.view.shell import howto
from tests import ROOT
from tests.pages.app_script import APP

PAGES = ROOT / "pages"
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in PAGES.rglob("*.py") if path.name != "howto.py")


@pytest.mark.parametrize("what", howto.STEPS)
def test_named_buttons_exist(what):
    _, steps = howto.STEPS[what]
    named = [name for _, text in steps for name in re.findall(r"Press ([A-Z][a-z ]+)[.:]", text)]
    assert named
    assert [name for name in named if f'"{name}"' not in SOURCE] == []


@pytest.mark.parametrize(
    ("page", "view", "what"), [("values", "", "value"), ("tables", "file", "file"), ("tables", "build", "build")]
)
def test_instructions_are_in_an_expander_of_their_page(page, view, what, table):
    app = AppTest.from_file(APP, default_timeout=60).run()
    app.query_params["view"] = view
    app.switch_page(f"{page}.py").run()
    assert not app.exception
    assert howto.STEPS[what][0] in [expander.label for expander in app.expander]
