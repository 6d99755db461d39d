"""Targets beyond averages beside the plain solve: ten columns of shares and use cases, tails, mixes, floors of replies.

Plain and wide solves alternate, so that a busy machine slows both; the ratio is of medians over palettes and repeats,
and of the quickest solves, which other processes disturb least.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from map_core.data import table_format
from map_core.data.reward_table import RewardTable
from map_core.feasibility import margin
from map_core.feasibility.cuts import with_demands
from map_core.feasibility.demands import Demands, WorstMean
from map_core.generation.reply_floors import choose_above_floors
from map_core.oracle import MemoryOracle
from map_core.palettes.target_columns import cohorts_of, with_target_columns
from map_core.palettes.targets import resolve
from map_core.solver.newton import Status, solve
from tests import ROOT

REPEATS, PALETTES = 15, 8


def milliseconds(began: float) -> float:
    return 1e3 * (time.perf_counter() - began)


def ten_columns(table: RewardTable) -> dict[str, float]:
    """Return the times of solves of all values, without and with six shares and four use cases beside them."""
    oracle = MemoryOracle.of(table)
    rng = np.random.default_rng(0)
    plain_ms: list[float] = []
    wide_ms: list[float] = []
    quickest: list[float] = []
    steps: list[tuple[int, int]] = []
    while len(quickest) < PALETTES:
        levels = {name: f"+{rng.uniform(0.0, 0.2):.3f}sd" for name in table.values}
        shares = {f"{name}>=p{rng.integers(5, 40)}": "+0sd" for name in rng.choice(table.values, 6, replace=False)}
        ten = shares | {f"{rng.choice(table.values)}@{cohort}": "+0.02sd" for cohort in cohorts_of(table)}
        wider, wide, (level_rows,) = with_target_columns(table, oracle, [levels | ten])
        d = oracle.standardise(resolve(levels, table, oracle))
        targets = wide.standardise(resolve(level_rows, wider, wide))
        targets[len(d) : len(d) + 6] += 0.1  # a tenth of a deviation above the base share
        if margin(wide, targets).value < 0.02:
            continue
        assert len(wider.derived) == 10
        alone, together = solve(oracle, d), solve(wide, targets)
        assert alone.status is together.status is Status.CONVERGED
        steps.append((alone.steps, together.steps))
        of_plain, of_wide = [], []
        for _ in range(REPEATS):
            began = time.perf_counter()
            solve(oracle, d)
            of_plain.append(milliseconds(began))
            began = time.perf_counter()
            solve(wide, targets)
            of_wide.append(milliseconds(began))
        plain_ms += of_plain
        wide_ms += of_wide
        quickest.append(min(of_wide) / min(of_plain))
    return {
        "plain_ms": statistics.median(plain_ms),
        "ten_columns_ms": statistics.median(wide_ms),
        "ratio_of_medians": statistics.median(wide_ms) / statistics.median(plain_ms),
        "ratio_of_quickest": statistics.median(quickest),
        "steps_plain": statistics.mean(plain for plain, _ in steps),
        "steps_ten_columns": statistics.mean(wide for _, wide in steps),
    }


def run() -> dict[str, Any]:
    """Measure on the shipped table and on that of the other benchmarks."""
    table = table_format.load(ROOT / "assets" / "default.parquet")
    oracle = MemoryOracle.of(table)
    results: dict[str, Any] = {
        "ten columns, shipped table": ten_columns(table),
        "ten columns, fixed table": ten_columns(table_format.load(table_format.DEFAULT_TABLE)),
    }
    rng = np.random.default_rng(0)
    levels_asked = np.asarray(resolve({"helpfulness": "p65", "humor": "p60"}, table, oracle))
    kindness = float(resolve({"kindness": "p5"}, table, oracle)[table.index("kindness")])
    demands = {
        "one tail": Demands(tails=("kindness",)),
        "four tails": Demands(tails=("kindness", "positivity", "familiarity", "coherence")),
        "worst mean": Demands(worst=(WorstMean("kindness", 0.05, kindness),)),
        "mixes within 0.1 nats": Demands(mix=0.1),
    }
    for name, demand in demands.items():
        times = []
        for _ in range(5):
            began = time.perf_counter()
            cut = with_demands(table, oracle, levels_asked, demand)
            times.append(milliseconds(began))
        results[name] = {"ms": statistics.median(times), "rounds": cut.rounds, "binding": len(cut.columns)}
    rows = rng.normal(size=(64, 9))
    rewards = {name: tuple(rng.normal(size=64)) for name in ("kindness", "calm")}
    times = []
    for seed in range(200):
        began = time.perf_counter()
        choose_above_floors(rewards, {"kindness": -0.8, "calm": -0.8}, rows, [0.3] * 9, seed)
        times.append(milliseconds(began))
    results["choice of one reply of 64 with floors, ms"] = statistics.median(times)
    for name, number in results.items():
        print(f"{name:<44} {number}")
    return results
