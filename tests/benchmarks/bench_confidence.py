"""Error bars: how often 90% intervals hold the truth, and the time of a bootstrap with verdicts.

Truth is known because tables are drawn from a population: a large synthetic one, or the prompts of the embedded table
with replacement. ``python -m tests.benchmarks.bench_confidence 400`` draws 400 tables a row instead of 60.
The physical limit beside the bootstrap's time is one pass over the table for all draws, with covariances.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from map_core.confidence import bootstrap
from map_core.data import table_format
from map_core.feasibility import margin
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from tests.populations import Coverage, Population, coverage, default_table, synthetic

TABLES, DRAWS = 60, 300
FREE = np.nan
#: Targets of all values, in standard deviations above base; and where few values have one, how many, and theirs.
OF_ALL = (0.25, 0.4, 0.5, 0.53, 0.541, 0.56, 0.6, 0.8)
FEW, OF_FEW = (2, 4), (0.25, 0.5)


def cases() -> list[tuple[str, Population, np.ndarray, int]]:
    """Return name, population, targets and prompts of each row."""
    default, model = default_table(), synthetic()
    edge = np.full(6, 0.2)
    edge += margin(model.oracle(), edge).value
    slack = np.array([0.6, 0.1, -0.2, -0.1, 0.3, 0.1, 0.05, 0.1])
    return [
        ("easy", default, np.full(8, 0.25), 64),
        ("easy", default, np.full(8, 0.25), 128),
        ("middle", default, np.full(8, 0.4), 64),
        ("middle", default, np.full(8, 0.4), 256),
        ("near the edge", default, np.full(8, 0.5), 128),
        ("near the edge", default, np.full(8, 0.5), 500),
        ("slack targets", default, slack, 64),
        ("slack targets", default, slack, 128),
        ("two of six", model, np.array([0.7, 0.3, FREE, FREE, FREE, FREE]), 64),
        ("middle", model, np.full(6, 0.1), 64),
        ("near the edge", model, np.full(6, 0.2), 64),
        ("near the edge", model, np.full(6, 0.2), 256),
        ("on the edge", model, edge, 128),
        ("out of reach", model, np.full(6, 0.35), 128),
    ]


def simulate(tables: int) -> list[dict[str, Any]]:
    """Measure the coverage of every case, and print each result."""
    print(f"coverage of 90% intervals, {tables} tables a row, {DRAWS} draws each (weights, levels: mean, least, most)")
    rows = []
    for name, population, targets, prompts in cases():
        began = time.perf_counter()
        got = coverage(population, targets, prompts, tables, DRAWS)
        row = {"case": name, "population": population.name, "prompts": prompts, "seconds": time.perf_counter() - began}
        row |= _rates(got)
        rows.append(row)
        line = " ".join(f"{key} {_shown(row[key])}" for key in ("weights", "slack", "kl", "levels", "margin"))
        print(
            f"{name:<14} {population.name:<36} n={prompts:<4} {line} solved {row['solved']:.2f} "
            f"P(out): mean {row['out']:.2f}, over 0.95 {row['sure_out']:.2f}, under 0.05 {row['sure_in']:.2f} "
            f"(plain share {row['raw_out']:.2f}, {row['raw_sure_out']:.2f}, {row['raw_sure_in']:.2f})",
            flush=True,
        )
    return rows


def _rates(got: Coverage) -> dict[str, Any]:
    return {
        "solved": got.solved / got.tables,
        "weights": _span(got.weights),
        "slack": None if np.isnan(got.slack) else got.slack,
        "kl": None if np.isnan(got.kl) else got.kl,
        "levels": _span(got.levels),
        "margin": got.margin,
        "out": float(got.out.mean()),
        "sure_out": float(np.mean(got.out > 0.95)),
        "sure_in": float(np.mean(got.out < 0.05)),
        "raw_out": float(got.raw.mean()),
        "raw_sure_out": float(np.mean(got.raw > 0.95)),
        "raw_sure_in": float(np.mean(got.raw < 0.05)),
    }


def _span(rates: np.ndarray) -> list[float] | None:
    """Return mean, minimum and maximum over values."""
    known = rates[~np.isnan(rates)]
    return [float(known.mean()), float(known.min()), float(known.max())] if len(known) else None


def _shown(rate: float | list[float] | None) -> str:
    if rate is None:
        return "–"
    return f"{rate:.3f}" if isinstance(rate, float) else "/".join(f"{number:.2f}" for number in rate)


def bootstraps() -> list[dict[str, Any]]:
    """Time 1,000 draws with verdicts on the embedded table, from easy to far beyond, on all values and on few."""
    table = table_format.load(table_format.DEFAULT_TABLE)
    oracle = MemoryOracle.of(table)
    size, n = len(oracle.values), oracle.prompts
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(n, np.full(n, 1 / n), 1000).astype(float)
    # Draws have different weights in a solve, except in the first pass.
    around = rng.uniform(0.99, 1.01, (1000, 1))
    rows = []
    for asked, targets in (*((asked, size) for asked in OF_ALL), *((asked, few) for few in FEW for asked in OF_FEW)):
        d = np.where(np.arange(size) < targets, asked, FREE)
        edge, solution = margin(oracle, d), solve(oracle, d)
        times, passes = [], []
        for _ in range(3):
            began = time.perf_counter()
            oracle.batch_moments(around * solution.weights, multiplicity=drawn, covariance=True)
            passes.append(time.perf_counter() - began)
            began = time.perf_counter()
            bars = bootstrap(oracle, d, solution=solution, margin=edge, draws=1000)
            times.append(time.perf_counter() - began)
        took, one = float(np.median(times)), float(np.median(passes))
        shares = {verdict.value: share for verdict, share in bars.shares.items()}
        row = {
            "targets_sd": asked,
            "targets": targets,
            "margin": edge.value,
            "seconds": took,
            "one_pass": one,
            "passes": took / one,
        }
        rows.append(row | {"undecided": bars.undecided, "shares": shares})
        print(
            f"1,000 draws at +{asked} sd on {targets} of {size} values (margin {edge.value:+.3f}): {took:.2f} s, "
            f"{took / one:.1f} times one pass ({1e3 * one:.0f} ms); "
            + ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
            + f"; undecided {bars.undecided}"
        )
    return rows


def run(tables: int = TABLES) -> dict[str, Any]:
    """Time, simulate, print, return the rows."""
    return {"bootstrap": bootstraps(), "coverage": simulate(tables)}


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else TABLES)
