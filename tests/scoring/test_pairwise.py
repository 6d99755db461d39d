"""Tests of pairwise judgements: which pairs are offered, the agreement from answers, and simulated judges."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from map_core.errors import InputError
from map_core.scoring.pairwise import (
    PARTS,
    PairAnswer,
    PairJudgement,
    PairQuestion,
    TrustLevel,
    choose_pairs,
    judgement_agreement,
    trust_level,
)
from tests.tables import make_table

TABLE = make_table(prompts=40, candidates=16, seed=3)
TRUTH = TABLE.rewards[:, 0]


def scored(noise: float, seed: int = 1) -> np.ndarray:
    """Return scores that are the truth plus noise."""
    return TRUTH + noise * np.random.default_rng(seed).normal(size=len(TRUTH))


def judge(questions: tuple[PairQuestion, ...], threshold: float = 0.0) -> list[PairJudgement]:
    """Judge pairs by the truth; differences below the threshold are undecided."""
    judged = []
    for question in questions:
        gap = TRUTH[question.first] - TRUTH[question.second]
        answer = PairAnswer.FIRST if gap > 0 else PairAnswer.SECOND
        judged.append(
            PairJudgement(question.first, question.second, PairAnswer.NEITHER if abs(gap) < threshold else answer)
        )
    return judged


def concordance(scores: np.ndarray) -> float:
    """Return the share of all pairs within prompts that scores put in the true order."""
    shares = []
    for i in range(len(TABLE.prompts)):
        rows = np.arange(*TABLE.rows(i).indices(len(TRUTH)))
        a, b = np.triu_indices(len(rows), 1)
        same = np.sign(TRUTH[rows[a]] - TRUTH[rows[b]]) * np.sign(scores[rows[a]] - scores[rows[b]])
        shares.append(np.mean((1 + same) / 2))
    return float(np.mean(shares))


def test_three_pairs_counted_by_hand():
    scores = np.array([3.0, 1.0, 2.0, 2.0])
    judged = [
        PairJudgement(0, 1, PairAnswer.FIRST),  # agrees
        PairJudgement(0, 1, PairAnswer.SECOND),  # does not
        PairJudgement(2, 3, PairAnswer.SECOND),  # a tie of the scorer: half
        PairJudgement(0, 2, PairAnswer.NEITHER),  # left out
    ]
    agreement = judgement_agreement(scores, judged)
    assert (agreement.agreed, agreement.decided, agreement.undecided, agreement.auc) == (1.5, 3, 1, 0.5)
    assert agreement.trust_level is None  # too few


@pytest.mark.parametrize(("agreed", "of"), [(0, 12), (9, 15), (15, 15), (31, 40)])
def test_interval_is_wilsons(agreed, of):
    scores = np.array([1.0, 0.0])
    judged = [PairJudgement(0, 1, PairAnswer.FIRST)] * agreed + [PairJudgement(0, 1, PairAnswer.SECOND)] * (of - agreed)
    expected = binomtest(agreed, of).proportion_ci(0.95, method="wilson")
    agreement = judgement_agreement(scores, judged)
    assert (agreement.low, agreement.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_without_decided_pairs_there_is_no_agreement():
    assert judgement_agreement(TRUTH, []) is None
    assert judgement_agreement(TRUTH, [PairJudgement(0, 1, PairAnswer.NEITHER)]) is None


def test_pairs_share_a_prompt_differ_and_are_spread_evenly():
    questions = choose_pairs(TABLE, scored(1.0), 40, seed=2)
    prompt = np.searchsorted(TABLE.offsets, [question.first for question in questions], side="right") - 1
    assert len(questions) == 40
    assert (
        prompt == np.searchsorted(TABLE.offsets, [question.second for question in questions], side="right") - 1
    ).all()
    assert len(set(prompt)) == 40  # each of another prompt
    for start in range(0, 40, PARTS):
        assert sorted(question.part for question in questions[start : start + PARTS]) == list(range(PARTS))
    assert questions == choose_pairs(TABLE, scored(1.0), 40, seed=2)
    assert questions != choose_pairs(TABLE, scored(1.0), 40, seed=3)


def test_order_on_screen_is_independent_of_the_scores():
    higher_first = [
        TRUTH[question.first] > TRUTH[question.second]
        for seed in range(20)
        for question in choose_pairs(TABLE, TRUTH, 20, seed)
    ]
    assert 0.4 < np.mean(higher_first) < 0.6


def test_later_parts_have_larger_differences():
    gaps = Counter()
    for seed in range(10):
        for question in choose_pairs(TABLE, TRUTH, 40, seed):
            gaps[question.part] += abs(TRUTH[question.first] - TRUTH[question.second])
    assert [gaps[part] for part in range(PARTS)] == sorted(gaps.values())


def test_equal_texts_are_no_pair():
    twins = replace(make_table(prompts=2, candidates=3), replies=("Yes.", "Yes. ", "No.", "One", "One", " One"))
    questions = choose_pairs(twins, np.arange(6.0), 10)
    assert {frozenset((question.first, question.second)) for question in questions} == {
        frozenset((0, 2)),
        frozenset((1, 2)),
    }


def test_single_replies_give_pairs_across_prompts():
    single = make_table(prompts=30, candidates=1)
    assert len(choose_pairs(single, single.rewards[:, 0], 15)) == 15


def test_scores_must_fit_the_replies():
    with pytest.raises(InputError, match="3 scores for 640 replies"):
        choose_pairs(TABLE, np.zeros(3))


def test_a_perfect_scorer_is_reliable_and_an_inverted_one_is_reversed():
    questions = choose_pairs(TABLE, TRUTH, 15)
    perfect, inverted = judgement_agreement(TRUTH, judge(questions)), judgement_agreement(-TRUTH, judge(questions))
    assert (perfect.auc, perfect.trust_level, perfect.reversed) == (1.0, TrustLevel.RELIABLE, False)
    assert (inverted.auc, inverted.trust_level, inverted.reversed) == (0.0, TrustLevel.UNUSABLE, True)


@pytest.mark.parametrize("wanted", [15, 40])
def test_random_scorer_is_rarely_called_usable(wanted):
    levels = Counter()
    for seed in range(300):
        coin = np.random.default_rng(seed).normal(size=len(TRUTH))
        levels[judgement_agreement(coin, judge(choose_pairs(TABLE, coin, wanted, seed))).trust_level] += 1
    assert levels[TrustLevel.UNUSABLE] >= 0.95 * 300


def test_share_estimates_that_of_all_pairs_and_its_interval_covers():
    scores = scored(0.35)
    truth, agreements = concordance(scores), []
    for seed in range(400):
        agreements.append(judgement_agreement(scores, judge(choose_pairs(TABLE, scores, 20, seed))))
    error = np.std([agreement.auc for agreement in agreements]) / np.sqrt(len(agreements))
    assert np.mean([agreement.auc for agreement in agreements]) == pytest.approx(truth, abs=4 * error)
    assert np.mean([agreement.low <= truth <= agreement.high for agreement in agreements]) >= 0.95
    # Stratified by differences, its variance is below that of randomly drawn pairs.
    assert np.var([agreement.auc for agreement in agreements]) < 0.95 * truth * (1 - truth) / 20


def test_undecidable_pairs_are_left_out():
    scores = scored(0.3)
    questions = choose_pairs(TABLE, scores, 40)
    strict, easy = (
        judgement_agreement(scores, judge(questions)),
        judgement_agreement(scores, judge(questions, threshold=0.5)),
    )
    assert easy.undecided > 0
    assert easy.decided + easy.undecided == 40
    assert easy.auc > strict.auc


@pytest.mark.parametrize("correlation", [0.1, 0.3, 0.5, 0.7, 0.8, 0.9])
def test_without_close_pairs_the_share_is_near_the_auc(correlation):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(2, 200_000))
    scores = correlation * truth + np.sqrt(1 - correlation**2) * rng.normal(size=truth.shape)
    gap = truth[0] - truth[1]
    apart = np.abs(gap) > np.quantile(np.abs(gap), 0.3)
    pairs = np.mean((np.sign(gap) == np.sign(scores[0] - scores[1]))[apart])
    labelled = (truth[0] > 0) & (truth[1] < 0)
    assert pairs == pytest.approx(np.mean((scores[0] > scores[1])[labelled]), abs=0.02)


def test_thresholds_of_the_words():
    assert trust_level(0.75, 0.66) is TrustLevel.RELIABLE
    assert trust_level(0.75, 0.65) is TrustLevel.ROUGH
    assert trust_level(0.9, 0.5) is TrustLevel.UNUSABLE  # chance is not ruled out
    assert trust_level(0.64, 0.6) is TrustLevel.UNUSABLE
