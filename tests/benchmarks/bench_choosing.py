"""A palette found by choosing, in simulation on the shipped table: is the held-out choice predicted, and how quickly?

The truth is the weights of a random palette that the table can reach. A chooser answers pairs of replies to prompts
that are solved on; the result is tested on pairs of replies to prompts that are held out. Two kinds of people:
*firm* ones always choose by the weights, *noisy* ones with probability sigma(lambda . (r_a - r_b)); of both, one click
in ten is wrong.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from map_core.core.types import Verdict
from map_core.data import table_format
from map_core.data.reward_table import RewardTable
from map_core.feasibility import assess
from map_core.oracle import MemoryOracle, Oracle
from map_core.preference import PairChoice, PairPool, found_palette, next_pair, pair_pool
from map_core.preference.pairs import fit
from map_core.scoring.pairwise import PairAnswer
from map_core.studies.reproduce.study import random_palettes
from tests import ROOT

PALETTES, WRONG = 60, 0.1
SIZES = (2, 3, 4)
STOPS = (5, 10, 15, 20)


@dataclass(frozen=True)
class Chooser:
    """A simulated chooser: by the weights or with logistic noise, with a percentage of wrong clicks."""

    noisy: bool
    wrong: float

    def probability(self, margins: np.ndarray) -> np.ndarray:
        """Return the probability that the first reply is clicked, of margins x . d."""
        meant = expit(margins) if self.noisy else (1 + np.sign(margins)) / 2
        return self.wrong + (1 - 2 * self.wrong) * np.asarray(meant)


def true_weights(table: RewardTable, oracle: Oracle) -> list[np.ndarray]:
    """Return weights of palettes of two to four targets that are reachable and cost at least 0.05 nats."""
    truths: list[np.ndarray] = []
    seed = 0
    while len(truths) < PALETTES:
        levels = random_palettes(table, oracle, SIZES[seed % len(SIZES)], 1, highest=0.85, seed=seed)[0]
        seed += 1
        assessment = assess(oracle, oracle.standardise(levels), closest=False)
        if (
            assessment.verdict is Verdict.REACHABLE
            and assessment.solution is not None
            and assessment.solution.kl > 0.05
        ):
            truths.append(assessment.solution.weights)
    return truths


def held_out_pairs(table: RewardTable, oracle: Oracle, rng: np.random.Generator, each: int = 60) -> np.ndarray:
    """Return (pair, value) differences between replies to held-out prompts, drawn at random."""
    rows = []
    for prompt in np.flatnonzero(~table.counted):
        span = table.rows(int(prompt))
        drawn = rng.integers(span.start, span.stop, size=(each, 2))
        rows.append(drawn[drawn[:, 0] != drawn[:, 1]])
    pairs = np.concatenate(rows)
    standardised = oracle.standardise(table.rewards)
    differences: np.ndarray = standardised[pairs[:, 0]] - standardised[pairs[:, 1]]
    return differences[np.any(differences != 0, axis=1)]


def random_pair(pool: PairPool, choices: list[PairChoice], rng: np.random.Generator) -> tuple[int, int]:
    """Return any pair of another prompt than the last one's."""
    offered = {frozenset((choice.first, choice.second)) for choice in choices}
    while True:
        place = int(rng.integers(len(pool.rows)))
        first, second = (int(row) for row in pool.rows[place])
        if frozenset((first, second)) not in offered:
            return first, second


def simulate(table: RewardTable, oracle: Oracle, truths: list[np.ndarray], chooser: Chooser, optimal: bool) -> Any:
    """Let one chooser a palette answer, and return shares over palettes."""
    pool = pair_pool(table, oracle)
    differences = held_out_pairs(table, oracle, np.random.default_rng(1))
    standardised = oracle.standardise(table.rewards)
    meant: dict[int, list[float]] = defaultdict(list)
    clicked: dict[int, list[float]] = defaultdict(list)
    held_out: list[np.ndarray] = []
    widths: list[float] = []
    ceilings: list[float] = []
    times: list[float] = []
    for number, truth in enumerate(truths):
        rng = np.random.default_rng((2, number))
        choices: list[PairChoice] = []
        margins = differences @ truth
        ceilings.append(float(np.mean(np.maximum(chooser.probability(margins), 1 - chooser.probability(margins)))))
        for answered in range(max(STOPS)):
            began = time.perf_counter()
            pair = next_pair(pool, fit(table, oracle, choices), choices, number) if optimal else None
            times.append(time.perf_counter() - began)
            first, second = pair or random_pair(pool, choices, rng)
            chance = chooser.probability((standardised[first] - standardised[second]) @ truth)
            choices.append(PairChoice(first, second, PairAnswer.FIRST if rng.random() < chance else PairAnswer.SECOND))
            if answered + 1 in STOPS:
                inferred = found_palette(table, oracle, choices)
                predicted = np.sign(differences @ inferred.weights)
                meant[answered + 1].append(float(np.mean(0.5 * (1 + predicted * np.sign(margins)))))
                likely = chooser.probability(margins)
                clicked[answered + 1].append(float(np.mean(0.5 + predicted * (likely - 0.5))))
                if answered + 1 == 15:
                    levels = oracle.moments(truth).levels
                    held_out.append((inferred.low <= levels) & (levels <= inferred.high))
                    widths.append(float(np.mean(inferred.high - inferred.low)))
    return {
        "meant choice predicted": {stop: round(float(np.mean(shares)), 3) for stop, shares in meant.items()},
        "click predicted": {stop: round(float(np.mean(shares)), 3) for stop, shares in clicked.items()},
        "best possible of clicks": round(float(np.mean(ceilings)), 3),
        "palettes at 80% or more after 15": round(float(np.mean(np.array(meant[15]) >= 0.8)), 2),
        "90% intervals of levels that hold after 15": round(float(np.mean(held_out)), 3),
        "width of the intervals, sd": round(float(np.mean(widths)), 2),
        "next pair, median, 95th percentile, ms": [round(1e3 * float(np.quantile(times, q)), 1) for q in (0.5, 0.95)],
    }


def run() -> dict[str, Any]:
    """Measure on the shipped table."""
    table = table_format.load(ROOT / "assets" / "default.parquet")
    oracle = MemoryOracle.of(table)
    truths = true_weights(table, oracle)
    results: dict[str, Any] = {}
    for name, chooser in (
        ("firm, 1 in 10 wrong", Chooser(False, WRONG)),
        ("noisy, none wrong", Chooser(True, 0.0)),
        ("noisy, 1 in 10 wrong", Chooser(True, WRONG)),
    ):
        for optimal in (True, False):
            key = f"{name}, {'D-optimal' if optimal else 'random'} pairs"
            results[key] = simulate(table, oracle, truths, chooser, optimal)
            print(f"{key}:")
            for what, figure in results[key].items():
                print(f"    {what:<44} {figure}")
    return results
