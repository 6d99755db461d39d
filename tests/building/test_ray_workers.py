"""A build on a Ray cluster: a worker that is killed in the middle changes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from map_core import scoring
from map_core.building import LocalWorkers, ModelSpec, Progress, SamplingSpec, build_with_workers
from map_core.building.ray_workers import RayWorkers
from map_core.core.types import SamplingSettings
from map_core.data.prompts import Prompt
from map_core.errors import InputError
from tests.building.test_build import contents
from tests.lazy import LazyModule, needs
from tests.tiny_model import make_tiny_model

pytestmark = needs("requirements-cluster.txt", "ray")
ray = LazyModule("ray")

PROMPTS = [Prompt(f"p{n}", "All prompts", f"Tell me of day {n}.") for n in range(10)]
DRAWING = SamplingSpec(SamplingSettings(temperature=0.9, top_p=0.95, max_new_tokens=12), seed=7)
NAMES = ("familiarity", "diversity")


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return ModelSpec(str(make_tiny_model(tmp_path_factory.mktemp("tiny"))), "openvino", "float32")


@pytest.fixture(scope="module")
def workers(opening: ModelSpec) -> Iterator[RayWorkers]:
    crew = RayWorkers("local", opening, DRAWING, scoring.scorers(NAMES), workers=2)
    yield crew
    crew.close()


def test_a_killed_worker_changes_nothing(opening: ModelSpec, workers: RayWorkers, tmp_path: Path) -> None:
    undisturbed, disturbed = tmp_path / "undisturbed.parquet", tmp_path / "disturbed.parquet"
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if not killed and (progress.stage, progress.done) == ("sampling", 5):
            killed.append(ray.get(workers.workers[0].pid.remote()))
            os.kill(killed[0], signal.SIGKILL)

    build_with_workers(workers, PROMPTS, undisturbed, scoring.scorers(NAMES), DRAWING, 4)
    first = ray.get(workers.workers[0].pid.remote())
    built = build_with_workers(workers, PROMPTS, disturbed, scoring.scorers(NAMES), DRAWING, 4, report=kill)
    assert killed == [first]
    assert ray.get(workers.workers[0].pid.remote()) != first, "the worker was not started again"
    assert (built.prompts, built.replies, built.sampled) == (10, 40, 40)
    assert contents(disturbed) == contents(undisturbed)

    # The same as on this machine without a cluster, up to the last digits of other batches.
    here = tmp_path / "here.parquet"
    table = build_with_workers(
        LocalWorkers(opening.open(), DRAWING, scoring.scorers(NAMES)), PROMPTS, here, scoring.scorers(NAMES), DRAWING, 4
    ).load()
    there = built.load()
    assert table.replies == there.replies
    np.testing.assert_allclose(table.rewards, there.rewards, atol=1e-5)


def test_what_a_worker_refuses_is_told_in_words(opening: ModelSpec, workers: RayWorkers, tmp_path: Path) -> None:
    long = [*PROMPTS, Prompt("long", "u", "word " * 1000)]
    with pytest.raises(InputError, match="'long' cannot be used"):
        build_with_workers(workers, long, tmp_path / "t.parquet", scoring.scorers(NAMES), DRAWING, 2)
    with pytest.raises(InputError, match="9 workers are asked for, and the cluster has 2 cores"):
        RayWorkers("local", opening, DRAWING, scoring.scorers(NAMES), workers=9)


def test_a_model_that_is_not_there_ends_it(workers: RayWorkers, tmp_path: Path) -> None:
    workers.close()  # Its workers hold the cores.
    missing = RayWorkers("local", ModelSpec(str(tmp_path)), DRAWING, scoring.scorers(NAMES), workers=1)
    with pytest.raises(InputError, match="is no model folder"):
        build_with_workers(missing, PROMPTS, tmp_path / "t.parquet", scoring.scorers(NAMES), DRAWING, 2)
    missing.close()
