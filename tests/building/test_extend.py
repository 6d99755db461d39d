"""Tests of extending a finished table: only what is missing is computed, and the table equals one built directly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from map_core import scoring
from map_core.building import BuildPolicy, BuildResult, LocalWorkers, SamplingSpec, Workers, build, extend
from map_core.building.checkpoints import checkpoint_path
from map_core.building.workers import SamplingTask, ScoringTask
from map_core.cli.build import build as command
from map_core.core.types import SamplingSettings
from map_core.data import table_format
from map_core.data.prompts import Prompt
from map_core.engines.base import EngineInfo
from map_core.errors import InputError
from map_core.scoring.base import Scorer
from tests.building.test_build import contents
from tests.tiny_model import make_tiny_model
from tests.toy_engine import ToyEngine

SETTINGS = SamplingSettings(max_new_tokens=6)
PROMPTS = tuple(Prompt(f"p{n}", "All prompts", f"prompt {n}") for n in range(5))
NAMES = ("diversity", "familiarity")


class CountingWorkers(LocalWorkers):
    """Record the tasks that are drawn and scored."""

    drawn: list[tuple[str, int, int]]
    scored: list[tuple[int, int, int]]

    def __init__(self, engine: ToyEngine | None, sampling: SamplingSpec, scorers: Sequence[Scorer]) -> None:
        super().__init__(engine, sampling, scorers)
        self.drawn, self.scored = [], []

    def replies(self, task: SamplingTask):
        self.drawn.append((task.prompt, task.first, task.count))
        return super().replies(task)

    def rewards(self, task: ScoringTask):
        self.scored.append((task.prompt_index, task.scorer, len(task.replies)))
        return super().rewards(task)


def build_table(
    out: Path, prompts: Sequence[Prompt] = PROMPTS[:3], candidates: int = 4, names: Sequence[str] = NAMES
) -> BuildResult:
    scorers = scoring.scorers(names)
    return build(prompts, out, ToyEngine(), scorers, candidates=candidates, settings=SETTINGS, seed=3)


def extend_table(table: Path, **changes: object) -> tuple[BuildResult, CountingWorkers | None]:
    """Extend a table and return the result with the workers that were opened, if any."""
    opened: list[CountingWorkers] = []

    def open_workers(model: str | None, sampling: SamplingSpec, scorers: Sequence[Scorer]) -> Workers:
        opened.append(CountingWorkers(None if model is None else ToyEngine(), sampling, scorers))
        return opened[0]

    options: dict[str, object] = {"out": table, "resolve": scoring.scorers, "open_workers": open_workers} | changes
    return extend(table, **options), opened[0] if opened else None  # type: ignore[arg-type]


def test_adding_a_value_scores_only_that_value(tmp_path: Path) -> None:
    out, direct = tmp_path / "t.parquet", tmp_path / "whole.parquet"
    build_table(out)
    result, workers = extend_table(out, values=["plain_language", "diversity"])
    build_table(direct, names=(*NAMES, "plain_language"))
    assert contents(out) == contents(direct)
    assert (workers.drawn, result.sampled, result.scored) == ([], 0, 12)
    assert workers.scored == [(n, 0, 4) for n in range(3)]
    assert not checkpoint_path(out).exists()
    assert not out.with_name(out.name + ".lock").exists()


def test_prompts_are_added(tmp_path: Path) -> None:
    out, direct = tmp_path / "t.parquet", tmp_path / "whole.parquet"
    build_table(out)
    result, workers = extend_table(out, prompts=[PROMPTS[1], *PROMPTS[3:]])
    build_table(direct, PROMPTS)
    assert contents(out) == contents(direct)
    assert workers.drawn == [("prompt 3", 0, 4), ("prompt 4", 0, 4)]
    assert (result.sampled, result.scored) == (8, 16)


def test_candidates_are_added(tmp_path: Path) -> None:
    out, direct = tmp_path / "t.parquet", tmp_path / "whole.parquet"
    build_table(out)
    result, workers = extend_table(out, candidates=7)
    build_table(direct, candidates=7)
    assert contents(out) == contents(direct)
    assert workers.drawn == [(f"prompt {n}", 4, 3) for n in range(3)]
    assert workers.scored == [(n, scorer, 3) for n in range(3) for scorer in range(2)]
    assert (result.sampled, result.scored) == (9, 18)


def test_prompts_candidates_and_values_are_added_at_once_to_another_file(tmp_path: Path) -> None:
    out, extended, direct = tmp_path / "t.parquet", tmp_path / "other.parquet", tmp_path / "whole.parquet"
    build_table(out)
    before = out.read_bytes()
    extend_table(out, out=extended, prompts=PROMPTS[3:], candidates=6, values=["plain_language"])
    build_table(direct, PROMPTS, 6, (*NAMES, "plain_language"))
    assert contents(extended) == contents(direct)
    assert out.read_bytes() == before


def test_complete_table_is_left_unchanged(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    build_table(out)
    before = out.stat().st_mtime_ns
    result, workers = extend_table(out, prompts=PROMPTS[:2], values=["diversity"], candidates=4)
    assert workers is None
    assert (result.prompts, result.replies, result.sampled, result.scored) == (3, 12, 0, 0)
    assert out.stat().st_mtime_ns == before


def test_leftover_checkpoints_of_a_finished_table_are_removed(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    build_table(out)
    extend_table(out, candidates=6, policy=BuildPolicy(keep_parts=True))
    assert checkpoint_path(out).exists()
    result, workers = extend_table(out, candidates=6)
    assert (workers, result.replies) == (None, 18)
    assert not checkpoint_path(out).exists()
    # The same holds for a build: repeated on its finished table it has nothing to do.
    rebuilt = build_table(tmp_path / "twice.parquet")
    assert rebuilt.sampled == 12
    assert build_table(tmp_path / "twice.parquet").sampled == 0
    with pytest.raises(InputError, match="is there already and is left as it is"):
        build_table(tmp_path / "twice.parquet", candidates=5)


def test_interrupted_extension_resumes(tmp_path: Path) -> None:
    out, direct = tmp_path / "t.parquet", tmp_path / "whole.parquet"
    build_table(out)
    before = out.read_bytes()

    def stop(progress: object) -> None:
        if getattr(progress, "done", 0) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extend_table(out, prompts=PROMPTS[3:], report=stop)
    assert out.read_bytes() == before, "the table that is added to is whole until the new one is"
    _, workers = extend_table(out, prompts=PROMPTS[3:])
    assert workers.drawn == [("prompt 4", 0, 4)]
    build_table(direct, PROMPTS)
    assert contents(out) == contents(direct)


def test_changed_scorer_version_rescores_its_whole_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "t.parquet"
    build_table(out)
    newer_card = replace(scoring.scorers(["diversity"])[0].card, version="newer")
    monkeypatch.setattr("map_core.scoring.lexicon.Diversity.card", newer_card)
    result, workers = extend_table(out, prompts=PROMPTS[3:4])
    assert [call for call in workers.scored if call[1] == 0] == [(n, 0, 4) for n in range(4)]
    assert [call for call in workers.scored if call[1] == 1] == [(3, 1, 4)]
    assert {entry["name"]: entry["version"] for entry in result.load().metadata["scorers"]}["diversity"] == "newer"


class OtherEngine(ToyEngine):
    @property
    def info(self) -> EngineInfo:
        return replace(super().info, model="other", model_hash="abc")


def test_incompatible_extensions_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    table = build_table(out).load()
    with pytest.raises(InputError, match="has 4 candidates a prompt and 2 are asked for"):
        extend_table(out, candidates=2)
    with pytest.raises(InputError, match="Replies of two models do not go into one table"):
        extend_table(out, candidates=5, open_workers=lambda model, *arguments: LocalWorkers(OtherEngine(), *arguments))
    with pytest.raises(InputError, match="the model 'toy' is needed, and none was opened"):
        extend(out, out, scoring.scorers, candidates=5)
    with pytest.raises(InputError, match="Unknown value 'tact'"):
        extend_table(out, values=["tact"])
    foreign = tmp_path / "foreign.parquet"
    table_format.save(replace(table, metadata={}), foreign)
    with pytest.raises(InputError, match="does not record how its replies were drawn"):
        extend_table(foreign, candidates=9)
    assert extend_table(foreign, values=["plain_language"])[0].values == (*NAMES, "plain_language")
    with pytest.raises(InputError, match="There is no table at"):
        extend_table(tmp_path / "missing.parquet", values=["plain_language"])


def test_table_changed_by_another_build_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    build_table(out)

    def open_workers(model: str | None, *arguments: object) -> Workers:
        extend_table(out, values=["plain_language"])  # another build finishes first
        return LocalWorkers(ToyEngine(), *arguments)  # type: ignore[arg-type]

    with pytest.raises(InputError, match="was changed by another build in the meantime"):
        extend_table(out, candidates=5, open_workers=open_workers)
    assert table_format.load(out).values == (*NAMES, "plain_language")


def test_extend_command(tmp_path: Path) -> None:
    model, out = make_tiny_model(tmp_path / "tiny"), tmp_path / "t.parquet"
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"prompt": "Tell me of the cat."}\n')
    common = ["--engine", "torch", "--dtype", "float32", "--quiet", "--score-limit", "0"]
    options = f"--values diversity --candidates 3 --max-new-tokens 5 --model {model}".split()
    result = CliRunner().invoke(command, ["--prompts", str(prompts), "--out", str(out), *options, *common])
    assert result.exit_code == 0, result.output
    prompts.write_text('{"prompt": "Tell me of the dog.", "weight": 2}\n')
    arguments = [
        "--extend",
        str(out),
        "--prompts",
        str(prompts),
        "--values",
        "familiarity",
        "--candidates",
        "4",
        *common,
    ]
    progress = tmp_path / "progress.json"
    result = CliRunner().invoke(command, [*arguments, "--progress-file", str(progress)], catch_exceptions=False)
    assert "t.parquet: 2 prompts, 8 replies, diversity, familiarity." in result.output
    assert json.loads(progress.read_text())["state"] == "done"
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert "Nothing was missing." in result.output
    table = table_format.load(out)
    np.testing.assert_array_equal(table.candidates, [4, 4])
    for invalid, message in (
        (["--extend", str(out), "--seed", "3"], "--seed cannot be given with --extend"),
        (["--extend", str(out), "--rescore", str(out)], "Give either --prompts FILE"),
        (["--extend", str(out), "--workers", "2"], "--workers goes with --ray ADDRESS."),
        (["--prompts", str(prompts)], "Missing option '--out'."),
    ):
        result = CliRunner().invoke(command, invalid)
        assert (result.exit_code, message in result.output) == (2, True), result.output


def test_hidden_prompts_stay_hidden_in_an_extended_table(tmp_path: Path) -> None:
    hidden = replace(PROMPTS[1], hidden=True)
    build_table(tmp_path / "table.parquet", (PROMPTS[0], hidden, PROMPTS[2]))
    extend_table(tmp_path / "table.parquet", prompts=(replace(PROMPTS[3], hidden=True), PROMPTS[4]))
    table = table_format.load(tmp_path / "table.parquet")
    assert table.metadata["hidden"] == ["p1", "p3"]
    assert table.shown.tolist() == [True, False, True, False, True]
    assert table.counted.all()
    assert "hidden" not in table_format.load(build_table(tmp_path / "plain.parquet").out).metadata
