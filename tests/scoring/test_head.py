"""Tests of a trained head as a scorer: by hand, the laws, round trips, and invalid heads."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from map_core import scoring
from map_core.errors import InputError
from map_core.scoring import Definition, ScoringModels, Specification
from map_core.scoring.contrast import Contrast
from map_core.scoring.head import Head, evidence_sentence, head_features
from map_core.scoring.head_weights import HeadComparison, HeadEvidence, HeadWeights
from map_core.testing.scorer_laws import check_scorer, reply
from tests.scoring.word_embedder import WordEmbedder

NURSE = Definition("calm_nurse", "Calm nurse", ("sounds like a calm nurse",), ("sounds like a salesman",))
EVIDENCE = HeadEvidence("pairs", 40, HeadComparison(0.825, 0.68, 0.92, 40, 31, 0.7, 0.01, 0.24))
WEIGHTS = tuple(np.random.default_rng(0).normal(size=48).astype(np.float32).tolist())
TRAINED = replace(NURSE, head=HeadWeights(WEIGHTS, 0.0, 1.5, "words", EVIDENCE))


def models() -> ScoringModels:
    return ScoringModels("words", WordEmbedder())


def made(definition: Definition = TRAINED) -> scoring.Scorer:
    return scoring.make_scorer(Specification.of(definition), models())


def test_a_reward_by_hand() -> None:
    """Own weights for the reply, prompt times reply, and the first sentence; then intercept and prior."""
    prompt_vector, reply_vector, opening_vector = WordEmbedder().embed(["Why?", "No. Stop it.", "No."])
    replies = [reply("No. Stop it."), reply("")]
    phi = np.concatenate([reply_vector, 4.0 * prompt_vector * reply_vector, opening_vector])  # sqrt(16) = 4
    np.testing.assert_allclose(head_features(models(), "Why?", ["No. Stop it."]), [phi])
    prior = Contrast(NURSE, models())
    settings = TRAINED.head.as_dict() | {"intercept": 0.25}
    rewards = Head("calm_nurse", settings, models(), prior).score("Why?", replies)
    expected = 0.25 + 1.5 * prior.score("Why?", replies)
    expected[0] += np.array(WEIGHTS) @ phi
    np.testing.assert_allclose(rewards, expected, atol=1e-9)


@pytest.mark.parametrize("prior", [True, False], ids=["with its words", "alone"])
def test_heads_keep_the_laws(prior: bool) -> None:
    settings = {**TRAINED.head.as_dict(), "slope": 1.5 if prior else 0.0}
    check_scorer(Head("calm_nurse", settings, models(), Contrast(NURSE, models()) if prior else None))


def test_head_round_trips_as_data() -> None:
    assert Definition.from_json(TRAINED.to_json()) == TRAINED
    assert "head" not in NURSE.as_dict()  # as saved before there were heads
    scorer = made()
    (resolved,) = scoring.resolve(["calm_nurse"], scoring.from_metadata({"scorers": [scorer.entry()]}), models())
    assert (resolved.version, resolved.card.title, resolved.family) == (scorer.version, "Calm nurse", "head")
    np.testing.assert_array_equal(resolved.score("Hi", [reply("calm")]), scorer.score("Hi", [reply("calm")]))


def test_values_file_with_a_head(tmp_path: Any) -> None:
    path = tmp_path / "values.json"
    path.write_text(scoring.values_file([TRAINED]), encoding="utf-8")
    own = scoring.read_values_file(path)
    assert scoring.resolve(None, own, models())[-1].version == made().version
    entry = json.loads(path.read_text())["calm_nurse"]
    path.write_text(json.dumps({"calm_nurse": entry | {"transform": "probability"}}))
    (probable,) = scoring.resolve(["calm_nurse"], scoring.read_values_file(path), models())
    assert 0.0 < probable.score("Hi", [reply("calm")])[0] < 1.0


def test_a_built_in_value_can_be_its_prior() -> None:
    settings = TRAINED.head.as_dict() | {"prior": "coherence"}
    head = scoring.make_scorer(Specification("on_topic", "head", settings), models())
    assert "Coherence" in head.card.source
    (prior,) = scoring.resolve(["coherence"], (), models())
    alone = Head("on_topic", TRAINED.head.as_dict() | {"slope": 0.0}, models())
    expected = alone.score("Hi", [reply("calm")]) + 1.5 * prior.score("Hi", [reply("calm")])
    np.testing.assert_allclose(head.score("Hi", [reply("calm")]), expected)


def test_equal_scorers_have_equal_keys() -> None:
    assert TRAINED.head is not None
    assert replace(TRAINED, head=replace(TRAINED.head, evidence=None), title="Nurse").key == TRAINED.key
    keys = {NURSE.key, TRAINED.key, replace(TRAINED, head=replace(TRAINED.head, slope=1.0)).key}
    assert len(keys | {replace(TRAINED, head=replace(TRAINED.head, weights=WEIGHTS[::-1])).key}) == 4


def test_card_states_the_cross_validation() -> None:
    assert made().reading == evidence_sentence(EVIDENCE)
    assert evidence_sentence(EVIDENCE) == (
        "Cross-validated by prompt: AUC 0.82 (0.68 to 0.92) between replies to one prompt, 40 pairs of 31 prompts; "
        "without training 0.70, difference +0.01 to +0.24."
    )
    labels = HeadEvidence("labels", 60, HeadComparison(0.9, 0.8, 0.95, 900, 20), HeadComparison(0.75, 0.6, 0.9, 40, 18))
    assert evidence_sentence(labels) == (
        "Cross-validated by prompt: AUC 0.75 (0.60 to 0.90) between replies to one prompt, 40 pairs of 18 prompts; AUC "
        "0.90 (0.80 to 0.95) over all."
    )
    assert (EVIDENCE.decisive.better, labels.decisive.better) == (True, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": list(WEIGHTS[:-1])}, "has 47 weights; expected 3 times the dimension"),
        ({"weights": [0.0] * 45}, "has 45 weights and its embedding model words gives 48 features"),
        ({"weights": [float("nan")] * 48}, "not finite"),
        ({"weights": [True] * 48}, "are list; expected base64"),
        ({"weights": ["1"] * 48}, "are list; expected base64"),
        ({"weights": "no base64!"}, "not understood"),
        ({"weights": base64.b64encode(b"12345").decode()}, "not understood"),
        ({"weights": ""}, "has 0 weights"),
        ({"weights": 3.0}, "weights of the value 'calm_nurse' is 3.0; expected base64"),
        ({"intercept": float("inf")}, "The intercept of a head is inf"),
        ({"slope": "1"}, "slope of the value 'calm_nurse' is '1'; expected a number"),
        ({"embedder": "another"}, "trained on embeddings of another, and this program embeds with words"),
        ({"embedder": None}, "expected weights, intercept, slope and embedder"),
        ({"prior": None}, "has the slope 1.5 and no prior"),
        ({"prior": "wit"}, "The prior of 'calm_nurse' is 'wit'"),
        ({"prior": {"more": ["a"]}}, "lacks 'less'"),
        ({"prior": ["a"]}, "The prior of 'calm_nurse' is"),
        ({"evidence": {"judged": "dreams"}}, "evidence of a head is not understood"),
        ({"code": "import os"}, "unknown setting 'code'"),
    ],
)
def test_invalid_heads_are_refused(change: dict[str, Any], message: str) -> None:
    settings = {**Specification.of(TRAINED).settings, **change}
    with pytest.raises(InputError, match=message):
        scoring.make_scorer(Specification("calm_nurse", "head", settings), models()).check()
    Head("calm_nurse", TRAINED.head.as_dict() | {"slope": 0.0}, models()).check()
