"""What a build will take: measured on its first prompts, which are then part of it."""

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
from tests.odd_scorers import Fault, Odd
from tests.tiny_model import make_tiny_model

SETTINGS = SamplingSettings(temperature=0.9, top_k=0, top_p=0.95, max_new_tokens=6)
DRAWING = SamplingSpec(SETTINGS, 7)
PROMPTS = tuple(Prompt(f"p{number}", "stories", f"Tell me of the cat {number}.") for number in range(11))
VALUES = ("familiarity", "plain_language")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def engine(model: Path) -> Engine:
    return open_engine(str(model), "torch", "float32")


class Watched(LocalWorkers):
    """Workers that remember which prompts they were asked for, and how many they work on at a time."""

    def __init__(self, engine: Engine, parallel: int = 1, scorers: Sequence[Scorer] | None = None) -> None:
        super().__init__(engine, DRAWING, scorers or scoring.scorers(VALUES))
        self.asked: list[int] = []
        self._parallel = parallel

    @property
    def parallel(self) -> int:
        return self._parallel

    def draw(self, lacking: Iterable[SamplingTask]) -> Iterator[tuple[SamplingTask, SamplingOutcome]]:
        for task in lacking:
            self.asked.append(task.prompt_index)
            yield task, self.replies(task)


def make(
    engine: Engine,
    out: Path,
    crew: Watched | None = None,
    prompts: Sequence[Prompt] = PROMPTS,
    scorers: Sequence[Scorer] | None = None,
    stop: bool = False,
) -> tuple[BuildResult | None, list[Progress]]:
    """Build, and return what was reported; stop at the estimate where that is asked for."""
    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        seen.append(progress)
        if stop and progress.estimate is not None:
            raise KeyboardInterrupt

    scorers = scorers or scoring.scorers(VALUES)
    try:
        built = build_with_workers(crew or Watched(engine), prompts, out, scorers, DRAWING, 4, None, report)
    except KeyboardInterrupt:
        return None, seen
    return built, seen


def only_estimate(seen: list[Progress]) -> BuildEstimate:
    (estimate,) = [progress.estimate for progress in seen if progress.estimate is not None]
    return estimate


def test_three_spread_prompts_are_made_first_and_no_reply_twice(engine: Engine, tmp_path: Path) -> None:
    crew = Watched(engine)
    built, seen = make(engine, tmp_path / "table.parquet", crew)
    assert crew.asked[:3] == [1, 5, 9]
    assert sorted(crew.asked) == list(range(11))
    assert built is not None
    assert (built.sampled, built.scored) == (44, 88)
    estimate = only_estimate(seen)
    assert (estimate.measured, estimate.prompts, estimate.replies) == (3, 8, 32)


def test_the_table_is_the_one_of_a_build_without_an_estimate(engine: Engine, tmp_path: Path) -> None:
    built, _ = make(engine, tmp_path / "reported.parquet")
    silent = build_with_workers(
        Watched(engine), PROMPTS, tmp_path / "silent.parquet", scoring.scorers(VALUES), DRAWING, 4
    )
    assert built is not None
    assert built.load().replies == silent.load().replies
    assert built.load().rewards.tolist() == silent.load().rewards.tolist()


def test_tokens_and_sizes_are_near_what_comes_of_it(engine: Engine, tmp_path: Path) -> None:
    """Replies of this model have at most six tokens, so that eleven prompts are much like three of them."""
    out = tmp_path / "table.parquet"
    _, seen = make(engine, out, stop=True)
    estimate = only_estimate(seen)
    parts = [path.stat().st_size for path in checkpoint_path(out).glob("*.parquet")]
    assert estimate.checkpoint_bytes == pytest.approx(sum(parts) * 11 / 3, abs=1)
    drawn: list[int] = []

    class Counted(Watched):
        def replies(self, lack: SamplingTask) -> SamplingOutcome:
            replies = super().replies(lack)
            assert not isinstance(replies, InputError)
            drawn.extend(len(reply.tokens) for reply in replies)
            return replies

    make(engine, out, Counted(engine))
    assert estimate.tokens is not None
    assert estimate.tokens == pytest.approx(sum(drawn), rel=0.3)
    assert len(drawn) == estimate.replies
    assert estimate.tokens_per_second is not None
    assert estimate.sampling_seconds * estimate.tokens_per_second == pytest.approx(estimate.tokens, abs=1)
    assert estimate.scoring_seconds > 0
    assert 0 < estimate.table_bytes < 11 * out.stat().st_size


def test_what_was_made_for_the_estimate_is_kept(engine: Engine, tmp_path: Path) -> None:
    make(engine, tmp_path / "table.parquet", stop=True)
    crew = Watched(engine)
    built, seen = make(engine, tmp_path / "table.parquet", crew)
    assert not {1, 5, 9} & set(crew.asked)
    assert built is not None
    assert built.sampled == 32
    assert only_estimate(seen).prompts == 5


def test_a_prompt_for_each_worker_is_measured(engine: Engine, tmp_path: Path) -> None:
    _, seen = make(engine, tmp_path / "table.parquet", Watched(engine, parallel=5))
    assert only_estimate(seen).measured == 5


def test_nothing_is_estimated_where_no_more_is_left_than_is_measured(engine: Engine, tmp_path: Path) -> None:
    _, seen = make(engine, tmp_path / "table.parquet", prompts=PROMPTS[:3])
    assert not any(progress.estimate for progress in seen)
    assert [(p.stage, p.done) for p in seen] == [(s, d) for s in ("sampling", "scoring") for d in range(4)]


def test_a_new_value_is_estimated_without_tokens(engine: Engine, tmp_path: Path) -> None:
    make(engine, tmp_path / "table.parquet")
    seen: list[Progress] = []
    rescore(tmp_path / "table.parquet", tmp_path / "again.parquet", scoring.scorers(["diversity"]), report=seen.append)
    estimate = only_estimate(seen)
    assert (estimate.replies, estimate.tokens, estimate.prompts) == (0, None, 8)
    assert "to draw" not in estimate_sentence(estimate)


def test_more_candidates_are_estimated_by_what_is_lacking(engine: Engine, tmp_path: Path) -> None:
    make(engine, tmp_path / "table.parquet")
    seen: list[Progress] = []
    extend(
        tmp_path / "table.parquet",
        tmp_path / "table.parquet",
        scoring.scorers,
        candidates=10,
        open_workers=lambda model, drawing, scorers: LocalWorkers(engine, drawing, scorers),
        report=seen.append,
    )
    assert only_estimate(seen).replies == 8 * 6


def test_a_broken_scorer_is_found_before_all_replies_are_drawn(engine: Engine, tmp_path: Path) -> None:
    broken = Odd(Fault.RAISES, None)
    crew = Watched(engine, scorers=[broken])
    with pytest.raises(ScorerError, match="failed on every reply"):
        make(engine, tmp_path / "table.parquet", crew, scorers=[broken])
    assert len(crew.asked) == 3


def test_places_are_spread() -> None:
    assert spread(range(8), 8) == list(range(8))
    assert spread([2, 3, 5, 7, 11, 13], 2) == [3, 11]


def test_the_sentence() -> None:
    estimate = BuildEstimate(3, 158, 10_112, 1_230_400, 171.0, 7_195.0, 530.0, 31_000_000, 4_970_000)
    assert estimate_sentence(estimate) == (
        "Left to do, judged by 3 prompts: about 2.1 hours, 10,112 replies to draw of some 1,300,000 tokens at 171 a "
        "second (2.0 hours), scoring (9 minutes). Disk space: 31.0 MB while it is built, 5.0 MB for the table."
    )


def test_the_command_prints_it_and_stops(model: Path, tmp_path: Path) -> None:
    prompts, out = tmp_path / "prompts.jsonl", tmp_path / "table.parquet"
    prompts.write_text("".join(json.dumps({"id": p.id, "prompt": p.text}) + "\n" for p in PROMPTS), encoding="utf-8")
    arguments = ["--prompts", str(prompts), "--out", str(out), "--model", str(model), "--engine", "torch"]
    arguments += ["--values", ",".join(VALUES), "--candidates", "4", "--max-new-tokens", "6", "--score-limit", "0"]
    ran = CliRunner().invoke(command, [*arguments, "--estimate", "--quiet"])
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.startswith("Left to do, judged by 3 prompts: about ")
    assert "32 replies to draw" in ran.stdout
    assert not out.exists()
    ran = CliRunner().invoke(command, arguments)
    assert ran.exit_code == 0, ran.output
    assert "Left to do, judged by 3 prompts" in ran.stderr
    assert out.exists()
    ran = CliRunner().invoke(command, [*arguments, "--estimate", "--progress-file", str(tmp_path / "p.json")])
    assert ran.exit_code == 2
    assert "--progress-file" in ran.stderr
