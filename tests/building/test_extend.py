"""Adding to a finished table: only what is new is made, and the result is that of a build of the whole."""

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


class Counting(LocalWorkers):
    """Takes note of what it is asked to make."""

    drawn: list[tuple[str, int, int]]
    scored: list[tuple[int, int, int]]

    def __init__(self, engine: ToyEngine | None, drawing: SamplingSpec, scorers: Sequence[Scorer]) -> None:
        super().__init__(engine, drawing, scorers)
        self.drawn, self.scored = [], []

    def replies(self, lack: SamplingTask):
        self.drawn.append((lack.prompt, lack.first, lack.count))
        return super().replies(lack)

    def rewards(self, batch: ScoringTask):
        self.scored.append((batch.prompt_index, batch.scorer, len(batch.replies)))
        return super().rewards(batch)


def make(
    out: Path, prompts: Sequence[Prompt] = PROMPTS[:3], candidates: int = 4, names: Sequence[str] = NAMES
) -> BuildResult:
    scorers = scoring.scorers(names)
    return build(prompts, out, ToyEngine(), scorers, candidates=candidates, settings=SETTINGS, seed=3)


def added(table: Path, **more: object) -> tuple[BuildResult, Counting | None]:
    hired: list[Counting] = []

    def open_workers(model: str | None, drawing: SamplingSpec, scorers: Sequence[Scorer]) -> Workers:
        hired.append(Counting(None if model is None else ToyEngine(), drawing, scorers))
        return hired[0]

    options: dict[str, object] = {"out": table, "resolve": scoring.scorers, "open_workers": open_workers} | more
    return extend(table, **options), hired[0] if hired else None  # type: ignore[arg-type]


def test_a_value_is_added_and_nothing_else_is_made(tmp_path: Path) -> None:
    out, whole = tmp_path / "t.parquet", tmp_path / "whole.parquet"
    make(out)
    built, crew = added(out, values=["plain_language", "diversity"])
    make(whole, names=(*NAMES, "plain_language"))
    assert contents(out) == contents(whole)
    assert (crew.drawn, built.sampled, built.scored) == ([], 0, 12)
    assert crew.scored == [(n, 0, 4) for n in range(3)]
    assert not checkpoint_path(out).exists()
    assert not out.with_name(out.name + ".lock").exists()


def test_prompts_are_added(tmp_path: Path) -> None:
    out, whole = tmp_path / "t.parquet", tmp_path / "whole.parquet"
    make(out)
    built, crew = added(out, prompts=[PROMPTS[1], *PROMPTS[3:]])
    make(whole, PROMPTS)
    assert contents(out) == contents(whole)
    assert crew.drawn == [("prompt 3", 0, 4), ("prompt 4", 0, 4)]
    assert (built.sampled, built.scored) == (8, 16)


def test_candidates_are_added(tmp_path: Path) -> None:
    out, whole = tmp_path / "t.parquet", tmp_path / "whole.parquet"
    make(out)
    built, crew = added(out, candidates=7)
    make(whole, candidates=7)
    assert contents(out) == contents(whole)
    assert crew.drawn == [(f"prompt {n}", 4, 3) for n in range(3)]
    assert crew.scored == [(n, scorer, 3) for n in range(3) for scorer in range(2)]
    assert (built.sampled, built.scored) == (9, 18)


def test_all_at_once_and_elsewhere(tmp_path: Path) -> None:
    out, other, whole = tmp_path / "t.parquet", tmp_path / "other.parquet", tmp_path / "whole.parquet"
    make(out)
    before = out.read_bytes()
    added(out, out=other, prompts=PROMPTS[3:], candidates=6, values=["plain_language"])
    make(whole, PROMPTS, 6, (*NAMES, "plain_language"))
    assert contents(other) == contents(whole)
    assert out.read_bytes() == before


def test_nothing_missing_leaves_the_table_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    make(out)
    before = out.stat().st_mtime_ns
    built, crew = added(out, prompts=PROMPTS[:2], values=["diversity"], candidates=4)
    assert crew is None
    assert (built.prompts, built.replies, built.sampled, built.scored) == (3, 12, 0, 0)
    assert out.stat().st_mtime_ns == before


def test_killed_between_the_rename_and_the_cleaning_it_is_done(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    make(out)
    added(out, candidates=6, policy=BuildPolicy(keep_parts=True))
    assert checkpoint_path(out).exists()
    built, crew = added(out, candidates=6)
    assert (crew, built.replies) == (None, 18)
    assert not checkpoint_path(out).exists()
    # A build as well: the same command on its finished table has nothing to do.
    again = make(tmp_path / "twice.parquet")
    assert again.sampled == 12
    assert make(tmp_path / "twice.parquet").sampled == 0
    with pytest.raises(InputError, match="is there already and is left as it is"):
        make(tmp_path / "twice.parquet", candidates=5)


def test_stopped_in_the_middle_it_goes_on(tmp_path: Path) -> None:
    out, whole = tmp_path / "t.parquet", tmp_path / "whole.parquet"
    make(out)
    before = out.read_bytes()

    def stop(progress: object) -> None:
        if getattr(progress, "done", 0) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        added(out, prompts=PROMPTS[3:], report=stop)
    assert out.read_bytes() == before, "the table that is added to is whole until the new one is"
    _, crew = added(out, prompts=PROMPTS[3:])
    assert crew.drawn == [("prompt 4", 0, 4)]
    make(whole, PROMPTS)
    assert contents(out) == contents(whole)


def test_a_scorer_that_has_changed_scores_its_whole_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "t.parquet"
    make(out)
    newer = replace(scoring.scorers(["diversity"])[0].card, version="newer")
    monkeypatch.setattr("map_core.scoring.lexicon.Diversity.card", newer)
    built, crew = added(out, prompts=PROMPTS[3:4])
    assert [call for call in crew.scored if call[1] == 0] == [(n, 0, 4) for n in range(4)]
    assert [call for call in crew.scored if call[1] == 1] == [(3, 1, 4)]
    assert {entry["name"]: entry["version"] for entry in built.load().metadata["scorers"]}["diversity"] == "newer"


class Other(ToyEngine):
    @property
    def info(self) -> EngineInfo:
        return replace(super().info, model="other", model_hash="abc")


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    table = make(out).load()
    with pytest.raises(InputError, match="has 4 candidates a prompt and 2 are asked for"):
        added(out, candidates=2)
    with pytest.raises(InputError, match="Replies of two models do not go into one table"):
        added(out, candidates=5, open_workers=lambda model, *arguments: LocalWorkers(Other(), *arguments))
    with pytest.raises(InputError, match="the model 'toy' is needed, and none was opened"):
        extend(out, out, scoring.scorers, candidates=5)
    with pytest.raises(InputError, match="Unknown value 'tact'"):
        added(out, values=["tact"])
    foreign = tmp_path / "foreign.parquet"
    table_format.save(replace(table, metadata={}), foreign)
    with pytest.raises(InputError, match="does not record how its replies were drawn"):
        added(foreign, candidates=9)
    assert added(foreign, values=["plain_language"])[0].values == (*NAMES, "plain_language")
    with pytest.raises(InputError, match="There is no table at"):
        added(tmp_path / "missing.parquet", values=["plain_language"])


def test_a_table_that_changes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    make(out)

    def open_workers(model: str | None, *arguments: object) -> Workers:
        added(out, values=["plain_language"])  # another build comes first
        return LocalWorkers(ToyEngine(), *arguments)  # type: ignore[arg-type]

    with pytest.raises(InputError, match="was changed by another build in the meantime"):
        added(out, candidates=5, open_workers=open_workers)
    assert table_format.load(out).values == (*NAMES, "plain_language")


def test_the_command_adds_to_a_table(tmp_path: Path) -> None:
    model, out = make_tiny_model(tmp_path / "tiny"), tmp_path / "t.parquet"
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"prompt": "Tell me of the cat."}\n')
    common = ["--engine", "torch", "--dtype", "float32", "--quiet", "--score-limit", "0"]
    options = f"--values diversity --candidates 3 --max-new-tokens 5 --model {model}".split()
    done = CliRunner().invoke(command, ["--prompts", str(prompts), "--out", str(out), *options, *common])
    assert done.exit_code == 0, done.output
    prompts.write_text('{"prompt": "Tell me of the dog.", "weight": 2}\n')
    more = ["--extend", str(out), "--prompts", str(prompts), "--values", "familiarity", "--candidates", "4", *common]
    progress = tmp_path / "progress.json"
    done = CliRunner().invoke(command, [*more, "--progress-file", str(progress)], catch_exceptions=False)
    assert "t.parquet: 2 prompts, 8 replies, diversity, familiarity." in done.output
    assert json.loads(progress.read_text())["state"] == "done"
    done = CliRunner().invoke(command, more, catch_exceptions=False)
    assert "Nothing was missing." in done.output
    table = table_format.load(out)
    np.testing.assert_array_equal(table.candidates, [4, 4])
    for wrong, message in (
        (["--extend", str(out), "--seed", "3"], "--seed cannot be given with --extend"),
        (["--extend", str(out), "--rescore", str(out)], "Give either --prompts FILE"),
        (["--extend", str(out), "--workers", "2"], "--workers goes with --ray ADDRESS."),
        (["--prompts", str(prompts)], "Missing option '--out'."),
    ):
        done = CliRunner().invoke(command, wrong)
        assert (done.exit_code, message in done.output) == (2, True), done.output


def test_hidden_prompts_stay_hidden_in_what_is_made_from_a_table(tmp_path: Path) -> None:
    hidden = replace(PROMPTS[1], hidden=True)
    make(tmp_path / "table.parquet", (PROMPTS[0], hidden, PROMPTS[2]))
    added(tmp_path / "table.parquet", prompts=(replace(PROMPTS[3], hidden=True), PROMPTS[4]))
    table = table_format.load(tmp_path / "table.parquet")
    assert table.metadata["hidden"] == ["p1", "p3"]
    assert table.shown.tolist() == [True, False, True, False, True]
    assert table.counted.all()
    assert "hidden" not in table_format.load(make(tmp_path / "plain.parquet").out).metadata
