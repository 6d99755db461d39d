"""Tests of the reach of judgements: a case by hand, Kish's formula label by label, laws, sentences, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from map_core.calibration import label_reach, promised_values
from map_core.calibration.delivered import tilt_probabilities
from map_core.data.derived_columns import ColumnKind, DerivedColumn
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.scoring.validation import Label
from map_core.text.people import few_labels_sentence, reach_rows, unlabelled_sentence
from tests.tables import make_table

TABLE = make_table(prompts=40, candidates=16)
ORACLE = MemoryOracle.of(TABLE)
HUMOR = TABLE.index("humor")


def labels_of(rows, value: str = "humor", answer: int = 1) -> list[Label]:
    return [Label(TABLE.prompt_ids[row // 16], int(row % 16), {value: answer}) for row in rows]


def humor_reach(rows, weights: np.ndarray):
    return label_reach(TABLE, ORACLE, labels_of(rows), weights, ["humor"])["humor"]


def test_effective_labels_of_two_bins_by_hand():
    # One prompt, replies 0 to 11 of equal probability; six judged below the middle and two above it.
    table = RewardTable(("kind",), np.arange(12.0)[:, None], np.array([0, 12]), ("p",), ("prompt",), ("use",))
    labels = [Label("p", candidate, {"kind": 1}) for candidate in (0, 1, 2, 3, 4, 5, 8, 9)]
    kind = label_reach(table, MemoryOracle.of(table), labels, np.zeros(1), ["kind"])["kind"]
    assert kind.labels == 8
    assert kind.effective == pytest.approx(6.0)  # 1 / (1/4/6 + 1/4/2)
    assert kind.outside == pytest.approx(2 / 12)  # 10 and 11
    assert kind.hardly == pytest.approx(6 / 12)  # the upper bin has fewer than three


def test_effective_labels_match_kish_and_the_variance_of_a_mean_over_bins():
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(640, 200, replace=False))
    weights = np.array([0.0, 0.0, 1.0, 0.0])
    reach = humor_reach(rows, weights)
    z, masses = TABLE.rewards[:, HUMOR], tilt_probabilities(TABLE, ORACLE, weights) / 40
    order = np.argsort(z)
    edges = [z[order][np.flatnonzero(np.cumsum(masses[order]) >= k / 10)[0] + 1] for k in range(1, 10)]
    bins, labelled = np.digitize(z, edges), np.digitize(z[rows], edges)
    w = np.array([masses[bins == b].sum() / (labelled == b).sum() for b in labelled])
    assert reach.effective == pytest.approx(w.sum() ** 2 / (w**2).sum())
    means = [w @ rng.normal(size=200) / w.sum() for _ in range(4000)]
    assert np.var(means) == pytest.approx(1 / reach.effective, rel=0.1)


def test_larger_weights_leave_the_labelled_replies():
    low = np.argsort(TABLE.rewards[:, HUMOR])[:320]  # only the lower half was judged
    reaches = [humor_reach(low, np.array([0.0, 0.0, x, 0.0])) for x in (-2.0, 0.0, 1.0, 2.0)]
    assert np.all(np.diff([reach.outside for reach in reaches]) > 0)
    assert np.all(np.diff([reach.effective for reach in reaches[1:]]) < 0)
    assert [reach.few for reach in reaches] == [False, True, True, True]


@settings(max_examples=40)
@given(st.integers(1, 640), st.floats(-2.0, 2.0), st.integers(0, 9))
def test_effective_labels_and_shares_stay_within_their_bounds(count: int, weight: float, seed: int):
    rows = np.random.default_rng(seed).choice(640, count, replace=False)
    reach = humor_reach(rows, np.array([0.0, 0.0, weight, 0.0]))
    assert 0 < reach.effective <= count * (1 + 1e-9)
    assert 0 <= reach.outside <= reach.hardly + 1e-12 <= 1 + 1e-9
    if count == 640:
        assert reach.outside == 0


def test_with_all_replies_judged_all_labels_count_at_the_base_level():
    reach = humor_reach(range(640), np.zeros(4))
    assert reach.effective == pytest.approx(640, rel=0.01)
    assert not reach.few


def test_judges_of_one_reply_equal_answers_and_constant_rewards():
    judged_twice = label_reach(TABLE, ORACLE, labels_of([3, 3, 40]), np.zeros(4), ["humor"])["humor"]
    assert judged_twice.labels == 2
    constant_table = RewardTable(("kind",), np.ones((12, 1)), np.array([0, 12]), ("p",), ("prompt",), ("use",))
    labels = [Label("p", candidate, {"kind": 0}) for candidate in range(5)]
    reach = label_reach(constant_table, MemoryOracle.of(constant_table), labels, np.zeros(1), ["kind"])["kind"]
    assert (reach.effective, reach.outside, reach.hardly) == (5.0, 0.0, 0.0)


def test_a_value_without_labels_is_named_without_a_warning():
    reaches = label_reach(TABLE, ORACLE, labels_of([3, 40]), np.zeros(4), ["humor", "positivity"])
    assert (reaches["positivity"].labels, reaches["positivity"].effective) == (0, 0.0)
    assert few_labels_sentence(reaches["positivity"], "positivity") == ""
    assert unlabelled_sentence(["positivity"]) == "Nobody has judged replies for positivity yet."
    assert unlabelled_sentence([]) == ""
    assert few_labels_sentence(reaches["humor"], "humor") == (
        "Humor: few people have judged replies like these. 2 judgements stand behind this level, and 100 in 100 of the "
        "replies score where hardly any has been judged."
    )
    rows = reach_rows(reaches, TABLE.values, TABLE.values)
    assert [cells for _, cells in rows] == [("Humor", "2", "2", "100 in 100"), ("Positivity", "none yet", "", "")]


def test_promised_values_include_those_behind_columns():
    share = DerivedColumn("humor>=0", "humor", ColumnKind.SHARE, 0.0)
    wider = TABLE.with_columns([share])
    targets = np.array([np.nan, 0.5, np.nan, np.nan, 0.2])
    assert promised_values(wider, targets) == ("harmlessness", "humor")


def test_labels_of_another_table_are_refused():
    with pytest.raises(InputError, match="candidate 99"):
        label_reach(TABLE, ORACLE, [Label("p00", 99, {"humor": 1})], np.zeros(4), ["humor"])
    with pytest.raises(InputError):
        label_reach(TABLE, ORACLE, [], np.zeros(4), ["none"])
