"""Tests of the oracle on a real, local Ray cluster: the laws of the contract, a worker per file, and failures."""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from map_core.core.types import Form
from map_core.errors import EngineError, InputError
from map_core.oracle import MemoryOracle
from map_core.oracle.ray_oracle import RayOracle
from map_core.oracle.weighted import WeightedOracle
from map_core.solver.newton import Status, solve
from map_core.testing.oracle_laws import LAWS, Law
from map_core.testing.plain_tables import CASES, WEIGHTED, PlainTable
from tests.lazy import LazyModule, requires
from tests.oracle.test_parquet import write_parquet

pytestmark = [pytest.mark.slow, requires("requirements-cluster.txt", "ray")]
ray = LazyModule("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 * 2**20,
            log_to_driver=False,
            configure_logging=False,
        )
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def shared_oracle(cluster: None) -> Callable[[str], RayOracle]:
    """Return a function from the name of a case to its oracle, which is created once."""
    oracles: dict[str, RayOracle] = {}

    def oracle_of_case(name: str) -> RayOracle:
        if name not in oracles:
            table = CASES[name]
            oracles[name] = RayOracle.of(table.rewards, table.offsets, table.values, table.form, workers=2, cpus=0.1)
        return oracles[name]

    return oracle_of_case


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", ["even", "ragged", "ragged, pooled"])
def test_laws(law: Law, name: str, shared_oracle: Callable[[str], RayOracle]):
    law(shared_oracle(name), CASES[name])


@pytest.mark.parametrize("name", ["even", "ragged, pooled"])
def test_prompt_weights_are_applied(name: str, shared_oracle: Callable[[str], RayOracle]):
    oracle = WeightedOracle(shared_oracle(name), WEIGHTED[name].weights)
    for law in LAWS:
        law(oracle, WEIGHTED[name])


def test_a_solve_is_the_same_as_in_memory(shared_oracle: Callable[[str], RayOracle]):
    table = CASES["even"]
    d = np.array([0.3, 0.2, 0.4])
    solution = solve(shared_oracle("even"), d)
    expected = solve(MemoryOracle(table.rewards, table.offsets, table.values, table.form), d)
    assert solution.status is Status.CONVERGED
    np.testing.assert_allclose(solution.weights, expected.weights, atol=1e-8)


def test_a_worker_for_each_file(cluster: None, tmp_path: Path):
    table, half = CASES["even"], 20
    cut = table.offsets[half]
    parts = (
        PlainTable(table.rewards[:cut], table.offsets[: half + 1], table.form),
        PlainTable(table.rewards[cut:], table.offsets[half:] - cut, table.form),
    )
    paths = [write_parquet(part, tmp_path / f"{number}.parquet") for number, part in enumerate(parts)]
    oracle = RayOracle.of_files(paths, table.values, cpus=0.1, memory=2**28)
    for law in LAWS:
        law(oracle, table)
    part = oracle.subsample(1 / 8)
    assert part is not None
    assert part.prompts < oracle.prompts
    # Only the second file has held-out prompts: weights of one file are relative to those of all files.
    weights = np.concatenate([np.ones(half), np.where(np.arange(20) % 4, 3.0, 0.0)])
    data = pq.read_table(paths[1])
    held_out = np.repeat(weights[half:] == 0, parts[1].counts)
    data = data.append_column("held_out", pa.array(held_out)).append_column(
        "weight", pa.array(np.full(len(held_out), 3.0))
    )
    pq.write_table(data, paths[1])
    weighted = replace(table, weights=weights)
    oracle = RayOracle.of_files(paths, table.values, cpus=0.1, memory=2**28)
    for law in LAWS:
        law(oracle, weighted)
    write_parquet(CASES["one value"], paths[0])
    with pytest.raises(InputError, match="different values"):
        RayOracle.of_files(paths, cpus=0.1)
    with pytest.raises(InputError, match="There is no table"):
        RayOracle.of_files([tmp_path / "none.parquet"], cpus=0.1)


def test_more_cores_than_available_are_refused(cluster: None):
    table = CASES["even"]
    with pytest.raises(InputError, match="fewer workers"):
        RayOracle.of(table.rewards, table.offsets, table.values, table.form, workers=3)


def test_a_stopped_worker_is_reported(cluster: None):
    table = CASES["one value"]
    oracle = RayOracle.of(table.rewards, table.offsets, table.values, table.form, workers=2, cpus=0.1)
    ray.kill(oracle._workers[1])

    def query_until_the_worker_is_gone() -> None:
        for _ in range(1000):  # ray.kill returns before the worker is gone
            oracle.moments(np.zeros(1))

    with pytest.raises(EngineError, match="stopped"):
        query_until_the_worker_is_gone()


def test_the_per_prompt_form_needs_two_replies():
    table = CASES["one reply a prompt, pooled"]
    with pytest.raises(InputError, match="two replies or more"):
        RayOracle.of(table.rewards, table.offsets, table.values, Form.PER_PROMPT)


def test_without_ray_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    original_import = builtins.__import__

    def import_without_ray(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "ray":
            raise ImportError(name)
        return original_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", import_without_ray)
    table = CASES["even"]
    with pytest.raises(InputError, match=r"pip install -r requirements-cluster\.txt"):
        RayOracle.of(table.rewards, table.offsets, table.values, table.form)
