"""Tests of building a table: from prompts to replies and rewards, also after interruptions and errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from map_core import scoring
from map_core.building import BuildPolicy, Progress, build, prompt_seed, rescore
from map_core.building.checkpoints import checkpoint_path
from map_core.cli.build import build as command
from map_core.cli.progress import progress_text
from map_core.core.types import Reply, SamplingSettings
from map_core.data import table_format
from map_core.data.prompts import Prompt, read_prompts
from map_core.data.reward_table import RewardTable
from map_core.engines.base import Engine
from map_core.engines.factory import open_engine
from map_core.errors import InputError
from map_core.scoring.base import Card, Scorer, ScorerError
from tests.tiny_model import make_tiny_model

SETTINGS = SamplingSettings(temperature=0.9, top_k=0, top_p=0.95, max_new_tokens=6)
PROMPTS = (
    Prompt("cat", "stories", "Tell me of the cat."),
    Prompt("parcel", "support", "Where is my parcel?"),
    Prompt("dog", "stories", "Tell me of the dog."),
)
NAMES = ("familiarity", "diversity", "plain_language")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def engine(model: Path) -> Engine:
    return open_engine(str(model), "torch", "float32")


def build_table(engine: Engine, out: Path, scorers: Sequence[Scorer] | None = None, **changes: object) -> RewardTable:
    """Build a table with the default options of these tests, except for ``changes``."""
    options: dict[str, object] = {"candidates": 3, "settings": SETTINGS, "seed": 7, "prompts": PROMPTS} | changes
    prompts = options.pop("prompts")
    result = build(prompts, out, engine, scorers or scoring.scorers(NAMES), **options)  # type: ignore[arg-type]
    return result.load()


def contents(path: Path) -> tuple[dict[str, list[object]], dict[str, object]]:
    """Return a table's columns and its metadata except for the date."""
    table = pq.read_table(path)
    metadata = json.loads(table.schema.metadata[b"value_palette"])
    assert len(metadata.pop("created")) == len("2026-01-31")
    return table.to_pydict(), metadata


# Contents of a table


def test_table_of_a_tiny_model(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "table.parquet"
    table = build_table(engine, out)
    assert table.values == NAMES
    assert table.prompt_ids == ("cat", "parcel", "dog")
    assert table.use_cases == ("stories", "support", "stories")
    np.testing.assert_array_equal(table.candidates, [3, 3, 3])
    assert len(set(table.replies)) > 3
    loaded = table_format.load(out)
    np.testing.assert_array_equal(loaded.rewards, table.rewards)
    assert not checkpoint_path(out).exists()

    # The log-probabilities are those of the model, and familiarity is their mean per token.
    for number, prompt in enumerate(PROMPTS):
        rows = range(*loaded.rows(number).indices(9))
        recomputed = engine.log_probs(prompt.text, [loaded.tokens[row] for row in rows])
        np.testing.assert_allclose(loaded.log_probs[rows], [log_probs.sum() for log_probs in recomputed], atol=1e-3)
        lengths = [len(loaded.tokens[row]) for row in rows]
        assert min(lengths) > 0
        np.testing.assert_allclose(loaded.rewards[rows, 0], loaded.log_probs[rows] / lengths, atol=1e-12)


def test_metadata_records_the_origin_of_a_table(engine: Engine, tmp_path: Path) -> None:
    build_table(engine, tmp_path / "table.parquet")
    metadata = table_format.load_metadata(tmp_path / "table.parquet")
    assert metadata["model"] == {"name": engine.info.model, "sha256": engine.info.model_hash}
    assert metadata["engine"]["name"] == "torch"
    assert SamplingSettings(**metadata["sampling"]) == SETTINGS
    assert (metadata["seed"], metadata["candidates"], metadata["system"]) == (7, 3, None)
    assert [scorer["name"] for scorer in metadata["scorers"]] == list(NAMES)
    assert all(scorer["version"] and scorer["licence"] for scorer in metadata["scorers"])


def test_builds_are_reproducible(engine: Engine, tmp_path: Path) -> None:
    build_table(engine, tmp_path / "one.parquet")
    build_table(engine, tmp_path / "two.parquet")
    build_table(engine, tmp_path / "other.parquet", seed=8)
    assert contents(tmp_path / "one.parquet") == contents(tmp_path / "two.parquet")
    assert contents(tmp_path / "one.parquet") != contents(tmp_path / "other.parquet")


def test_replies_do_not_depend_on_the_other_prompts(engine: Engine, tmp_path: Path) -> None:
    """A use case that is built alone equals its part of the complete table."""
    part = build_table(engine, tmp_path / "whole.parquet").select("support")
    alone = build_table(engine, tmp_path / "alone.parquet", prompts=PROMPTS[1:2])
    assert part.replies == alone.replies
    assert len({prompt_seed(7, prompt.text) for prompt in PROMPTS}) == 3
    assert prompt_seed(7, "a") != prompt_seed(8, "a")


def test_progress_is_reported(engine: Engine, tmp_path: Path) -> None:
    reports: list[Progress] = []
    build_table(engine, tmp_path / "table.parquet", report=reports.append)
    assert [(p.stage, p.done) for p in reports] == [(s, d) for s in ("sampling", "scoring") for d in (0, 1, 2, 3)]
    assert reports[0].seconds_left is None
    assert reports[1].seconds_left is not None
    assert (
        progress_text(Progress("sampling", 30, 60, 10, 60.0)) == "sampling: 30 of 60 prompts, 20.0 a minute, 1:30 left"
    )
    assert progress_text(Progress("scoring", 60, 60, 0, 3.2)) == "scoring: 60 of 60 prompts, 3 s"
    assert progress_text(Progress("solving", 0, 0, 0, 0.0)) == "solving"
    assert progress_text(Progress("scoring", 5, 60, 5, 0.0)) == "scoring: 5 of 60 prompts, 5 of them from before"


# Interrupted and resumed


class Broken(Scorer):
    """Score every reply as nan until ``fixed`` is set."""

    card = Card("broken", "Broken", "m", "m", "l", "s", "1", partial=False)

    def __init__(self) -> None:
        self.fixed = False

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        return np.array([float(len(reply.text)) if self.fixed else float("nan") for reply in replies])


def test_replies_are_kept_when_a_scorer_fails(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, scorer = tmp_path / "table.parquet", Broken()
    message = r"'broken' failed on every reply to 3 prompts in a row \(it gave nan, expected a finite number\)"
    with pytest.raises(ScorerError, match=message):
        build_table(engine, out, [*scoring.scorers(NAMES), scorer])
    assert not out.exists()
    scorer.fixed = True
    monkeypatch.setattr(type(engine), "_decode", lambda *_: pytest.fail("sampled again"))
    table = build_table(engine, out, [*scoring.scorers(NAMES), scorer])
    assert table.values == (*NAMES, "broken")
    np.testing.assert_array_equal(table.rewards[:, 3], [len(reply) for reply in table.replies])


@pytest.mark.parametrize("stop_after", [1, 2])
def test_interrupted_and_resumed_build_gives_the_same_table(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    build_table(engine, tmp_path / "undisturbed.parquet")
    reached = 0

    def interrupt(progress: Progress) -> None:
        nonlocal reached
        reached += progress.stage == "sampling" and progress.done == stop_after
        if reached == 1:
            reached += 1
            raise KeyboardInterrupt

    out = tmp_path / "resumed.parquet"
    with pytest.raises(KeyboardInterrupt):
        build_table(engine, out, report=interrupt)
    assert not out.exists()
    assert len(list(checkpoint_path(out).glob("*.replies.parquet"))) == stop_after
    # An interrupted write leaves only a temporary file, which is ignored.
    (checkpoint_path(out) / "abc.000000-000003.replies.parquet.part").write_bytes(b"PAR1 cut off")
    build_table(engine, out)
    assert contents(out) == contents(tmp_path / "undisturbed.parquet")


def test_killed_and_resumed_build_gives_the_same_table(model: Path, tmp_path: Path, one_torch_thread: None) -> None:
    """After a SIGKILL in the middle of sampling, the same command yields the table of an undisturbed run."""
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"Tell me of day {n}."}) + "\n" for n in range(40)))

    def arguments(out: Path) -> list[str]:
        options = "--engine torch --dtype float32 --values familiarity,diversity --candidates 4 --max-new-tokens 12"
        return ["--prompts", str(prompts), "--out", str(out), "--model", str(model), *options.split(), "--quiet"]

    out = tmp_path / "killed.parquet"
    script = "import sys, torch; torch.set_num_threads(1)\nfrom map_core.cli.build import build\nbuild()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments(out)], env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    try:
        deadline = time.monotonic() + 240
        while len(list(checkpoint_path(out).glob("*.replies.parquet"))) < 2 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL, "the build ended before it could be killed"
    assert not out.exists()
    checkpoints = len(list(checkpoint_path(out).glob("*.replies.parquet")))
    assert 2 <= checkpoints < 40

    for path in (out, tmp_path / "undisturbed.parquet"):
        result = CliRunner().invoke(command, arguments(path), catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert contents(out) == contents(tmp_path / "undisturbed.parquet")


def test_checkpoints_of_another_build_are_refused(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "table.parquet"
    with pytest.raises(ScorerError):
        build_table(engine, out, [Broken()])
    with pytest.raises(InputError, match=r"another build \(other seed\)"):
        build_table(engine, out, seed=8)
    build_table(engine, out, seed=8, policy=BuildPolicy(fresh=True))
    build_table(engine, tmp_path / "plain.parquet", seed=8)
    assert contents(out) == contents(tmp_path / "plain.parquet")


def test_second_build_of_the_same_table_is_refused(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "table.parquet"

    def start_second_build(progress: Progress) -> None:
        with pytest.raises(InputError, match=rf"Another build \(process {os.getpid()} on .*, since .*\) is writing"):
            build_table(engine, out)

    build_table(engine, out, report=start_second_build)


# New values for existing replies


def test_values_are_added_without_sampling(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = build_table(engine, tmp_path / "direct.parquet", scoring.scorers(["plain_language", "familiarity"]))
    first = build_table(engine, tmp_path / "first.parquet", policy=BuildPolicy(keep_parts=True))
    monkeypatch.setattr(type(engine), "_decode", lambda *_: pytest.fail("sampled again"))
    rebuilt = build_table(
        engine,
        tmp_path / "first.parquet",
        scoring.scorers(["plain_language", "familiarity"]),
        policy=BuildPolicy(force=True, keep_parts=True),
    )
    np.testing.assert_array_equal(rebuilt.rewards, direct.rewards)
    rescored = rescore(first, tmp_path / "again.parquet", scoring.scorers(["plain_language", "familiarity"])).load()
    assert rescored.replies == direct.replies
    np.testing.assert_allclose(rescored.rewards, direct.rewards, atol=1e-9)
    assert rescored.metadata["sampling"] == direct.metadata["sampling"]


# Invalid input


def test_existing_file_is_not_overwritten(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "table.parquet"
    out.write_text("precious")
    with pytest.raises(InputError, match="is there already and is left as it is"):
        build_table(engine, out)
    assert out.read_text() == "precious"
    with pytest.raises(InputError, match="is a folder"):
        build_table(engine, tmp_path)  # Refused before anything is built.
    with pytest.raises(InputError, match="There is no folder"):
        build_table(engine, tmp_path / "missing" / "table.parquet")


def test_unusable_requests_fail_before_the_build_starts(engine: Engine, tmp_path: Path) -> None:
    with_long_prompt = (*PROMPTS, Prompt("long", "u", "word " * 1000))
    with pytest.raises(InputError, match=r"'long' cannot be used.*the context of"):
        build_table(engine, tmp_path / "table.parquet", prompts=with_long_prompt)
    with pytest.raises(InputError, match="candidates is 0"):
        build_table(engine, tmp_path / "table.parquet", candidates=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"prompt": "a"}\n{"prompt": "b"}\n{"prompt": "a"}', "same prompt in line 1 and line 3"),
        ('{"id": "x", "prompt": "a"}\n{"id": "x", "prompt": "b"}', "same id in line 1 and line 2"),
        ('{"prompt": "a"}\n{"prompt": "b"', "Line 2 of .* is no JSON"),
        ('["a"]', "expected an object"),
        ('{"prompt": "  "}', "Line 1 of .* has the prompt '  '"),
        ('{"text": "a"}', "has the prompt None"),
        ('{"prompt": "a", "use_case": 3}', "has the use_case 3"),
        ("\n\n", "has no prompts"),
    ],
)
def test_errors_in_prompt_files_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_prompts(path)


def test_read_prompt_files(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": " a "}\n\n{"id": "x", "use_case": "u", "prompt": "b"}\n')
    assert read_prompts(path) == (Prompt("line-1", "All prompts", "a"), Prompt("x", "u", "b"))
    assert read_prompts(path, ["u"]) == (Prompt("x", "u", "b"),)
    with pytest.raises(InputError, match="no use case 'v'; it has 'All prompts', 'u'"):
        read_prompts(path, ["v"])
    with pytest.raises(InputError, match="cannot be read"):
        read_prompts(tmp_path / "missing.jsonl")


@pytest.mark.parametrize("arguments", [["--out", "x.parquet"], ["--out", "x", "--prompts", "p", "--rescore", "t"]])
def test_command_requires_prompts_or_a_table(arguments: list[str]) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert "Give either --prompts FILE, to sample replies, or --rescore TABLE, or --extend TABLE" in result.output


def test_ctrl_c_explains_how_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("map_core.cli.build.resolve", raise_interrupt)
    result = CliRunner().invoke(command, ["--prompts", "p.jsonl", "--out", str(tmp_path / "t.parquet")])
    assert result.exit_code == 130
    assert "the same command resumes where it stopped" in result.output
