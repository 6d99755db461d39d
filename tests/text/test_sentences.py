"""Tests of the main sentences, each compared with figures computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from map_core.analysis.sensitivity import local_sensitivity, sensitivity_curve
from map_core.core import amounts
from map_core.core.types import Form, Verdict
from map_core.feasibility import assess
from map_core.oracle import EffectiveSampleSize, MemoryOracle
from map_core.solver.newton import solve
from map_core.text import sentences
from tests.tables import VALUES, make_table

NAMES = VALUES


@pytest.fixture(scope="module")
def oracle() -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=24, candidates=32, seed=3))


def targets(**levels: float) -> np.ndarray:
    return np.array([levels.get(name, math.nan) for name in NAMES])


def test_names_are_joined_with_commas_and_and():
    assert sentences.listed([]) == ""
    assert sentences.listed(["humor"]) == "humor"
    assert sentences.listed(["humor", "coherence"]) == "humor and coherence"
    assert sentences.listed(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (0.24682, "0.247"),
        (-12.34, "−12.3"),
        (1234.5, "1,234"),
        (math.nan, "–"),
        (math.inf, "–"),
        (3e-9, "3.0e−09"),
    ],
)
def test_numbers_are_rounded_to_significant_digits(value, expected):
    assert sentences.number(value) == expected


@pytest.mark.parametrize(
    ("percentile", "expected"),
    [
        (70.2, "better than 70 of 100"),
        (75, "better than 75 of 100"),
        (75.2, "better than 75 of 100"),
        (96, "better than 96 of 100"),
        (100, "very best"),
        (2, "weakest"),
    ],
)
def test_percentiles_as_shares(percentile, expected):
    assert expected in sentences.better_than(percentile)


@pytest.mark.parametrize("drafts", [1, 2, 4, 16, 64])
def test_best_of_n_is_the_inverse_of_its_divergence(drafts):
    assert amounts.best_of(math.log(drafts) - (drafts - 1) / drafts) == pytest.approx(drafts)


def test_distance_in_words():
    log_candidates = math.log(64)
    assert sentences.distance(0.0, log_candidates).startswith("None")
    assert sentences.distance(0.1, log_candidates).startswith("Very close to the base model: 2% of the 4.16")
    assert sentences.distance(2.0, log_candidates).startswith("Some way from")
    assert "best of 2 drafts" in sentences.distance(math.log(2) - 0.5, log_candidates)


def test_a_reachable_palette(oracle):
    assessment = assess(oracle, targets(helpfulness=0.2, harmlessness=0.2))
    assert assessment.verdict is Verdict.REACHABLE
    assert sentences.verdict(assessment, oracle, NAMES).startswith("Both targets are met")
    name, share = sentences.bottleneck(local_sensitivity(assessment.solution), NAMES)
    assert name.lower() in NAMES
    assert "%" in share


def test_the_base_model_costs_nothing(oracle):
    assessment = assess(oracle, targets())
    assert "base model as it is" in sentences.verdict(assessment, oracle, NAMES)
    assert sentences.bottleneck(local_sensitivity(assessment.solution), NAMES)[0] == "Nothing"


def test_out_of_reach_names_the_conflicting_values(oracle):
    assessment = assess(oracle, targets(helpfulness=1.9, harmlessness=1.9))
    sentence = sentences.verdict(assessment, oracle, NAMES)
    assert assessment.verdict is Verdict.OUT_OF_REACH
    assert "elpfulness" in sentence
    assert "harmlessness" in sentence.lower()
    assert "pull against each other here: no mix of this model's replies gives both" in sentence
    assert f"{-assessment.margin.value:.2f} standard deviations" in sentence


def test_one_value_alone_beyond_the_best_replies(oracle):
    sentence = sentences.verdict(assess(oracle, targets(humor=9.0)), oracle, NAMES)
    assert sentence.startswith("Humor is set higher than even the best of this model's replies.")


def test_on_paper_states_sample_size_and_threshold(oracle):
    best_level = float(oracle.best(np.eye(4)[2])[2])
    assessment = assess(oracle, targets(humor=0.98 * best_level))
    assert assessment.verdict is Verdict.ON_PAPER
    sentence = sentences.verdict(assessment, oracle, NAMES)
    assert f"only {assessment.ess.per_prompt:.1f} replies per prompt" in sentence
    assert "below 4.00" in sentence


def test_slack_targets_are_named(oracle):
    assessment = assess(oracle, targets(helpfulness=0.5, humor=-2.0))
    assert sentences.slack(assessment, NAMES) == "Humor comes for free: above target without being asked for."
    assert sentences.slack(assess(oracle, targets(helpfulness=0.5)), NAMES) == ""


def test_effective_sample_size_text():
    ess = EffectiveSampleSize(per_prompt=5.513, pooled=484.2, candidates=64)
    assert sentences.ess_text(ess, Form.PER_PROMPT) == (
        "5.51 of 64 replies",
        "carry the weight for each prompt, 484 in all.",
    )
    assert sentences.ess_text(ess, Form.POOLED)[0] == "484 of 64 replies"


def test_sentences_of_both_forms(oracle):
    assert "per prompt" in sentences.form(oracle)
    assert "log 32 = 3.47 nats" in sentences.form(oracle)
    assert "fall short" in sentences.form(MemoryOracle.of(make_table(), Form.POOLED))


def test_price_sentences(oracle):
    price_targets = targets(helpfulness=0.6, humor=-2.0)
    prices = local_sensitivity(solve(oracle, price_targets))
    sentence = sentences.price(prices, 0, NAMES)
    assert f"about {sentences.number(0.1 * prices.price[0], 2)} nats" in sentence
    assert "harmlessness, which has no target of its own" in sentence
    assert "costs nothing" in sentences.price(prices, 2, NAMES)


def test_switches_are_listed_with_their_position(oracle):
    curve = sensitivity_curve(oracle, targets(helpfulness=math.nan, harmlessness=0.3), 0)
    lines = sentences.switches(curve, NAMES, [f"place {i}" for i in range(len(curve.switches))])
    assert len(lines) == len(curve.switches)
    assert all(f"place {i}" in sentence for i, sentence in enumerate(lines))


def test_why_a_candidate_was_picked():
    rewards = np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    sentence = sentences.why_picked(rewards, np.array([1.0, 1.0]), 0.6, True, ("humor", "coherence"))
    assert sentence == (
        "Drawn with a probability of 60%, against 33% under the base model, the likeliest of all. "
        "Beside the average candidate, humor speaks for it, coherence against it."
    )
    single_candidate = sentences.why_picked(rewards[:1], np.array([1.0, 1.0]), 1.0, True, ("humor", "coherence"))
    assert single_candidate.endswith("the likeliest of all.")
