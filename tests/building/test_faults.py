"""Tests of faulty scorers: failed replies are marked and left out, and a broken scorer ends the build with an error."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

from map_core import scoring
from map_core.building import BuildResult, LocalWorkers, SamplingSpec, build, build_with_workers, extend, rescore
from map_core.building.checkpoints import checkpoint_path
from map_core.building.fault_tolerant_scoring import score_each
from map_core.building.scorer_host import ScorerSubprocess
from map_core.core.types import Reply, SamplingSettings
from map_core.data import table_format
from map_core.data.prompts import Prompt
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.scoring.base import Scorer, ScorerError
from tests import ROOT
from tests.odd_scorers import Fault, FaultyScorer
from tests.toy_engine import ToyEngine

IN_PROCESS_FAULTS = (Fault.RAISES, Fault.NAN, Fault.INFINITE, Fault.SHAPE, Fault.NO_MEMORY, Fault.TORCH_NO_MEMORY)
REASONS = {
    Fault.RAISES: "it raised ValueError: a reply like no other",
    Fault.NAN: "it gave nan, expected a finite number",
    Fault.INFINITE: "it gave inf, expected a finite number",
    Fault.SHAPE: "it gave rewards of shape",
    Fault.NO_MEMORY: "MemoryError",
    Fault.TORCH_NO_MEMORY: "there was not enough memory (CUDA out of memory",
    Fault.HANGS: "it took longer than",
    Fault.IS_KILLED: "its process was killed, most likely as memory ran out",
    Fault.LEAVES: "its process ended by itself (exit code 3)",
}
SETTINGS = SamplingSettings(max_new_tokens=6)
PROMPTS = [Prompt(f"p{n}", "All prompts", f"prompt {n}") for n in range(4)]


def build_table(out: Path, scorers: Sequence[Scorer], candidates: int = 6, **options: object) -> BuildResult:
    return build(PROMPTS, out, ToyEngine(), scorers, candidates=candidates, settings=SETTINGS, seed=3, **options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RewardTable:
    return build_table(tmp_path_factory.mktemp("whole") / "t.parquet", scoring.scorers(["diversity"])).load()


def rare_reply(table: RewardTable) -> str:
    """Return the rarest non-empty reply of a table."""
    counts = {text: table.replies.count(text) for text in table.replies if text}
    return min(counts, key=lambda text: (counts[text], text))


@pytest.mark.parametrize("fault", IN_PROCESS_FAULTS)
def test_replies_that_a_scorer_fails_on_are_left_out_and_reported(
    fault: Fault, undisturbed: RewardTable, tmp_path: Path
) -> None:
    bad, out = rare_reply(undisturbed), tmp_path / "t.parquet"
    result = build_table(out, [*scoring.scorers(["diversity"]), FaultyScorer(fault, [bad])])
    table = result.load()
    remaining = [row for row, text in enumerate(undisturbed.replies) if text != bad]
    assert len(remaining) < len(undisturbed.replies)
    assert table.replies == tuple(undisturbed.replies[row] for row in remaining)
    np.testing.assert_array_equal(table.rewards[:, 0], undisturbed.rewards[remaining, 0])
    np.testing.assert_array_equal(table.rewards[:, 1], [len(text) for text in table.replies])
    assert len(result.marked) == len(undisturbed.replies) - len(remaining)
    assert {mark.value for mark in result.marked} == {"odd"}
    assert result.marked[0].reason.startswith(REASONS[fault])
    first = result.marked[0]
    assert f"candidate {first.candidate} of the prompt {first.prompt!r} on 'odd'" in result.notes[0]
    left_out = table.metadata["left_out"]
    assert left_out["replies"] == len(result.marked)
    assert left_out["marks"][0] == {"prompt": first.prompt, "candidate": first.candidate, "value": "odd"} | {
        "reason": first.reason
    }
    assert not checkpoint_path(out).exists()


@pytest.mark.parametrize("fault", [Fault.HANGS, Fault.IS_KILLED, Fault.LEAVES])
def test_scorer_process_is_restarted_after_a_crash_or_timeout(
    fault: Fault, undisturbed: RewardTable, tmp_path: Path
) -> None:
    bad, scorers = rare_reply(undisturbed), [FaultyScorer(fault, [rare_reply(undisturbed)])]
    result = rescore(undisturbed, tmp_path / "t.parquet", scorers, limit=2.0)
    assert result.load().replies == tuple(text for text in undisturbed.replies if text != bad)
    assert {mark.reason.split(" 0.")[0] for mark in result.marked} <= {
        REASONS[fault],
        f"{REASONS[fault]} 0.333 seconds",
    }
    assert result.marked


def test_scorer_process_ends_on_timeout_and_on_close() -> None:
    host = ScorerSubprocess([FaultyScorer(Fault.HANGS, ["bad"])], limit=1.0)
    np.testing.assert_array_equal(host.score(0, "p", [Reply("ab")]), [2.0])
    process = psutil.Process(host.pid)
    with pytest.raises(ScorerError, match="took longer than 1 seconds"):
        host.score(0, "p", [Reply("bad")])
    assert not process.is_running()
    np.testing.assert_array_equal(host.score(0, "p", [Reply("abc")]), [3.0])
    process = psutil.Process(host.pid)
    host.close()
    assert not process.is_running()


def test_scorer_process_does_not_import_the_main_script(tmp_path: Path) -> None:
    """A script needs no ``__main__`` guard, but scorers that it defines have to be in a module of their own."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from map_core.building.scorer_host import ScorerSubprocess\n"
        "from map_core.errors import InputError\n"
        "from map_core.core.types import Reply\n"
        "from tests.odd_scorers import Fault, FaultyScorer\n"
        "print('run', flush=True)\n"
        "host = ScorerSubprocess([FaultyScorer(Fault.NAN, ['bad'])], limit=30.0)\n"
        "print(host.score(0, 'p', [Reply('ab'), Reply('bad')]))\n"
        "host.close()\n"
        "class Own(FaultyScorer):\n"
        "    pass\n"
        "try:\n"
        "    ScorerSubprocess([Own(Fault.NAN, ())], limit=30.0)\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    first, second, third = result.stdout.splitlines()
    assert (first, second) == ("run", "[ 2. nan]"), result.stderr
    assert "Define them in a module that it imports" in third


def test_scorer_process_ends_with_its_parent() -> None:
    code = (
        "import os, signal; from map_core.building.scorer_host import ScorerSubprocess;"
        "from map_core.core.types import Reply;"
        "from tests.odd_scorers import Fault, FaultyScorer;"
        "host = ScorerSubprocess([FaultyScorer(Fault.NAN, ())], limit=30.0);"
        "host.score(0, 'p', [Reply('ab')]); print(host.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == -signal.SIGKILL
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(result.stdout)).wait(20)


def test_scorer_that_never_starts_times_out(tmp_path: Path) -> None:
    host = ScorerSubprocess([FaultyScorer(Fault.HANGS, None)], limit=1.0, start=1.5)
    with pytest.raises(ScorerError, match=r"did not score a short reply within 1\.5 seconds"):
        host.score(0, "p", [Reply("ab")])
    host.close()


def test_scorer_that_fails_later_ends_the_build_without_loss(undisturbed: RewardTable, tmp_path: Path) -> None:
    """Three prompts in a row without any reward mean a broken scorer, not a few unusual replies."""
    out = tmp_path / "t.parquet"
    with pytest.raises(ScorerError, match="failed on every reply to 3 prompts in a row"):
        build_table(out, [_FailsOnPrompts({prompt.text for prompt in PROMPTS[1:]})])
    assert not out.exists()
    assert len(list(checkpoint_path(out).glob("*.rewards.parquet"))) == 1
    working = _FailsOnPrompts(set())
    assert build_table(out, [working]).replies == len(undisturbed.replies)


class _FailsOnPrompts(FaultyScorer):
    """Raise on every reply to some prompts."""

    def __init__(self, prompts: set[str]) -> None:
        super().__init__(Fault.RAISES, ())
        self.prompts = prompts

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        if prompt in self.prompts:
            self.misbehave()
        return super().score(prompt, replies)


def test_prompt_without_scored_replies_is_left_out(tmp_path: Path) -> None:
    result = build_table(tmp_path / "t.parquet", [_FailsOnPrompts({PROMPTS[1].text})])
    table = result.load()
    assert table.prompt_ids == ("p0", "p2", "p3")
    assert result.skipped == ("p1",)
    assert table.metadata["left_out"]["prompts"] == ["p1"]
    assert "1 prompt is left out: 'p1'." in result.notes


class _CountingScorer(FaultyScorer):
    """Count the scored replies in a note; ``forget_notes`` drops the warm-up reply from the count."""

    read = 0

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        self.read += len(replies)
        return super().score(prompt, replies)

    def forget_notes(self) -> None:
        self.read = 0

    @property
    def notes(self) -> tuple[str, ...]:
        return (f"{self.read} replies were read.",)


@pytest.mark.parametrize("limit", [None, 60.0])
def test_notes_of_scorers_are_part_of_the_result(limit: float | None, tmp_path: Path) -> None:
    """Notes also arrive from a separate process, and leave out the warm-up reply."""
    result = build_table(tmp_path / "t.parquet", [_CountingScorer(Fault.RAISES, [])], limit=limit)
    assert result.replies == 24
    assert "24 replies were read." in result.notes


def test_build_that_loses_most_replies_fails_and_a_fixed_scorer_is_called_again(
    undisturbed: RewardTable, tmp_path: Path
) -> None:
    out, bad = tmp_path / "t.parquet", []
    while (lost := sum(text in bad for text in undisturbed.replies)) <= len(undisturbed.replies) / 2:
        bad.append(min(set(undisturbed.replies) - {*bad}, key=lambda text: (undisturbed.replies.count(text), text)))
    assert lost < len(undisturbed.replies)
    with pytest.raises(
        ScorerError, match=rf"{lost} of {len(undisturbed.replies)} replies would be left out.*No table was"
    ):
        build_table(out, [FaultyScorer(Fault.RAISES, bad)])
    assert not out.exists()
    result = build_table(out, [FaultyScorer(Fault.RAISES, [])])
    assert (result.sampled, result.replies, result.marked) == (0, len(undisturbed.replies), ())


def test_failed_replies_are_not_scored_again_after_an_interruption(undisturbed: RewardTable, tmp_path: Path) -> None:
    bad, out = rare_reply(undisturbed), tmp_path / "t.parquet"
    calls: list[str] = []

    class RecordingScorer(FaultyScorer):
        def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
            calls.append(prompt)
            return super().score(prompt, replies)

    def stop(progress: object) -> None:
        if getattr(progress, "stage", "") == "scoring" and getattr(progress, "done", 0) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_table(out, [RecordingScorer(Fault.RAISES, [bad])], report=stop)
    calls.clear()
    result = build_table(out, [RecordingScorer(Fault.RAISES, [bad])])
    assert calls == []
    assert len(result.marked) == undisturbed.replies.count(bad)


def test_candidate_numbers_stay_when_more_are_drawn(undisturbed: RewardTable, tmp_path: Path) -> None:
    """A reply that was left out leaves a gap in the numbers, so that adding candidates draws none twice."""
    out, bad = tmp_path / "t.parquet", rare_reply(undisturbed)
    build_table(out, [FaultyScorer(Fault.RAISES, [bad])])
    engine, scorer = ToyEngine(), FaultyScorer(Fault.RAISES, [bad])
    extend(
        out, out, lambda names: [scorer], candidates=9, open_workers=lambda model, *args: LocalWorkers(engine, *args)
    )
    direct = build_table(tmp_path / "direct.parquet", [FaultyScorer(Fault.RAISES, [bad])], candidates=9).load()
    extended = table_format.load(out)
    assert extended.replies == direct.replies
    np.testing.assert_array_equal(extended.rewards, direct.rewards)
    assert extended.numbers.size
    np.testing.assert_array_equal(extended.numbers, direct.numbers)
    assert extended.metadata["left_out"]["replies"] == direct.metadata["left_out"]["replies"]


def test_bisection_finds_each_bad_reply_with_few_calls() -> None:
    replies, bad, calls = [Reply(str(n)) for n in range(64)], {5, 40}, []

    def score(batch: Sequence[Reply]) -> np.ndarray:
        calls.append(len(batch))
        if any(int(reply.text) in bad for reply in batch):
            raise ScorerError("no")
        return np.array([float(reply.text) for reply in batch])

    rewards, reasons = score_each(score, replies)
    assert set(reasons) == bad
    assert all(math.isnan(rewards[n]) if n in bad else rewards[n] == n for n in range(64))
    assert len(calls) <= 2 * 2 * 6 + 1
    assert score_each(score, [])[1] == {}


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
def test_time_limit_is_positive_and_finite(limit: float) -> None:
    with pytest.raises(InputError, match="expected seconds above 0"):
        ScorerSubprocess([FaultyScorer(Fault.NAN, ())], limit)


def test_scorer_that_cannot_be_pickled_is_refused() -> None:
    class Inner(FaultyScorer):
        pass

    with pytest.raises(InputError, match="Define them at the top of a module, or build without a time limit"):
        ScorerSubprocess([Inner(Fault.NAN, ())], 5.0)


def test_workers_without_a_model_cannot_draw(tmp_path: Path) -> None:
    workers = LocalWorkers(None, SamplingSpec(), [FaultyScorer(Fault.NAN, ())])
    with pytest.raises(InputError, match="no model was given"):
        build_with_workers(workers, PROMPTS, tmp_path / "t.parquet", [FaultyScorer(Fault.NAN, ())], SamplingSpec(), 2)
