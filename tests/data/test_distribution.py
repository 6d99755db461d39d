"""Each reply counts in every statistic as it counts in a solve: a table with weights is one with copies."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from map_core.cli import main
from map_core.core.types import Form
from map_core.data.distribution import Percentiles, copies_of, rank_correlations, reply_masses
from map_core.data.reward_table import RewardTable
from map_core.feasibility import assess
from map_core.oracle import MemoryOracle
from map_core.palettes.palette import ALL, Palette, Target
from map_core.palettes.targets import percentiles, resolve
from map_core.report import ReportOptions, as_dict, compute_report
from map_core.scoring.profile import value_profile
from tests.tables import make_table

PERCENTS = [0.0, 0.5, *np.linspace(1, 99, 50), 99.5, 100.0]


def of_counts(counts: list[int], seed: int = 3, ties: bool = True) -> RewardTable:
    """A table with so many replies to each prompt, of three values, one of them with few levels."""
    table = make_table(prompts=len(counts), candidates=max(counts), values=("humor", "kindness", "stars"), seed=seed)
    rows = np.concatenate([np.arange(table.offsets[i], table.offsets[i] + count) for i, count in enumerate(counts)])
    rewards = table.rewards[rows].copy()
    if ties:
        rewards[:, 2] = np.round(rewards[:, 2])
    return replace(
        table,
        rewards=rewards,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        replies=tuple(table.replies[row] for row in rows),
        tokens=(),
        log_probs=np.empty(0),
    )


def with_prompts_copied(table: RewardTable, copies: list[int]) -> RewardTable:
    return table.take(np.repeat(np.arange(len(copies)), copies).tolist())


def with_replies_repeated(table: RewardTable, repeats: list[int]) -> RewardTable:
    rows = np.concatenate([np.tile(np.arange(len(table.rewards))[table.rows(i)], n) for i, n in enumerate(repeats)])
    return replace(
        table,
        rewards=table.rewards[rows],
        offsets=np.concatenate([[0], np.cumsum(table.candidates * repeats)]),
        replies=tuple(table.replies[row] for row in rows),
    )


PAIRS = {
    "weights": (
        replace(of_counts([5] * 6), weights=np.array([1.0, 2, 3, 1, 4, 1])),
        with_prompts_copied(of_counts([5] * 6), [1, 2, 3, 1, 4, 1]),
    ),
    "shares": (
        replace(of_counts([4] * 3), weights=np.array([0.3, 0.2, 0.5])),
        with_prompts_copied(of_counts([4] * 3), [3, 2, 5]),
    ),
    "held out": (
        replace(of_counts([5] * 4), held_out=np.array([False, True, False, True])),
        of_counts([5] * 4).take([0, 2]),
    ),
    "ragged": (of_counts([2, 8, 4]), with_replies_repeated(of_counts([2, 8, 4]), [4, 1, 2])),
    "ragged and weighted": (
        replace(of_counts([2, 6]), weights=np.array([1.0, 2.0])),
        with_prompts_copied(with_replies_repeated(of_counts([2, 6]), [3, 1]), [1, 2]),
    ),
}


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> tuple[RewardTable, RewardTable]:
    return PAIRS[request.param]


def test_by_hand():
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
def test_weights_are_copies_in_every_percentile(pair: tuple[RewardTable, RewardTable], form: Form):
    if form is Form.POOLED and len(pair[0].replies) != len(pair[1].replies) and pair[0].weights.size == 0:
        pytest.skip("pooled, a reply is a reply: repeated ones count again")
    ours, copied = Percentiles(pair[0], form), Percentiles(pair[1], form)
    if form is Form.POOLED and np.ptp(pair[0].candidates):
        pytest.skip("pooled, a prompt with more replies counts more")
    for value in range(3):
        np.testing.assert_allclose(
            [ours.level(value, p) for p in PERCENTS], [copied.level(value, p) for p in PERCENTS], atol=1e-12
        )
        levels = [*pair[1].rewards[:20, value], -50.0, 50.0, *np.linspace(-2, 2, 31)]
        np.testing.assert_allclose(
            [ours.percentile_of(value, x) for x in levels], [copied.percentile_of(value, x) for x in levels], atol=1e-9
        )


def test_weights_are_copies_in_targets_verdicts_and_reports(pair: tuple[RewardTable, RewardTable]):
    oracles = [MemoryOracle.of(table, Form.PER_PROMPT) for table in pair]
    targets = [resolve({"humor": "p62", "stars": "p55"}, *both) for both in zip(pair, oracles, strict=True)]
    np.testing.assert_allclose(targets[0], targets[1])
    results = [assess(oracle, oracle.standardise(target)) for oracle, target in zip(oracles, targets, strict=True)]
    # Not the verdict's trust in few replies: a prompt that occurs often is still one prompt of evidence.
    assert results[0].margin.value == pytest.approx(results[1].margin.value, abs=1e-9)
    np.testing.assert_allclose(*[result.solution.levels for result in results], atol=1e-6)
    np.testing.assert_allclose(*[result.solution.weights for result in results], rtol=1e-5, atol=1e-8)


def test_weights_are_copies_in_what_is_said_of_a_value(pair: tuple[RewardTable, RewardTable]):
    for name in pair[0].values:
        ours, copied = (value_profile(table, name) for table in pair)
        np.testing.assert_allclose(ours.edges, copied.edges, atol=1e-12)
        if name != "stars":  # whose levels lie on the bounds of bars, where rounding decides
            np.testing.assert_allclose(ours.shares, copied.shares, atol=1e-12)
        assert ours.quartiles == pytest.approx(copied.quartiles, abs=1e-12)
        assert dict(ours.correlations) == pytest.approx(dict(copied.correlations), abs=1e-9)
        assert ours.length == pytest.approx(copied.length, abs=1e-9)
        examples = [
            {round(rung.standardised, 9): pytest.approx(rung.percentile) for rung in profile.rungs}
            for profile in (ours, copied)
        ]
        assert examples[0].keys() == examples[1].keys()
        assert all(examples[0][level].expected == examples[1][level] for level in examples[0])


def test_the_command_says_of_weights_what_it_says_of_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
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


def test_the_report_counts_likewise():
    ours, copied = PAIRS["weights"]
    palette = Palette(ALL, {name: Target(60.0, free=name != "humor") for name in ours.values})
    reports = [
        as_dict(
            compute_report(
                table, palette, date=datetime(2026, 1, 1, tzinfo=UTC), wanted=ReportOptions(draws=0, samples=0)
            )
        )
        for table in (ours, copied)
    ]
    for at, there in zip(reports[0]["values"], reports[1]["values"], strict=True):
        for name, number in at.items():
            if isinstance(number, float) and not name.endswith(("error", "low", "high")):
                assert number == pytest.approx(there[name], rel=1e-6, abs=1e-6), name


def test_equal_replies_are_counted_as_numpy_counts_them():
    table = of_counts([7] * 5)
    assert reply_masses(table) is None
    scale = percentiles(table)
    for value in range(3):
        np.testing.assert_allclose(
            [scale.level(value, p) for p in PERCENTS], np.percentile(table.rewards[:, value], PERCENTS), atol=1e-12
        )


def test_weights_without_a_common_measure_are_a_limit():
    """With weights like pi and e, the levels are those of ever more copies in nearly their ratio."""
    table = replace(of_counts([4, 4], ties=False), weights=np.array([np.pi, np.e]))
    masses = reply_masses(table)
    assert masses is not None
    assert copies_of(masses) is None
    near = with_prompts_copied(of_counts([4, 4], ties=False), [3142, 2718])
    ours, copied = Percentiles(table), Percentiles(near)
    places = [3.0, 20.0, 47.0, 61.0, 93.0]
    assert [ours.level(0, p) for p in places] == pytest.approx([copied.level(0, p) for p in places])


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
def test_the_least_whole_numbers(masses: list[float], copies: list[int]):
    np.testing.assert_array_equal(copies_of(np.array(masses)), copies)


def test_rank_correlations_of_masses_are_those_of_copies():
    rng = np.random.default_rng(2)
    columns = np.round(rng.normal(size=(12, 3)), 1)
    copies = rng.integers(1, 5, size=12)
    np.testing.assert_allclose(
        rank_correlations(columns, copies / copies.sum()), rank_correlations(np.repeat(columns, copies, axis=0), None)
    )
