"""How far each home of the data is from what the machine allows: one sum over the numbers, one read of the file.

Every large case runs in a fresh process, which says how much memory it took at most beyond what it began with.
The file of 100 million replies is written in parts into a temporary folder (3 GB) and removed again; a smaller one
is taken with the environment variable BENCH_REPLIES.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

VALUES = ("a", "b", "c", "d", "e", "f")
CANDIDATES = 32
CAP = 2 * 2**30


def rewards_of(rng: np.random.Generator, prompts: int) -> np.ndarray:
    """(reply, value) float32: prompts differ, replies differ, the first two values pull against each other."""
    own = 0.5 * rng.standard_normal((prompts, 1, len(VALUES)), dtype=np.float32)
    replies = rng.standard_normal((prompts, CANDIDATES, len(VALUES)), dtype=np.float32) + own
    replies[..., 1] -= 0.5 * replies[..., 0]
    return replies.reshape(-1, len(VALUES))


def targets() -> np.ndarray:
    return np.array([0.3, 0.1, 0.2, 0.1, 0.5, 0.3])


def timed(ask: Callable[[], Any], repeats: int) -> float:
    """Return the median seconds after a warm-up."""
    ask()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        ask()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


class Peak:
    """The peak memory of this process during a block, in bytes beyond the start."""

    def __enter__(self) -> Peak:
        self._process, self._over = psutil.Process(), threading.Event()
        self.before = self.most = self._process.memory_info().rss
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.002):
            self.most = max(self.most, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()
        self.beyond = self.most - self.before


def small() -> dict[str, float]:
    """The tables of the app: milliseconds for one pass, the best replies and 1,000 draws with covariances."""
    from map_core.core.types import Form
    from map_core.oracle import MemoryOracle

    rng = np.random.default_rng(0)
    results = {}
    for name, prompts, candidates, size, form in (
        ("8,192 x 8", 512, 16, 8, Form.PER_PROMPT),
        ("2,312 x 6 pooled", 2312, 1, 6, Form.POOLED),
    ):
        rewards = rng.standard_normal((prompts * candidates, size))
        oracle = MemoryOracle(rewards, np.arange(prompts + 1) * candidates, tuple("abcdefgh"[:size]), form)
        x, many = rng.uniform(0, 0.5, size), rng.uniform(0, 0.5, (1000, size))
        results[f"{name}: moments"] = 1e3 * timed(lambda o=oracle, x=x: o.moments(x), 300)
        results[f"{name}: best"] = 1e3 * timed(lambda o=oracle, x=x: o.best(x), 300)
        results[f"{name}: 1,000 draws"] = 1e3 * timed(lambda o=oracle, x=many: o.batch_moments(x, covariance=True), 5)
        results[f"{name}: one sum"] = 1e3 * timed(lambda r=rewards: r.sum(), 300)
    return results


def in_memory(prompts: int) -> dict[str, float]:
    """Solves of a float32 table in memory: seconds, and bytes beyond the table.

    ``process`` is the first solve of all, ``first`` that of a new table, ``again`` one more palette on the same table.
    """
    from map_core.core.types import Form
    from map_core.oracle import MemoryOracle
    from map_core.solver.newton import solve

    rewards = np.concatenate([rewards_of(np.random.default_rng(i), prompts // 10) for i in range(10)])
    offsets = np.arange(prompts + 1) * CANDIDATES
    oracle = MemoryOracle(rewards, offsets, VALUES, Form.PER_PROMPT)
    with Peak() as peak:
        began = time.perf_counter()
        solution = solve(oracle, targets())
        process = time.perf_counter() - began
    firsts = []
    for _ in range(7):
        another = MemoryOracle(rewards, offsets, VALUES, Form.PER_PROMPT)
        began = time.perf_counter()
        solve(another, targets())
        firsts.append(time.perf_counter() - began)
    warm = timed(lambda: solve(oracle, targets()), 9)
    return {
        "process": process,
        "first": statistics.median(firsts),
        "again": warm,
        "pass": timed(lambda: oracle.moments(solution.weights), 9),
        "sum": timed(rewards.sum, 9),
        "passes": solution.steps,
        "residual": solution.residual,
        "beyond": peak.beyond,
    }


def write_file(path: Path, prompts: int) -> None:
    """Write a file with one row per reply, in row groups of a million rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("prompt_id", pa.int32()), *((name, pa.float32()) for name in VALUES)])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=["prompt_id"]) as file:
        for first in range(0, prompts, 31_250):
            some = min(31_250, prompts - first)
            rewards = rewards_of(np.random.default_rng(first), some)
            ids = np.repeat(np.arange(first, first + some, dtype=np.int32), CANDIDATES)
            columns = [pa.array(ids), *(pa.array(np.ascontiguousarray(column)) for column in rewards.T)]
            file.write_table(pa.table(columns, schema=schema))


def read_once(path: str) -> dict[str, float]:
    """Return the seconds to read the values' columns by row group, and to sum the file's raw bytes."""
    import pyarrow.parquet as pq

    began = time.perf_counter()
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(1_000_000, columns=list(VALUES)):
            assert batch.num_rows
    return {"read": time.perf_counter() - began}


def from_file(path: str) -> dict[str, float]:
    """A solve from a file within the cap: seconds, and bytes beyond what the libraries take."""
    from map_core.oracle.parquet import ParquetOracle
    from map_core.solver.newton import solve

    with Peak() as peak:
        began = time.perf_counter()
        oracle = ParquetOracle(path, memory=CAP)
        opened = time.perf_counter() - began
        began = time.perf_counter()
        solution = solve(oracle, targets())
        solved = time.perf_counter() - began
    began = time.perf_counter()
    oracle.moments(solution.weights)
    return {
        "open": opened,
        "solve": solved,
        "pass": time.perf_counter() - began,
        "passes": solution.steps,
        "residual": solution.residual,
        "rows": oracle.replies,
        "beyond": peak.beyond,
        "most": peak.most,
    }


def on_workers(prompts: int, workers: int) -> dict[str, float]:
    """A pass and a solve on a local Ray cluster, or with as many threads in one process where there are no workers."""
    from map_core.core.types import Form
    from map_core.oracle import MemoryOracle, Oracle
    from map_core.solver.newton import solve

    rewards = np.concatenate([rewards_of(np.random.default_rng(i), prompts // 10) for i in range(10)])
    offsets = np.arange(prompts + 1) * CANDIDATES
    oracle: Oracle
    if workers == 0:
        oracle = MemoryOracle(rewards, offsets, VALUES, Form.PER_PROMPT)
    else:
        import ray

        from map_core.oracle.ray_oracle import RayOracle

        cores = max(workers, os.cpu_count() or 1)
        ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, object_store_memory=2**30)
        oracle = RayOracle.of(rewards, offsets, VALUES, Form.PER_PROMPT, workers=workers)
    x = np.full(len(VALUES), 0.3)
    return {
        "pass": timed(lambda: oracle.moments(x), 7),
        "solve": timed(lambda: solve(oracle, targets()), 5),
        "sum": timed(rewards.sum, 5),
    }


def fresh(name: str, *arguments: object) -> dict[str, float]:
    """Return the result of one of the functions above, run in a child process."""
    code = f"import json; from tests.benchmarks import bench_oracles as b; print(json.dumps(b.{name}(*{arguments!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def run() -> dict[str, Any]:
    """Measure each storage, print a table and return its rows."""
    results: dict[str, Any] = {"small": fresh("small")}
    for name, ms in results["small"].items():
        print(f"{name:<32} {ms:9.3f} ms")

    results["memory"] = memory = fresh("in_memory", 40_000)
    print("1.28 million x 6 in memory, float32")
    for name in ("sum", "pass", "again", "first", "process"):
        print(f"  {name:<10} {1e3 * memory[name]:9.2f} ms  x{memory[name] / memory['sum']:6.1f} of one sum")
    print(
        f"  {memory['passes']:.0f} whole passes, residual {memory['residual']:.1e}, {memory['beyond'] / 2**20:.0f} MB"
    )

    replies = int(os.environ.get("BENCH_REPLIES", 100_000_000))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "table.parquet")
        write_file(Path(path), replies // CANDIDATES)
        results["read"] = read = fresh("read_once", path)["read"]
        results["file"] = file = fresh("from_file", path)
    allowed = 2 * memory["pass"] / 1.28e6 * file["rows"] + read
    print(f"{file['rows'] / 1e6:.0f} million x 6 from a file, cap {CAP / 2**30:.0f} GB")
    print(f"  one read   {read:9.2f} s")
    print(f"  pass       {file['pass']:9.2f} s  x{file['pass'] / read:6.2f} of one read, {allowed:.2f} s allowed")
    print(f"  first pass {file['open']:9.2f} s")
    print(f"  solve      {file['solve']:9.2f} s  {file['passes']:.0f} whole passes, residual {file['residual']:.1e}")
    print(f"  memory     {file['beyond'] / 2**20:9.0f} MB beyond the libraries, {file['most'] / 2**20:.0f} MB in all")

    prompts = 312_500
    results["workers"] = {workers: fresh("on_workers", prompts, workers) for workers in (0, 1, 2, 4)}
    alone = results["workers"][0]
    print(f"{prompts * CANDIDATES / 1e6:.0f} million x 6 on a local Ray cluster; one sum {1e3 * alone['sum']:.1f} ms")
    for workers, row in results["workers"].items():
        name = f"{workers} workers" if workers else "one process"
        ratio = f"x{row['pass'] / alone['pass']:.2f} a pass, x{row['solve'] / alone['solve']:.2f} a solve"
        print(f"  {name:<12} pass {1e3 * row['pass']:8.1f} ms  solve {1e3 * row['solve']:8.1f} ms  {ratio}")
    return results


if __name__ == "__main__":
    run()
