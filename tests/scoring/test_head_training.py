"""Tests of training a head from judgements: a fit by hand, a planted direction, confounding prompts, and no signal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit

from map_core.errors import InputError
from map_core.scoring import head_training
from map_core.scoring.head_training import (
    Examples,
    cross_validate,
    evaluate,
    fit,
    folds,
    label_examples,
    pair_examples,
    train,
)

PROMPTS, REPLIES, FEATURES = 40, 6, 12
GROUPS = np.repeat(np.arange(PROMPTS), REPLIES)


def drawn(seed: int, count: int = PROMPTS * REPLIES) -> tuple[np.random.Generator, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng, rng.normal(size=(count, FEATURES)) / np.sqrt(FEATURES)


def labelled(seed: int, signal: np.ndarray, noise: np.ndarray | float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random(len(signal)) < expit(signal + noise)).astype(int)


# By hand


def test_one_feature_and_no_prior_by_hand() -> None:
    """Pairs that differ by 1 in one feature, three agree and one not: w = 3 (1 - p) - p, p = 1 / (1 + exp(-w))."""
    features = np.array([[1.0], [1.0], [1.0], [-1.0]])
    pairs = Examples(features, np.zeros(4), np.ones(4), np.arange(4), "pairs")
    expected = brentq(lambda w: 3 * expit(-w) - expit(w) - w, 0, 5)
    fitted = fit(pairs, 1.0)
    assert fitted.weights[0] == pytest.approx(expected, abs=1e-5)
    assert (fitted.intercept, fitted.slope) == (0.0, 0.0)


def test_without_a_feature_labels_of_both_kinds_count_alike() -> None:
    """Three 1s and one 0 without a feature: balanced, so the log-odds are 0."""
    labels = Examples(np.zeros((4, 1)), np.zeros(4), np.array([1.0, 1.0, 1.0, 0.0]), np.arange(4), "labels")
    assert fit(labels, 1.0).log_odds(labels) == pytest.approx(np.zeros(4), abs=1e-5)


def test_an_infinite_penalty_leaves_the_prior_alone() -> None:
    rng, features = drawn(1, 30)
    prior = rng.normal(size=30)
    fitted = fit(Examples(features, prior, np.ones(30), np.arange(30), "pairs"), np.inf)
    assert not fitted.weights.any()
    with_scores = Examples(np.zeros((30, 1)), prior, np.ones(30), np.arange(30), "pairs")
    assert fitted.slope == pytest.approx(fit(with_scores, 1.0).slope, abs=1e-5)


def test_folds_keep_prompts_together_and_are_alike_in_size() -> None:
    groups = np.repeat(np.arange(9), [20, 3, 3, 3, 3, 3, 3, 1, 1])
    masks = folds(groups, 3, seed=0)
    assert (np.sum(masks, axis=0) == 1).all()
    for mask in masks:
        assert not set(groups[mask]) & set(groups[~mask])
    assert sorted(int(mask.sum()) for mask in masks) == [10, 10, 20]
    assert len(folds(groups, 50, seed=0)) == 9


# Laws


def test_planted_direction_is_recovered_from_labels() -> None:
    _, features = drawn(2)
    direction = np.eye(FEATURES)[3] * 12.0
    trained = train(label_examples(features, labelled(3, features @ direction), GROUPS), "words")
    learnt = np.array(trained.head.weights)
    assert learnt @ direction / np.linalg.norm(learnt) / np.linalg.norm(direction) > 0.9
    evidence = trained.head.evidence
    assert evidence is not None
    assert evidence.within is not None
    assert evidence.decisive is evidence.within
    assert evidence.overall.low > 0.75
    assert evidence.within.low > 0.75
    assert evidence.overall.better is None  # there was no prior


def test_planted_direction_is_recovered_from_pairs_beside_a_weak_prior() -> None:
    rng, features = drawn(4)
    direction = np.eye(FEATURES)[3] * 12.0
    pairs = np.column_stack([np.arange(0, len(features), 2), np.arange(1, len(features), 2)])
    first = rng.random(len(pairs)) < expit((features[pairs[:, 0]] - features[pairs[:, 1]]) @ direction)
    pairs[~first] = pairs[~first][:, ::-1]
    trained = train(pair_examples(features, pairs, GROUPS, prior=rng.normal(size=len(features))), "words")
    evidence = trained.head.evidence
    assert evidence is not None
    assert (evidence.judged, evidence.judgements, evidence.within) == ("pairs", 120, None)
    assert evidence.decisive.better
    assert evidence.overall.before == pytest.approx(0.5, abs=0.15)
    assert trained.head.intercept == 0.0


def test_labels_that_depend_only_on_the_prompt_show_no_skill() -> None:
    """Prompts that are often labelled 1 share a feature, which orders replies across prompts but not within one."""
    rng, features = drawn(5)
    common = np.repeat(rng.normal(size=PROMPTS), REPLIES)
    features[:, 0] = common + 0.1 * features[:, 0]
    trained = train(label_examples(features, labelled(6, 3.0 * common), GROUPS), "words")
    evidence = trained.head.evidence
    assert evidence is not None
    assert evidence.within is not None
    assert evidence.overall.low > 0.7
    assert evidence.within.low < 0.5 < evidence.within.high


@pytest.mark.parametrize("seed", range(4))
def test_without_a_signal_the_head_is_not_called_better(seed: int) -> None:
    """Judgements follow the prior; the features add nothing."""
    rng, features = drawn(10 + seed)
    prior = rng.normal(size=len(features))
    labels = labelled(20 + seed, 1.5 * prior)
    evidence = train(label_examples(features, labels, GROUPS, prior), "words").head.evidence
    assert evidence is not None
    assert evidence.decisive.better is False
    assert evidence.decisive.head == pytest.approx(evidence.decisive.before, abs=0.05)  # it stays near its prior


def test_held_out_judgements_are_of_unseen_prompts() -> None:
    """Each prompt has its own feature and random labels: only a head trained on the prompt could predict them."""
    rng = np.random.default_rng(7)
    own = np.kron(np.eye(PROMPTS), np.ones((REPLIES, 1)))
    labels = np.repeat(rng.integers(0, 2, PROMPTS), REPLIES)
    examples = label_examples(own, labels, GROUPS)
    assert ((fit(examples, 0.1).log_odds(examples) > 0) == labels).all()
    assert cross_validate(examples) == pytest.approx(np.zeros(len(labels)), abs=1.0)
    assert evaluate(examples, cross_validate(examples), None).overall.low < 0.5


def test_weight_equals_repetition() -> None:
    rng, features = drawn(8, 60)
    prior, labels, times = rng.normal(size=60), rng.integers(0, 2, 60), rng.integers(1, 4, 60)
    once = Examples(features, prior, labels.astype(float), np.arange(60), "labels")
    weighted, repeated = fit(once, 0.5, times.astype(float)), fit(once.take(np.repeat(np.arange(60), times)), 0.5)
    np.testing.assert_allclose(weighted.weights, repeated.weights, atol=1e-4)
    assert weighted.intercept == pytest.approx(repeated.intercept, abs=1e-4)
    assert weighted.slope == pytest.approx(repeated.slope, abs=1e-4)


def test_training_is_deterministic() -> None:
    rng, features = drawn(9)
    examples = label_examples(features, labelled(9, features[:, 0] * 8), GROUPS, rng.normal(size=len(features)))
    progress: list[tuple[int, int]] = []
    first = train(examples, "words", report=lambda done, of: progress.append((done, of)))
    assert first.head == train(examples, "words").head
    assert progress == [(done, head_training.OUTER_FOLDS) for done in range(1, head_training.OUTER_FOLDS + 1)]


def test_unit_of_the_prior_does_not_matter() -> None:
    rng, features = drawn(11)
    prior = rng.normal(size=len(features))
    labels = labelled(12, prior + 4 * features[:, 1])
    small, large = (train(label_examples(features, labels, GROUPS, prior * unit), "words").head for unit in (1, 1e3))
    assert small.slope == pytest.approx(1e3 * large.slope, rel=1e-3)
    np.testing.assert_allclose(small.weights, large.weights, atol=1e-3)


def test_pairs_of_two_prompts_are_kept_together() -> None:
    """Prompts 0 and 1, and 1 and 2, are of one group; 3 and 4 of another."""
    pairs = [(0, 1), (1, 2), (3, 4)] + [(2 * number + 5, 2 * number + 6) for number in range(20)]
    features = np.random.default_rng(0).normal(size=(45, 2))
    groups = pair_examples(features, pairs, np.arange(45), None).groups
    assert groups[0] == groups[1] != groups[2]
    assert len(set(groups)) == 22


# Bad input


def test_too_few_judgements_are_refused() -> None:
    _, features = drawn(1, 60)
    labels = np.arange(60) % 2
    with pytest.raises(InputError, match="30 replies labelled 1 and 0 labelled 0; a head needs 10 of each"):
        label_examples(features[:30], np.ones(30), np.arange(30))
    with pytest.raises(InputError, match="of 3 prompts; a head needs 5"):
        label_examples(features, labels, np.arange(60) % 3)
    with pytest.raises(InputError, match="neither 1 nor 0"):
        label_examples(features, 2 * labels, np.arange(60))
    with pytest.raises(InputError, match="expected as many of each"):
        label_examples(features, labels[1:], np.arange(60))
    with pytest.raises(InputError, match="not finite"):
        label_examples(features * np.inf, labels, np.arange(60))
    with pytest.raises(InputError, match=r"12 decided pairs; a head needs 20\. Judge 8 more"):
        pair_examples(features, [(2 * number, 2 * number + 1) for number in range(12)], np.arange(60) // 2, None)
