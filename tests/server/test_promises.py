"""The running promise of a palette over HTTP: what counts, what does not, and what a file keeps."""

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
from tests.server.inline import asking, parser_of

CHAT = {"messages": [{"role": "user", "content": "My parcel is late!"}], "max_tokens": 4}


def ask(client: TestClient, **fields: object) -> dict:
    answer = client.post("/v1/chat/completions", json={**CHAT, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json() if not fields.get("stream") else {}


def test_requests_of_a_palette_are_counted_once_each(tiny: Path) -> None:
    with asking(str(tiny), parser_of(tiny)) as (client, _):
        before = client.get("/v1/palettes/plain/promise").json()
        assert (before["levels"], before["since"], before["not_counted"]) == (None, None, 0)
        reply = ask(client, palette="plain", candidates=4, seed=1)
        ask(client, palette="plain", candidates=4, seed=2, stream=True)
        ask(client, palette="plain", candidates=4, seed=3, n=2)
        ask(client, palette="words", candidates=4, seed=3)
        ask(client, weights={"diversity": 1.0}, candidates=4)
        ask(client, palette="plain", candidates=4, method="best")
        after = client.get("/v1/palettes/plain/promise").json()
        assert after["levels"]["requests"] == after["over_base"]["requests"] == 3
        assert after["not_counted"] == 1
        assert after["levels"]["verdict"] in ("kept", "in doubt", "broken")
        targets = reply["value_palette"]["targets"]
        scale = parser_of(tiny).steering.table.rewards[:, 7].std()
        promised = after["levels"]["values"]["plain_language"]["promised"]
        assert promised == pytest.approx(targets["plain_language"] - TOLERANCE * scale, rel=0.05)
        gone = client.get("/v1/palettes/none/promise")
        assert gone.status_code == 404
        assert "there are plain, far, words" in gone.text


def test_a_level_is_that_of_the_candidates_and_a_file_keeps_it(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "table.promises.json"
    steering = parser_of(tiny).steering
    for requests in (1, 2):
        watch = PromiseWatch(steering, 4, file)
        with asking(str(tiny), parser_of(tiny), promises=watch) as (client, _):
            ask(client, palette="plain", candidates=4, seed=1)
            shown = client.get("/v1/palettes/plain/promise").json()
        assert shown["levels"]["requests"] == requests
        kept = json.loads(file.read_text())["plain"]
        assert kept["since"] == shown["since"]
        assert kept["levels"]["described"] == shown["levels"]
    # The same seed twice: the mean is that of one request, between the lowest and the highest candidate.
    mean = shown["levels"]["values"]["diversity"]["mean"]
    assert 0.0 <= mean <= 1.0
    assert np.isfinite(shown["over_base"]["values"]["diversity"]["mean"])
    for content in ("[]", '{"plain": 3}'):
        file.write_text(content)
        with pytest.raises(InputError, match="holds no promises"):
            PromiseWatch(steering, 4, file)


def test_the_first_request_decides_nothing_about_the_promise_to_all(tiny: Path) -> None:
    """The palette "far" is out of reach: the nearest one, and so what is promised, depends on K."""
    promised = []
    for first in ({"candidates": 2}, {"candidates": 2, "most_candidates": 4, "least_ess": 4.0}, {}):
        parser = parser_of(tiny)
        with asking(str(tiny), parser) as (client, _):
            ask(client, palette="far", seed=1, **first)
            before = client.get("/v1/palettes/far/promise").json()
            assert before["candidates"] == 4
            if first:
                assert before["levels"] is None
                assert before["not_counted"] == 1
                ask(client, palette="far", seed=1)
            after = client.get("/v1/palettes/far/promise").json()
        assert after["levels"]["requests"] == 1
        promised.append({name: column["promised"] for name, column in after["levels"]["values"].items()})
        aims = {candidates: parser.steering.aim("far", candidates).targets for candidates in (2, 4)}
        assert aims[2] != aims[4]
        scale = parser.steering.table.rewards.std(axis=0)
        for name, level in promised[-1].items():
            near = TOLERANCE * scale[parser.steering.table.index(name)]
            assert level == pytest.approx(aims[4][name] - near, abs=0.1 * near)
    assert promised[0] == promised[1] == promised[2]


def test_a_file_is_taken_up_for_the_same_number_of_candidates_only(tiny: Path, tmp_path: Path) -> None:
    """The palette "plain" has the same targets for any K: its evidence does not tell them apart."""
    file = tmp_path / "table.promises.json"
    steering = parser_of(tiny).steering
    # (K of the server, K of the second request, counted, not counted since the beginning)
    for usual, other, counted, uncounted in ((4, 2, 1, 1), (4, 3, 2, 2), (2, 4, 1, 1)):
        with asking(str(tiny), parser_of(tiny), promises=PromiseWatch(steering, usual, file)) as (client, _):
            ask(client, palette="plain", candidates=usual, seed=1)
            ask(client, palette="plain", candidates=other, seed=1)
            shown = client.get("/v1/palettes/plain/promise").json()
        assert (shown["levels"]["requests"], shown["not_counted"]) == (counted, uncounted)
        kept = json.loads(file.read_text())["plain"]
        assert (kept["candidates"], kept["not_counted"]) == (usual, uncounted)


def test_a_reply_does_not_depend_on_the_file_of_promises(tiny: Path, tmp_path: Path) -> None:
    steering = parser_of(tiny).steering
    nowhere = PromiseWatch(steering, 4, tmp_path / "gone" / "table.promises.json")
    with asking(str(tiny), parser_of(tiny), promises=nowhere) as (client, _):
        ask(client, palette="plain", candidates=4, seed=1)
        assert client.get("/v1/palettes/plain/promise").json()["levels"]["requests"] == 1
    damaged = PromiseWatch(steering, 4)
    damaged._kept = {"plain": {"levels": 3, "over_base": 3, "candidates": 4, "not_counted": "?"}}
    with asking(str(tiny), parser_of(tiny), promises=damaged) as (client, _):
        ask(client, palette="plain", candidates=4, seed=1)


def test_a_request_whose_numbers_are_none_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = PromiseWatch(parser_of(None).steering, 4)
    monkeypatch.setattr(watch, "_levels", lambda *asked: (("diversity",), np.array([np.nan]), np.array([0.5])))
    watch.note(SimpleNamespace(palette="plain", aim=object()), [])  # type: ignore[arg-type]
    assert watch.described("plain")["not_counted"] == 1
    assert watch.described("plain")["levels"] is None


def test_of_two_servers_one_keeps_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "table.promises.json"
    with lock(file, "server", "--promises"):
        assert main(["serve", "--promises", str(file)]) == 1
    assert "Another server" in (said := capsys.readouterr().err)
    assert "another --promises" in said
    # A server that does not come to serve lets go of it.
    assert main(["serve", str(tmp_path / "none.parquet"), "--promises", str(file)]) == 1
    assert "There is no table" in capsys.readouterr().err
    with lock(file, "server", "--promises"):
        pass
