"""What a build keeps on the way: whole or not there, held by one build, and nothing lost when the disc is full."""

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


def test_what_is_written_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    key, value = checkpoint_key("a prompt"), ("humor", "v 1.0/tab")
    with (first := BuildCheckpoints(out, {"seed": 1}, 5)).locked():
        first.write_replies(key, 0, REPLIES)
        first.write_replies(key, 3, REPLIES[:2])
        scores = PromptScores()
        scores.add(value, {0: 0.1 + 0.2, 2: float("nan")}, {2: "it raised"})
        scores.add(("tact", "1"), {1: -1e300}, {})
        first.write_scores(key, scores)
    names = {path.name for path in (tmp_path / "t.parquet.parts").iterdir()}
    replies = {f"{key}.000000-000003.replies.parquet", f"{key}.000003-000005.replies.parquet"}
    assert names == {"plan.json", f"{key}.rewards.parquet"} | replies, "an older version's unfinished build goes on"
    with (again := BuildCheckpoints(out, {"seed": 1}, 5)).locked():
        assert again.drawn(key) == 5
        assert again.numbers(key) == [0, 1, 2, 3, 4]
        assert list(again.replies(key).values()) == [*REPLIES, *REPLIES[:2]]
        stored = again.scores(key)
        assert stored.rewards[value][0] == 0.1 + 0.2
        assert stored.rewards[value].keys() == {0, 2}
        assert stored.rewards["tact", "1"] == {1: -1e300}
        assert stored.reasons == {value: {2: "it raised"}, ("tact", "1"): {}}
        assert (again.drawn("none"), again.numbers("none"), again.replies("none")) == (0, [], {})


def test_more_candidates_go_on_and_fewer_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    with (few := BuildCheckpoints(out, {"seed": 1}, 3)).locked():
        few.write_replies("k", 0, REPLIES)
    with (more := BuildCheckpoints(out, {"seed": 1}, 5)).locked():
        assert more.drawn("k") == 3
    with (
        pytest.raises(InputError, match=r"another build \(other candidates\)"),
        BuildCheckpoints(out, {"seed": 1}, 4).locked(),
    ):
        pass
    with pytest.raises(InputError, match=r"\(other seed\)"), BuildCheckpoints(out, {"seed": 2}, 5).locked():
        pass
    with (fresh := BuildCheckpoints(out, {"seed": 2}, 5, fresh=True)).locked():
        assert fresh.drawn("k") == 0


def test_equal_texts_have_parts_of_their_own() -> None:
    assert len({checkpoint_key("a"), checkpoint_key("a", 1), checkpoint_key("a", 2), checkpoint_key("b")}) == 4


def _hold(out: Path, ready: object, leave: object) -> None:
    with lock(out):
        ready.set()
        leave.wait(30)
        os.kill(os.getpid(), 9)


def test_a_second_build_is_told_who_holds_the_table(tmp_path: Path) -> None:
    """And a holder that is killed holds nothing."""
    out, context = tmp_path / "t.parquet", multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(out, ready, leave))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(InputError, match=rf"process {holder.pid} on .* is writing .*t\.parquet"), lock(out):
        pass
    leave.set()
    holder.join()
    with lock(out):
        assert json.loads(out.with_name("t.parquet.lock").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


class Filling:
    """A disc with room for so many more bytes: files write what fits and then fail as a full disc does."""

    def __init__(self, room: int) -> None:
        self.room = room

    def open(self, path: Path, mode: str = "r", *more: object, **named: object) -> object:
        if mode != "wb":
            return open(path, mode, *more, **named)
        file = io.FileIO(path, mode)
        disc, write = self, file.write

        def fitting(content: bytes) -> int:
            if len(content) > disc.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            disc.room -= len(content)
            return write(content)

        return _Wrapped(file, fitting)


class _Wrapped:
    def __init__(self, file: io.FileIO, write: object) -> None:
        self._file, self.write = file, write

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def __enter__(self) -> _Wrapped:
        return self

    def __exit__(self, *what: object) -> None:
        self._file.close()


@pytest.mark.parametrize("room", [0, 5_000, 12_000, 20_000])
def test_a_full_disc_ends_it_clearly_and_nothing_is_lost(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(out: Path) -> object:
        settings = SamplingSettings(max_new_tokens=6)
        scorers = scoring.scorers(["diversity"])
        return build(PROMPTS, out, ToyEngine(), scorers, candidates=4, settings=settings, seed=3)

    out = tmp_path / "t.parquet"
    disc = Filling(room)
    monkeypatch.setattr(Path, "open", lambda path, *how, **named: disc.open(path, *how, **named))
    with pytest.raises(InputError, match=r"The disc is full: .* Make room and run the same command again"):
        make(out)
    assert not out.exists()
    assert not list(checkpoint_path(out).glob("*.part"))
    kept = len(list(checkpoint_path(out).glob("*.replies.parquet")))
    monkeypatch.undo()
    built = make(out)
    assert built.sampled == 4 * (len(PROMPTS) - kept)
    make(tmp_path / "undisturbed.parquet")
    assert contents(out) == contents(tmp_path / "undisturbed.parquet")


def test_a_part_that_is_damaged_is_named(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    with (some := BuildCheckpoints(out, {}, 3)).locked():
        some.write_replies("k", 0, REPLIES)
        path = some.folder.path / "k.000000-000003.replies.parquet"
        path.write_bytes(path.read_bytes()[:50])
        with pytest.raises(InputError, match=r"k\.000000.* cannot be read .* Remove it and start again"):
            some.replies("k")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "t.parquet"
    with pytest.raises(InputError, match=r"There is no folder .*missing"), lock(missing):
        pass
    with pytest.raises(InputError, match=r"cannot be written .* Choose another --out"):
        write_durable(tmp_path / "missing" / "part", b"x")
