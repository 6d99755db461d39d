"""Tests of demands beside targets: tails, worst means, several scorers, mixes of prompts and cohort floors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from map_core.cli import main
from map_core.data.table_format import save
from tests.cli.test_solve import parse_strict_json
from tests.tables import USE_CASES, make_table

TABLE = make_table(prompts=12, candidates=16, correlation=-0.8)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    save(replace(TABLE, labels={"language": ("de", "en", "fr") * 4}), path)
    return path


def run_solve(table: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["solve", str(table), "--target", "helpfulness=+0.3sd", *options, "--json"]) == 0
    return parse_strict_json(capsys.readouterr().out)


def test_no_worse_tail_costs_more_and_caps_the_tail(table: Path, capsys: pytest.CaptureFixture[str]):
    plain = run_solve(table, capsys)
    capped = run_solve(table, capsys, "--no-worse-tail", "harmlessness")
    assert plain["beside"] is None
    assert capped["beside"]["tails"]["harmlessness"] < 1e-5
    assert capped["kl"] > plain["kl"]
    assert all(column["kind"] == "capped" for column in capped["columns"].values())


def test_worst_mean_lifts_the_mean_of_the_worst_replies(table: Path, capsys: pytest.CaptureFixture[str]):
    result = run_solve(table, capsys, "--worst-mean", "harmlessness:20%=p15")
    assert result["beside"]["worst"]["harmlessness:0.2"] >= np.percentile(TABLE.rewards[:, 1], 15) - 1e-6


def test_every_scorer_of_a_value(table: Path, capsys: pytest.CaptureFixture[str]):
    plain = run_solve(table, capsys)
    result = run_solve(table, capsys, "--every-scorer", "helpfulness=harmlessness,humor")
    for scorer in ("harmlessness", "humor"):
        name = f"by {scorer}: helpfulness"
        j = TABLE.index(scorer)
        assert result["levels"][name] >= result["targets"][name] - 1e-6
        assert result["targets"][name] == pytest.approx(TABLE.rewards[:, j].mean() + 0.3 * TABLE.rewards[:, j].std())
        assert result["columns"][name]["value"] == scorer
    assert result["kl"] > plain["kl"]


def test_any_mix_reaches_the_target_under_every_mix(table: Path, capsys: pytest.CaptureFixture[str]):
    plain, robust = run_solve(table, capsys), run_solve(table, capsys, "--any-mix", "0.1")
    assert robust["beside"]["mix"]["helpfulness"] == pytest.approx(plain["targets"]["helpfulness"], abs=1e-5)
    assert robust["levels"]["helpfulness"] > plain["levels"]["helpfulness"]


@pytest.mark.parametrize(
    ("options", "entries"),
    [(["--no-cohort-below-base"], USE_CASES), (["--no-cohort-below-base", "language"], ["language=de", "language=en"])],
)
def test_no_cohort_below_base(table: Path, options: list[str], entries: list[str], capsys: pytest.CaptureFixture[str]):
    result = run_solve(table, capsys, *options)
    for entry in entries:
        name = f"helpfulness@{entry}"
        assert result["targets"][name] == pytest.approx(result["base"][name])
        assert result["levels"][name] >= result["base"][name] - 1e-8


def test_targets_file_accepts_the_same_demands(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    line = {
        "targets": {"helpfulness": "+0.3sd"},
        "no_worse_tail": ["harmlessness"],
        "worst_mean": {"humor:0.1": "p2"},
        "any_mix": 0.05,
        "no_cohort_below_base": "use_case",
    }
    file = tmp_path / "palettes.jsonl"
    file.write_text(json.dumps(line) + "\n" + json.dumps(line | {"any_mix": 0.2}) + "\n")
    assert main(["solve", str(table), "--targets-file", str(file), "--json"]) == 0
    first, second = map(parse_strict_json, capsys.readouterr().out.splitlines())
    assert first["beside"]["tails"]["harmlessness"] < 1e-5
    assert second["kl"] > first["kl"]
    by_options = run_solve(
        table,
        capsys,
        *("--no-worse-tail", "harmlessness", "--worst-mean", "humor:0.1=p2", "--any-mix", "0.05"),
        "--no-cohort-below-base",
    )
    assert first["kl"] == pytest.approx(by_options["kl"], abs=1e-6)


@pytest.mark.parametrize("command", ["nearest", "confidence", "sensitivity"])
def test_other_commands_accept_the_same_demands(command: str, table: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--target", "helpfulness=+0.3sd", "--no-worse-tail", "harmlessness", "--no-cohort-below-base", "--json"]
    assert main([command, str(table), *options]) == 0
    assert f"helpfulness@{USE_CASES[0]}" in parse_strict_json(capsys.readouterr().out)["targets"]


def test_the_demands_are_explained_in_sentences(table: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--no-worse-tail", "harmlessness", "--worst-mean", "humor:10%=p2", "--any-mix", "0.05"]
    assert main(["solve", str(table), "--target", "helpfulness=+0.3sd", *options]) == 0
    text = capsys.readouterr().out
    assert "The tail of harmlessness is no worse than the base model's anywhere." in text
    assert "The mean of the worst 10 of 100 replies on humor:" in text
    assert "Under the worst mix of prompts: helpfulness" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--no-worse-tail", "wit"], "Unknown value 'wit'"),
        (["--every-scorer", "humor"], "expected NAME=SCORER,SCORER"),
        (["--worst-mean", "humor"], "expected NAME:SHARE=LEVEL"),
        (["--worst-mean", "humor:2=p10"], "above 0 and at most 1"),
        (["--worst-mean", "humor:few=p10"], "expected 0.05 or 5%"),
        (["--any-mix", "-1"], "expected 0 or more"),
        (["--any-mix", "0.1", "--form", "pooled"], "need the per-prompt form"),
        (["--no-cohort-below-base", "tongue"], "no column of text 'tongue'"),
    ],
)
def test_invalid_demands_are_refused(table: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["solve", str(table), "--target", "helpfulness=p60", *options]) == 2
    assert message in capsys.readouterr().err
