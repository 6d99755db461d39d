"""Tests of the command ``nearest``: locks, importance, budgets, output and errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from map_core.cli import main
from map_core.data.table_format import save
from map_core.feasibility.nearest import nearest
from map_core.oracle import MemoryOracle
from tests.tables import make_table

TARGET_OPTIONS = ["--target", "humor=+1.5sd", "--target", "helpfulness=+1.6sd", "--target", "harmlessness=+0.8sd"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    save(make_table(prompts=20, candidates=32), path)
    return path


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main(["nearest", *map(str, arguments), "--json"]) == 0

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def test_output_equals_the_library(table: Path, capsys: pytest.CaptureFixture[str]):
    result = run_json(
        capsys, table, *TARGET_OPTIONS, "--lock", "harmlessness", "--importance", "humor=4", "--budget", 1.5
    )
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=32))
    d = oracle.standardise(np.array([result["targets"].get(name, np.nan) for name in oracle.values]))
    closest = nearest(
        oracle,
        d,
        budget=1.5,
        locked=np.array([name == "harmlessness" for name in oracle.values]),
        importance=np.array([4.0 if name == "humor" else 1.0 for name in oracle.values]),
    )
    assert result["status"] == "found"
    assert result["nearest"]["kl"] == pytest.approx(1.5)
    assert result["nearest"]["distance"] == pytest.approx(closest.distance)
    for j, name in enumerate(oracle.values):
        assert result["nearest"]["weights"][name] == pytest.approx(closest.solution.weights[j] / oracle.scale[j])
        if name in result["targets"]:
            given_up = result["targets"][name] - result["nearest"]["targets"][name]
            assert result["nearest"]["given_up"][name] == pytest.approx(given_up, abs=1e-12)
    assert result["nearest"]["given_up"]["harmlessness"] == pytest.approx(0.0, abs=1e-8)
    assert "positivity" not in result["nearest"]["targets"]


def test_budget_is_capped_at_the_largest_possible_kl(table: Path, capsys: pytest.CaptureFixture[str]):
    assert run_json(capsys, table, *TARGET_OPTIONS, "--budget", 100)["nearest"]["budget"] == pytest.approx(np.log(32))


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (
            ["--target", "positivity=99", "--lock", "positivity"],
            "locked_out_of_reach",
            "alone are not possible together",
        ),
        (["--lock", "helpfulness", "--budget", "0.1"], "locked_over_budget", "cost more than the budget"),
    ],
)
def test_no_nearest_palette(
    table: Path, capsys: pytest.CaptureFixture[str], options: list[str], status: str, message: str
):
    result = run_json(capsys, table, *TARGET_OPTIONS, *options)
    assert result["nearest"] is None
    assert result["status"] == status
    assert main(["nearest", str(table), *TARGET_OPTIONS, *options]) == 0
    assert message in capsys.readouterr().out


def test_text_output(table: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["nearest", str(table), *TARGET_OPTIONS]) == 0
    output = capsys.readouterr().out
    assert "Nearest palette" in output
    assert "given up" in output


def test_one_result_per_line_of_a_targets_file(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    palettes = tmp_path / "palettes.jsonl"
    palettes.write_text('{"targets": {"humor": 9}}\n{"targets": {}}\n')
    assert main(["nearest", str(table), "--targets-file", str(palettes), "--json"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["nearest"]["targets"]["humor"] < 9
    assert second["nearest"]["distance"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "0"], "The budget is 0.0 nats; expected a number above 0"),
        (["--budget", "nan"], "The budget is nan nats"),
        (["--lock", "humour"], "--lock: Unknown value 'humour'"),
        (["--lock", "positivity"], "--lock positivity: that value has no target to keep"),
        (["--importance", "humor"], "--importance 'humor' is no NAME="),
        (["--importance", "humor=much"], "--importance humor=much: expected a number above 0"),
        (["--importance", "humor=-1"], "--importance humor=-1: expected a number above 0"),
        (["--importance", "humour=1"], "--importance: Unknown value 'humour'"),
    ],
)
def test_errors_are_one_message(table: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str):
    assert main(["nearest", str(table), *TARGET_OPTIONS, *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


EVERY_SCORER = ["--target", "humor=+1.6sd", "--every-scorer", "humor=positivity,helpfulness"]


def test_a_value_and_its_further_scorers_are_lowered_together(table: Path, capsys: pytest.CaptureFixture[str]):
    result = run_json(capsys, table, *EVERY_SCORER, "--importance", "humor=4")
    nearest_palette, base = result["nearest"], result["base"]
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=32))
    scale = dict(zip(oracle.values, oracle.scale, strict=True))
    gain = (nearest_palette["targets"]["humor"] - base["humor"]) / scale["humor"]
    assert gain < 1.6 - 1e-3
    for scorer in ("positivity", "helpfulness"):
        level = nearest_palette["targets"][f"by {scorer}: humor"]
        assert (level - base[scorer]) / scale[scorer] == pytest.approx(gain, abs=1e-9)
        assert nearest_palette["levels"][scorer] >= level - 1e-6
    # Only the target itself counts, with importance 4.
    assert nearest_palette["distance"] == pytest.approx(2 * (1.6 - gain), abs=1e-6)
    # The nearest palette can be solved, and the command solve reports the same one.
    solve_options = ["--target", f"humor={nearest_palette['targets']['humor']!r}", *EVERY_SCORER[2:]]
    assert main(["solve", str(table), *solve_options, "--json"]) == 0
    solve_result = json.loads(capsys.readouterr().out)
    assert solve_result["verdict"] != "out_of_reach"
    assert solve_result["kl"] == pytest.approx(nearest_palette["kl"], abs=1e-6)
    assert main(["solve", str(table), *EVERY_SCORER, "--json"]) == 0
    nearest_in_solve = json.loads(capsys.readouterr().out)["nearest"]
    assert nearest_in_solve["targets"]["humor"] == pytest.approx(
        run_json(capsys, table, *EVERY_SCORER)["nearest"]["targets"]["humor"]
    )


def test_a_locked_target_is_not_lowered_for_its_further_scorers(table: Path, capsys: pytest.CaptureFixture[str]):
    locked = [*EVERY_SCORER, "--target", "harmlessness=+1sd", "--lock", "humor"]
    assert run_json(capsys, table, *locked)["status"] == "locked_out_of_reach"
    lower_target = [option.replace("+1.6sd", "+0.3sd") for option in locked]
    nearest_palette = run_json(capsys, table, *lower_target)["nearest"]
    assert nearest_palette["given_up"]["humor"] == pytest.approx(0, abs=1e-8)
    assert nearest_palette["given_up"]["by positivity: humor"] == pytest.approx(0, abs=1e-8)


def test_palettes_of_a_file_that_follow_one_target_each(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    palettes = tmp_path / "palettes.jsonl"
    line = {"targets": {"humor": "+1.6sd"}, "every_scorer": {"humor": ["positivity"]}}
    palettes.write_text("\n".join(json.dumps(line | {"name": name}) for name in ("one", "two")))
    assert main(["nearest", str(table), "--targets-file", str(palettes), "--json"]) == 0
    first, second = (json.loads(line)["nearest"] for line in capsys.readouterr().out.splitlines())
    assert first["targets"]["humor"] == pytest.approx(second["targets"]["humor"], abs=1e-6)
    assert first["targets"]["humor"] < 1.6 * 5
