"""Tests of servers that refuse settings, filter replies or report too few log-probabilities."""

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
from map_core.building import retry as retry
from map_core.building.plan import prompt_seed
from map_core.cli.build import build as command
from map_core.core.types import SamplingSettings
from map_core.core.unknown_sampling import unknown_sampling_note, unknown_settings
from map_core.data import table_format
from map_core.data.prompts import Prompt
from map_core.engines.draw_request import candidate_seed
from map_core.engines.remote_engine import RemoteEngine
from map_core.errors import InputError
from tests.chat_server import ChatServer, chunk, fixed_answer, line

SETTINGS = SamplingSettings(temperature=0.9, max_new_tokens=12)
PROMPTS = [Prompt(f"p{n}", "All prompts", f"Tell me of day {n}.") for n in range(3)]


def seeded_reply(
    request: dict[str, Any], log_probs: bool = True, end: str = "stop", counted: int = 0
) -> AsyncIterator[str]:
    """Stream a reply that depends on the seed of the request alone."""
    text = f"day {request.get('seed', 0)}"
    lines = [chunk(text, log_probs=[(text, -1.0)] if log_probs else None), chunk(None, end)]
    usage = [line({"choices": [], "usage": {"completion_tokens": counted}})] if counted else []
    return fixed_answer(*lines, *usage)(request)  # type: ignore[return-value]


def build_table(server: ChatServer, out: Path, values: tuple[str, ...] = ("diversity",), **options: Any) -> BuildResult:
    engine = RemoteEngine(server.model(), retries=0, trusted=True)
    scorers = scoring.scorers(values)
    return build(PROMPTS, out, engine, scorers, candidates=3, settings=SETTINGS, seed=5, **options)


def test_values_that_need_log_probabilities_are_refused_before_sampling(tmp_path: Path) -> None:
    with ChatServer(lambda request: seeded_reply(request, log_probs=False)) as server:
        with pytest.raises(InputError, match=r"familiarity need the log-prob.*Nothing was drawn.*--values diversity\)"):
            build_table(server, tmp_path / "t.parquet", ("familiarity", "diversity"))
        assert len(server.requests) == 1
        assert server.requests[0]["max_tokens"] == 8
        assert build_table(server, tmp_path / "t.parquet").replies == 9


@pytest.mark.parametrize("refused", [{"top_k", "min_p"}, {"repetition_penalty"}, set()])
def test_unknown_sampling_settings_are_recorded_and_noted(refused: set[str], tmp_path: Path) -> None:
    def gateway(request: dict[str, Any]) -> AsyncIterator[str] | Response:
        return JSONResponse({"error": {"message": "no"}}, 422) if refused & request.keys() else seeded_reply(request)

    with ChatServer(gateway, owner="openai") as server:
        result = build_table(server, tmp_path / "t.parquet", ("familiarity",))
        # The plan is unchanged, so nothing is drawn.
        assert build_table(server, tmp_path / "t.parquet", ("familiarity",)).sampled == 0
    metadata = result.load().metadata
    assert set(unknown_settings(metadata)) == refused
    assert ("top_k" in refused) == (metadata["sampling"]["top_k"] == "unknown")
    assert SamplingSettings.from_metadata(metadata) == SETTINGS
    note = unknown_sampling_note(metadata)
    assert bool(note) == bool(refused)
    assert (note in result.notes) == bool(refused)
    assert all(name in note for name in refused)


def test_server_without_seeds_is_noted(tmp_path: Path) -> None:
    count = iter(range(1000))

    def answer(request: dict[str, Any]) -> AsyncIterator[str] | Response:
        if "seed" in request:
            return JSONResponse({"detail": "Unexpected fields: seed"}, 422)
        return seeded_reply({"seed": next(count)})

    with ChatServer(answer) as server:
        result = build_table(server, tmp_path / "t.parquet")
    assert result.replies == 9
    assert any("takes no seed" in note for note in result.notes)


def test_filtered_replies_are_left_out_and_counted(tmp_path: Path) -> None:
    """The filter ends one reply to the first prompt and all replies to the last."""
    seeds = [prompt_seed(5, prompt.text) for prompt in PROMPTS]
    filtered = {candidate_seed(seeds[0], 1), *(candidate_seed(seeds[2], k) for k in range(3))}

    def answer(request: dict[str, Any]) -> AsyncIterator[str]:
        return seeded_reply(request, end="content_filter" if request["seed"] in filtered else "stop")

    with ChatServer(answer) as server:
        result = build_table(server, tmp_path / "t.parquet", ("diversity", "familiarity"))
    assert (result.prompts, result.replies, result.skipped) == (2, 5, ("p2",))
    assert any(note.startswith("4 replies are left out because the server's content filter") for note in result.notes)
    left_out = result.load().metadata["left_out"]
    assert (left_out["replies"], left_out["prompts"]) == (4, ["p2"])
    assert {mark["reason"] for mark in left_out["marks"]} == {"the server's content filter ended it"}


def test_replies_without_all_log_probabilities_are_counted(tmp_path: Path) -> None:
    short = {candidate_seed(prompt_seed(5, PROMPTS[0].text), k) for k in (0, 2)}
    with ChatServer(lambda request: seeded_reply(request, counted=7 if request["seed"] in short else 2)) as server:
        result = build_table(server, tmp_path / "t.parquet")
    assert np.isnan(result.load().log_probs).tolist() == [True, False, True] + [False] * 6
    assert any(note.startswith("2 of 9 replies have no log-probability") for note in result.notes)


def run_command(server: ChatServer, folder: Path, *extra_options: str) -> Any:
    prompts = folder / "p.txt"
    prompts.write_text("Tell me of the cat.\nTell me of the dog.\n")
    options = ["--prompts", str(prompts), "--out", str(folder / "t.parquet"), "--model", server.model()]
    options += ["--candidates", "2", "--values", "diversity", "--score-limit", "0", *extra_options]
    return CliRunner().invoke(command, options)


def test_extra_request_fields_are_sent_recorded_and_reused(tmp_path: Path) -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    with ChatServer(seeded_reply) as server:
        built = run_command(server, tmp_path, "--request-extra", json.dumps(extra))
        assert built.exit_code == 0, built.output
        assert all(request["chat_template_kwargs"] == {"enable_thinking": False} for request in server.requests)
        assert table_format.load_metadata(tmp_path / "t.parquet")["request_extra"] == extra
        before = len(server.requests)
        extended = CliRunner().invoke(command, ["--extend", str(tmp_path / "t.parquet"), "--candidates", "3"])
        assert extended.exit_code == 0, extended.output
        assert len(server.requests) > before
        assert all("chat_template_kwargs" in request for request in server.requests[before:])
        for invalid in ('{"temperature": 2}', '{"generation_config": "{\\"top_p\\": 0.5}"}', "[1]", "no"):
            refused = run_command(server, tmp_path, "--request-extra", invalid)
            assert isinstance(refused.exception, InputError), invalid


def test_retries_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)
    answers = iter([*[503] * 3, 200])

    def busy(request: dict[str, Any]) -> AsyncIterator[str] | Response:
        status = next(answers, 200)
        error = JSONResponse({"error": {"message": "too much to do"}}, status, headers={"retry-after-ms": "1"})
        return seeded_reply(request) if status == 200 else error

    with ChatServer(busy) as server:
        result = run_command(server, tmp_path, "--timeout", "5")
    assert result.exit_code == 0, result.output
    assert "could not answer (503: too much to do)" in result.output
    assert "Asked again in 1 s (1 of 5)." in result.output
