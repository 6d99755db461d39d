"""A build goes on whatever its scorers do: replies are marked and left out; a broken scorer ends it in words."""

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
from tests.odd_scorers import Fault, Odd
from tests.toy_engine import ToyEngine

HERE = (Fault.RAISES, Fault.NAN, Fault.INFINITE, Fault.SHAPE, Fault.NO_MEMORY, Fault.TORCH_NO_MEMORY)
SAID = {
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


def make(out: Path, scorers: Sequence[Scorer], candidates: int = 6, **more: object) -> BuildResult:
    return build(PROMPTS, out, ToyEngine(), scorers, candidates=candidates, settings=SETTINGS, seed=3, **more)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RewardTable:
    return make(tmp_path_factory.mktemp("whole") / "t.parquet", scoring.scorers(["diversity"])).load()


def rare(table: RewardTable) -> str:
    """A text that is the reply to some prompts and not the only one of any."""
    counts = {text: table.replies.count(text) for text in table.replies if text}
    return min(counts, key=lambda text: (counts[text], text))


@pytest.mark.parametrize("fault", HERE)
def test_a_reply_that_a_scorer_fails_on_is_left_out_and_told_of(
    fault: Fault, whole: RewardTable, tmp_path: Path
) -> None:
    bad, out = rare(whole), tmp_path / "t.parquet"
    built = make(out, [*scoring.scorers(["diversity"]), Odd(fault, [bad])])
    table = built.load()
    kept = [row for row, text in enumerate(whole.replies) if text != bad]
    assert len(kept) < len(whole.replies)
    assert table.replies == tuple(whole.replies[row] for row in kept)
    np.testing.assert_array_equal(table.rewards[:, 0], whole.rewards[kept, 0])
    np.testing.assert_array_equal(table.rewards[:, 1], [len(text) for text in table.replies])
    assert len(built.marked) == len(whole.replies) - len(kept)
    assert {mark.value for mark in built.marked} == {"odd"}
    assert built.marked[0].reason.startswith(SAID[fault])
    first = built.marked[0]
    assert f"candidate {first.candidate} of the prompt {first.prompt!r} on 'odd'" in built.notes[0]
    left_out = table.metadata["left_out"]
    assert left_out["replies"] == len(built.marked)
    assert left_out["marks"][0] == {"prompt": first.prompt, "candidate": first.candidate, "value": "odd"} | {
        "reason": first.reason
    }
    assert not checkpoint_path(out).exists()


@pytest.mark.parametrize("fault", [Fault.HANGS, Fault.IS_KILLED, Fault.LEAVES])
def test_a_scorer_that_takes_its_process_along_is_started_again(
    fault: Fault, whole: RewardTable, tmp_path: Path
) -> None:
    bad, scorers = rare(whole), [Odd(fault, [rare(whole)])]
    built = rescore(whole, tmp_path / "t.parquet", scorers, limit=2.0)
    assert built.load().replies == tuple(text for text in whole.replies if text != bad)
    assert {mark.reason.split(" 0.")[0] for mark in built.marked} <= {SAID[fault], f"{SAID[fault]} 0.333 seconds"}
    assert built.marked


def test_a_process_of_scorers_ends_with_its_work() -> None:
    host = ScorerSubprocess([Odd(Fault.HANGS, ["bad"])], limit=1.0)
    np.testing.assert_array_equal(host.score(0, "p", [Reply("ab")]), [2.0])
    process = psutil.Process(host.pid)
    with pytest.raises(ScorerError, match="took longer than 1 seconds"):
        host.score(0, "p", [Reply("bad")])
    assert not process.is_running()
    np.testing.assert_array_equal(host.score(0, "p", [Reply("abc")]), [3.0])
    process = psutil.Process(host.pid)
    host.close()
    assert not process.is_running()


def test_the_script_that_builds_is_not_run_again(tmp_path: Path) -> None:
    """It need not guard its main part; a scorer of its own it has to keep in a module."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from map_core.building.scorer_host import ScorerSubprocess\n"
        "from map_core.errors import InputError\n"
        "from map_core.core.types import Reply\n"
        "from tests.odd_scorers import Fault, Odd\n"
        "print('run', flush=True)\n"
        "host = ScorerSubprocess([Odd(Fault.NAN, ['bad'])], limit=30.0)\n"
        "print(host.score(0, 'p', [Reply('ab'), Reply('bad')]))\n"
        "host.close()\n"
        "class Own(Odd):\n"
        "    pass\n"
        "try:\n"
        "    ScorerSubprocess([Own(Fault.NAN, ())], limit=30.0)\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    first, second, third = done.stdout.splitlines()
    assert (first, second) == ("run", "[ 2. nan]"), done.stderr
    assert "Define them in a module that it imports" in third


def test_a_process_of_scorers_ends_with_the_one_that_started_it() -> None:
    code = (
        "import os, signal; from map_core.building.scorer_host import ScorerSubprocess;"
        "from map_core.core.types import Reply;"
        "from tests.odd_scorers import Fault, Odd; host = ScorerSubprocess([Odd(Fault.NAN, ())], limit=30.0);"
        "host.score(0, 'p', [Reply('ab')]); print(host.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(done.stdout)).wait(20)


def test_a_scorer_that_never_works_is_given_up(tmp_path: Path) -> None:
    host = ScorerSubprocess([Odd(Fault.HANGS, None)], limit=1.0, start=1.5)
    with pytest.raises(ScorerError, match=r"did not score a short reply within 1\.5 seconds"):
        host.score(0, "p", [Reply("ab")])
    host.close()


def test_a_scorer_that_breaks_later_ends_the_build_and_nothing_is_lost(whole: RewardTable, tmp_path: Path) -> None:
    """Three prompts in a row without one reward: the endpoint is gone, not three replies odd."""
    out = tmp_path / "t.parquet"
    with pytest.raises(ScorerError, match="failed on every reply to 3 prompts in a row"):
        make(out, [_ByPrompt({prompt.text for prompt in PROMPTS[1:]})])
    assert not out.exists()
    assert len(list(checkpoint_path(out).glob("*.rewards.parquet"))) == 1
    mended = _ByPrompt(set())
    assert make(out, [mended]).replies == len(whole.replies)


class _ByPrompt(Odd):
    """Raises on every reply to some prompts."""

    def __init__(self, prompts: set[str]) -> None:
        super().__init__(Fault.RAISES, ())
        self.prompts = prompts

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        if prompt in self.prompts:
            self.misbehave()
        return super().score(prompt, replies)


def test_a_prompt_without_a_reply_left_is_left_out(tmp_path: Path) -> None:
    built = make(tmp_path / "t.parquet", [_ByPrompt({PROMPTS[1].text})])
    table = built.load()
    assert table.prompt_ids == ("p0", "p2", "p3")
    assert built.skipped == ("p1",)
    assert table.metadata["left_out"]["prompts"] == ["p1"]
    assert "1 prompt is left out: 'p1'." in built.notes


class _Noted(Odd):
    """Tells how many replies it has read, the one that warms it up included until it is forgotten."""

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
def test_what_scorers_have_to_say_stands_at_the_end(limit: float | None, tmp_path: Path) -> None:
    """From their own process too, and without the reply that warms them up."""
    built = make(tmp_path / "t.parquet", [_Noted(Fault.RAISES, [])], limit=limit)
    assert built.replies == 24
    assert "24 replies were read." in built.notes


def test_a_build_that_loses_most_replies_ends_and_a_mended_scorer_is_asked_again(
    whole: RewardTable, tmp_path: Path
) -> None:
    out, bad = tmp_path / "t.parquet", []
    while (lost := sum(text in bad for text in whole.replies)) <= len(whole.replies) / 2:
        bad.append(min(set(whole.replies) - {*bad}, key=lambda text: (whole.replies.count(text), text)))
    assert lost < len(whole.replies)
    with pytest.raises(ScorerError, match=rf"{lost} of {len(whole.replies)} replies would be left out.*No table was"):
        make(out, [Odd(Fault.RAISES, bad)])
    assert not out.exists()
    built = make(out, [Odd(Fault.RAISES, [])])
    assert (built.sampled, built.replies, built.marked) == (0, len(whole.replies), ())


def test_marks_are_kept_over_a_stop_and_not_tried_again(whole: RewardTable, tmp_path: Path) -> None:
    bad, out = rare(whole), tmp_path / "t.parquet"
    calls: list[str] = []

    class Counting(Odd):
        def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
            calls.append(prompt)
            return super().score(prompt, replies)

    def stop(progress: object) -> None:
        if getattr(progress, "stage", "") == "scoring" and getattr(progress, "done", 0) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(out, [Counting(Fault.RAISES, [bad])], report=stop)
    calls.clear()
    built = make(out, [Counting(Fault.RAISES, [bad])])
    assert calls == []
    assert len(built.marked) == whole.replies.count(bad)


def test_candidate_numbers_stay_when_more_are_drawn(whole: RewardTable, tmp_path: Path) -> None:
    """A reply that was left out leaves a gap, so that adding candidates draws none twice."""
    out, bad = tmp_path / "t.parquet", rare(whole)
    make(out, [Odd(Fault.RAISES, [bad])])
    engine, scorer = ToyEngine(), Odd(Fault.RAISES, [bad])
    extend(
        out, out, lambda names: [scorer], candidates=9, open_workers=lambda model, *args: LocalWorkers(engine, *args)
    )
    direct = make(tmp_path / "direct.parquet", [Odd(Fault.RAISES, [bad])], candidates=9).load()
    extended = table_format.load(out)
    assert extended.replies == direct.replies
    np.testing.assert_array_equal(extended.rewards, direct.rewards)
    assert extended.numbers.size
    np.testing.assert_array_equal(extended.numbers, direct.numbers)
    assert extended.metadata["left_out"]["replies"] == direct.metadata["left_out"]["replies"]


def test_halving_finds_each_bad_reply_with_few_calls() -> None:
    replies, bad, calls = [Reply(str(n)) for n in range(64)], {5, 40}, []

    def ask(some: Sequence[Reply]) -> np.ndarray:
        calls.append(len(some))
        if any(int(reply.text) in bad for reply in some):
            raise ScorerError("no")
        return np.array([float(reply.text) for reply in some])

    rewards, reasons = score_each(ask, replies)
    assert set(reasons) == bad
    assert all(math.isnan(rewards[n]) if n in bad else rewards[n] == n for n in range(64))
    assert len(calls) <= 2 * 2 * 6 + 1
    assert score_each(ask, [])[1] == {}


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
def test_a_limit_is_a_time(limit: float) -> None:
    with pytest.raises(InputError, match="expected seconds above 0"):
        ScorerSubprocess([Odd(Fault.NAN, ())], limit)


def test_a_scorer_that_cannot_travel_is_refused_in_words() -> None:
    class Inner(Odd):
        pass

    with pytest.raises(InputError, match="Define them at the top of a module, or build without a time limit"):
        ScorerSubprocess([Inner(Fault.NAN, ())], 5.0)


def test_workers_without_a_model_cannot_draw(tmp_path: Path) -> None:
    workers = LocalWorkers(None, SamplingSpec(), [Odd(Fault.NAN, ())])
    with pytest.raises(InputError, match="no model was given"):
        build_with_workers(workers, PROMPTS, tmp_path / "t.parquet", [Odd(Fault.NAN, ())], SamplingSpec(), 2)
