"""Tests of the distribution of rewards: weights count in every statistic as copies of prompts do."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from map_core.cli import main
from map_core.core.types import Form
from map_core.data.distribution import Percentiles, copies_of, rank_correlations, reply_masses, typical_candidates
from map_core.data.reward_table import RewardTable
from map_core.palettes.targets import percentiles
from tests.weighted_pairs import PAIRS, of_counts, with_prompts_copied

PERCENTS = [0.0, 0.5, *np.linspace(1, 99, 50), 99.5, 100.0]


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> tuple[RewardTable, RewardTable]:
    return PAIRS[request.param]


def test_percentiles_count_each_prompt_by_its_weight():
    """A prompt of weight 9 with 0 and 1, one of weight 1 with 10 and 11: nine zeros and ones, a ten and an eleven."""
    table = replace(of_counts([2, 2]), rewards=np.array([[0.0], [1], [10], [11]]), values=("humor",))
    table = replace(table, weights=np.array([9.0, 1.0]))
    np.testing.assert_allclose(reply_masses(table), [0.45, 0.45, 0.05, 0.05])
    scale = Percentiles(table)
    assert [scale.level(0, p) for p in (0, 40, 50, 89, 100)] == pytest.approx([0, 0, 1, 1, 11])
    assert scale.level(0, 100 * 17.5 / 19) == pytest.approx(5.5)  # between the ones and the ten
    assert scale.percentile_of(0, 0.0) == pytest.approx(100 * 4 / 19)
    assert scale.percentile_of(0, 5.5) == pytest.approx(100 * 17.5 / 19)


@pytest.mark.parametrize("form", list(Form))
def test_weights_equal_copies_in_every_percentile(pair: tuple[RewardTable, RewardTable], form: Form):
    if form is Form.POOLED and len(pair[0].replies) != len(pair[1].replies) and pair[0].weights.size == 0:
        pytest.skip("pooled, a reply is a reply: repeated ones count again")
    weighted, copied = Percentiles(pair[0], form), Percentiles(pair[1], form)
    if form is Form.POOLED and np.ptp(pair[0].candidates):
        pytest.skip("pooled, a prompt with more replies counts more")
    for value in range(3):
        np.testing.assert_allclose(
            [weighted.level(value, p) for p in PERCENTS], [copied.level(value, p) for p in PERCENTS], atol=1e-12
        )
        levels = [*pair[1].rewards[:20, value], -50.0, 50.0, *np.linspace(-2, 2, 31)]
        np.testing.assert_allclose(
            [weighted.percentile_of(value, x) for x in levels],
            [copied.percentile_of(value, x) for x in levels],
            atol=1e-9,
        )


def test_command_reports_the_same_for_weights_and_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [("A", 0.0, 9), ("A", 1.0, 9), ("B", 10.0, 1), ("B", 11.0, 1)]
    weighted = [{"prompt": p, "reply": f"r{k}", "humor": x, "n": n} for k, (p, x, n) in enumerate(rows)]
    copied = [
        {"prompt": f"{p}{copy}", "reply": f"r{k}", "humor": x} for k, (p, x, n) in enumerate(rows) for copy in range(n)
    ]
    results = []
    for name, content, options in (("weighted", weighted, ["--weight-column", "n"]), ("copied", copied, [])):
        file, table = tmp_path / f"{name}.jsonl", tmp_path / f"{name}.parquet"
        file.write_text("\n".join(map(json.dumps, content)))
        assert main(["import", str(file), "--out", str(table), *options]) == 0
        capsys.readouterr()
        main(["solve", str(table), "--target", "humor=p50", "--json"])
        results.append(json.loads(capsys.readouterr().out))
    assert results[0]["targets"] == results[1]["targets"] == {"humor": 1.0}
    for name in ("verdict", "kl", "levels", "weights"):
        assert results[0][name] == pytest.approx(results[1][name], abs=1e-9), name


def test_percentiles_of_ties_agree_with_numpy():
    table = of_counts([7] * 5)
    assert reply_masses(table) is None
    scale = percentiles(table)
    for value in range(3):
        np.testing.assert_allclose(
            [scale.level(value, p) for p in PERCENTS], np.percentile(table.rewards[:, value], PERCENTS), atol=1e-12
        )


def test_incommensurable_weights_are_a_limit_of_copies():
    """With weights like pi and e, the levels are those of ever more copies in nearly their ratio."""
    table = replace(of_counts([4, 4], ties=False), weights=np.array([np.pi, np.e]))
    masses = reply_masses(table)
    assert masses is not None
    assert copies_of(masses) is None
    near = with_prompts_copied(of_counts([4, 4], ties=False), [3142, 2718])
    weighted, copied = Percentiles(table), Percentiles(near)
    percentiles = [3.0, 20.0, 47.0, 61.0, 93.0]
    assert [weighted.level(0, p) for p in percentiles] == pytest.approx([copied.level(0, p) for p in percentiles])


@pytest.mark.parametrize(
    ("masses", "copies"),
    [
        ([0.45, 0.45, 0.05], [9, 9, 1]),
        ([1 / 6, 1 / 2, 1 / 3], [1, 3, 2]),
        ([0.2, 0.2], [1, 1]),
        ([0.0, 0.3, 0.2], [0, 3, 2]),
        ([float(Fraction(7, 12)), float(Fraction(5, 12))], [7, 5]),
    ],
)
def test_smallest_integer_weights(masses: list[float], copies: list[int]):
    np.testing.assert_array_equal(copies_of(np.array(masses)), copies)


@pytest.mark.parametrize(
    ("counts", "weights", "typical"),
    [
        ([2, 4, 64], [1, 1, 1], 4),
        ([2, 4, 64], [1, 1, 9], 64),
        ([2, 4, 64], [3, 2, 1], 3),  # 2 2 2 4 4 64: between 2 and 4
        ([2, 5], [1, 1], 3),
        ([2, 4, 64], [np.pi, 1, np.e], 4),
        ([2, 4], [1, 3], 4),
    ],
)
def test_typical_number_of_replies(counts: list[int], weights: list[float], typical: int):
    table = replace(of_counts(counts), weights=np.array(weights, dtype=float))
    assert typical_candidates(table) == typical
    held_out = replace(table.take([*range(len(counts)), 0]), held_out=np.array([False] * len(counts) + [True]))
    assert typical_candidates(held_out) == typical


def test_form_follows_most_of_the_weight():
    """Nine uses of ten have one reply, so nothing can be chosen for them: the form of the table with copies."""
    table = of_counts([1, 4])
    weighted = replace(table, weights=np.array([9.0, 1.0]))
    copied = with_prompts_copied(table, [9, 1])
    assert table.form is Form.PER_PROMPT
    assert weighted.form is copied.form is Form.POOLED
    assert replace(table, weights=np.array([1.0, 9.0])).form is Form.PER_PROMPT
    assert replace(of_counts([1, 1, 4]), held_out=np.array([False, True, False])).form is Form.PER_PROMPT
    tenths = replace(of_counts([1, 4, 1, 4, 1, 4]), weights=np.array([0.1, 0.2, 0.2, 0.1, 0.1, 0.1]))
    assert tenths.form is Form.PER_PROMPT  # half of the weight, up to the rounding of its sum


def test_rank_correlations_of_masses_equal_those_of_copies():
    rng = np.random.default_rng(2)
    columns = np.round(rng.normal(size=(12, 3)), 1)
    copies = rng.integers(1, 5, size=12)
    np.testing.assert_allclose(
        rank_correlations(columns, copies / copies.sum()), rank_correlations(np.repeat(columns, copies, axis=0), None)
    )
