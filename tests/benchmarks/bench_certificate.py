"""Margin, ranges, conflict and nearest palette on the embedded table, with targets on all of its values.

The physical limit of a margin is its passes: each is one look for every prompt's best reply. What is above is the
linear programs. Passes of the pooled form, and those of one cut a pass (the method without groups), stand beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np

from map_core.core.types import Form
from map_core.data import table_format
from map_core.feasibility import AttainableLevels, cutting_planes, margin, smallest_conflict
from map_core.feasibility.nearest import nearest
from map_core.oracle import MemoryOracle

REPEATS = 5
#: Targets are drawn up to so many standard deviations above base: reachable, tight, out of reach.
HARDNESS = (0.3, 0.5, 0.8, 1.2)
#: A slider moves by so many standard deviations.
MOVE = 0.03


def palettes(oracle: MemoryOracle) -> list[np.ndarray]:
    """Return targets on all values, two of each difficulty."""
    rng = np.random.default_rng(0)
    return [rng.uniform(0.0, most, len(oracle.values)) for most in HARDNESS for _ in range(2)]


def milliseconds(work: Callable[[], Any]) -> float:
    """Return the median time of a few runs after a warm-up."""
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times[1:])


def run() -> dict[str, Any]:
    """Time each query, print a table and return its rows."""
    table = table_format.load(table_format.DEFAULT_TABLE)
    oracle, pooled = MemoryOracle.of(table), MemoryOracle.of(table, Form.POOLED)
    target_rows = palettes(oracle)
    even = np.full(len(oracle.values), 1.0 / len(oracle.values))
    pass_time = milliseconds(lambda: [oracle.best(even) for _ in range(100)]) / 100

    passes = [margin(oracle, d).passes for d in target_rows]
    of_pooled = [margin(pooled, d).passes for d in target_rows]
    with patch.object(cutting_planes, "MAX_NUMBERS", 0):
        one_cut = [margin(oracle, d).passes for d in target_rows]
    shared = AttainableLevels(oracle)
    moves, moved = [], []
    for d in target_rows:
        shared.margin(d)
        for j in range(len(d)):
            moved_targets = d + MOVE * (np.arange(len(d)) == j)
            began = time.perf_counter()
            moved.append(shared.margin(moved_targets).passes)
            moves.append(1e3 * (time.perf_counter() - began))
    edges = [margin(oracle, d).value for d in target_rows]
    hard = target_rows[int(np.argmin(edges))]
    tight = target_rows[int(np.argmin(np.where(np.array(edges) > 0, edges, np.inf)))]

    def every_highest() -> list[float]:
        attainable = AttainableLevels(oracle)
        return [attainable.highest(tight, j) for j in range(len(tight))]

    rows: dict[str, dict[str, float]] = {
        "margin, per prompt": {
            "ms": statistics.median(milliseconds(lambda d=d: margin(oracle, d)) for d in target_rows),
            "passes": statistics.median(passes),
            "worst_passes": max(passes),
            "limit_ms": statistics.median(passes) * pass_time,
        },
        "margin, pooled": {
            "ms": statistics.median(milliseconds(lambda d=d: margin(pooled, d)) for d in target_rows),
            "passes": statistics.median(of_pooled),
            "worst_passes": max(of_pooled),
        },
        "margin, one cut a pass": {"passes": statistics.median(one_cut), "worst_passes": max(one_cut)},
        "margin, a slider moved": {
            "ms": statistics.median(moves),
            "passes": statistics.median(moved),
            "worst_passes": max(moved),
            "limit_ms": statistics.median(moved) * pass_time,
        },
        "highest of every value": {"ms": milliseconds(every_highest)},
        "ranges, both ends": {"ms": milliseconds(lambda: AttainableLevels(oracle).ranges(tight))},
        "smallest conflict": {"ms": milliseconds(lambda: smallest_conflict(AttainableLevels(oracle), hard))},
        "nearest palette": {"ms": milliseconds(lambda: nearest(oracle, hard))},
        "nearest, all nats": {"ms": milliseconds(lambda: nearest(oracle, hard, budget=oracle.log_candidates))},
    }
    ratio = max(pass_count / pooled_pass_count for pass_count, pooled_pass_count in zip(passes, of_pooled, strict=True))
    rows["margin, per prompt"]["worst_ratio_of_passes_to_pooled"] = ratio
    print(f"{oracle.replies} replies in {oracle.prompts} prompts, {len(oracle.values)} values targeted")
    print(f"{'':<26}{'ms':>9}{'passes':>9}{'worst':>7}{'limit ms':>10}")
    for name, row in rows.items():
        cells = [f"{row[key]:{form}}" if key in row else " " * int(form.split(".")[0]) for key, form in _CELLS.items()]
        print(f"{name:<26}{''.join(cells)}")
    print(
        f"limit: passes x {1e3 * pass_time:.0f} us, one look for the best replies; worst passes over pooled {ratio:.2f}"
    )
    return rows


_CELLS = {"ms": "9.2f", "passes": "9.0f", "worst_passes": "7.0f", "limit_ms": "10.2f"}
