"""Tests of the checkpoints of a build: atomic writes, one build at a time, and no loss when the disk is full."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
from pathlib import Path

import pytest

from map_core import scoring
from map_core.building import build
from map_core.building.checkpoints import BuildCheckpoints, PromptScores, checkpoint_key, checkpoint_path
from map_core.core.atomic_files import write_durable
from map_core.core.file_lock import lock
from map_core.core.types import Reply, SamplingSettings
from map_core.data.prompts import Prompt
from map_core.errors import InputError
from tests.building.test_build import contents
from tests.toy_engine import ToyEngine

REPLIES = [
    Reply("Grüße, 你好, مرحبا 👋🏽\n<b>x</b>", (1, 2), (-0.1, -1e-300), True),
    Reply("", (), (), False),
    Reply("a\0b\u2028c", (7,), (-0.3,), False),
]
PROMPTS = [Prompt(f"p{n}", "All prompts", f"prompt {n}") for n in range(6)]


def test_checkpoints_round_trip_exactly(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    key, value = checkpoint_key("a prompt"), ("humor", "v 1.0/tab")
    with (checkpoints := BuildCheckpoints(out, {"seed": 1}, 5)).locked():
        checkpoints.write_replies(key, 0, REPLIES)
        checkpoints.write_replies(key, 3, REPLIES[:2])
        scores = PromptScores()
        scores.add(value, {0: 0.1 + 0.2, 2: float("nan")}, {2: "it raised"})
        scores.add(("tact", "1"), {1: -1e300}, {})
        checkpoints.write_scores(key, scores)
    names = {path.name for path in (tmp_path / "t.parquet.parts").iterdir()}
    replies = {f"{key}.000000-000003.replies.parquet", f"{key}.000003-000005.replies.parquet"}
    assert names == {"plan.json", f"{key}.rewards.parquet"} | replies, "an older version's unfinished build goes on"
    with (reopened := BuildCheckpoints(out, {"seed": 1}, 5)).locked():
        assert reopened.drawn(key) == 5
        assert reopened.numbers(key) == [0, 1, 2, 3, 4]
        assert list(reopened.replies(key).values()) == [*REPLIES, *REPLIES[:2]]
        stored = reopened.scores(key)
        assert stored.rewards[value][0] == 0.1 + 0.2
        assert stored.rewards[value].keys() == {0, 2}
        assert stored.rewards["tact", "1"] == {1: -1e300}
        assert stored.reasons == {value: {2: "it raised"}, ("tact", "1"): {}}
        assert (reopened.drawn("none"), reopened.numbers("none"), reopened.replies("none")) == (0, [], {})


def test_more_candidates_resume_and_fewer_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    with (checkpoints := BuildCheckpoints(out, {"seed": 1}, 3)).locked():
        checkpoints.write_replies("k", 0, REPLIES)
    with (extended := BuildCheckpoints(out, {"seed": 1}, 5)).locked():
        assert extended.drawn("k") == 3
    with (
        pytest.raises(InputError, match=r"another build \(other candidates\)"),
        BuildCheckpoints(out, {"seed": 1}, 4).locked(),
    ):
        pass
    with pytest.raises(InputError, match=r"\(other seed\)"), BuildCheckpoints(out, {"seed": 2}, 5).locked():
        pass
    with (fresh := BuildCheckpoints(out, {"seed": 2}, 5, fresh=True)).locked():
        assert fresh.drawn("k") == 0


def test_repeated_prompts_have_separate_checkpoints() -> None:
    assert len({checkpoint_key("a"), checkpoint_key("a", 1), checkpoint_key("a", 2), checkpoint_key("b")}) == 4


def _hold_lock(out: Path, ready: object, release: object) -> None:
    with lock(out):
        ready.set()
        release.wait(30)
        os.kill(os.getpid(), 9)


def test_lock_error_names_the_holding_process(tmp_path: Path) -> None:
    """A process that is killed releases its lock."""
    out, context = tmp_path / "t.parquet", multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold_lock, args=(out, ready, release))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(InputError, match=rf"process {holder.pid} on .* is writing .*t\.parquet"), lock(out):
        pass
    release.set()
    holder.join()
    with lock(out):
        assert json.loads(out.with_name("t.parquet.lock").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


class FullDisk:
    """Simulate a disk with ``room`` bytes left: a write that does not fit fails with ENOSPC."""

    def __init__(self, room: int) -> None:
        self.room = room

    def open(self, path: Path, mode: str = "r", *args: object, **kwargs: object) -> object:
        if mode != "wb":
            return open(path, mode, *args, **kwargs)
        file = io.FileIO(path, mode)
        disk, write = self, file.write

        def write_if_room(content: bytes) -> int:
            if len(content) > disk.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            disk.room -= len(content)
            return write(content)

        return _LimitedFile(file, write_if_room)


class _LimitedFile:
    def __init__(self, file: io.FileIO, write: object) -> None:
        self._file, self.write = file, write

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def __enter__(self) -> _LimitedFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


@pytest.mark.parametrize("room", [0, 5_000, 12_000, 20_000])
def test_full_disk_ends_the_build_and_the_next_run_resumes(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_table(out: Path) -> object:
        settings = SamplingSettings(max_new_tokens=6)
        scorers = scoring.scorers(["diversity"])
        return build(PROMPTS, out, ToyEngine(), scorers, candidates=4, settings=settings, seed=3)

    out = tmp_path / "t.parquet"
    disk = FullDisk(room)
    monkeypatch.setattr(Path, "open", lambda path, *args, **kwargs: disk.open(path, *args, **kwargs))
    with pytest.raises(InputError, match=r"The disc is full: .* Make room and run the same command again"):
        build_table(out)
    assert not out.exists()
    assert not list(checkpoint_path(out).glob("*.part"))
    complete = len(list(checkpoint_path(out).glob("*.replies.parquet")))
    monkeypatch.undo()
    result = build_table(out)
    assert result.sampled == 4 * (len(PROMPTS) - complete)
    build_table(tmp_path / "undisturbed.parquet")
    assert contents(out) == contents(tmp_path / "undisturbed.parquet")


def test_error_names_a_damaged_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    with (checkpoints := BuildCheckpoints(out, {}, 3)).locked():
        checkpoints.write_replies("k", 0, REPLIES)
        path = checkpoints.folder.path / "k.000000-000003.replies.parquet"
        path.write_bytes(path.read_bytes()[:50])
        with pytest.raises(InputError, match=r"k\.000000.* cannot be read .* Remove it and start again"):
            checkpoints.replies("k")


def test_error_names_a_missing_folder(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "t.parquet"
    with pytest.raises(InputError, match=r"There is no folder .*missing"), lock(missing):
        pass
    with pytest.raises(InputError, match=r"cannot be written .* Choose another --out"):
        write_durable(tmp_path / "missing" / "part", b"x")
