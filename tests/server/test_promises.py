"""Tests of the running promise of a palette over HTTP: which requests count, and what a file stores."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from starlette.testclient import TestClient

from map_core.cli import main
from map_core.core.file_lock import lock
from map_core.errors import InputError
from map_core.server.promises import TOLERANCE, PromiseWatch
from tests.server.inline import in_process_server, make_parser

CHAT = {"messages": [{"role": "user", "content": "My parcel is late!"}], "max_tokens": 4}


def post_chat(client: TestClient, **fields: object) -> dict:
    response = client.post("/v1/chat/completions", json={**CHAT, **fields})
    assert response.status_code == 200, response.text
    return response.json() if not fields.get("stream") else {}


def test_requests_of_a_palette_are_counted_once_each(tiny: Path) -> None:
    with in_process_server(str(tiny), make_parser(tiny)) as (client, _):
        before = client.get("/v1/palettes/plain/promise").json()
        assert (before["levels"], before["since"], before["not_counted"]) == (None, None, 0)
        reply = post_chat(client, palette="plain", candidates=4, seed=1)
        post_chat(client, palette="plain", candidates=4, seed=2, stream=True)
        post_chat(client, palette="plain", candidates=4, seed=3, n=2)
        post_chat(client, palette="words", candidates=4, seed=3)
        post_chat(client, weights={"diversity": 1.0}, candidates=4)
        post_chat(client, palette="plain", candidates=4, method="best")
        after = client.get("/v1/palettes/plain/promise").json()
        assert after["levels"]["requests"] == after["over_base"]["requests"] == 3
        assert after["not_counted"] == 1
        assert after["levels"]["verdict"] in ("kept", "in doubt", "broken")
        targets = reply["value_palette"]["targets"]
        scale = make_parser(tiny).steering.table.rewards[:, 7].std()
        promised = after["levels"]["values"]["plain_language"]["promised"]
        assert promised == pytest.approx(targets["plain_language"] - TOLERANCE * scale, rel=0.05)
        missing = client.get("/v1/palettes/none/promise")
        assert missing.status_code == 404
        assert "there are plain, far, words" in missing.text


def test_levels_are_those_of_the_candidates_and_a_file_stores_them(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "table.promises.json"
    steering = make_parser(tiny).steering
    for requests in (1, 2):
        watch = PromiseWatch(steering, 4, file)
        with in_process_server(str(tiny), make_parser(tiny), promises=watch) as (client, _):
            post_chat(client, palette="plain", candidates=4, seed=1)
            promise = client.get("/v1/palettes/plain/promise").json()
        assert promise["levels"]["requests"] == requests
        stored = json.loads(file.read_text())["plain"]
        assert stored["since"] == promise["since"]
        assert stored["levels"]["described"] == promise["levels"]
    # The same seed twice: the mean is that of one request, between the lowest and the highest candidate.
    mean = promise["levels"]["values"]["diversity"]["mean"]
    assert 0.0 <= mean <= 1.0
    assert np.isfinite(promise["over_base"]["values"]["diversity"]["mean"])
    for content in ("[]", '{"plain": 3}'):
        file.write_text(content)
        with pytest.raises(InputError, match="holds no promises"):
            PromiseWatch(steering, 4, file)


def test_the_first_request_does_not_change_what_is_promised(tiny: Path) -> None:
    """The palette "far" is out of reach: the nearest one, and so what is promised, depends on K."""
    promised = []
    for fields in ({"candidates": 2}, {"candidates": 2, "most_candidates": 4, "least_ess": 4.0}, {}):
        parser = make_parser(tiny)
        with in_process_server(str(tiny), parser) as (client, _):
            post_chat(client, palette="far", seed=1, **fields)
            before = client.get("/v1/palettes/far/promise").json()
            assert before["candidates"] == 4
            if fields:
                assert before["levels"] is None
                assert before["not_counted"] == 1
                post_chat(client, palette="far", seed=1)
            after = client.get("/v1/palettes/far/promise").json()
        assert after["levels"]["requests"] == 1
        promised.append({name: column["promised"] for name, column in after["levels"]["values"].items()})
        targets = {candidates: parser.steering.aim("far", candidates).targets for candidates in (2, 4)}
        assert targets[2] != targets[4]
        scale = parser.steering.table.rewards.std(axis=0)
        for name, level in promised[-1].items():
            tolerance = TOLERANCE * scale[parser.steering.table.index(name)]
            assert level == pytest.approx(targets[4][name] - tolerance, abs=0.1 * tolerance)
    assert promised[0] == promised[1] == promised[2]


def test_a_file_is_resumed_for_the_same_number_of_candidates_only(tiny: Path, tmp_path: Path) -> None:
    """The palette "plain" has the same targets for any K, so only the stored K tells its files apart."""
    file = tmp_path / "table.promises.json"
    steering = make_parser(tiny).steering
    # (K of the server, K of the second request, counted, not counted since the beginning)
    for k, request_k, counted, uncounted in ((4, 2, 1, 1), (4, 3, 2, 2), (2, 4, 1, 1)):
        with in_process_server(str(tiny), make_parser(tiny), promises=PromiseWatch(steering, k, file)) as (client, _):
            post_chat(client, palette="plain", candidates=k, seed=1)
            post_chat(client, palette="plain", candidates=request_k, seed=1)
            promise = client.get("/v1/palettes/plain/promise").json()
        assert (promise["levels"]["requests"], promise["not_counted"]) == (counted, uncounted)
        stored = json.loads(file.read_text())["plain"]
        assert (stored["candidates"], stored["not_counted"]) == (k, uncounted)


def test_a_reply_does_not_depend_on_the_file_of_promises(tiny: Path, tmp_path: Path) -> None:
    steering = make_parser(tiny).steering
    unwritable = PromiseWatch(steering, 4, tmp_path / "gone" / "table.promises.json")
    with in_process_server(str(tiny), make_parser(tiny), promises=unwritable) as (client, _):
        post_chat(client, palette="plain", candidates=4, seed=1)
        assert client.get("/v1/palettes/plain/promise").json()["levels"]["requests"] == 1
    damaged = PromiseWatch(steering, 4)
    damaged._kept = {"plain": {"levels": 3, "over_base": 3, "candidates": 4, "not_counted": "?"}}
    with in_process_server(str(tiny), make_parser(tiny), promises=damaged) as (client, _):
        post_chat(client, palette="plain", candidates=4, seed=1)


def test_a_request_with_a_level_that_is_nan_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = PromiseWatch(make_parser(None).steering, 4)
    monkeypatch.setattr(watch, "_levels", lambda *arguments: (("diversity",), np.array([np.nan]), np.array([0.5])))
    watch.note(SimpleNamespace(palette="plain", aim=object()), [])  # type: ignore[arg-type]
    assert watch.described("plain")["not_counted"] == 1
    assert watch.described("plain")["levels"] is None


def test_one_server_at_a_time_uses_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "table.promises.json"
    with lock(file, "server", "--promises"):
        assert main(["serve", "--promises", str(file)]) == 1
    assert "Another server" in (errors := capsys.readouterr().err)
    assert "another --promises" in errors
    # A server that fails to start releases the file.
    assert main(["serve", str(tmp_path / "none.parquet"), "--promises", str(file)]) == 1
    assert "There is no table" in capsys.readouterr().err
    with lock(file, "server", "--promises"):
        pass
