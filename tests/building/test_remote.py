"""Tests of tables sampled from a server: faults are retried or end the build with an error, and no key is stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from starlette.responses import JSONResponse, PlainTextResponse, Response

from map_core import scoring
from map_core.building import BuildPolicy, BuildResult, build
from map_core.building import retry as retry
from map_core.building.checkpoints import checkpoint_path
from map_core.cli import main
from map_core.cli.build import build as command
from map_core.core.types import SamplingSettings
from map_core.data import table_format
from map_core.data.prompts import Prompt
from map_core.engines.base import LocalEngine
from map_core.engines.factory import open_engine
from map_core.engines.remote_engine import RemoteEngine
from map_core.errors import EngineError, InputError, TryAgainError
from tests.building.test_build import contents
from tests.chat_server import Answer, ChatServer, chunk, fixed_answer, from_model, line
from tests.tiny_model import make_tiny_model

SETTINGS = SamplingSettings(temperature=0.9, top_p=0.95, max_new_tokens=8)
PROMPTS = [Prompt(f"p{n}", "All prompts", f"Tell me of day {n}.") for n in range(4)]
SECRET = "sk-a-key-of-nobody"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    engine = open_engine(str(make_tiny_model(tmp_path_factory.mktemp("tiny"))), "torch", "float32")
    assert isinstance(engine, LocalEngine)
    return engine


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)
    monkeypatch.setenv("VALUE_PALETTE_API_KEY", SECRET)


def build_table(server: ChatServer, out: Path, **options: object) -> BuildResult:
    scorers = scoring.scorers(["familiarity", "diversity"])
    engine = RemoteEngine(server.model(), retries=0, trusted=True)
    return build(PROMPTS, out, engine, scorers, candidates=3, settings=SETTINGS, seed=5, **options)


def failing(correct: Answer, faults: Callable[[int], object]) -> tuple[Answer, list[int]]:
    """Return an answer function whose n-th answer is ``faults(n)`` unless that is None, and its call counter."""
    count = [0]

    def answer(request: dict[str, object]) -> object:
        count[0] += 1
        fault = faults(count[0])
        return correct(request) if fault is None else fault if isinstance(fault, Response) else fault(request)

    return answer, count


def busy(status: int) -> JSONResponse:
    return JSONResponse({"error": {"message": "too much to do"}}, status)


def test_table_sampled_from_a_server(local: LocalEngine, tmp_path: Path) -> None:
    """The table has K replies per prompt, with the log-probabilities that the server reports."""
    with ChatServer(from_model(local), key=SECRET) as server:
        table = build_table(server, tmp_path / "t.parquet").load()
        assert len(server.requests) == 12 + 1  # a short request checks the server before sampling
    assert np.isfinite(table.log_probs).all()
    for number, prompt in enumerate(PROMPTS):
        for reply, log_prob in zip(table.replies[table.rows(number)], table.log_probs[table.rows(number)], strict=True):
            assert log_prob < 0 or not reply
        assert table.prompts[number] == prompt.text
    assert table.metadata["engine"]["name"] == "remote"


@pytest.mark.parametrize("fault", ["429", "500", "broken", "short"])
def test_temporary_server_faults_do_not_change_the_table(fault: str, local: LocalEngine, tmp_path: Path) -> None:
    correct = from_model(local)
    faults = {
        "429": busy(429),
        "500": busy(503),
        "broken": fixed_answer(chunk("Hel")),
        "short": fixed_answer(chunk("x", None)),
    }
    answer, _ = failing(correct, lambda n: faults[fault] if n % 5 == 2 else None)
    with ChatServer(correct, key=SECRET) as server:
        build_table(server, tmp_path / "undisturbed.parquet")
        server.answer = answer
        build_table(server, tmp_path / "t.parquet")
    assert contents(tmp_path / "t.parquet") == contents(tmp_path / "undisturbed.parquet")


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (busy(429), TryAgainError, r"could not answer \(429: too much to do\)"),
        (busy(500), TryAgainError, r"could not answer \(500: too much to do\)"),
        (PlainTextResponse("<html>welcome</html>"), EngineError, "answered without a reply|does not read as"),
        (fixed_answer(line('{"choices": 7}')), EngineError, "does not read as a chat completion"),
        (fixed_answer(), EngineError, "answered without a reply"),
    ],
    ids=["429", "500", "a page", "nonsense", "nothing"],
)
def test_persistent_server_fault_ends_the_build_and_the_next_run_resumes(
    fault: object, error: type[EngineError], message: str, local: LocalEngine, tmp_path: Path
) -> None:
    correct, out = from_model(local), tmp_path / "t.parquet"
    answer, count = failing(correct, lambda n: fault if n > 7 else None)
    with ChatServer(correct, key=SECRET) as server:
        build_table(server, tmp_path / "undisturbed.parquet")
        server.answer = answer
        with pytest.raises(error, match=message):
            build_table(server, out)
        attempts = count[0] - 7
        assert attempts >= retry.ATTEMPTS if error is TryAgainError else 1 <= attempts <= 3
        assert len(list(checkpoint_path(out).glob("*.replies.parquet"))) == 2
        server.answer = correct
        result = build_table(server, out)
    assert result.sampled == 6
    assert contents(out) == contents(tmp_path / "undisturbed.parquet")


def test_prompt_refused_by_the_server(local: LocalEngine, tmp_path: Path) -> None:
    correct = from_model(local)

    def answer(request: dict[str, object]) -> object:
        if "day 2" in json.dumps(request):
            return JSONResponse({"error": {"message": "maximum context length is 256 tokens"}}, 400)
        return correct(request)

    with ChatServer(answer, key=SECRET) as server:
        with pytest.raises(InputError, match=r"The prompt 'p2' cannot be used\. .*maximum context length"):
            build_table(server, tmp_path / "t.parquet")
        result = build_table(server, tmp_path / "t.parquet", policy=BuildPolicy(skip_unusable=True))
    assert result.skipped == ("p2",)
    assert result.load().prompt_ids == ("p0", "p1", "p3")


def test_api_key_is_never_written_or_printed(
    local: LocalEngine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither in the table, checkpoints and progress file nor in output and errors, although the server echoes it."""
    prompts, out, progress = tmp_path / "p.txt", tmp_path / "t.parquet", tmp_path / "progress.json"
    prompts.write_text("Tell me of the cat.\nTell me of the dog.\n")
    correct = from_model(local)
    error_with_key = JSONResponse({"error": {"message": f"Bad key {SECRET}, go away"}}, 500)
    answer, _ = failing(correct, lambda n: error_with_key if n > 4 else None)
    with ChatServer(answer, key=SECRET) as server:
        options = ["--prompts", str(prompts), "--out", str(out), "--model", server.model(), "--candidates", "3"]
        options += ["--values", "diversity", "--score-limit", "0", "--progress-file", str(progress), "--keep-parts"]
        assert main(["build", *options]) == 1
        captured = capfd.readouterr()
        record = json.loads(progress.read_text())
        assert (record["state"], "could not answer (500: Bad key ***, go away)" in record["error"]) == ("failed", True)
        assert "Bad key ***" in captured.err
        server.answer = correct
        result = CliRunner().invoke(command, options, catch_exceptions=False)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 6
    assert not any(SECRET.encode() in content for content in files)
    assert SECRET not in captured.err + captured.out + result.output
    assert SECRET not in json.dumps(table_format.load_metadata(out))


def test_greedy_server_ends_the_build_before_a_table_is_written(tmp_path: Path) -> None:
    with ChatServer(fixed_answer(chunk("The same again."), chunk(None, "stop"))) as server:
        engine = RemoteEngine(server.model(), retries=0, trusted=True)
        scorers = scoring.scorers(["diversity"])
        with pytest.raises(EngineError, match=r"first 3 prompts got the same reply 4 times.*do_sample"):
            build(PROMPTS, tmp_path / "t.parquet", engine, scorers, candidates=4, settings=SETTINGS, seed=5)
        # Equal replies are accepted with top_k 1 (greedy sampling was requested), and for too few prompts to be sure.
        few_prompts = build(
            PROMPTS[:2], tmp_path / "few.parquet", engine, scorers, candidates=4, settings=SETTINGS, seed=5
        )
        greedy = replace(SETTINGS, top_k=1)
        explicit = build(PROMPTS, tmp_path / "asked.parquet", engine, scorers, candidates=4, settings=greedy, seed=5)
    assert not (tmp_path / "t.parquet").exists()
    assert set(few_prompts.load().replies) == set(explicit.load().replies) == {"The same again."}
