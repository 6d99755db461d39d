"""Tests of forecast against realised levels: equal on the same replies, within the error bars on other prompts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from map_core import scoring
from map_core.building import build
from map_core.cli import main
from map_core.core.types import SamplingSettings, Verdict
from map_core.data import table_format
from map_core.data.prompts import Prompt
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import save
from map_core.engines.factory import open_engine
from map_core.errors import InputError
from map_core.studies.delivery import deliver, share_of_way, split_halves
from tests.tables import USE_CASES, make_table
from tests.tiny_model import make_tiny_model


def first_candidates(table: RewardTable, candidates: int) -> RewardTable:
    """Return the table with only the first ``candidates`` replies of each prompt."""
    rows = np.concatenate([np.arange(candidates) + start for start in table.offsets[:-1]])
    count = len(table.prompts)
    return RewardTable(
        values=table.values,
        rewards=table.rewards[rows],
        offsets=np.arange(count + 1) * candidates,
        prompt_ids=table.prompt_ids,
        prompts=table.prompts,
        use_cases=table.use_cases,
    )


def two_replies(prompts: int) -> RewardTable:
    names = tuple(f"p{i}" for i in range(prompts))
    return RewardTable(
        ("humor",), np.array([[0.0], [1.0]] * prompts), np.arange(prompts + 1) * 2, names, names, ("All",) * prompts
    )


def test_two_replies_by_hand():
    # Every prompt has a reply with 0 and one with 1: lambda = log 3 gives 3/4 on any of them, without error.
    (result,) = deliver(two_replies(60), two_replies(4), [np.array([0.75])])
    assert result.verdict is Verdict.REACHABLE
    assert result.weights[0] == pytest.approx(math.log(3))
    assert result.base[0] == 0.5
    assert result.forecast[0] == pytest.approx(0.75)
    assert result.realised[0] == pytest.approx(0.75)
    assert result.error[0] == pytest.approx(0.0, abs=1e-9)
    assert result.kl_realised == pytest.approx(result.kl_forecast)
    assert share_of_way([result], [result.realised]) == pytest.approx(1.0)
    assert share_of_way([result], [result.base]) == 0.0
    # The better reply beats the worse and ties with itself: 1/4 1/4 + 3/4 3/4. On one value random weights do the same.
    assert result.wins[0] == pytest.approx(5 / 8)
    assert result.improves
    assert result.wins_all
    assert result.random_improves == result.random_wins == 1.0
    assert result.picked[0] in (0.0, 0.25, 0.5, 0.75, 1.0)
    # All prompts are identical, so even the pooled form realises its forecast.
    assert result.pooled[0] == pytest.approx(0.75)


def test_halves_share_the_use_cases_and_no_prompt():
    table = make_table(prompts=16, candidates=4)
    first, second = split_halves(table, seed=3)
    assert not set(first.prompts) & set(second.prompts)
    assert set(first.prompts) | set(second.prompts) == set(table.prompts)
    for use_case in USE_CASES:
        assert first.use_cases.count(use_case) == second.use_cases.count(use_case) == 4
    prompt = table.prompts.index(second.prompts[0])
    np.testing.assert_array_equal(second.rewards[:4], table.rewards[table.rows(prompt)])
    with pytest.raises(InputError, match="3 prompts"):
        split_halves(table.take([0, 1, 2]))


@pytest.mark.slow
def test_intervals_cover_fresh_replies_nine_times_in_ten():
    # Prompts and replies of one distribution, redrawn for each of 80 tables of 40 and 40 prompts.
    target = np.array([0.25, np.nan, 2.5, np.nan])
    coverage, realised, pooled = [], [], []
    for seed in range(80):
        table = make_table(prompts=80, candidates=16, seed=seed)
        solved_half, other_half = split_halves(table, seed)
        (result,) = deliver(solved_half, first_candidates(other_half, 8), [target], seed=seed)
        coverage.append(result.inside[[0, 2]])
        realised.append(result.realised)
        pooled.append(result.pooled)
    assert 0.84 <= np.mean(coverage) <= 0.96
    # On average the targets are met; the published form, which also prefers easy prompts, falls short.
    targeted = [0, 2]
    base = make_table(prompts=80, candidates=16).rewards.mean(axis=0)[targeted]
    share_of_way_met = (np.mean(realised, axis=0)[targeted] - base) / (target[targeted] - base)
    assert np.all(share_of_way_met > 0.9)
    assert np.all(np.mean(pooled, axis=0)[targeted] < np.mean(realised, axis=0)[targeted])


def test_random_weights_do_not_improve_every_value():
    # The first two values are negatively correlated; weights solved for both raise both.
    table = make_table(prompts=60, candidates=16, correlation=-0.8)
    solved_half, other_half = split_halves(table)
    base, spread = table.rewards.mean(axis=0), table.rewards.std(axis=0)
    (result,) = deliver(solved_half, other_half, [np.where([True, True, False, False], base + 0.25 * spread, np.nan)])
    assert result.improves
    assert result.wins_all
    assert 0.0 < result.random_improves < 1.0
    assert 0.0 < result.random_wins < 1.0
    (without_targets,) = deliver(solved_half, other_half, [np.full(4, np.nan)])
    assert math.isnan(without_targets.random_improves)


def test_a_palette_out_of_reach_is_replaced_by_the_nearest_one():
    table = make_table(prompts=20, candidates=16)
    targets = np.array([np.nan, np.nan, 20.0, np.nan])
    (result,) = deliver(table, first_candidates(make_table(prompts=20, candidates=16, seed=1), 4), [targets])
    assert result.verdict is Verdict.OUT_OF_REACH
    assert result.targets[2] < 20.0
    assert result.forecast[2] == pytest.approx(result.targets[2])
    assert result.candidates == 4


def test_picked_replies_follow_their_probabilities():
    # Many identical prompts: the share of good picks is near the probability of a good reply.
    (result,) = deliver(two_replies(4), two_replies(4000), [np.array([0.8])])
    assert result.picked[0] == pytest.approx(0.8, abs=0.03)


def test_mismatched_tables_are_refused():
    table = make_table(prompts=8, candidates=8)
    target = [np.full(4, np.nan)]
    with pytest.raises(InputError, match="expected the same"):
        deliver(table, make_table(values=("a", "b")), target)
    with pytest.raises(InputError, match="two prompts or more"):
        deliver(table, table.take([0]), target)
    with pytest.raises(InputError, match="between 0 and 1"):
        deliver(table, table, target, level=1.0)


def parse_strict_json(line: str) -> dict:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    return json.loads(line, parse_constant=refuse)


def test_the_command_with_existing_fresh_replies(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = make_table(prompts=24, candidates=32)
    _, other_half = split_halves(table, 1)
    save(table, tmp_path / "table.parquet")
    save(first_candidates(other_half, 8), tmp_path / "fresh.parquet")
    palettes_path = tmp_path / "palettes.jsonl"
    targets = [{"humor": "p60"}, {"helpfulness": "+0.2sd", "positivity": "p55"}, {}]
    palettes_path.write_text("\n".join(json.dumps({"targets": palette_targets}) for palette_targets in targets))
    options = ["verify", str(tmp_path / "table.parquet"), "--targets-file", str(palettes_path), "--fresh"]
    assert main([*options, str(tmp_path / "fresh.parquet"), "--json"]) == 0
    results = [parse_strict_json(line) for line in capsys.readouterr().out.splitlines()]
    assert [set(row["targets"]) for row in results] == [set(palette) for palette in targets]
    for row in results:
        assert {"base", "forecast", "realised", "picked"} <= set(row)
        assert (row["prompts"], row["candidates"]) == (12, 8)
        for name, (low, high) in row["interval"].items():
            assert row["inside"][name] is (low <= row["realised"][name] <= high)
    assert results[2]["weights"] == dict.fromkeys(table.values, 0.0)
    assert results[2]["share_of_way"] is None
    assert main([*options, str(tmp_path / "fresh.parquet")]) == 0
    assert "3 palettes on 12 fresh prompts, 8 candidates each" in capsys.readouterr().out
    fresh = str(tmp_path / "fresh.parquet")
    assert main(["verify", str(tmp_path / "table.parquet"), "--random", "3", "--fresh", fresh, "--json"]) == 0
    random_results = [parse_strict_json(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(row["targets"]) for row in random_results] == [1, 2, 3]
    assert all(row["verdict"] != "out_of_reach" for row in random_results)
    assert main(["verify", str(tmp_path / "table.parquet"), "--random", "3", "--target", "humor=p60"]) == 2
    assert "either targets or --random" in capsys.readouterr().err
    # Replies to prompts that were used for solving are no evidence.
    assert main([*options, str(tmp_path / "fresh.parquet"), "--seed", "2"]) == 1
    assert "solved on" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_draws_fresh_replies_and_saves_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = make_tiny_model(tmp_path / "tiny")
    prompts = [Prompt(f"p{i}", "All", f"Tell me of animal number {i}.") for i in range(6)]
    settings = SamplingSettings(temperature=0.9, max_new_tokens=6)
    chosen_scorers = scoring.scorers(("diversity", "plain_language"))
    engine = open_engine(str(model), "torch", "float32")
    build(prompts, tmp_path / "table.parquet", engine, chosen_scorers, candidates=6, settings=settings, seed=3)
    options = ["verify", str(tmp_path / "table.parquet"), "--target", "diversity=p50", "--engine", "torch", "--json"]
    options += [
        "--candidates",
        "3",
        "--prompts",
        "2",
        "--max-new-tokens",
        "4",
        "--fresh",
        str(tmp_path / "new.parquet"),
    ]
    assert main(options) == 0
    first = parse_strict_json(capsys.readouterr().out)
    assert (first["prompts"], first["candidates"]) == (2, 3)
    fresh_table = table_format.load(tmp_path / "new.parquet")
    assert fresh_table.metadata["sampling"]["max_new_tokens"] == 4
    assert max(map(len, fresh_table.tokens)) <= 4
    assert main(options) == 0
    repeated = parse_strict_json(capsys.readouterr().out)
    for key in ("weights", "forecast", "realised", "picked"):
        assert repeated[key] == pytest.approx(first[key], abs=1e-12)
