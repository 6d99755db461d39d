"""The model of a build: chosen by everybody among what the operator offers, typed at the app's own machine alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from map_core import rewards, tables
from map_core.generate import models
from map_core.generate.models import ModelFiles
from map_core.importing import import_file
from map_core.tables import making
from map_core.tables.making import State
from pages.view import tables_model
from tests.chat_server import ChatServer, piece, saying
from tests.tables import make_table
from tests.test_model_checked import model_folder
from tests.test_pages import APP, app, opened, said, table
from tests.test_pages_tables import press, until_ended, view

__all__ = ["APP", "app", "table"]

SECRET = "sk-a-key-of-nobody"
SILENT = saying(piece("Hello"), piece(None, "stop"))
HOME = {"Host": "localhost:8501", "Origin": "http://localhost:8501"}


@pytest.fixture
def form(app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The view Build with two prompts, for somebody at the app's own machine that has the model "here"."""
    monkeypatch.setenv(tables.SETTING, str(tmp_path / "kept"))
    monkeypatch.delenv(tables_model.NAMED, raising=False)
    monkeypatch.setattr(models, "installed", lambda: [ModelFiles("here", Path("here"), "0" * 64, "here")])
    monkeypatch.setattr(tables_model, "at_this_machine", lambda headers, address: True)
    page = view(app.switch_page("tables.py").run(), "build")
    return page.text_area(key="build_pasted").set_value("How?\nWhy?").run()


def texts(page: AppTest) -> str:
    assert not page.exception
    return " ".join(text.value for text in page.text)


def named(page: AppTest, model: str) -> AppTest:
    page.selectbox(key="build_model").set_value(tables_model.OTHER).run()
    return page.text_input(key="build_model_other").set_value(model).run()


@pytest.mark.parametrize(
    ("headers", "address", "here"),
    [
        (HOME, None, True),
        ({"Host": "127.0.0.1:80"}, None, True),
        ({"Host": "[::1]:80", "Origin": "http://[::1]:80"}, None, True),
        (HOME, "10.0.0.7", False),
        (HOME | {"X-Forwarded-For": "10.0.0.7"}, None, False),
        (HOME | {"Forwarded": "for=10.0.0.7"}, None, False),
        ({"Host": "palette.example.org"}, None, False),
        ({"Host": "localhost:8501", "Origin": "https://palette.example.org"}, None, False),
        ({"Host": "localhost.example.org"}, None, False),
        ({}, None, False),
    ],
)
def test_who_sits_at_the_apps_machine(headers: dict[str, str], address: str | None, here: bool) -> None:
    assert tables_model.at_this_machine(headers, address) is here


def test_a_folder_that_is_typed_is_looked_at(form: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    monkeypatch.setattr(making, "begin", lambda *given: begun.append(given))
    named(form, str(tmp_path / "none"))
    assert "There is no folder" in texts(form)
    assert form.button(key="build_go").disabled
    model_folder(tmp_path / "none", "LlamaForCausalLM")
    press(form, "build_model_again")
    assert "The folder holds a model that writes replies (LlamaForCausalLM)." in said(form)
    press(form, "build_go")
    assert f"--model={tmp_path / 'none'}" in begun[0][2]


def test_a_build_from_a_server_keeps_no_key(form: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server cannot give is said before anything begins; the key goes by the environment alone."""
    monkeypatch.setenv("VALUE_PALETTE_API_KEY", SECRET)
    with ChatServer(SILENT, key=SECRET) as server:
        named(form, server.model())
        assert "does not tell how likely its words are" in said(form)
        assert "Helpfulness and Familiar wording need the log-probabilities" in texts(form)
        assert form.button(key="build_go").disabled
        form.multiselect(key="build_values").set_value(["diversity", "plain_language"]).run()
        form.select_slider(key="build_candidates").set_value(2).run()
        press(form, "build_go")
        until_ended(form, "My prompts")
    assert making.look("My prompts").state is State.DONE, making.look("My prompts").error
    made = rewards.load(tables.path_of("My prompts"))
    assert (made.values, len(made.rewards)) == (("diversity", "plain_language"), 4)
    written = [path.read_bytes() for path in tables.folder().rglob("*") if path.is_file()]
    assert len(written) >= 3
    assert not any(SECRET.encode() in content for content in written)
    assert SECRET not in said(form) + texts(form)


def test_elsewhere_only_what_the_operator_names_can_be_chosen(form: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    monkeypatch.setattr(making, "begin", lambda *given: begun.append(given))
    with ChatServer(SILENT) as server:
        named(form, server.model())
        server.requests.clear()
        # The same visit from elsewhere: what was typed is not used any more.
        monkeypatch.setattr(tables_model, "at_this_machine", lambda headers, address: False)
        form.run()
        assert form.selectbox(key="build_model").options == ["here"]
        assert "Whoever runs this app can offer other models" in said(form)
        monkeypatch.setenv(tables_model.NAMED, f"{server.model()}, here")
        form.run()
        assert form.selectbox(key="build_model").options == ["here", server.model()]
        form.multiselect(key="build_values").set_value(["diversity"]).run()
        form.selectbox(key="build_model").set_value(server.model()).run()
        press(form, "build_go")
        assert f"--model={server.model()}" in begun[0][2]
    # With the list, nobody types a model, at the app's own machine neither.
    monkeypatch.setattr(tables_model, "at_this_machine", lambda headers, address: True)
    form.run()
    assert tables_model.OTHER not in form.selectbox(key="build_model").proto.options
    assert "Another model…" not in form.selectbox(key="build_model").options


def test_a_model_that_may_not_be_named_begins_nothing(form: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    monkeypatch.setattr(making, "begin", lambda *given: begun.append(given))
    make = named(form, "/etc")
    monkeypatch.setattr(tables_model, "at_this_machine", lambda headers, address: False)
    monkeypatch.setattr(models, "installed", list)
    make.run()
    assert [one.key for one in make.selectbox if one.key == "build_model"] == []
    assert "No model is on this machine yet" in said(make)
    assert not begun


def test_no_server_is_called_because_a_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that was handed in may name any server; one that was built here names the one that it was built with."""
    monkeypatch.delenv(tables_model.NAMED, raising=False)
    made = make_table(prompts=4, candidates=4)
    told = {**made.metadata, "model": {"name": "tiny@http://127.0.0.1:9/v1"}, "engine": {"name": "remote"}}
    rewards.save(replace(made, metadata=told), tmp_path / "built.parquet")
    import_file(tmp_path / "built.parquet", tmp_path / "table.parquet", name="theirs.parquet")
    handed_in = rewards.load_metadata(tmp_path / "table.parquet")
    assert tables_model.not_called(rewards.load_metadata(tmp_path / "built.parquet")) == ""
    assert "No server is called because a file says so" in tables_model.not_called(handed_in)
    assert tables_model.not_called({**handed_in, "model": {"name": "here"}}) == ""
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    page = opened().switch_page("compare.py").run()
    assert "came from a file that says its replies are of tiny@http://127.0.0.1:9/v1" in texts(page)
    monkeypatch.setenv(tables_model.NAMED, "tiny@http://127.0.0.1:9/v1")
    assert tables_model.not_called(handed_in) == ""
