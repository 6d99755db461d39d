"""Tests of levels in people's units: cases by hand, an independent fit, laws, a small simulation, and bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import t as student

from map_core.calibration import (
    ValueLabels,
    calibrate,
    labels_needed,
    labels_path,
    next_labels,
    people_level,
    people_levels,
    value_labels,
    with_people_columns,
)
from map_core.calibration.delivered import tilt_probabilities
from map_core.calibration.next_labels import inclusion_chances
from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import DEFAULT_TABLE
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.preference import PairChoice, reply_ids, rows_of_choices
from map_core.scoring.pairwise import PairAnswer
from map_core.scoring.validation import Label, read_labels
from map_core.text.people import progress_sentences
from tests.tables import make_table

TABLE = make_table(prompts=40, candidates=16)
ORACLE = MemoryOracle.of(TABLE)
HUMOR = TABLE.index("humor")
WEIGHTS = np.array([0.5, 0.0, 0.8, 0.0])


def people_answers(seed: int = 0, slope: float = 2.0) -> np.ndarray:
    """Return what people answer on each reply, (reply,): by humor, and by positivity, which the scorer ignores."""
    z = ORACLE.standardise(TABLE.rewards)
    return (np.random.default_rng(seed).random(len(z)) < expit(slope * z[:, HUMOR] + 0.5 * z[:, 3])).astype(float)


def labelled(answers: np.ndarray, rng: np.random.Generator, prompts: int = 20, per_prompt: int = 6) -> ValueLabels:
    """Return labels of some replies to some prompts, both drawn at random."""
    chosen = np.sort(rng.choice(40, prompts, replace=False))
    rows = np.concatenate([prompt * 16 + np.sort(rng.choice(16, per_prompt, replace=False)) for prompt in chosen])
    return ValueLabels("humor", rows, answers[rows], rows // 16, np.full(len(rows), per_prompt / 16))


def as_labels(labels: ValueLabels) -> list[Label]:
    return [
        Label(TABLE.prompt_ids[row // 16], row % 16, {"humor": int(share)})
        for row, share in zip(labels.rows.tolist(), labels.shares, strict=True)
    ]


def test_labels_alone_by_hand():
    # Eight prompts of two replies, all labelled: 2 of 2 yes once, 1 of 2 seven times.
    table = RewardTable(
        ("kind",),
        np.tile([[0.0], [1.0]], (8, 1)),
        np.arange(9) * 2,
        *(tuple(f"{name}{i}" for i in range(8)) for name in ("p", "prompt", "use")),
    )
    shares = np.tile([0.0, 1.0], 8)
    shares[0] = 1.0
    labels = ValueLabels("kind", np.arange(16), shares, np.arange(16) // 2, np.ones(16))
    level = people_level(table, MemoryOracle.of(table), labels, np.zeros(1))
    assert level.labels_alone == pytest.approx(9 / 16)
    influences = np.array([1 - 9 / 16, *[0.5 - 9 / 16] * 7]) / 8
    half_width = student.ppf(0.95, 7) * np.sqrt(8 / 7) * np.linalg.norm(influences)
    assert half_width == pytest.approx(0.118412, abs=1e-6)
    assert (level.labels_low, level.labels_high) == pytest.approx((9 / 16 - half_width, 9 / 16 + half_width))
    assert level.effective == pytest.approx(16)


def test_the_tilt_by_hand():
    table = RewardTable(("kind",), np.array([[0.0], [1.0]]), np.array([0, 2]), ("p",), ("prompt",), ("use",))
    oracle = MemoryOracle.of(table)  # z is -1 and 1
    assert tilt_probabilities(table, oracle, np.array([np.log(3) / 2])) == pytest.approx([0.25, 0.75])


def test_the_calibration_is_the_maximum_that_scipy_finds():
    rng = np.random.default_rng(1)
    z = rng.normal(size=80)
    y = (rng.random(80) < expit(1 + 1.5 * z)).astype(float)

    def loss(beta: np.ndarray) -> float:
        odds = beta[0] + beta[1] * z
        return float(np.logaddexp(0, odds).sum() - y @ odds + beta @ beta / 50)

    fitted = calibrate(z, y, np.arange(80) // 4)
    assert [fitted.intercept, fitted.slope] == pytest.approx(minimize(loss, [0, 0], tol=1e-12).x, abs=1e-4)
    low, high = fitted.interval(np.linspace(-2, 2, 9))
    middle = fitted.probability(np.linspace(-2, 2, 9))
    assert (np.diff(middle) > 0).all()
    assert ((low < middle) & (middle < high)).all()


def test_opposed_labels_give_a_constant_calibration_and_separated_ones_a_finite_one():
    z = np.linspace(-1, 1, 20)
    calibration = calibrate(z, (z < 0).astype(float), np.arange(20))
    assert calibration.slope == 0
    assert calibration.probability(z) == pytest.approx(0.5, abs=1e-3)
    assert 0 < calibrate(z, (z > 0).astype(float), np.arange(20)).slope < 50


def test_a_constant_scorer_leaves_the_level_of_the_labels():
    constant_humor = replace(TABLE, rewards=np.where(np.arange(4) == HUMOR, 1.0, TABLE.rewards))
    labels = labelled(people_answers(), np.random.default_rng(0))
    level = people_level(constant_humor, MemoryOracle.of(constant_humor), labels, np.zeros(4))
    assert level.share == pytest.approx(level.labels_alone)
    assert level.high - level.low == pytest.approx(level.labels_high - level.labels_low, rel=1e-3)


def test_intervals_cover_the_truth_and_are_narrower_than_those_of_labels_alone():
    answers, covered, widths, errors = people_answers(), [], [], []
    truth = float(tilt_probabilities(TABLE, ORACLE, WEIGHTS) @ answers) / 40
    rng = np.random.default_rng(5)
    for _ in range(80):
        level = people_level(TABLE, ORACLE, labelled(answers, rng), WEIGHTS)
        covered.append(level.low <= truth <= level.high)
        widths.append((level.high - level.low, level.labels_high - level.labels_low))
        errors.append((level.share - truth, level.labels_alone - truth))
    assert np.mean(covered) > 0.85
    narrow, wide = np.mean(widths, axis=0)
    assert narrow < 0.8 * wide
    spread, spread_labels = np.std(errors, axis=0)
    assert spread < 0.85 * spread_labels
    assert abs(np.mean(errors, axis=0)[0]) < 4 * spread / np.sqrt(80)


@pytest.mark.parametrize("weight", [20.0, 400.0])
@pytest.mark.parametrize("best", [0, 1])
def test_a_palette_that_hardly_picks_labelled_replies_has_no_level(weight: float, best: int):
    # Ten prompts of four replies, the worst of each labelled, and the best of one: that label alone would be the level.
    table = RewardTable(
        ("kind",),
        np.tile(np.arange(4.0)[:, None], (10, 1)),
        np.arange(11) * 4,
        *(tuple(f"{name}{i}" for i in range(10)) for name in ("p", "prompt", "use")),
    )
    rows = np.arange(10) * 4
    rows[:best] += 3
    labels = ValueLabels("kind", rows, np.arange(10) % 2.0, rows // 4, np.full(10, 0.25))
    oracle = MemoryOracle.of(table)
    assert people_level(table, oracle, labels, np.zeros(1)).prompts == 10
    if best or weight > 100:
        with pytest.raises(InputError, match="labels count for"):
            people_level(table, oracle, labels, np.array([weight]))


def test_labels_drawn_by_influence_are_weighted_without_bias():
    answers, errors = people_answers(), []
    truth = float(tilt_probabilities(TABLE, ORACLE, WEIGHTS) @ answers) / 40
    for seed in range(40):
        rng = np.random.default_rng(seed)
        first = labelled(answers, rng, prompts=8)
        requests = next_labels(TABLE, ORACLE, first, WEIGHTS, prompts=30, seed=seed)
        rows = np.array([TABLE.prompt_ids.index(request.prompt_id) * 16 + request.candidate for request in requests])
        assert not set(rows // 16) & set(first.prompts)
        chances = np.array([request.chance for request in requests])
        level = people_level(TABLE, ORACLE, ValueLabels("humor", rows, answers[rows], rows // 16, chances), WEIGHTS)
        errors.append(level.share - truth)
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(40) + 0.01
    assert np.std(errors) < 0.06


def test_without_labels_the_tilt_alone_determines_what_to_label_next():
    among = np.arange(40) < 6
    requests = next_labels(TABLE, ORACLE, "humor", WEIGHTS, prompts=40, per_prompt=3, among=among)
    assert {request.prompt_id for request in requests} == {f"p{number:02d}" for number in range(6)}
    probability = tilt_probabilities(TABLE, ORACLE, WEIGHTS)
    for request in requests:
        row = TABLE.prompt_ids.index(request.prompt_id) * 16
        assert request.chance == pytest.approx(
            inclusion_chances(probability[row : row + 16], 3)[request.candidate],
        )
    first = labelled(people_answers(), np.random.default_rng(0), prompts=30)
    later_requests = next_labels(TABLE, ORACLE, first, WEIGHTS, prompts=40, among=among)
    assert {TABLE.prompt_ids.index(request.prompt_id) for request in later_requests} == set(range(6)) - set(
        first.prompts
    )


def test_progress_sentences_forecast_the_effect_of_more_judgements():
    level = people_level(TABLE, ORACLE, labelled(people_answers(), np.random.default_rng(0)), WEIGHTS)
    current_sentence, forecast_sentence = progress_sentences(level, 20)
    assert (
        current_sentence
        == f"Now {100 * level.share:.0f} of 100 with your palette, give or take {50 * (level.high - level.low):.0f}."
    )
    assert forecast_sentence.endswith("more would bring it to within 5.")
    assert progress_sentences(replace(level, low=0.5, high=0.51), 20)[1] == "That is as close as anybody needs."
    assert progress_sentences(None, 7)[1].startswith("It comes after replies to 1 more request,")
    assert "both yes and no" in progress_sentences(None, 9)[1]


@pytest.mark.parametrize("count", [1, 3, 10, 40])
def test_chances_add_up_and_none_is_above_one(count: int):
    sizes = np.random.default_rng(0).exponential(size=40) ** 3
    chances = inclusion_chances(sizes, count)
    assert chances.sum() == pytest.approx(count)
    assert ((chances > 0) & (chances <= 1)).all()
    assert inclusion_chances(np.array([1.0, 1.0, 2.0, 8.0]), 2) == pytest.approx([0.25, 0.25, 0.5, 1.0])
    assert inclusion_chances(np.zeros(4), 2) == pytest.approx([0.5] * 4)


def test_a_narrower_interval_needs_more_labels():
    level = people_level(TABLE, ORACLE, labelled(people_answers(), np.random.default_rng(0)), WEIGHTS)
    half_width = (level.high - level.low) / 2
    assert labels_needed(level, half_width / 2) == pytest.approx(3 * level.labels, abs=1)
    assert labels_needed(level, 2 * half_width) == 0


def test_a_calibrated_column_is_an_ordinary_value():
    labels = labelled(people_answers(), np.random.default_rng(0))
    table = with_people_columns(TABLE, ORACLE, [labels])
    assert table.values[-1] == "humor_people"
    column = table.rewards[:, -1]
    assert ((column > 0) & (column < 1)).all()
    assert (np.argsort(column) == np.argsort(TABLE.rewards[:, HUMOR])).all()
    with pytest.raises(InputError, match="already"):
        with_people_columns(table, MemoryOracle.of(table), [labels])


def test_levels_of_all_values_and_of_a_subset_of_a_table():
    labels = as_labels(labelled(people_answers(), np.random.default_rng(0), prompts=30))
    levels, problems = people_levels(TABLE, ORACLE, labels, WEIGHTS)
    assert set(levels) == {"humor"}
    assert not problems
    base, aligned = levels["humor"]
    assert aligned.share > base.share
    subset = TABLE.take(range(6))
    levels, problems = people_levels(subset, MemoryOracle.of(subset), labels, WEIGHTS)
    assert not levels
    assert "expected 8" in problems["humor"]


def test_judges_of_one_reply_count_as_their_mean(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text(
        '{"prompt_id": "p00", "candidate": 1, "labels": {"humor": 1}, "judge": "anna"}\n'
        '{"prompt_id": "p00", "candidate": 1, "labels": {"humor": 0}, "judge": "ben"}\n'
        '{"prompt_id": "p01", "candidate": 2, "labels": {"humor": 1}, "chance": 0.3}\n'
    )
    labels = value_labels(TABLE, read_labels(path), "humor")
    assert labels.rows.tolist() == [1, 18]
    assert labels.shares.tolist() == [0.5, 1.0]
    assert labels.chances.tolist() == [1 / 16, 0.3]
    path.write_text('{"prompt_id": "p00", "candidate": 1, "labels": {"humor": 1}, "chance": 1.5}')
    with pytest.raises(InputError, match=r"chance 1\.5"):
        read_labels(path)
    path.write_text('{"prompt_id": "p00", "candidate": 1' + "0" * 400 + ', "labels": {"humor": 1}}')
    with pytest.raises(InputError, match="is not a label"):
        read_labels(path)


def test_labels_name_candidates_by_number_where_replies_are_missing():
    kept = np.flatnonzero(np.arange(16) != 2)
    rows = np.concatenate([kept, np.arange(16, len(TABLE.rewards))])
    without_one_reply = replace(
        TABLE,
        rewards=TABLE.rewards[rows],
        offsets=np.concatenate([[0], TABLE.offsets[1:] - 1]),
        replies=tuple(TABLE.replies[row] for row in rows),
        tokens=tuple(TABLE.tokens[row] for row in rows),
        log_probs=TABLE.log_probs[rows],
        numbers=np.concatenate([kept, np.tile(np.arange(16), 39)]),
    )
    labels = [Label("p00", 1, {"humor": 1}), Label("p00", 3, {"humor": 0}), Label("p01", 3, {"humor": 1})]
    assert [without_one_reply.replies[row] for row in value_labels(without_one_reply, labels, "humor").rows] == [
        TABLE.replies[row] for row in value_labels(TABLE, labels, "humor").rows
    ]
    with pytest.raises(InputError, match="candidate 2 of the prompt 'p00', which the table lacks"):
        value_labels(without_one_reply, [Label("p00", 2, {"humor": 1})], "humor")
    oracle = MemoryOracle.of(without_one_reply)
    requests = next_labels(without_one_reply, oracle, "humor", np.zeros(4), 40, per_prompt=99)
    assert [request.candidate for request in requests if request.prompt_id == "p00"] == kept.tolist()
    choice = PairChoice(2, 15, PairAnswer.FIRST)
    assert reply_ids(without_one_reply, choice)["first"] == {"prompt_id": "p00", "candidate": 3}
    with pytest.raises(InputError):
        rows_of_choices(without_one_reply, [reply_ids(without_one_reply, choice)])  # replies to two prompts
    pair = PairChoice(1, 2, PairAnswer.FIRST)
    assert rows_of_choices(without_one_reply, [reply_ids(without_one_reply, pair)]) == (pair,)


def test_labels_are_stored_beside_their_table(tmp_path, monkeypatch):
    assert labels_path(tmp_path / "mine.parquet") == tmp_path / "mine.labels.jsonl"
    assert labels_path(DEFAULT_TABLE) == DEFAULT_TABLE.with_name("labels.jsonl")
    monkeypatch.chdir(DEFAULT_TABLE.parent)
    assert labels_path(Path(DEFAULT_TABLE.name)).is_file()


def test_bad_labels_are_refused():
    labels = labelled(people_answers(), np.random.default_rng(0))
    with pytest.raises(InputError, match="No label judges 'positivity'"):
        value_labels(TABLE, as_labels(labels), "positivity")
    with pytest.raises(InputError, match="nothing tells which rewards"):
        value_labels(TABLE, [Label("p00", 0, {"humor": 1}), Label("p01", 0, {"humor": 1})], "humor")
    with pytest.raises(InputError, match="nothing tells which rewards"):
        value_labels(TABLE, [Label("p00", 0, {"humor": 1})], "humor")
    with pytest.raises(InputError, match="two at the least"):
        calibrate(np.zeros(1), np.zeros(1), np.zeros(1))
    with pytest.raises(InputError, match="several replies per prompt"):
        people_level(TABLE, MemoryOracle.of(TABLE, Form.POOLED), labels, WEIGHTS)
