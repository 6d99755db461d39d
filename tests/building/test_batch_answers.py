"""``generate --prompts``: many prompts into one file, killed and gone on with."""

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


class Stopping(ToyEngine):
    """Stops in the middle of its n-th prompt."""

    def __init__(self, at: int) -> None:
        self.left = at

    def sample(self, request: DrawRequest) -> TokenStream:
        self.left -= 1
        steps = super().sample(request)
        for number, step in enumerate(steps):
            if self.left < 0 and number:
                raise EngineError("The engine stopped.")
            yield step


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Records without their times."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in record.items() if "seconds" not in name} for record in records]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    out = tmp_path / "whole.jsonl"
    assert answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS) == 6
    return out


def test_a_line_a_prompt_in_order(whole: Path) -> None:
    records = lines_of(whole)
    assert [record["id"] for record in records] == [prompt.id for prompt in PROMPTS]
    assert [record["seed"] for record in records] == [prompt_seed(3, prompt.text) for prompt in PROMPTS]
    for record in records:
        assert record["aligned"] == record["candidates"][record["aligned_candidate"]]["reply"]
        assert {"base", "ess", "kl", "log_z", "log_k", "error", "more_would_help", "notes", "method"} <= set(record)
    assert sorted(whole.parent.iterdir()) == [whole]  # nothing is left beside it


def test_an_engine_that_stops_is_gone_on_with(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(EngineError, match="stopped"):
        answer_prompts(AnswerFile(out, PROMPTS, REQUEST), Stopping(2), SCORERS)
    assert len(lines_of(out)) == 2
    reports: list[Progress] = []
    assert answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS, reports.append) == 4
    assert [(report.done, report.resumed, report.total) for report in reports] == [(done, 2, 6) for done in range(2, 7)]
    assert lines_of(out) == lines_of(whole)
    assert answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS) == 0


def test_a_file_cut_off_anywhere_is_gone_on_with(whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    first = content.index(b"\n") + 1
    for cut in (0, 1, first - 1, first, first + 1, first + 9, len(content) // 2, len(content) - 1, len(content)):
        out = tmp_path / f"{cut}.jsonl"
        out.write_bytes(content[:cut] if cut != 1 else b"")
        answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS)
        assert lines_of(out) == lines_of(whole)


def test_another_request_is_not_mixed_in(whole: Path) -> None:
    from dataclasses import replace

    before = whole.read_bytes()
    for prompts, request, more, says in (
        (PROMPTS, replace(REQUEST, weights={"as": 2.0}), {}, "other weights"),
        (PROMPTS, replace(REQUEST, seed=4), {}, "other seed"),
        (PROMPTS, replace(REQUEST, candidates=5), {}, "other asked"),
        (PROMPTS, replace(REQUEST, settings=SamplingSettings(max_new_tokens=6)), {}, "other sampling"),
        (PROMPTS, REQUEST, {"model": "another"}, "other model"),
        (PROMPTS[::-1], REQUEST, {}, "other id, prompt, seed"),
        (PROMPTS[:3], REQUEST, {}, "more than these 3 prompts"),
    ):
        with pytest.raises(InputError, match=says) as refused:
            answer_prompts(AnswerFile(whole, prompts, request, more), ToyEngine(), SCORERS)
        assert "--fresh" in str(refused.value)
        assert whole.read_bytes() == before
    close = replace(REQUEST, weights={"as": 1.5 * (1 + 1e-14)})  # solved again on another machine
    assert answer_prompts(AnswerFile(whole, PROMPTS, close), ToyEngine(), SCORERS) == 0
    assert answer_prompts(AnswerFile(whole, PROMPTS[:2], REQUEST, fresh=True), ToyEngine(), SCORERS) == 2
    assert len(lines_of(whole)) == 2


@pytest.mark.parametrize("content", [b"my notes", b"my notes\n", b'{"a": 1}\n', b"\x00\xff\x00\n", b"\n\n"])
def test_other_files_are_left_alone(content: bytes, tmp_path: Path) -> None:
    out = tmp_path / "notes.txt"
    out.write_bytes(content)
    with pytest.raises(InputError, match=r"notes\.txt holds"):
        answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS)
    assert out.read_bytes() == content


def test_one_run_at_a_time(whole: Path, tmp_path: Path) -> None:
    with filelock.FileLock(f"{whole}.lock"), pytest.raises(InputError, match="Another run"):
        answer_prompts(AnswerFile(whole, PROMPTS, REQUEST), ToyEngine(), SCORERS)
    for place in (tmp_path, tmp_path / "no" / "folder.jsonl"):
        with pytest.raises(InputError, match="folder"):
            AnswerFile(place, PROMPTS, REQUEST)


def test_what_is_written_stays_when_a_scorer_fails(tmp_path: Path) -> None:
    class Failing(Tally):
        def score(self, prompt: str, replies: Any) -> Any:
            if prompt == "Prompt 2?":
                raise RuntimeError("no")
            return super().score(prompt, replies)

    out = tmp_path / "out.jsonl"
    with pytest.raises(ScorerError, match="Prompt 2"):
        answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), {"as": Failing("as")})
    assert len(lines_of(out)) == 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, one_torch_thread: None) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


#: Prompts of the file that is answered: enough to be killed among them.
COUNT = 6
#: The command, which is sent a signal once the second line is written.
KILLED = """
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
    words = "--engine openvino --candidates 40 --max-new-tokens 60 --values diversity --weights diversity=3"
    return ["generate", "--prompts", str(prompts), "--out", str(out), "--model", str(folder), *words.split()]


@pytest.fixture(scope="module")
def numbers(folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A file of prompts, and what they are answered undisturbed."""
    prompts, out = folder / "numbers.txt", folder / "numbers.jsonl"
    prompts.write_text("\n".join(f"What is number {i}?" for i in range(COUNT)))
    assert main([*command(folder, prompts, out), "--quiet"]) == 0
    return prompts, lines_of(out)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_command_killed_and_given_again(
    folder: Path, numbers: tuple[Path, list[dict[str, Any]]], how: signal.Signals, tmp_path: Path
) -> None:
    prompts, out = numbers[0], tmp_path / "out.jsonl"
    killed = [sys.executable, "-c", KILLED, str(int(how)), *command(folder, prompts, out)]
    process = subprocess.run(
        killed, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120
    )
    errors, answered = process.stderr, out.read_bytes().count(b"\n")
    assert 2 <= answered < COUNT
    if how is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert answered == 2
    else:
        assert process.returncode == 130
        assert "the same command resumes where it stopped" in errors
        assert "Traceback" not in errors
    assert f"answering: 0 of {COUNT} prompts" in errors
    assert main(command(folder, prompts, out)) == 0
    assert lines_of(out) == numbers[1]


def test_the_command_refuses_what_it_cannot_do(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, out = tmp_path / "p.txt", tmp_path / "out.jsonl"
    prompts.write_text("Hello?\n" + "word " * 900)
    assert main(command(folder, prompts, out)) == 1
    errors = capsys.readouterr().err
    assert "The prompt 'line-2' cannot be used" in errors
    assert "context" in errors
    assert not out.exists()  # told before any work
    prompts.write_text("Hello?\n" + "x" * 300_000)
    assert main(command(folder, prompts, out)) == 2
    assert "300,000 characters" in capsys.readouterr().err
    assert main(["generate", "--prompts", str(tmp_path / "none.jsonl"), "--out", str(out)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_full_disk_says_so_and_is_gone_on_with(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="The disc is full"):
            answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS)
    answer_prompts(AnswerFile(out, PROMPTS, REQUEST), ToyEngine(), SCORERS)
    assert lines_of(out) == lines_of(whole)
