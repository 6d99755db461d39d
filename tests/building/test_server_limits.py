"""Tables of servers that refuse, filter or tell too little: refused before sampling, marked, counted and said."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from starlette.responses import JSONResponse, Response

from map_core import scoring
from map_core.building import BuildResult, build
from map_core.building import retry as module
from map_core.building.plan import prompt_seed
from map_core.cli.build import build as command
from map_core.core.types import SamplingSettings
from map_core.core.unknown_sampling import unknown_sampling_note, unknown_settings
from map_core.data import table_format
from map_core.data.prompts import Prompt
from map_core.engines.draw_request import candidate_seed
from map_core.engines.remote_engine import RemoteEngine
from map_core.errors import InputError
from tests.chat_server import ChatServer, line, piece, saying

SETTINGS = SamplingSettings(temperature=0.9, max_new_tokens=12)
PROMPTS = [Prompt(f"p{n}", "All prompts", f"Tell me of day {n}.") for n in range(3)]


def words(request: dict[str, Any], tells: bool = True, end: str = "stop", counted: int = 0) -> AsyncIterator[str]:
    """A reply that its seed makes."""
    text = f"day {request.get('seed', 0)}"
    lines = [piece(text, told=[(text, -1.0)] if tells else None), piece(None, end)]
    usage = [line({"choices": [], "usage": {"completion_tokens": counted}})] if counted else []
    return saying(*lines, *usage)(request)  # type: ignore[return-value]


def make(server: ChatServer, out: Path, values: tuple[str, ...] = ("diversity",), **more: Any) -> BuildResult:
    engine = RemoteEngine(server.model(), retries=0, trusted=True)
    scorers = scoring.scorers(values)
    return build(PROMPTS, out, engine, scorers, candidates=3, settings=SETTINGS, seed=5, **more)


def test_values_that_need_log_probabilities_are_refused_before_sampling(tmp_path: Path) -> None:
    with ChatServer(lambda request: words(request, tells=False)) as server:
        with pytest.raises(InputError, match=r"familiarity need the log-prob.*Nothing was drawn.*--values diversity\)"):
            make(server, tmp_path / "t.parquet", ("familiarity", "diversity"))
        assert len(server.requests) == 1
        assert server.requests[0]["max_tokens"] == 8
        assert make(server, tmp_path / "t.parquet").replies == 9


@pytest.mark.parametrize("refused", [{"top_k", "min_p"}, {"repetition_penalty"}, set()])
def test_what_cannot_be_known_of_the_sampling_is_recorded_and_said(refused: set[str], tmp_path: Path) -> None:
    def gateway(request: dict[str, Any]) -> AsyncIterator[str] | Response:
        return JSONResponse({"error": {"message": "no"}}, 422) if refused & request.keys() else words(request)

    with ChatServer(gateway, owner="openai") as server:
        built = make(server, tmp_path / "t.parquet", ("familiarity",))
        assert make(server, tmp_path / "t.parquet", ("familiarity",)).sampled == 0  # the same plan again
    metadata = built.load().metadata
    assert set(unknown_settings(metadata)) == refused
    assert ("top_k" in refused) == (metadata["sampling"]["top_k"] == "unknown")
    assert SamplingSettings.from_metadata(metadata) == SETTINGS
    note = unknown_sampling_note(metadata)
    assert bool(note) == bool(refused)
    assert (note in built.notes) == bool(refused)
    assert all(name in note for name in refused)


def test_a_server_without_seeds_is_said(tmp_path: Path) -> None:
    count = iter(range(1000))

    def answer(request: dict[str, Any]) -> AsyncIterator[str] | Response:
        if "seed" in request:
            return JSONResponse({"detail": "Unexpected fields: seed"}, 422)
        return words({"seed": next(count)})

    with ChatServer(answer) as server:
        built = make(server, tmp_path / "t.parquet")
    assert built.replies == 9
    assert any("takes no seed" in note for note in built.notes)


def test_filtered_replies_are_left_out_counted_and_not_scored(tmp_path: Path) -> None:
    """One reply to the first prompt, and all to the last."""
    seeds = [prompt_seed(5, prompt.text) for prompt in PROMPTS]
    filtered = {candidate_seed(seeds[0], 1), *(candidate_seed(seeds[2], k) for k in range(3))}

    def answer(request: dict[str, Any]) -> AsyncIterator[str]:
        return words(request, end="content_filter" if request["seed"] in filtered else "stop")

    with ChatServer(answer) as server:
        built = make(server, tmp_path / "t.parquet", ("diversity", "familiarity"))
    assert (built.prompts, built.replies, built.skipped) == (2, 5, ("p2",))
    assert any(note.startswith("4 replies are left out because the server's content filter") for note in built.notes)
    left_out = built.load().metadata["left_out"]
    assert (left_out["replies"], left_out["prompts"]) == (4, ["p2"])
    assert {mark["reason"] for mark in left_out["marks"]} == {"the server's content filter ended it"}


def test_replies_of_which_too_little_is_told_are_counted(tmp_path: Path) -> None:
    short = {candidate_seed(prompt_seed(5, PROMPTS[0].text), k) for k in (0, 2)}
    with ChatServer(lambda request: words(request, counted=7 if request["seed"] in short else 2)) as server:
        built = make(server, tmp_path / "t.parquet")
    assert np.isnan(built.load().log_probs).tolist() == [True, False, True] + [False] * 6
    assert any(note.startswith("2 of 9 replies have no log-probability") for note in built.notes)


def run(server: ChatServer, folder: Path, *more: str) -> Any:
    prompts = folder / "p.txt"
    prompts.write_text("Tell me of the cat.\nTell me of the dog.\n")
    options = ["--prompts", str(prompts), "--out", str(folder / "t.parquet"), "--model", server.model()]
    options += ["--candidates", "2", "--values", "diversity", "--score-limit", "0", *more]
    return CliRunner().invoke(command, options)


def test_extra_fields_are_sent_and_recorded_and_used_again(tmp_path: Path) -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    with ChatServer(words) as server:
        done = run(server, tmp_path, "--request-extra", json.dumps(extra))
        assert done.exit_code == 0, done.output
        assert all(request["chat_template_kwargs"] == {"enable_thinking": False} for request in server.requests)
        assert table_format.load_metadata(tmp_path / "t.parquet")["request_extra"] == extra
        before = len(server.requests)
        more = CliRunner().invoke(command, ["--extend", str(tmp_path / "t.parquet"), "--candidates", "3"])
        assert more.exit_code == 0, more.output
        assert len(server.requests) > before
        assert all("chat_template_kwargs" in request for request in server.requests[before:])
        for wrong in ('{"temperature": 2}', '{"generation_config": "{\\"top_p\\": 0.5}"}', "[1]", "no"):
            refused = run(server, tmp_path, "--request-extra", wrong)
            assert isinstance(refused.exception, InputError), wrong


def test_asking_again_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.001)
    answers = iter([*[503] * 3, 200])

    def busy(request: dict[str, Any]) -> AsyncIterator[str] | Response:
        status = next(answers, 200)
        error = JSONResponse({"error": {"message": "too much to do"}}, status, headers={"retry-after-ms": "1"})
        return words(request) if status == 200 else error

    with ChatServer(busy) as server:
        done = run(server, tmp_path, "--timeout", "5")
    assert done.exit_code == 0, done.output
    assert "could not answer (503: too much to do)" in done.output
    assert "Asked again in 1 s (1 of 5)." in done.output
