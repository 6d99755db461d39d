"""Tests of cross-fit delivery: forecast against realised levels over many halvings, and the saved study."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from map_core.cli import main
from map_core.core.types import Form, Verdict
from map_core.data.reward_table import RewardTable
from map_core.data.subsample import subsample_candidates
from map_core.data.table_format import save
from map_core.errors import InputError
from map_core.feasibility import assess
from map_core.oracle import MemoryOracle
from map_core.studies.delivery import (
    CrossFitDelivery,
    DeliveryStudy,
    bootstrap_mean,
    cross_fit_delivery,
    deliver,
    fingerprint,
    graded_palettes,
    reachable_palettes,
    split_halves,
)
from map_core.studies.delivery import study as study_file
from map_core.studies.delivery.split import standard_error, strata
from tests.studies.test_delivery import first_candidates, parse_strict_json, two_replies
from tests.tables import USE_CASES, make_table

TARGETS = np.array([0.25, np.nan, 2.5, np.nan])


def with_separated_use_cases(table: RewardTable, step: float = 2.0) -> RewardTable:
    """Return the table with use cases that differ in level."""
    use_case_index = np.array([USE_CASES.index(name) for name in table.use_cases])
    return replace(table, rewards=table.rewards + step * np.repeat(use_case_index, table.candidates)[:, None])


@pytest.fixture(scope="module")
def result() -> CrossFitDelivery:
    table, fresh = make_table(prompts=32, candidates=32), make_table(prompts=32, candidates=8, seed=1)
    return cross_fit_delivery(
        table, fresh, [TARGETS, np.full(4, np.nan), np.array([np.nan, np.nan, 20.0, np.nan])], halvings=3
    )


def test_the_error_of_a_stratified_mean_by_hand():
    # Within either stratum the variance is 2; (2/4)^2 2/2 from each of the two.
    levels, cases = np.array([[1.0], [3.0], [11.0], [13.0]]), np.array([0, 0, 1, 1])
    assert standard_error(levels, cases)[0] == pytest.approx(np.sqrt(0.5))
    assert standard_error(levels, np.zeros(4, dtype=int))[0] == pytest.approx(levels.std(ddof=1) / 2)


def test_use_cases_are_strata_where_both_tables_have_equal_shares():
    table = make_table(prompts=16, candidates=4)
    first, second = split_halves(table)
    strata_numbers = strata(first, second)
    for use_case in USE_CASES:
        numbers_of_use_case = {
            number
            for number, name in zip(strata_numbers, first.use_cases + second.use_cases, strict=True)
            if name == use_case
        }
        assert len(numbers_of_use_case) == 1
    assert set(strata_numbers.tolist()) == {0, 1}
    # One use case against both: the difference between them would shift the level, so it stays in the error.
    assert set(strata(first, second.select(USE_CASES[0])).tolist()) == {0}
    with_singletons = replace(first, use_cases=("a", "b", *["c"] * 6))
    assert strata(with_singletons).tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    assert set(strata(replace(first, use_cases=("a", *["c"] * 7))).tolist()) == {0}


def test_two_replies_by_hand():
    # All prompts are identical: lambda = log 3 gives 3/4 on every half, without sampling error.
    result = cross_fit_delivery(two_replies(8), two_replies(8), [np.array([0.75])], halvings=2)
    assert result.forecast[0, 0] == pytest.approx(0.75)
    assert result.realised[0, 0] == pytest.approx(0.75)
    assert result.error[0, 0] == pytest.approx(0.0, abs=1e-9)
    assert result.way(result.realised) == pytest.approx(1.0)
    assert result.way_error == pytest.approx(0.0, abs=1e-9)
    assert result.wins[0, 0] == pytest.approx(5 / 8)
    assert (result.halvings, result.prompts, result.candidates) == (2, 8, 2)
    np.testing.assert_array_equal(result.improves, [[1.0, 1.0]])
    assert result.improved[0]
    assert result.won[0]


def test_one_halving_is_the_mean_of_its_two_directions():
    table, fresh = make_table(prompts=16, candidates=16), make_table(prompts=16, candidates=8, seed=1)
    result = cross_fit_delivery(table, fresh, [TARGETS], halvings=1, seed=4)
    first, second = split_halves(table, 4)
    runs = [
        deliver(a, fresh.take([fresh.prompts.index(prompt) for prompt in b.prompts]), [TARGETS], seed=4)[0]
        for a, b in ((first, second), (second, first))
    ]
    for name in ("targets", "forecast", "realised", "picked", "pooled", "wins"):
        expected = np.mean([getattr(run, name) for run in runs], axis=0)
        np.testing.assert_allclose(getattr(result, name)[0], expected, rtol=1e-12)
    assert result.inside[0, 0] == np.mean([run.inside[[0, 2]].mean() for run in runs])
    # The order of the fresh prompts does not matter.
    reordered = cross_fit_delivery(table, fresh.take(list(range(15, -1, -1))), [TARGETS], halvings=1, seed=4)
    np.testing.assert_allclose(reordered.realised, result.realised, rtol=1e-12)
    np.testing.assert_allclose(reordered.error, result.error, rtol=1e-12)


def test_reachability_and_share_of_way_per_palette(result: CrossFitDelivery):
    assert result.rising.tolist() == [[True, False, True, False], [False] * 4, [False, False, True, False]]
    assert result.reachable.tolist() == [1.0, 1.0, 0.0]
    assert result.mostly_reachable.tolist() == [True, True, False]
    assert result.targets[2, 2] < 20.0
    # A palette out of reach is not counted, but has its own share of the way to the nearest palette.
    assert np.isnan(result.improves[2]).all()
    assert result.way(result.realised) == result.way(result.realised, palette=0)
    assert 0.7 < result.way(result.realised, palette=2) < 1.1
    assert np.isnan(result.way(result.realised, value=1))
    assert result.improved[1]
    assert result.improves_whole[1].tolist() == [1.0] * 3
    # When capped, nothing beyond a target counts.
    assert result.way(result.realised, capped=True) <= min(1.0, result.way(result.realised))
    assert np.isnan(result.random_improves[1]).all()


@pytest.mark.slow
def test_intervals_cover_the_realised_levels_nine_times_in_ten():
    # Fresh replies to the same prompts; the use cases differ widely in level; 60 tables.
    half_coverage, whole_coverage, way_coverage = [], [], []
    for seed in range(60):
        table = with_separated_use_cases(make_table(prompts=40, candidates=24, seed=seed))
        solved_rows = np.concatenate([np.arange(16) + start for start in table.offsets[:-1]])
        solved_table = replace(first_candidates(table, 16), rewards=table.rewards[solved_rows])
        fresh = replace(first_candidates(table, 8), rewards=np.delete(table.rewards, solved_rows, axis=0))
        target = np.where(np.isnan(TARGETS), np.nan, table.rewards.mean(axis=0) + 0.25 * table.rewards.std(axis=0))
        delivery = cross_fit_delivery(solved_table, fresh, [target], halvings=2, seed=seed)
        half_coverage.append(delivery.inside.mean())
        whole_coverage.append((np.abs(delivery.realised - delivery.forecast) <= delivery.error)[0, [0, 2]])
        way_coverage.append(abs(delivery.way(delivery.realised) - 1.0) <= delivery.way_error)
    assert 0.84 <= np.mean(half_coverage) <= 0.96
    assert 0.82 <= np.mean(whole_coverage) <= 0.97
    assert 0.80 <= np.mean(way_coverage) <= 0.98


def test_resampled_shares_have_intervals():
    assert bootstrap_mean(np.ones((4, 3))) == (1.0, 1.0, 1.0)
    mean, low, high = bootstrap_mean(np.array([[1.0, np.nan], [0.0, 1.0], [np.nan, np.nan]]))
    assert mean == pytest.approx(2 / 3)
    assert 0.0 <= low < mean < high <= 1.0
    assert np.isnan(bootstrap_mean(np.full((2, 2), np.nan))).all()


def test_graded_palettes_are_reachable_as_labelled():
    table = make_table(prompts=16, candidates=16)
    study_palettes = graded_palettes(table, 8, seed=1)
    sizes = [int((~np.isnan(palette.targets)).sum()) for palette in study_palettes]
    assert sizes == [3, 3, 3, 3, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4]
    assert [palette.percentile for palette in study_palettes[:5]] == [50, 60, 70, 80, 70]
    oracle = MemoryOracle.of(subsample_candidates(table, 8, subsets=16, seed=1), Form.PER_PROMPT)
    for palette in study_palettes[8::2]:
        verdict = assess(oracle, oracle.standardise(palette.targets)).verdict
        assert palette.percentile == 50 or verdict is Verdict.REACHABLE
    repeated = graded_palettes(table, 8, seed=1)
    np.testing.assert_array_equal([p.targets for p in repeated], [p.targets for p in study_palettes])


def test_random_palettes_are_above_the_base_level_and_not_out_of_reach():
    table = make_table(prompts=16, candidates=16)
    study_palettes = reachable_palettes(table, table, 8, 10, seed=2)
    assert len(study_palettes) == 10
    oracle = MemoryOracle.of(subsample_candidates(table, 8, seed=2), Form.PER_PROMPT)
    for palette in study_palettes:
        assert np.all((palette.targets >= table.rewards.mean(axis=0))[~np.isnan(palette.targets)])
        assert assess(oracle, oracle.standardise(palette.targets)).verdict is not Verdict.OUT_OF_REACH


def test_a_saved_study_loads_unchanged(result: CrossFitDelivery, tmp_path: Path):
    study_file.save(DeliveryStudy({"seed": 1}, (70, None, None), result, result), tmp_path / "study.json")
    json.loads((tmp_path / "study.json").read_text(), parse_constant=pytest.fail)
    loaded = study_file.load(tmp_path / "study.json")
    assert (loaded.made, loaded.percentiles) == ({"seed": 1}, (70, None, None))
    for field in fields(CrossFitDelivery):
        actual, expected = getattr(loaded.graded, field.name), getattr(result, field.name)
        if isinstance(expected, np.ndarray):
            np.testing.assert_allclose(actual, expected, rtol=1e-5)
        else:
            assert actual == expected or actual == pytest.approx(expected, rel=1e-5)
    (tmp_path / "other.json").write_text('{"format": 1}')
    for name in ("other.json", "none.json"):
        with pytest.raises(InputError, match=r"verify --study"):
            study_file.load(tmp_path / name)


def test_the_fingerprint_depends_on_the_content_of_a_table():
    table = make_table(prompts=8, candidates=4)
    assert fingerprint(table) == fingerprint(make_table(prompts=8, candidates=4))
    assert fingerprint(table) != fingerprint(make_table(prompts=8, candidates=4, seed=9))
    assert fingerprint(table) != fingerprint(replace(table, values=("a", "b", "c", "d")))


def test_mismatched_tables_are_refused():
    table = make_table(prompts=8, candidates=8)
    for fresh in (table.take([0, 1, 2]), replace(table, prompts=("another", *table.prompts[1:]))):
        with pytest.raises(InputError, match="expected the same prompts"):
            cross_fit_delivery(table, fresh, [TARGETS], halvings=1)
    with pytest.raises(InputError, match="one of each at least"):
        cross_fit_delivery(table, table, [TARGETS], halvings=0)
    with pytest.raises(InputError, match="one of each at least"):
        cross_fit_delivery(table, table, [], halvings=1)


@pytest.mark.slow
def test_the_command_over_many_halvings(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table, fresh = make_table(prompts=24, candidates=32), make_table(prompts=24, candidates=8, seed=1)
    save(table, tmp_path / "table.parquet")
    save(fresh, tmp_path / "fresh.parquet")
    command = ["verify", str(tmp_path / "table.parquet"), "--fresh", str(tmp_path / "fresh.parquet")]
    assert main([*command, "--target", "humor=p60", "--halvings", "2", "--json"]) == 0
    (result,) = [parse_strict_json(line) for line in capsys.readouterr().out.splitlines()]
    assert (result["halvings"], result["prompts"], result["candidates"]) == (2, 24, 8)
    low, high = result["interval"]["humor"]
    assert result["inside"]["humor"] is (low <= result["realised"]["humor"] <= high)
    assert {"targets", "base", "forecast", "realised", "picked", "improves"} <= set(result)
    assert main([*command, "--random", "3", "--halvings", "1"]) == 1  # half of the prompts were used for solving
    assert main([*command, "--random", "3", "--halvings", "2"]) == 0
    assert "3 palettes, 3 of which are possible on most halves; 2 halvings of 24 prompts" in capsys.readouterr().out
    study_path = tmp_path / "study.json"
    assert main([*command, "--study", str(study_path), "--halvings", "1"]) == 0
    assert "Every value asked to rise does, by win rate" in capsys.readouterr().out
    loaded = study_file.load(study_path)
    assert (len(loaded.graded.asked), len(loaded.random.asked)) == (14, 50)
    assert loaded.made["table"] == fingerprint(table)
    assert main([*command, "--study", str(study_path), "--random", "3"]) == 2
    assert main([*command, "--study", str(tmp_path / "none" / "study.json")]) == 2
    assert "there is no folder" in capsys.readouterr().err
