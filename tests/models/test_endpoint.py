"""Tests of which servers may be called: none that only a file names, by any command; none of those gets a key."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from map_core.cli import COMMANDS, main
from map_core.core.types import Reply
from map_core.data import table_format
from map_core.engines.factory import open_engine
from map_core.errors import InputError, PaletteError
from map_core.models import endpoint
from map_core.models.endpoint import LISTED, NO_KEY, Address, Connection
from map_core.scoring import from_metadata, resolve
from tests.chat_server import ChatServer, chunk, fixed_answer
from tests.tables import make_table

SECRET = "sk-a-key-of-nobody"
ADDRESS = Address("tiny", "http://127.0.0.1:9/v1")


@pytest.fixture(autouse=True)
def _no_server_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("VALUE_PALETTE_API_KEY", SECRET)
    for name in (LISTED, endpoint.MODEL_KEY_HOST, endpoint.KEYS_BY_HOST):
        monkeypatch.setenv(name, "")  # so that monkeypatch removes what a test sets
        monkeypatch.delenv(name)


@pytest.fixture
def recording_server() -> Iterator[ChatServer]:
    """Yield a server that responds to everyone and records the requests."""
    with ChatServer(fixed_answer(chunk("Hello"), chunk(None, "stop"))) as server:
        yield server


def table_of(server: ChatServer, folder: Path, with_judge: bool = False) -> Path:
    """Return an attacker's table: its metadata names a server as its model, and as the judge of one of its values."""
    table = make_table(prompts=4, candidates=4, values=("diversity", "politeness") if with_judge else ("diversity",))
    judge = {"name": "politeness", "family": "judge", "settings": {"model": server.model(), "question": "How polite?"}}
    metadata = {
        **table.metadata,
        "model": {"name": server.model()},
        "engine": {"name": "remote", "model": server.model()},
        "scorers": [{"name": "diversity"}, *([{**judge, "trusted": True}] if with_judge else [])],
    }
    table_format.save(replace(table, metadata=metadata), folder / "theirs.parquet")
    return folder / "theirs.parquet"


DRAWING_COMMANDS = (
    "serve {table} --port 0",
    "verify {table} --target diversity=p55 --prompts 2 --candidates 2",
    "build --extend {table} --candidates 8",
    "build --extend {table} --prompts {prompts}",
)
OTHER_COMMANDS = (
    "build --extend {table} --values politeness",
    "build --rescore {table} --out {out} --values politeness",
    "generate {table} --prompt Hello --target diversity=p55",
    "report {table} --target diversity=p55 --out {out}",
    "import {table} --out {out}",
    "choose {table} --json",
    "frontier {table}",
    "groups {table} --target diversity=p55 --use-cases",
    "people {table} --target diversity=p55",
    "preferences {table} --target diversity=p55 --out {out}",
    "reproduce {table} --palettes 1 --quiet",
    "train politeness --labels {labels} --table {table} --out {out}",
    "tune {table} --target diversity=p55 --out {out} --estimate",
    "values {table}",
    "backup {out}",
    "restore {out}",
    *(
        f"{name} {{table}} --target diversity=p55"
        for name in ["baselines", "certify", "compare", "confidence", "nearest", "sensitivity", "sequence", "solve"]
    ),
)
#: Commands that open no table: pages of ``app`` have their own tests, and ``models`` fetches the models it names.
WITHOUT_TABLE = {"app", "models"}


def run(command: str, folder: Path, table: Path) -> int:
    """Run a command as a shell would."""
    prompts, labels = folder / "prompts.jsonl", folder / "labels.jsonl"
    prompts.write_text(json.dumps({"prompt": "Why is the sky blue?"}) + "\n", encoding="utf-8")
    labels.write_text(
        json.dumps({"prompt_id": "p00", "candidate": 0, "labels": {"politeness": 1}}) + "\n", encoding="utf-8"
    )
    paths = {"table": table, "prompts": prompts, "labels": labels, "out": folder / "out"}
    return main([part.format(**paths) for part in command.split()])


def test_every_command_is_covered() -> None:
    assert {command.split()[0] for command in (*DRAWING_COMMANDS, *OTHER_COMMANDS)} == set(COMMANDS) - WITHOUT_TABLE


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the list of addresses to which this process opens connections."""
    addresses: list[object] = []
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(
            socket.socket, name, lambda _, address: addresses.append(address) or pytest.fail(str(address))
        )
    return addresses


@pytest.mark.parametrize("with_judge", [False, True])
@pytest.mark.parametrize("command", [*DRAWING_COMMANDS, *OTHER_COMMANDS])
def test_no_command_calls_a_server_that_only_a_table_names(
    recording_server: ChatServer,
    connections: list[object],
    command: str,
    with_judge: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: pytest.fail("a server was opened"))
    monkeypatch.setenv("VALUE_PALETTE_CACHE", str(tmp_path / "no models"))
    code = run(command, tmp_path, table_of(recording_server, tmp_path, with_judge))
    output = "".join(capsys.readouterr())
    assert (recording_server.requests, connections) == ([], [])
    assert SECRET not in output
    if command in DRAWING_COMMANDS and not with_judge:
        assert code == 1
        assert (
            f"The server of {recording_server.model()} is not called. No server is called because a file says so"
            in output
        )


def test_a_server_is_called_after_an_option_has_named_it(recording_server: ChatServer, tmp_path: Path) -> None:
    """``--model`` records it; then the table that was built with it can be extended."""
    table = tmp_path / "made.parquet"
    options = f"--candidates 2 --values diversity --model {recording_server.model()}"
    assert run(f"build --prompts {{prompts}} --out {{table}} {options}", tmp_path, table) == 0
    assert len(recording_server.requests) == 2 + 1  # the first is a short probe
    assert run("build --extend {table} --candidates 3", tmp_path, table) == 0
    assert len(recording_server.requests) == 3 + 2


def test_a_key_is_only_sent_to_a_server_that_may_be_called(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"The server of tiny@http://127\.0\.0\.1:9/v1 is not called\. No server"):
        endpoint.connection(ADDRESS)
    with pytest.raises(InputError, match="is not called"):
        open_engine(str(ADDRESS))
    assert endpoint.connection(ADDRESS, trusted=True) == Connection(ADDRESS.url, SECRET, "VALUE_PALETTE_API_KEY")
    monkeypatch.delenv("VALUE_PALETTE_API_KEY")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert endpoint.connection(ADDRESS, trusted=True) == Connection(ADDRESS.url, NO_KEY, "")


GATEWAY, JUDGE = Address("tiny", "https://gateway.example/v1"), Address("rater", "https://judge.example:8000/v1")


def key_of(address: Address, **options: bool) -> str:
    """Return the key that a server gets."""
    return endpoint.connection(address, **({"trusted": True} | options)).key


def test_the_model_s_key_is_not_sent_to_a_judge_on_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds for a listed model and for one that the command names, here and in processes that it starts."""
    for listed in (True, False):
        if listed:
            monkeypatch.setenv(LISTED, str(GATEWAY))
        else:
            monkeypatch.delenv(LISTED)
            assert endpoint.approved_model(str(GATEWAY), "") == str(GATEWAY)
        assert key_of(GATEWAY) == key_of(GATEWAY, trusted=False) == SECRET
        assert key_of(JUDGE, judge=True) == NO_KEY
        assert key_of(Address("rater", "https://gateway.example/rating/v1"), judge=True) == SECRET


def test_a_key_of_one_host_is_not_sent_to_a_second_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LISTED, f"{GATEWAY}, {JUDGE}")
    assert key_of(GATEWAY) == key_of(JUDGE) == key_of(JUDGE, judge=True) == NO_KEY  # the key's host is unknown
    monkeypatch.setenv(endpoint.MODEL_KEY_HOST, "Gateway.example")
    assert (key_of(GATEWAY), key_of(JUDGE), key_of(JUDGE, judge=True)) == (SECRET, NO_KEY, NO_KEY)
    monkeypatch.delenv(LISTED)
    assert endpoint.approved_model(str(JUDGE), "") == str(JUDGE)
    assert (key_of(GATEWAY), key_of(JUDGE)) == (SECRET, NO_KEY)  # the explicit host stays in force


def test_keys_by_host(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"judge.example:8000": "for 8000", "judge.example": "for others", "Gateway.example": "for the gateway"}
    monkeypatch.setenv(endpoint.KEYS_BY_HOST, json.dumps(keys))
    assert key_of(JUDGE, judge=True) == "for 8000"
    assert key_of(Address("rater", "https://judge.example/v1"), judge=True) == "for others"
    assert key_of(GATEWAY) == "for the gateway"
    for host in ("judge.example.evil.example", "evil-judge.example", "example"):
        assert key_of(Address("rater", f"https://{host}/v1"), judge=True) == NO_KEY
    for invalid in ("{", "[1]", '{"judge.example": 7}'):
        monkeypatch.setenv(endpoint.KEYS_BY_HOST, invalid)
        with pytest.raises(InputError, match="VALUE_PALETTE_API_KEYS cannot be read; expected a JSON object") as error:
            key_of(JUDGE)
        assert invalid not in str(error.value).split("such as")[0]


def test_openai_s_key_is_sent_to_openai_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VALUE_PALETTE_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    openai = Address("gpt", "https://api.openai.com/v1")
    assert key_of(openai) == key_of(openai, judge=True) == SECRET
    assert key_of(GATEWAY) == key_of(JUDGE, judge=True) == NO_KEY
    monkeypatch.setenv("OPENAI_BASE_URL", GATEWAY.url)
    assert (key_of(GATEWAY), key_of(JUDGE, judge=True)) == (SECRET, NO_KEY)


def test_recording_a_server_allows_only_that_server(tmp_path: Path) -> None:
    endpoint.remember_server(f"{ADDRESS}/")
    endpoint.remember_server("a-model-on-this-machine")
    endpoint.remember_server(str(ADDRESS))
    assert json.loads((tmp_path / "data" / "value-palette" / "servers.json").read_text()) == [str(ADDRESS)]
    assert endpoint.may_call(ADDRESS)
    for different in (
        Address("other", ADDRESS.url),
        Address("tiny", "http://127.0.0.1:90/v1"),
        Address("tiny", "http://127.0.0.1:9/v1x"),
        Address("tiny", "https://127.0.0.1:9/v1"),
    ):
        assert not endpoint.may_call(different)


def test_the_operator_s_list_replaces_recorded_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint.remember_server(str(ADDRESS))
    monkeypatch.setenv(LISTED, " here, other@http://127.0.0.1:9/v1/ ,")
    assert endpoint.listed_models() == ("here", "other@http://127.0.0.1:9/v1/")
    assert not endpoint.may_call(ADDRESS)
    assert endpoint.may_call(Address("other", ADDRESS.url))
    monkeypatch.setenv(LISTED, "")
    assert endpoint.listed_models() == ()
    assert not endpoint.may_call(ADDRESS)


@pytest.mark.parametrize("content", ["", "{}", "[1, null]", "no JSON", '["not@http"]'])
def test_a_damaged_record_allows_nothing(content: str, tmp_path: Path) -> None:
    record = tmp_path / "data" / "value-palette" / "servers.json"
    record.parent.mkdir(parents=True)
    record.write_text(content, encoding="utf-8")
    assert not endpoint.may_call(ADDRESS)
    endpoint.remember_server(str(ADDRESS))
    assert endpoint.may_call(ADDRESS)


def test_a_model_that_the_operator_s_list_refuses_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would be called as soon as the list is removed."""
    monkeypatch.setenv(LISTED, "here")
    with pytest.raises(InputError, match="is not called"):
        endpoint.approved_model(str(ADDRESS), "here")
    monkeypatch.delenv(LISTED)
    assert not endpoint.may_call(ADDRESS)
    assert endpoint.approved_model(None, "here") == "here"
    with pytest.raises(InputError, match="is not called"):
        endpoint.approved_model(None, str(ADDRESS))
    assert endpoint.approved_model(str(ADDRESS), "here") == str(ADDRESS)
    assert endpoint.may_call(ADDRESS)


SECRET_ADDRESS = "tiny@http://user:secret@127.0.0.1:9/v1"


def test_an_invalid_address_is_refused_with_a_reason_and_raises_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table may name anything; an invalid entry of the operator's list leaves the others in force."""
    reason = endpoint.refusal_reason({"model": {"name": SECRET_ADDRESS}})
    assert "holds a user name, a password or a query" in reason
    assert "secret" not in reason
    monkeypatch.setenv(LISTED, f"{SECRET_ADDRESS}, {ADDRESS}")
    assert endpoint.may_call(ADDRESS)
    assert not endpoint.may_call(Address("tiny", "http://127.0.0.1:90/v1"))
    for metadata in ({}, {"model": None}, {"model": "tiny"}, {"model": {"name": None}}, {"model": {"name": 7}}):
        assert endpoint.refusal_reason(metadata) == ""


def test_a_record_that_cannot_be_written_raises_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in the folder's place", encoding="utf-8")
    with pytest.raises(InputError, match=r"servers\.json, which lists the servers that may be called, cannot be writ"):
        endpoint.remember_server(str(ADDRESS))


def test_a_judge_that_only_a_table_names_calls_no_server(recording_server: ChatServer, tmp_path: Path) -> None:
    """Even if the table says "trusted"; the same judge in a values file is called."""
    definitions = from_metadata(table_format.load_metadata(table_of(recording_server, tmp_path, with_judge=True)))
    with pytest.raises(InputError, match="a table alone may not have that run or called"):
        resolve(["politeness"], definitions)
    from map_core.scoring.judge import Judge
    from map_core.scoring.shared_models import ScoringModels

    judge = Judge("politeness", definitions["politeness"].settings, ScoringModels())
    with pytest.raises(InputError, match="is not called"):
        judge.score("Hi", [Reply("Hello")])
    assert recording_server.requests == []
    trusted = replace(definitions["politeness"], trusted=True)
    (trusted_judge,) = resolve(["politeness"], {"politeness": trusted})
    with pytest.raises(PaletteError):
        trusted_judge.score("Hi", [Reply("Hello")])
    assert recording_server.requests != []
