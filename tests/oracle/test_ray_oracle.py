"""Tests of the oracle on a real, local Ray cluster: the laws of the contract."""

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
from tests.oracle.test_parquet import write

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
def shared(cluster: None) -> Callable[[str], RayOracle]:
    """Return the oracle of a case, created once."""
    oracles: dict[str, RayOracle] = {}

    def oracle(name: str) -> RayOracle:
        if name not in oracles:
            table = CASES[name]
            oracles[name] = RayOracle.of(table.rewards, table.offsets, table.values, table.form, workers=2, cpus=0.1)
        return oracles[name]

    return oracle


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", ["even", "ragged", "ragged, pooled"])
def test_laws(law: Law, name: str, shared: Callable[[str], RayOracle]):
    law(shared(name), CASES[name])


@pytest.mark.parametrize("name", ["even", "ragged, pooled"])
def test_prompt_weights_count(name: str, shared: Callable[[str], RayOracle]):
    oracle = WeightedOracle(shared(name), WEIGHTED[name].weights)
    for law in LAWS:
        law(oracle, WEIGHTED[name])


def test_a_solve_is_the_same_as_in_memory(shared: Callable[[str], RayOracle]):
    table = CASES["even"]
    d = np.array([0.3, 0.2, 0.4])
    solution = solve(shared("even"), d)
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
    paths = [write(part, tmp_path / f"{number}.parquet") for number, part in enumerate(parts)]
    oracle = RayOracle.of_files(paths, table.values, cpus=0.1, memory=2**28)
    for law in LAWS:
        law(oracle, table)
    part = oracle.subsample(1 / 8)
    assert part is not None
    assert part.prompts < oracle.prompts
    # Only the second file holds prompts out: weights of one file apply relative to those of all files.
    weights = np.concatenate([np.ones(half), np.where(np.arange(20) % 4, 3.0, 0.0)])
    data = pq.read_table(paths[1])
    held_out_rows = np.repeat(weights[half:] == 0, parts[1].counts)
    data = data.append_column("held_out", pa.array(held_out_rows)).append_column(
        "weight", pa.array(np.full(len(held_out_rows), 3.0))
    )
    pq.write_table(data, paths[1])
    weighted = replace(table, weights=weights)
    oracle = RayOracle.of_files(paths, table.values, cpus=0.1, memory=2**28)
    for law in LAWS:
        law(oracle, weighted)
    write(CASES["one value"], paths[0])
    with pytest.raises(InputError, match="different values"):
        RayOracle.of_files(paths, cpus=0.1)
    with pytest.raises(InputError, match="There is no table"):
        RayOracle.of_files([tmp_path / "none.parquet"], cpus=0.1)


def test_more_cores_than_exist_are_refused(cluster: None):
    table = CASES["even"]
    with pytest.raises(InputError, match="fewer workers"):
        RayOracle.of(table.rewards, table.offsets, table.values, table.form, workers=3)


def test_stopped_worker_is_reported(cluster: None):
    table = CASES["one value"]
    oracle = RayOracle.of(table.rewards, table.offsets, table.values, table.form, workers=2, cpus=0.1)
    ray.kill(oracle._workers[1])

    def query_until_it_fails() -> None:
        for _ in range(1000):  # Ray kills with a delay
            oracle.moments(np.zeros(1))

    with pytest.raises(EngineError, match="stopped"):
        query_until_it_fails()


def test_per_prompt_form_needs_several_replies():
    table = CASES["one reply a prompt, pooled"]
    with pytest.raises(InputError, match="two replies or more"):
        RayOracle.of(table.rewards, table.offsets, table.values, Form.PER_PROMPT)


def test_without_ray_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    plain = builtins.__import__

    def without(name: str, *rest: Any, **keywords: Any) -> Any:
        if name == "ray":
            raise ImportError(name)
        return plain(name, *rest, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    table = CASES["even"]
    with pytest.raises(InputError, match=r"pip install -r requirements-cluster\.txt"):
        RayOracle.of(table.rewards, table.offsets, table.values, table.form)
