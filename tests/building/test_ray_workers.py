"""Tests of builds on a Ray cluster: the table does not change when a worker is killed."""

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
from tests.lazy import LazyModule, requires
from tests.tiny_model import make_tiny_model

pytestmark = requires("requirements-cluster.txt", "ray")
ray = LazyModule("ray")

PROMPTS = [Prompt(f"p{n}", "All prompts", f"Tell me of day {n}.") for n in range(10)]
SAMPLING = SamplingSpec(SamplingSettings(temperature=0.9, top_p=0.95, max_new_tokens=12), seed=7)
NAMES = ("familiarity", "diversity")


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def model_spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return ModelSpec(str(make_tiny_model(tmp_path_factory.mktemp("tiny"))), "openvino", "float32")


@pytest.fixture(scope="module")
def workers(model_spec: ModelSpec) -> Iterator[RayWorkers]:
    ray_workers = RayWorkers("local", model_spec, SAMPLING, scoring.scorers(NAMES), workers=2)
    yield ray_workers
    ray_workers.close()


def test_killed_worker_does_not_change_the_table(model_spec: ModelSpec, workers: RayWorkers, tmp_path: Path) -> None:
    undisturbed, disturbed = tmp_path / "undisturbed.parquet", tmp_path / "disturbed.parquet"
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if not killed and (progress.stage, progress.done) == ("sampling", 5):
            killed.append(ray.get(workers.workers[0].pid.remote()))
            os.kill(killed[0], signal.SIGKILL)

    build_with_workers(workers, PROMPTS, undisturbed, scoring.scorers(NAMES), SAMPLING, 4)
    first = ray.get(workers.workers[0].pid.remote())
    result = build_with_workers(workers, PROMPTS, disturbed, scoring.scorers(NAMES), SAMPLING, 4, report=kill)
    assert killed == [first]
    assert ray.get(workers.workers[0].pid.remote()) != first, "the worker was not started again"
    assert (result.prompts, result.replies, result.sampled) == (10, 40, 40)
    assert contents(disturbed) == contents(undisturbed)

    # A local build without a cluster gives the same replies; rewards differ by rounding, since the batches differ.
    local_path = tmp_path / "here.parquet"
    local = build_with_workers(
        LocalWorkers(model_spec.open(), SAMPLING, scoring.scorers(NAMES)),
        PROMPTS,
        local_path,
        scoring.scorers(NAMES),
        SAMPLING,
        4,
    ).load()
    on_cluster = result.load()
    assert local.replies == on_cluster.replies
    np.testing.assert_allclose(local.rewards, on_cluster.rewards, atol=1e-5)


def test_errors_of_workers_and_the_cluster_are_reported(
    model_spec: ModelSpec, workers: RayWorkers, tmp_path: Path
) -> None:
    with_long_prompt = [*PROMPTS, Prompt("long", "u", "word " * 1000)]
    with pytest.raises(InputError, match="'long' cannot be used"):
        build_with_workers(workers, with_long_prompt, tmp_path / "t.parquet", scoring.scorers(NAMES), SAMPLING, 2)
    with pytest.raises(InputError, match="9 workers are asked for, and the cluster has 2 cores"):
        RayWorkers("local", model_spec, SAMPLING, scoring.scorers(NAMES), workers=9)


def test_missing_model_ends_the_build(workers: RayWorkers, tmp_path: Path) -> None:
    workers.close()  # Its workers occupy the cores.
    without_model = RayWorkers("local", ModelSpec(str(tmp_path)), SAMPLING, scoring.scorers(NAMES), workers=1)
    with pytest.raises(InputError, match="is no model folder"):
        build_with_workers(without_model, PROMPTS, tmp_path / "t.parquet", scoring.scorers(NAMES), SAMPLING, 2)
    without_model.close()
