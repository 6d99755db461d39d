"""Tests of ``generate --prompts``: many prompts are answered into one file, also after an interruption."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import filelock
import pytest

from map_core.building import Progress, prompt_seed
from map_core.building.batch_answers import AnswerFile, answer_prompts
from map_core.cli import main
from map_core.core.types import SamplingSettings
from map_core.data.prompts import Prompt
from map_core.engines.draw_request import DrawRequest
from map_core.engines.tokens import TokenStream
from map_core.errors import EngineError, InputError
from map_core.generation.request import GenerationRequest
from map_core.scoring import ScorerError
from tests import ROOT
from tests.tiny_model import make_tiny_model
from tests.toy_engine import Tally, ToyEngine

PROMPTS = tuple(Prompt(f"p{i}", "All prompts", f"Prompt {i}?") for i in range(6))
REQUEST = GenerationRequest("?", {"as": 1.5}, candidates=4, settings=SamplingSettings(max_new_tokens=5), seed=3)
SCORERS = {"as": Tally("as")}


class StoppingEngine(ToyEngine):
    """Fail in the middle of a prompt, after ``prompts`` complete ones."""

    def __init__(self, prompts: int) -> None:
        self.remaining = prompts

    def sample(self, request: DrawRequest) -> TokenStream:
        self.remaining -= 1
        steps = super().sample(request)
        for number, step in enumerate(steps):
            if self.remaining < 0 and number:
                raise EngineError("The engine stopped.")
            yield step


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file without their durations."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in record.items() if "seconds" not in name} for record in records]


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    path = tmp_path / "whole.jsonl"
    assert answer_prompts(AnswerFile(path, PROMPTS, REQUEST), ToyEngine(), SCORERS) == 6
    return path


def test_file_has_one_line_per_prompt_in_order(complete: Path) -> None:
    records = read_records(complete)
    assert [record["id"] for record in records] == [prompt.id for prompt in PROMPTS]
    assert [record["seed"] for record in records] == [prompt_seed(3, prompt.text) for prompt in PROMPTS]
    for record in records:
        assert record["aligned"] == record["candidates"][record["aligned_candidate"]]["reply"]
        assert {"base", "ess", "kl", "log_z", "log_k", "error", "more_would_help", "notes", "method"} <= set(record)
    assert sorted(complete.parent.iterdir()) == [complete]  # no lock and no temporary file remains


def test_resumes_after_the_engine_stops(complete: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(EngineError, match="stopped"):
        answer_prompts(AnswerFile(out, PROMPTS, REQUEST), StoppingEngine(2), SCORERS)
    assert len(read_records(out)) == 2
    reports: list[Progress] = []
    assert answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS, reports.append) == 4
    assert [(report.done, report.resumed, report.total) for report in reports] == [(done, 2, 6) for done in range(2, 7)]
    assert read_records(out) == read_records(complete)
    assert answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS) == 0


def test_resumes_from_a_file_truncated_anywhere(complete: Path, tmp_path: Path) -> None:
    content = complete.read_bytes()
    first = content.index(b"\n") + 1
    for length in (0, 1, first - 1, first, first + 1, first + 9, len(content) // 2, len(content) - 1, len(content)):
        out = tmp_path / f"{length}.jsonl"
        out.write_bytes(content[:length] if length != 1 else b"")
        answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS)
        assert read_records(out) == read_records(complete)


def test_refuses_to_resume_with_another_request(complete: Path) -> None:
    from dataclasses import replace

    before = complete.read_bytes()
    for prompts, request, model, message in (
        (PROMPTS, replace(REQUEST, weights={"as": 2.0}), {}, "other weights"),
        (PROMPTS, replace(REQUEST, seed=4), {}, "other seed"),
        (PROMPTS, replace(REQUEST, candidates=5), {}, "other asked"),
        (PROMPTS, replace(REQUEST, settings=SamplingSettings(max_new_tokens=6)), {}, "other sampling"),
        (PROMPTS, REQUEST, {"model": "another"}, "other model"),
        (PROMPTS[::-1], REQUEST, {}, "other id, prompt, seed"),
        (PROMPTS[:3], REQUEST, {}, "more than these 3 prompts"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            answer_prompts(AnswerFile(complete, prompts, request, model), ToyEngine(), SCORERS)
        assert "--fresh" in str(caught.value)
        assert complete.read_bytes() == before
    nearly_equal = replace(REQUEST, weights={"as": 1.5 * (1 + 1e-14)})  # the solver's rounding differs between machines
    assert answer_prompts(AnswerFile(complete, PROMPTS, nearly_equal), ToyEngine(), SCORERS) == 0
    assert answer_prompts(AnswerFile(complete, PROMPTS[:2], REQUEST, fresh=True), ToyEngine(), SCORERS) == 2
    assert len(read_records(complete)) == 2


@pytest.mark.parametrize("content", [b"my notes", b"my notes\n", b'{"a": 1}\n', b"\x00\xff\x00\n", b"\n\n"])
def test_files_of_other_content_stay_unchanged(content: bytes, tmp_path: Path) -> None:
    out = tmp_path / "notes.txt"
    out.write_bytes(content)
    with pytest.raises(InputError, match=r"notes\.txt holds"):
        answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS)
    assert out.read_bytes() == content


def test_concurrent_runs_are_refused(complete: Path, tmp_path: Path) -> None:
    with filelock.FileLock(f"{complete}.lock"), pytest.raises(InputError, match="Another run"):
        answer_prompts(AnswerFile(complete, PROMPTS, REQUEST), ToyEngine(), SCORERS)
    for path in (tmp_path, tmp_path / "no" / "folder.jsonl"):
        with pytest.raises(InputError, match="folder"):
            AnswerFile(path, PROMPTS, REQUEST)


def test_written_lines_stay_when_a_scorer_fails(tmp_path: Path) -> None:
    class Failing(Tally):
        def score(self, prompt: str, replies: Any) -> Any:
            if prompt == "Prompt 2?":
                raise RuntimeError("no")
            return super().score(prompt, replies)

    out = tmp_path / "out.jsonl"
    with pytest.raises(ScorerError, match="Prompt 2"):
        answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), {"as": Failing("as")})
    assert len(read_records(out)) == 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, one_torch_thread: None) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


#: Prompts in the file: enough that the process can be killed between two of them.
COUNT = 6
#: Runs the command and sends it a signal once the second line is written.
SCRIPT = """
import os, signal, sys
from map_core.building.batch_answers import AnswerFile
from map_core.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it runs in the background
how, write, written = int(sys.argv[1]), AnswerFile.write, []

def write_and_signal(self, record):
    write(self, record)
    written.append(record)
    if len(written) == 2:
        os.kill(os.getpid(), how)

AnswerFile.write = write_and_signal
sys.exit(main(sys.argv[2:]))
"""


def command(folder: Path, prompts: Path, out: Path) -> list[str]:
    options = "--engine openvino --candidates 40 --max-new-tokens 60 --values diversity --weights diversity=3"
    return ["generate", "--prompts", str(prompts), "--out", str(out), "--model", str(folder), *options.split()]


@pytest.fixture(scope="module")
def numbered_prompts(folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Return a file of prompts and the records of an uninterrupted run."""
    prompts, out = folder / "numbers.txt", folder / "numbers.jsonl"
    prompts.write_text("\n".join(f"What is number {i}?" for i in range(COUNT)))
    assert main([*command(folder, prompts, out), "--quiet"]) == 0
    return prompts, read_records(out)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_command_resumes(
    folder: Path, numbered_prompts: tuple[Path, list[dict[str, Any]]], signal_number: signal.Signals, tmp_path: Path
) -> None:
    prompts, out = numbered_prompts[0], tmp_path / "out.jsonl"
    script_command = [sys.executable, "-c", SCRIPT, str(int(signal_number)), *command(folder, prompts, out)]
    process = subprocess.run(
        script_command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    errors, lines = process.stderr, out.read_bytes().count(b"\n")
    assert 2 <= lines < COUNT
    if signal_number is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert lines == 2
    else:
        assert process.returncode == 130
        assert "the same command resumes where it stopped" in errors
        assert "Traceback" not in errors
    assert f"answering: 0 of {COUNT} prompts" in errors
    assert main(command(folder, prompts, out)) == 0
    assert read_records(out) == numbered_prompts[1]


def test_command_refuses_unusable_prompts_and_missing_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, out = tmp_path / "p.txt", tmp_path / "out.jsonl"
    prompts.write_text("Hello?\n" + "word " * 900)
    assert main(command(folder, prompts, out)) == 1
    errors = capsys.readouterr().err
    assert "The prompt 'line-2' cannot be used" in errors
    assert "context" in errors
    assert not out.exists()  # refused before any prompt is answered
    prompts.write_text("Hello?\n" + "x" * 300_000)
    assert main(command(folder, prompts, out)) == 2
    assert "300,000 characters" in capsys.readouterr().err
    assert main(["generate", "--prompts", str(tmp_path / "none.jsonl"), "--out", str(out)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_full_disk_is_reported_and_the_run_resumes(
    complete: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_disk_full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", raise_disk_full)
        with pytest.raises(InputError, match="The disc is full"):
            answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS)
    answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS)
    assert read_records(out) == read_records(complete)
