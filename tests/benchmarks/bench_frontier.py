"""Frontiers and curves: all pairs of six values in one batch, with floors, a surface, and a sweep with its switches.

A root t of KL(t w) = b needs the levels at one weight vector at the least, so the physical limit of a frontier is one
batched pass over the table at as many weight vectors as it has points. A curve must see each of its points once, so its
limit is that many single passes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np

from map_core.analysis.frontier import frontier, frontiers, surface
from map_core.analysis.sensitivity import sensitivity_curve
from map_core.core.types import Form
from map_core.data import table_format
from map_core.feasibility import AttainableLevels
from map_core.oracle import MemoryOracle
from map_core.solver.rays import solve_rays

REPEATS = 5
BUDGETS = (0.25, 0.5, 1.0, 2.0)
DIRECTIONS = 40


def timed(work: Callable[[], Any]) -> float:
    """Return the median seconds of a few runs after a warm-up."""
    work()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def row(name: str, seconds: float, limit: float, goal: str = "", **fields: Any) -> tuple[str, dict[str, Any]]:
    """Print one line and return its name and numbers."""
    line = f"{name:<56} {1e3 * seconds:9.1f} ms  limit {1e3 * limit:8.1f} ms  x{seconds / limit:5.2f}"
    details = "".join(f"  {key} {value:.3g}" for key, value in fields.items())
    print(f"{line}{details}{f'  goal {goal}' if goal else ''}")
    return name, {"median_ms": 1e3 * seconds, "limit_ms": 1e3 * limit, "ratio": seconds / limit, **fields}


def pairs_of(size: int) -> np.ndarray:
    """(row, value) directions of all pairs, as the frontier takes them."""
    angles = np.linspace(0.0, np.pi / 2, DIRECTIONS)
    w = np.zeros((size * (size - 1) // 2, DIRECTIONS, size))
    for number, (a, b) in enumerate(combinations(range(size), 2)):
        w[number, :, a], w[number, :, b] = np.maximum(np.sin(angles), 1e-6), np.maximum(np.cos(angles), 1e-6)
    return w.reshape(-1, size)


def run() -> dict[str, Any]:
    """Time the frontiers of a table of 48 prompts by 64 replies by 6 values, and curves on the embedded table."""
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(3072, 6)) @ (np.eye(6) + 0.3 * rng.normal(size=(6, 6)))
    results: dict[str, Any] = {}
    for form in Form:
        oracle = MemoryOracle(mixed, np.arange(49) * 64, tuple("abcdef"), form)
        w = pairs_of(6)
        solution = solve_rays(oracle, w, np.array(BUDGETS))
        weights = solution.weights.reshape(-1, 6)
        limit = timed(lambda oracle=oracle, weights=weights: oracle.batch_moments(weights))
        seconds = timed(lambda oracle=oracle: frontiers(oracle, BUDGETS, directions=DIRECTIONS, limit=False))
        title = f"15 pairs x 4 budgets x 40 directions, {form.value}"
        error = float(np.abs(solution.kl - np.array(BUDGETS)).max())
        rows_each = solution.rows / len(weights)
        results |= [row(title, seconds, limit, "< 1 s", evaluations_a_root=rows_each, worst_kl_error=error)]
    oracle = MemoryOracle(mixed, np.arange(49) * 64, tuple("abcdef"), Form.PER_PROMPT)
    seconds = timed(lambda: frontiers(oracle, BUDGETS, directions=DIRECTIONS))
    bests = timed(lambda: [oracle.best(row) for row in w])
    results |= [row("the same with the limit contour, per-prompt", seconds, limit + bests)]
    floors = np.array([np.nan, np.nan, 0.2, 0.1, 0.1, 0.0])
    weights = solve_rays(oracle, w[:DIRECTIONS], np.array(BUDGETS), floors=floors).weights.reshape(-1, 6)
    limit = timed(lambda: oracle.batch_moments(weights, covariance=True))
    seconds = timed(lambda: frontier(oracle, (0, 1), BUDGETS, floors=floors, directions=DIRECTIONS, limit=False))
    results |= [row("a pair with 4 floors x 4 budgets x 40 directions", seconds, limit)]
    floor_levels = np.array([0.1, 0.1, 0.2, 0.1, 0.1, 0.0])
    seconds = timed(lambda: frontiers(oracle, BUDGETS, floors=floor_levels, directions=DIRECTIONS, limit=False))
    results |= [row("15 pairs with 4 floors each", seconds, 15 * limit)]
    sheet = surface(oracle, (0, 1, 2), BUDGETS, limit=False)
    weights = np.concatenate([contour.weights for contour in sheet.contours])
    limit = timed(lambda: oracle.batch_moments(weights))
    seconds = timed(lambda: surface(oracle, (0, 1, 2), BUDGETS, limit=False))
    results |= [row(f"a surface, 4 budgets x {len(weights) // 4} directions", seconds, limit)]

    table = MemoryOracle.of(table_format.load(table_format.DEFAULT_TABLE))
    targets = np.full(len(table.values), 0.2)
    attainable = AttainableLevels(table)
    limit = 41 * timed(lambda: table.moments(targets))
    for value in (0, 2):
        highest = timed(lambda value=value: attainable.highest(targets, value))
        seconds = timed(lambda value=value: sensitivity_curve(table, targets, value, attainable=attainable)) - highest
        switches = len(sensitivity_curve(table, targets, value, attainable=attainable).switches)
        title = f"a curve of 41 points on the embedded table, {table.values[value]}"
        results |= [row(title, seconds, limit, "< 60 ms", switches=switches, highest_level_ms=1e3 * highest)]
    return results
