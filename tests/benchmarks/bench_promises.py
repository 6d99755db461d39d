"""Promises: how often what is certified is false, and what a promise costs.

Palettes of one to three targets, 0.05 to 0.5 deviations above the base level, are solved on prompts drawn from a
population and certified on others; truth is the whole population. ``python -m tests.benchmarks.bench_promises 200``
certifies 200 palettes a row instead of 40.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from map_core.confidence.running_promise import RunningPromise, Standing, WatchedTargets
from map_core.server.promises import LEAST_ROOM
from map_core.solver.newton import solve
from tests import ROOT
from tests.populations import certified, default_table, hedged, synthetic


def run(tables: int = 40) -> list[dict[str, Any]]:
    """Print and return a row a population, a number of new prompts and a kind of promise."""
    rows = []
    for population in (default_table(), synthetic(1500)):
        for new, over_base, strict in (
            *((40, True, False), (128, True, False), (512, True, False)),
            *((40, False, False), (128, False, False), (512, False, False)),
            *((128, True, True), (128, False, True)),
        ):
            got = certified(population, tables=tables, new=new, over_base=over_base, strict=strict)
            kind = ("gains" if over_base else "levels") + (", strict" if strict else "")
            rows.append({"population": population.name, "new": new, "kind": kind} | asdict(got))
            share = [count / tables for count in (got.whole, got.shown, got.broken)]
            print(
                f"{population.name:<36} new {new:<4} {kind:<15} whole {share[0]:.0%} shown {share[1]:.0%} "
                f"broken {share[2]:.1%} factor {got.factor:.2f} nats {got.nats:.2f} forecast - promised "
                f"{got.gap[0]:.3f} to {got.gap[1]:.3f} sd, lowered {got.lowered:.2f} sd",
                flush=True,
            )
    for population in (default_table(), synthetic(1500)):
        for gamma in (0.0, 1.0, 1.645, 2.5):
            hedge = hedged(population, gamma, palettes=tables)
            rows.append({"population": population.name, "gamma": gamma} | asdict(hedge))
            print(
                f"{population.name:<36} hedge {gamma:<5} kept {hedge.kept / tables:.1%} nats {hedge.nats:.2f} worst "
                f"miss {hedge.worst:.3f} sd",
                flush=True,
            )
    rows += watch()
    return rows


def curve(tables: int = 40) -> list[dict[str, Any]]:
    """Print and return how far a promise lies below the forecast, by confidence and number of new prompts."""
    rows = []
    for over_base in (True, False):
        for level in (0.8, 0.95, 0.99):
            for new in (20, 40, 80, 160, 320):
                got = certified(default_table(), tables=tables, new=new, over_base=over_base, level=level)
                kind = "gains" if over_base else "levels"
                rows.append({"kind": kind, "level": level, "new": new, "gap": got.gap, "whole": got.whole / tables})
                print(f"{kind:<7} {level:.0%} {new:<4} {got.gap[0]:.3f} to {got.gap[1]:.3f} sd", flush=True)
    (ROOT / "assets" / "promise-prompts.svg").write_text(drawn(rows), encoding="utf-8")
    return rows


def drawn(rows: list[dict[str, Any]]) -> str:
    """Return the loosest value's gap by number of prompts as SVG, a line a kind and a confidence."""
    colours = {0.8: "#009E73", 0.95: "#0072B2", 0.99: "#D55E00"}

    def place(new: float, gap: float) -> tuple[float, float]:
        return 60 + 130 * math.log2(new / 20), 300 - 400 * gap

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 350" font-family="sans-serif" font-size="13">',
        '<rect width="760" height="350" fill="#fff"/>',
        '<text x="60" y="20">Forecast less promised level, standard deviations, by number of new prompts</text>',
    ]
    for gap in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        y = place(20, gap)[1]
        stroke = "#444" if gap in (0.0, 0.1) else "#ddd"
        parts.append(f'<path d="M60 {y:.0f}H580" stroke="{stroke}"/><text x="30" y="{y + 4:.0f}">{gap:g}</text>')
    for new in sorted({row["new"] for row in rows}):
        parts.append(f'<text x="{place(new, 0)[0]:.0f}" y="320" text-anchor="middle">{new}</text>')
    for level, colour in colours.items():
        for kind, dashes in (("gains", ""), ("levels", ' stroke-dasharray="6 5"')):
            line = [place(row["new"], row["gap"][1]) for row in rows if (row["kind"], row["level"]) == (kind, level)]
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in line)
            parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2.5"{dashes}/>')
            name = f"{'what is added' if kind == 'gains' else 'the level'}, {level:.0%} sure"
            y = 60 + 22 * (list(colours).index(level) + 3 * (kind == "gains"))
            parts.append(f'<path d="M596 {y}h30" stroke="{colour}" stroke-width="2.5"{dashes}/>')
            parts.append(f'<text x="632" y="{y + 4}" font-size="11">{name}</text>')
    return "\n".join([*parts, "</svg>\n"])


def watch(palettes: int = 20, runs: int = 5) -> list[dict[str, Any]]:
    """Print and return after how many requests a watched promise is called broken, by how far the levels lie below it.

    Palettes of two targets on the tests' table; requests are its prompts, drawn with replacement, and the promise lies
    above the levels of both values by as much.
    """
    population, rng, rows = default_table(), np.random.default_rng(0), list[dict[str, Any]]()
    oracle = population.oracle()
    for kind, requests in (("gains", 2000), ("levels", 5000)):
        for below in (0.0, 0.03, 0.1, 0.2, 0.3):
            counts = []
            for _ in range(palettes):
                targets = np.full(len(oracle.values), np.nan)
                chosen = rng.permutation(len(targets))[:2]
                targets[chosen] = rng.uniform(0.1, 0.4, 2)
                weights = solve(oracle, targets).weights
                levels = oracle.by_prompt(weights).levels[:, chosen]
                levels = levels - oracle.by_prompt(0 * weights).levels[:, chosen] if kind == "gains" else levels
                promised = levels.mean(axis=0) + below
                low, high = levels.min(axis=0), levels.max(axis=0)
                ends = np.minimum(low, promised - LEAST_ROOM), np.maximum(high, promised + LEAST_ROOM)
                watched = WatchedTargets(("a", "b"), promised, *ends, levels.std(axis=0))
                counts += [_requests_until_broken(watched, levels, rng, requests) for _ in range(runs)]
            median, most = np.median(counts), np.quantile(counts, 0.9, method="higher")
            broken = float(np.mean(np.isfinite(counts)))
            rows.append({"kind": kind, "below": below, "median": median, "q90": most, "broken": broken})
            print(
                f"{kind:<7} {below:.2f} sd below: broken {broken:.1%}, after {median:g}, 9 of 10 {most:g}", flush=True
            )
    return rows


def _requests_until_broken(
    watched: WatchedTargets, levels: np.ndarray, rng: np.random.Generator, requests: int
) -> float:
    promise = RunningPromise(watched)
    for number, prompt in enumerate(rng.integers(0, len(levels), requests), start=1):
        promise.add(levels[prompt])
        if promise.standing is Standing.BROKEN:
            return number
    return np.inf


if __name__ == "__main__":
    if sys.argv[1:2] == ["curve"]:
        curve(*map(int, sys.argv[2:]))
    else:
        run(*map(int, sys.argv[1:]))
