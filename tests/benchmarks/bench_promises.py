"""Promises: how often what is certified is false, and what a promise costs.

Palettes of one to three targets, 0.05 to 0.5 deviations above the base level, are solved on prompts drawn from a
population and certified on others; truth is the whole population. ``python -m tests.benchmarks.bench_promises 200``
certifies 200 palettes a row instead of 40.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

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
    return rows


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
