"""Levels in people's units, in simulation: do the intervals hold, and how much narrower are they than labels alone?

The population is the shipped table's prompts and replies. What people say of each of its replies is drawn once: from a
logistic function of the value's reward that is fitted on the real labels, with a second value and each prompt's own
leaning beside it, which a calibration of one scorer cannot hear. A sample is so many prompts, drawn with replacement,
of which some have so many labelled replies. The truth is the share of yes under the palette's weights over all prompts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit

from map_core.calibration import ValueLabels, people_level, value_labels
from map_core.calibration.calibrate import calibration_of
from map_core.calibration.delivered import tilt_probabilities
from map_core.calibration.next_labels import inclusion_chances
from map_core.core.types import Verdict
from map_core.data import table_format
from map_core.data.reward_table import RewardTable
from map_core.feasibility import assess
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.targets import resolve
from map_core.scoring.validation import read_labels
from tests import ROOT

SAMPLES, PROMPTS = 1600, 160
#: Labelled prompts, and labelled replies of each.
SIZES = ((40, 16), (40, 8), (80, 8), (40, 6), (40, 4))
#: Effects of the other value and of the prompt on people, in log-odds.
OTHER, LEANING = 0.5, 0.7


def said_by_people(table: RewardTable, oracle: Oracle, labels: ValueLabels, seed: int) -> np.ndarray:
    """Return (reply,) yes or no of the whole population."""
    rng = np.random.default_rng(seed)
    j = table.index(labels.value)
    standardised = oracle.standardise(table.rewards)
    fitted = calibration_of(table, oracle, labels)
    odds = fitted.intercept + fitted.slope * standardised[:, j]
    odds = odds + OTHER * standardised[:, (j + 1) % len(table.values)]
    odds = odds + np.repeat(LEANING * rng.normal(size=len(table.prompts)), table.candidates)
    return np.asarray(rng.random(len(odds)) < expit(odds), dtype=np.float64)


def palette_weights(table: RewardTable, oracle: Oracle, value: str) -> np.ndarray:
    """Return the weights of a palette that asks for the value and for another one."""
    other_value = "coherence" if value != "coherence" else "helpfulness"
    assessment = assess(
        oracle, oracle.standardise(np.asarray(resolve({value: "p65", other_value: "p60"}, table, oracle)))
    )
    assert assessment.verdict is Verdict.REACHABLE
    assert assessment.solution is not None
    return assessment.solution.weights


def sample(
    table: RewardTable, rng: np.random.Generator, prompts: int, each: int, sizes: np.ndarray | None
) -> tuple[RewardTable, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw prompts, and labelled replies of the first of them: evenly, or in proportion to sizes."""
    drawn = rng.integers(len(table.prompts), size=PROMPTS)
    offsets = np.arange(PROMPTS + 1) * 64
    rows = (drawn[:, None] * 64 + np.arange(64)).ravel()
    smaller = replace(
        table,
        rewards=table.rewards[rows],
        offsets=offsets,
        prompt_ids=tuple(f"p{i}" for i in range(PROMPTS)),
        prompts=tuple(table.prompts[i] for i in drawn),
        use_cases=tuple(table.use_cases[i] for i in drawn),
        replies=(),
        tokens=(),
        log_probs=np.empty(0),
        held_out=np.empty(0, dtype=bool),
        metadata={},
    )
    labelled, chances = [], []
    for prompt in range(prompts):
        if sizes is None:
            chosen = np.sort(rng.choice(64, each, replace=False))
            chance = np.full(each, each / 64)
        else:
            wanted = inclusion_chances(sizes[drawn[prompt] * 64 : drawn[prompt] * 64 + 64], each)
            chosen = np.flatnonzero(rng.random(64) < wanted)
            chance = wanted[chosen]
        labelled.append(prompt * 64 + chosen)
        chances.append(chance)
    labelled_rows = np.concatenate(labelled)
    return smaller, rows[labelled_rows], labelled_rows, labelled_rows // 64, np.concatenate(chances)


def run() -> dict[str, Any]:
    """Measure on the shipped table."""
    whole = table_format.load(ROOT / "assets" / "default.parquet")
    whole = replace(whole, held_out=np.empty(0, dtype=bool))
    oracle = MemoryOracle.of(whole)
    real = read_labels(ROOT / "assets" / "labels.jsonl")
    values = [value for value in whole.values if value != "familiarity"]
    results: dict[str, Any] = {}
    for design, active in (("even", False), ("by influence", True)):
        for prompts, each in SIZES:
            shares: dict[str, list[tuple[float, ...]]] = defaultdict(list)
            for number, value in enumerate(values):
                labels = value_labels(whole, real, value)
                people = said_by_people(whole, oracle, labels, number)
                weights = palette_weights(whole, oracle, value)
                probabilities = tilt_probabilities(whole, oracle, weights)
                truth = float(probabilities @ people) / len(whole.prompts)
                yes_probability = calibration_of(whole, oracle, labels).probability(
                    oracle.standardise(whole.rewards)[:, whole.index(value)]
                )
                sizes = probabilities * np.sqrt(yes_probability * (1 - yes_probability)) if active else None
                rng = np.random.default_rng((3, number))
                for _ in range(SAMPLES // len(values)):
                    table, of_population, places, group, chances = sample(whole, rng, prompts, each, sizes)
                    judged = ValueLabels(value, places, people[of_population], group, chances)
                    level = people_level(table, oracle, judged, weights)
                    shares[value].append(
                        (
                            level.low <= truth <= level.high,
                            level.labels_low <= truth <= level.labels_high,
                            level.high - level.low,
                            level.labels_high - level.labels_low,
                            level.share - truth,
                            level.scorer - truth,
                        )
                    )
            rows = np.concatenate([np.array(of_value) for of_value in shares.values()])
            widths = {value: np.array(of_value)[:, 2:4].mean(axis=0) for value, of_value in shares.items()}
            key = f"{design}, {prompts} prompts x {each} labels"
            results[key] = {
                "90% intervals that hold": round(float(rows[:, 0].mean()), 3),
                "of labels alone": round(float(rows[:, 1].mean()), 3),
                "half-width": round(float(rows[:, 2].mean() / 2), 3),
                "of labels alone, half-width": round(float(rows[:, 3].mean() / 2), 3),
                "narrower": round(float(1 - rows[:, 2].mean() / rows[:, 3].mean()), 3),
                "narrower by value": {value: round(float(1 - a / b), 2) for value, (a, b) in widths.items()},
                "bias": round(float(rows[:, 4].mean()), 4),
                "largest bias of the scorer alone": round(
                    float(max(abs(np.array(of_value)[:, 5].mean()) for of_value in shares.values())), 3
                ),
            }
            print(f"{key}:")
            for what, figure in results[key].items():
                print(f"    {what:<36} {figure}")
    return results
