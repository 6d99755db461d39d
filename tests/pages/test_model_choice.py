"""Tests of the model of a build: visitors choose among the offered ones, only operators type a name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from map_core import catalog
from map_core.catalog import jobs, processes
from map_core.catalog.jobs import TableJobState
from map_core.data import table_format
from map_core.data.importing import import_file
from map_core.errors import InputError
from map_core.models import files
from map_core.models.endpoint import LISTED, refusal_reason, remember_server
from map_core.models.files import ModelFiles
from pages.view.shell import operator
from pages.view.tables import model_choice
from tests.chat_server import ChatServer, chunk, fixed_answer
from tests.engines.test_probe import model_folder
from tests.pages.app_script import opened, page_text
from tests.pages.test_tables import press, until_ended, view
from tests.tables import make_table

SECRET = "sk-a-key-of-nobody"
SILENT = fixed_answer(chunk("Hello"), chunk(None, "stop"))
REALLY = operator.is_operator


@pytest.fixture
def form(app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """Open the view Build with two prompts, as the operator of an app with the model "here"."""
    monkeypatch.setenv(catalog.SETTING, str(tmp_path / "kept"))
    monkeypatch.delenv(LISTED, raising=False)
    monkeypatch.setattr(files, "installed", lambda: [ModelFiles("here", Path("here"), "0" * 64, "here")])
    monkeypatch.setattr(operator, "is_operator", lambda: True)
    page = view(app.switch_page("tables.py").run(), "build")
    return page.text_area(key="build_pasted").set_value("How?\nWhy?").run()


def texts(page: AppTest) -> str:
    assert not page.exception
    return " ".join(text.value for text in page.text)


def named(page: AppTest, model: str) -> AppTest:
    page.selectbox(key="build_model").set_value(model_choice.OTHER).run()
    return page.text_input(key="build_model_other").set_value(model).run()


def test_only_the_token_makes_a_visitor_the_operator(form: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a header nor an address does; a wrong token is refused and stored nowhere."""
    monkeypatch.setattr(operator, "is_operator", REALLY)
    form.run()
    assert "Another model…" not in form.selectbox(key="build_model").options
    form.text_input(key="operator_typed").set_value(operator.token()[:-1]).run()
    assert "This is not the token of this app." in texts(form)
    assert "Another model…" not in form.selectbox(key="build_model").options
    form.text_input(key="operator_typed").set_value(operator.token()).run()
    assert "This is not the token" not in texts(form)
    assert "Another model…" in form.selectbox(key="build_model").options
    assert "operator_typed" not in [field.key for field in form.text_input]


def test_token_field_is_shown_where_no_model_is_installed(form: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "is_operator", REALLY)
    monkeypatch.setattr(files, "installed", list)
    form.run()
    assert "No model is on this machine yet" in page_text(form)
    form.text_input(key="operator_typed").set_value(operator.token()).run()
    assert form.selectbox(key="build_model").options == ["Another model…"]


def test_token_is_printed_once_unless_the_operator_set_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(operator.SETTING, raising=False)
    operator.print_token()
    assert operator.token() in capsys.readouterr().err
    assert len(operator.token()) >= 32
    monkeypatch.setattr(operator, "token", operator.token.__wrapped__)
    assert operator.token() != operator.token(), "another one at every start"
    monkeypatch.setenv(operator.SETTING, "a-token-that-the-operator-chose")
    operator.print_token()
    assert capsys.readouterr().err == ""
    assert operator.token() == "a-token-that-the-operator-chose"
    monkeypatch.setenv(operator.SETTING, "short")
    with pytest.raises(InputError, match="VALUE_PALETTE_OPERATOR_TOKEN has 5 characters; expected at least 16"):
        operator.print_token()


def test_typed_folder_is_checked(form: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    monkeypatch.setattr(processes, "start", lambda *start_arguments, **options: begun.append(start_arguments))
    named(form, str(tmp_path / "none"))
    assert "There is no folder" in texts(form)
    assert form.button(key="build_go").disabled
    model_folder(tmp_path / "none", "LlamaForCausalLM")
    press(form, "build_model_again")
    assert "The folder holds a model that writes replies (LlamaForCausalLM)." in page_text(form)
    press(form, "build_go")
    assert f"--model={tmp_path / 'none'}" in begun[0][2]


def test_build_from_a_server_stores_no_key(form: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing features of the server are reported before the start; the key is passed only in the environment."""
    monkeypatch.setenv("VALUE_PALETTE_API_KEY", SECRET)
    with ChatServer(SILENT, key=SECRET) as server:
        named(form, server.model())
        assert "does not tell how likely its words are" in page_text(form)
        assert "Helpfulness and Familiar wording need the log-probabilities" in texts(form)
        assert form.button(key="build_go").disabled
        form.multiselect(key="build_values").set_value(["diversity", "plain_language"]).run()
        form.select_slider(key="build_candidates").set_value(2).run()
        press(form, "build_go")
        until_ended(form, "My prompts")
    assert jobs.status("My prompts").state is TableJobState.DONE, jobs.status("My prompts").error
    table = table_format.load(catalog.path_of("My prompts"))
    assert (table.values, len(table.rewards)) == (("diversity", "plain_language"), 4)
    written = [path.read_bytes() for path in catalog.folder().rglob("*") if path.is_file()]
    assert len(written) >= 3
    assert not any(SECRET.encode() in content for content in written)
    assert SECRET not in page_text(form) + texts(form)


def test_visitors_choose_among_the_operators_models(form: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    monkeypatch.setattr(processes, "start", lambda *start_arguments, **options: begun.append(start_arguments))
    with ChatServer(SILENT) as server:
        named(form, server.model())
        server.requests.clear()
        # The same visit without the token: the typed model is no longer used.
        monkeypatch.setattr(operator, "is_operator", lambda: False)
        form.run()
        assert form.selectbox(key="build_model").options == ["here"]
        assert "Whoever runs this app can offer other models" in page_text(form)
        monkeypatch.setenv(LISTED, f"{server.model()}, here")
        form.run()
        assert form.selectbox(key="build_model").options == ["here", server.model()]
        form.multiselect(key="build_values").set_value(["diversity"]).run()
        form.selectbox(key="build_model").set_value(server.model()).run()
        press(form, "build_go")
        assert f"--model={server.model()}" in begun[0][2]
    # With a list, nobody types a model, not even the operator.
    monkeypatch.setattr(operator, "is_operator", lambda: True)
    form.run()
    assert model_choice.OTHER not in form.selectbox(key="build_model").proto.options
    assert "Another model…" not in form.selectbox(key="build_model").options


def test_forbidden_model_starts_nothing(form: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    monkeypatch.setattr(processes, "start", lambda *start_arguments, **options: begun.append(start_arguments))
    make = named(form, "/etc")
    monkeypatch.setattr(operator, "is_operator", lambda: False)
    monkeypatch.setattr(files, "installed", list)
    make.run()
    assert [box.key for box in make.selectbox if box.key == "build_model"] == []
    assert "No model is on this machine yet" in page_text(make)
    assert not begun


def test_no_server_is_called_because_a_file_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table may name any server; only listed ones, or those named on this machine, are called."""
    monkeypatch.delenv(LISTED, raising=False)
    table = make_table(prompts=4, candidates=4)
    model = "tiny@http://127.0.0.1:9/v1"
    recorded = {**table.metadata, "model": {"name": model}, "engine": {"name": "remote"}}
    table_format.save(replace(table, metadata=recorded), tmp_path / "built.parquet")
    import_file(tmp_path / "built.parquet", tmp_path / "table.parquet", name="theirs.parquet")
    handed_in = table_format.load_metadata(tmp_path / "table.parquet")
    for metadata in (handed_in, table_format.load_metadata(tmp_path / "built.parquet")):
        assert "No server is called because a file says so" in refusal_reason(metadata)
    assert refusal_reason({**handed_in, "model": {"name": "here"}}) == ""
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    page = opened().switch_page("compare.py").run()
    assert f"This table says that its replies are of {model}" in texts(page)
    monkeypatch.setenv(LISTED, model)
    assert refusal_reason(handed_in) == ""
    monkeypatch.setenv(LISTED, "")
    remember_server(model)
    assert refusal_reason(handed_in) != "", "the operator's list is the whole list"
    monkeypatch.delenv(LISTED)
    assert refusal_reason(handed_in) == ""
