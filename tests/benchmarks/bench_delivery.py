"""Forecast against delivery: the whole study on the shipped table, with replies that the generator draws now.

``python -m tests.benchmarks.bench_delivery FRESH.parquet`` keeps the fresh replies, or uses those that are there. What
the app shows is written by ``python -m map_core verify --study assets/delivery.json``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from map_core.cli.delivery_output import crossed_summary
from map_core.cli.verify import fresh_replies
from map_core.core.assets import ASSETS
from map_core.data import table_format
from map_core.studies.delivery import CrossFitDelivery, bootstrap_mean, run_study

CANDIDATES, SEED = 16, 1


def figures(delivery: CrossFitDelivery) -> dict[str, Any]:
    """Return the figures of a study over all its palettes."""
    asking = delivery.mostly_reachable & delivery.rising.any(axis=1)
    shares = {
        name: bootstrap_mean(getattr(delivery, name)[asking], delivery.level)
        for name in ("improves", "improves_whole", "wins_all", "random_improves", "random_wins")
    }
    return {
        "palettes": len(delivery.asked),
        "can_be_had": int(delivery.mostly_reachable.sum()),
        "way": delivery.way(delivery.realised),
        "way_error": delivery.way_error,
        "way_capped": delivery.way(delivery.realised, capped=True),
        "way_picked": delivery.way(delivery.picked),
        "way_pooled": delivery.way(delivery.pooled),
        "way_by_value": {name: delivery.way(delivery.realised, value=j) for j, name in enumerate(delivery.values)},
        "inside": bootstrap_mean(delivery.inside, delivery.level),
        "improved_over_all_prompts": float(delivery.improved[asking].mean()),
        "won_over_all_prompts": float(delivery.won[asking].mean()),
        **shares,
    }


def run(fresh: Path | None = None) -> dict[str, Any]:
    """Draw, solve, realise, print and return the figures."""
    table = table_format.load(ASSETS / "default.parquet").without_held_out()
    began = time.perf_counter()
    new = fresh_replies(table, CANDIDATES, None, SEED, "auto", fresh)
    drawn = time.perf_counter()
    study = run_study(table, new, seed=SEED)
    results: dict[str, Any] = {"drawing_seconds": drawn - began, "study_seconds": time.perf_counter() - drawn}
    print(f"{len(new.rewards)} fresh replies in {drawn - began:.0f} s, the study in {results['study_seconds']:.0f} s")
    for name, delivery in (("graded palettes", study.graded), ("random palettes", study.random)):
        print("\n".join(crossed_summary(delivery, name)))
        results[name] = figures(delivery)
    return results


if __name__ == "__main__":
    run(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
