"""Tests of choosing: which pairs are offered, in which order, and the palette that the choices lead to."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from map_core.data.reward_table import HIDDEN
from map_core.errors import InputError
from map_core.feasibility.trust import is_trusted
from map_core.oracle import MemoryOracle
from map_core.preference import (
    Evidence,
    PairChoice,
    found_palette,
    next_pair,
    pair_pool,
    read_choices,
    reply_ids,
    rows_of_choices,
)
from map_core.preference import pairs as pairs_module
from map_core.preference.found import trusted_share
from map_core.preference.pairs import fit
from map_core.scoring.pairwise import PairAnswer
from map_core.solver.newton import solve
from map_core.text import choosing
from tests.tables import make_table

TABLE = make_table(prompts=20, candidates=12)
TABLE = replace(
    TABLE, replies=tuple(f"{text}, and that is all that there is to say of it today." for text in TABLE.replies)
)
ORACLE = MemoryOracle.of(TABLE)
TRUTH = np.array([1.5, 0.0, 1.0, 0.0])


def answered(count: int, truth: np.ndarray = TRUTH, seed: int = 0) -> list[PairChoice]:
    """Return the choices of a person who always chooses by the weights."""
    pool, choices = pair_pool(TABLE, ORACLE), []
    standardised = ORACLE.standardise(TABLE.rewards)
    for _ in range(count):
        first, second = next_pair(pool, fit(TABLE, ORACLE, choices), choices, seed)
        first_is_better = (standardised[first] - standardised[second]) @ truth > 0
        choices.append(PairChoice(first, second, PairAnswer.FIRST if first_is_better else PairAnswer.SECOND))
    return choices


def test_pairs_share_a_visible_prompt_and_have_similar_lengths():
    table = replace(
        TABLE,
        metadata={**TABLE.metadata, HIDDEN: ["p03"]},
        held_out=np.arange(20) == 5,
        replies=tuple(text * (1 + row % 2) for row, text in enumerate(TABLE.replies)),
    )
    pool = pair_pool(table, MemoryOracle.of(table))
    assert set(pool.prompts) == set(range(20)) - {3, 5}
    lengths = np.array([len(text) for text in table.replies])[pool.rows]
    assert (lengths.max(axis=1) <= 1.5 * lengths.min(axis=1)).all()
    assert [table.prompt_of(int(row)) for row in pool.rows[:, 0]] == pool.prompts.tolist()
    assert [table.prompt_of(int(row)) for row in pool.rows[:, 1]] == pool.prompts.tolist()


def test_truncated_replies_are_used_only_when_complete_ones_run_out():
    cut = np.arange(len(TABLE.replies)) % 3 == 0
    table = replace(TABLE, tokens=tuple((1,) * (16 if row else 2) for row in cut))
    assert not cut[pair_pool(table, MemoryOracle.of(table)).rows].any()
    table = replace(TABLE, tokens=((1,) * 16,) * len(TABLE.replies))
    assert len(pair_pool(table, MemoryOracle.of(table)).rows)


def test_next_pair_maximises_the_determinant(monkeypatch):
    choices = answered(3)
    pool, fitted = pair_pool(TABLE, ORACLE), fit(TABLE, ORACLE, choices)
    used = {TABLE.prompt_of(choice.first) for choice in choices}
    best = max(
        (place for place in range(len(pool.rows)) if pool.prompts[place] not in used),
        key=lambda place: np.linalg.det(
            fitted.precision
            + (p := float(fitted.probability(pool.differences[place])))
            * (1 - p)
            * np.outer(pool.differences[place], pool.differences[place])
        ),
    )
    assert next_pair(pool, fitted, choices) == tuple(pool.rows[best])
    monkeypatch.setattr(pairs_module, "CONSIDERED", 50)
    assert next_pair(pool, fitted, choices, 1) == next_pair(pool, fitted, choices, 1)


def test_prompts_repeat_only_after_all_were_used_and_pairs_never():
    choices = answered(45)
    prompts = [TABLE.prompt_of(choice.first) for choice in choices]
    assert len(set(prompts[:20])) == len(set(prompts[20:40])) == 20
    assert all(a != b for a, b in pairwise(prompts))
    assert len({frozenset((choice.first, choice.second)) for choice in choices}) == 45


def test_pairs_run_out():
    table = TABLE.take([0, 1])
    oracle = MemoryOracle.of(table)
    pool = pair_pool(table, oracle)
    choices = [PairChoice(int(a), int(b), PairAnswer.NEITHER) for a, b in pool.rows]
    assert next_pair(pool, fit(table, oracle, choices), choices) is None


def test_true_weights_are_recovered_and_solve_their_targets():
    choices = answered(30)
    inferred = found_palette(TABLE, ORACLE, choices)
    assert inferred.evidence[0] is inferred.evidence[2] is Evidence.MORE
    assert inferred.weights @ TRUTH / np.linalg.norm(inferred.weights) / np.linalg.norm(TRUTH) > 0.95
    assert inferred.explained >= 27
    assert (inferred.decided, inferred.undecided) == (30, 0)
    solution = solve(ORACLE, inferred.targets)
    assert solution.weights == pytest.approx(inferred.weights, abs=1e-6)
    assert solution.kl == pytest.approx(inferred.kl)
    assert is_trusted(ORACLE, solution)
    free = np.isnan(inferred.targets)
    assert (inferred.low[~free] <= inferred.targets[~free]).all()
    assert (inferred.targets[~free] <= inferred.high[~free]).all()


def test_weights_with_too_small_effective_sample_size_are_shortened():
    weights = np.array([3.0, 0.0, 3.0, 3.0])
    share = trusted_share(ORACLE, weights)
    assert 0 < share < 1
    for part, trusted in ((share, True), (share + 0.01, False)):
        assert is_trusted(ORACLE, solve(ORACLE, ORACLE.moments(part * weights).levels)) is trusted
    assert trusted_share(ORACLE, 0.1 * weights) == 1
    inferred = replace(found_palette(TABLE, ORACLE, answered(10)), shortened=share)
    assert any("relied on" in sentence for sentence in choosing.details(inferred, TABLE.values))


def test_without_choices_there_are_no_targets():
    inferred = found_palette(TABLE, ORACLE, [])
    assert not inferred.has_targets
    assert inferred.kl == 0
    assert set(inferred.evidence) == {Evidence.NOTHING}
    assert choosing.headline(inferred, TABLE.values) == "Your choices favour no value yet."


def test_preferring_less_of_a_value_is_reported():
    inferred = found_palette(TABLE, ORACLE, answered(30, np.array([1.5, 0.0, -1.5, 0.0])))
    assert inferred.evidence[2] is Evidence.LESS
    assert "You tended to choose less humor." in " ".join(choosing.details(inferred, TABLE.values))


def test_choices_round_trip_through_their_file(tmp_path):
    choices = answered(4)
    path = tmp_path / "choices.jsonl"
    path.write_text("".join(json.dumps(reply_ids(TABLE, choice)) + "\n" for choice in choices))
    assert list(read_choices(TABLE, path)) == choices


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "both"}, "is not a choice"),
        ({"first": {"prompt_id": "p99", "candidate": 0}}, "the table lacks"),
        ({"first": {"prompt_id": "p01", "candidate": 99}}, "the table lacks"),
        ({"first": {"prompt_id": "p01", "candidate": 0.7}}, "is not a choice"),
        ({"first": {"prompt_id": "p01", "candidate": float("inf")}}, "is not a choice"),
        ({"first": {"prompt_id": "p01", "candidate": float("nan")}}, "is not a choice"),
        ({"first": {"prompt_id": "p02", "candidate": 1}}, "two prompts"),
        ({"first": {"prompt_id": "p01", "candidate": 1}}, "with itself"),
        ({"first": 3}, "is not a choice"),
    ],
)
def test_invalid_choice_records_are_refused(change, message):
    record = {
        "first": {"prompt_id": "p01", "candidate": 0},
        "second": {"prompt_id": "p01", "candidate": 1},
        "answer": "first",
    }
    assert len(rows_of_choices(TABLE, [record])) == 1
    with pytest.raises(InputError, match=message):
        rows_of_choices(TABLE, [record | change])


def test_table_without_pairs_is_reported():
    with pytest.raises(InputError, match="no replies"):
        pair_pool(replace(TABLE, replies=()), ORACLE)
    single = TABLE.take([0])
    single = replace(single, replies=("The same words again.",) * 12)
    with pytest.raises(InputError, match="two different replies"):
        pair_pool(single, MemoryOracle.of(single))


def test_outliers_are_not_offered():
    odd = TABLE.rewards.copy()
    odd[::7, 0] += 40 * odd[:, 0].std()
    table = replace(TABLE, rewards=odd)
    rows = pair_pool(table, ORACLE).rows
    assert len(rows)
    assert not np.isin(rows, np.arange(0, len(odd), 7)).any()
