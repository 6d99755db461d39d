"""Tests of the estimate of a build's time and size, measured on its first prompts, whose replies are kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from map_core import scoring
from map_core.building import BuildEstimate, BuildResult, LocalWorkers, Progress, SamplingSpec, extend, rescore
from map_core.building.build import build_with_workers
from map_core.building.checkpoints import checkpoint_path
from map_core.building.estimate import spread
from map_core.building.workers import SamplingOutcome, SamplingTask
from map_core.cli.build import build as command
from map_core.core.types import SamplingSettings
from map_core.data.prompts import Prompt
from map_core.engines.base import Engine
from map_core.engines.factory import open_engine
from map_core.errors import InputError
from map_core.scoring.base import Scorer, ScorerError
from map_core.text.build_estimate import estimate_sentence
from tests.odd_scorers import Fault, FaultyScorer
from tests.tiny_model import make_tiny_model

SETTINGS = SamplingSettings(temperature=0.9, top_k=0, top_p=0.95, max_new_tokens=6)
SAMPLING = SamplingSpec(SETTINGS, 7)
PROMPTS = tuple(Prompt(f"p{number}", "stories", f"Tell me of the cat {number}.") for number in range(11))
VALUES = ("familiarity", "plain_language")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def engine(model: Path) -> Engine:
    return open_engine(str(model), "torch", "float32")


class RecordingWorkers(LocalWorkers):
    """Local workers that record the indices of the prompts they draw, with a fixed degree of parallelism."""

    def __init__(self, engine: Engine, parallel: int = 1, scorers: Sequence[Scorer] | None = None) -> None:
        super().__init__(engine, SAMPLING, scorers or scoring.scorers(VALUES))
        self.prompt_indices: list[int] = []
        self._parallel = parallel

    @property
    def parallel(self) -> int:
        return self._parallel

    def draw(self, tasks: Iterable[SamplingTask]) -> Iterator[tuple[SamplingTask, SamplingOutcome]]:
        for task in tasks:
            self.prompt_indices.append(task.prompt_index)
            yield task, self.replies(task)


def build_table(
    engine: Engine,
    out: Path,
    workers: RecordingWorkers | None = None,
    prompts: Sequence[Prompt] = PROMPTS,
    scorers: Sequence[Scorer] | None = None,
    stop_at_estimate: bool = False,
) -> tuple[BuildResult | None, list[Progress]]:
    """Build a table, interrupted at its estimate if that is asked for, and return the result and the reports."""
    reports: list[Progress] = []

    def report(progress: Progress) -> None:
        reports.append(progress)
        if stop_at_estimate and progress.estimate is not None:
            raise KeyboardInterrupt

    scorers = scorers or scoring.scorers(VALUES)
    try:
        result = build_with_workers(
            workers or RecordingWorkers(engine), prompts, out, scorers, SAMPLING, 4, None, report
        )
    except KeyboardInterrupt:
        return None, reports
    return result, reports


def single_estimate(reports: list[Progress]) -> BuildEstimate:
    (estimate,) = [progress.estimate for progress in reports if progress.estimate is not None]
    return estimate


def test_spread_prompts_are_built_first_and_no_reply_twice(engine: Engine, tmp_path: Path) -> None:
    workers = RecordingWorkers(engine)
    result, reports = build_table(engine, tmp_path / "table.parquet", workers)
    assert workers.prompt_indices[:3] == [1, 5, 9]
    assert sorted(workers.prompt_indices) == list(range(11))
    assert result is not None
    assert (result.sampled, result.scored) == (44, 88)
    estimate = single_estimate(reports)
    assert (estimate.measured, estimate.prompts, estimate.replies) == (3, 8, 32)


def test_estimate_does_not_change_the_table(engine: Engine, tmp_path: Path) -> None:
    result, _ = build_table(engine, tmp_path / "reported.parquet")
    without_estimate = build_with_workers(
        RecordingWorkers(engine), PROMPTS, tmp_path / "silent.parquet", scoring.scorers(VALUES), SAMPLING, 4
    )
    assert result is not None
    assert result.load().replies == without_estimate.load().replies
    assert result.load().rewards.tolist() == without_estimate.load().rewards.tolist()


def test_estimated_tokens_and_sizes_are_close_to_the_actual_ones(engine: Engine, tmp_path: Path) -> None:
    """Replies of this model have at most six tokens, so three prompts represent all eleven well."""
    out = tmp_path / "table.parquet"
    _, reports = build_table(engine, out, stop_at_estimate=True)
    estimate = single_estimate(reports)
    sizes = [path.stat().st_size for path in checkpoint_path(out).glob("*.parquet")]
    assert estimate.checkpoint_bytes == pytest.approx(sum(sizes) * 11 / 3, abs=1)
    token_counts: list[int] = []

    class CountingWorkers(RecordingWorkers):
        def replies(self, task: SamplingTask) -> SamplingOutcome:
            replies = super().replies(task)
            assert not isinstance(replies, InputError)
            token_counts.extend(len(reply.tokens) for reply in replies)
            return replies

    build_table(engine, out, CountingWorkers(engine))
    assert estimate.tokens is not None
    assert estimate.tokens == pytest.approx(sum(token_counts), rel=0.3)
    assert len(token_counts) == estimate.replies
    assert estimate.tokens_per_second is not None
    assert estimate.sampling_seconds * estimate.tokens_per_second == pytest.approx(estimate.tokens, abs=1)
    assert estimate.scoring_seconds > 0
    assert 0 < estimate.table_bytes < 11 * out.stat().st_size


def test_replies_drawn_for_the_estimate_are_kept(engine: Engine, tmp_path: Path) -> None:
    build_table(engine, tmp_path / "table.parquet", stop_at_estimate=True)
    workers = RecordingWorkers(engine)
    result, reports = build_table(engine, tmp_path / "table.parquet", workers)
    assert not {1, 5, 9} & set(workers.prompt_indices)
    assert result is not None
    assert result.sampled == 32
    assert single_estimate(reports).prompts == 5


def test_estimate_measures_one_prompt_per_worker(engine: Engine, tmp_path: Path) -> None:
    _, reports = build_table(engine, tmp_path / "table.parquet", RecordingWorkers(engine, parallel=5))
    assert single_estimate(reports).measured == 5


def test_no_estimate_when_every_prompt_would_be_measured(engine: Engine, tmp_path: Path) -> None:
    _, reports = build_table(engine, tmp_path / "table.parquet", prompts=PROMPTS[:3])
    assert not any(progress.estimate for progress in reports)
    assert [(p.stage, p.done) for p in reports] == [(s, d) for s in ("sampling", "scoring") for d in range(4)]


def test_estimate_for_a_new_value_has_no_tokens(engine: Engine, tmp_path: Path) -> None:
    build_table(engine, tmp_path / "table.parquet")
    reports: list[Progress] = []
    rescore(
        tmp_path / "table.parquet", tmp_path / "again.parquet", scoring.scorers(["diversity"]), report=reports.append
    )
    estimate = single_estimate(reports)
    assert (estimate.replies, estimate.tokens, estimate.prompts) == (0, None, 8)
    assert "to draw" not in estimate_sentence(estimate)


def test_estimate_for_more_candidates_counts_the_missing_replies(engine: Engine, tmp_path: Path) -> None:
    build_table(engine, tmp_path / "table.parquet")
    reports: list[Progress] = []
    extend(
        tmp_path / "table.parquet",
        tmp_path / "table.parquet",
        scoring.scorers,
        candidates=10,
        open_workers=lambda model, sampling, scorers: LocalWorkers(engine, sampling, scorers),
        report=reports.append,
    )
    assert single_estimate(reports).replies == 8 * 6


def test_broken_scorer_is_detected_before_all_replies_are_drawn(engine: Engine, tmp_path: Path) -> None:
    broken = FaultyScorer(Fault.RAISES, None)
    workers = RecordingWorkers(engine, scorers=[broken])
    with pytest.raises(ScorerError, match="failed on every reply"):
        build_table(engine, tmp_path / "table.parquet", workers, scorers=[broken])
    assert len(workers.prompt_indices) == 3


def test_spread_picks_evenly_spaced_items() -> None:
    assert spread(range(8), 8) == list(range(8))
    assert spread([2, 3, 5, 7, 11, 13], 2) == [3, 11]


def test_estimate_sentence() -> None:
    estimate = BuildEstimate(3, 158, 10_112, 1_230_400, 171.0, 7_195.0, 530.0, 31_000_000, 4_970_000)
    assert estimate_sentence(estimate) == (
        "Left to do, judged by 3 prompts: about 2.1 hours, 10,112 replies to draw of some 1,300,000 tokens at 171 a "
        "second (2.0 hours), scoring (9 minutes). Disk space: 31.0 MB while it is built, 5.0 MB for the table."
    )


def test_command_prints_the_estimate_and_stops(model: Path, tmp_path: Path) -> None:
    prompts, out = tmp_path / "prompts.jsonl", tmp_path / "table.parquet"
    prompts.write_text("".join(json.dumps({"id": p.id, "prompt": p.text}) + "\n" for p in PROMPTS), encoding="utf-8")
    arguments = ["--prompts", str(prompts), "--out", str(out), "--model", str(model), "--engine", "torch"]
    arguments += ["--values", ",".join(VALUES), "--candidates", "4", "--max-new-tokens", "6", "--score-limit", "0"]
    result = CliRunner().invoke(command, [*arguments, "--estimate", "--quiet"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Left to do, judged by 3 prompts: about ")
    assert "32 replies to draw" in result.stdout
    assert not out.exists()
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert "Left to do, judged by 3 prompts" in result.stderr
    assert out.exists()
    result = CliRunner().invoke(command, [*arguments, "--estimate", "--progress-file", str(tmp_path / "p.json")])
    assert result.exit_code == 2
    assert "--progress-file" in result.stderr
