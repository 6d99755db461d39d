"""Tests of the commands ``frontier`` and ``sensitivity``: their output and their errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from map_core.analysis.frontier import frontier
from map_core.analysis.sensitivity import local_sensitivity, sensitivity_curve
from map_core.cli import main
from map_core.data.table_format import save
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from tests.tables import VALUES, make_table

TABLE = make_table(prompts=20, candidates=32)
ORACLE = MemoryOracle.of(TABLE)


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "table.parquet"
    save(TABLE, path)
    return str(path)


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    """Run a command and return its JSON; NaN and Infinity, which Python would accept, fail."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def test_a_pair_in_reward_units(table: str, capsys: pytest.CaptureFixture[str]):
    result = run_json(capsys, "frontier", table, "--pair", "humor,helpfulness", "--budget", "0.5", "--directions", "5")
    (curves,) = result["frontiers"]
    assert curves["values"] == ["humor", "helpfulness"]
    contour, limit = curves["contours"]
    expected = frontier(ORACLE, (2, 0), [0.5], directions=5)
    for point, levels, x in zip(
        contour["points"], expected.contours[0].levels, expected.contours[0].weights, strict=True
    ):
        assert list(point["levels"].values()) == pytest.approx(ORACLE.rewards_at(levels), abs=1e-8)
        assert list(point["weights"].values()) == pytest.approx(x / ORACLE.scale, abs=1e-8)
        assert point["kl"] == pytest.approx(0.5)
        assert not point["saturated"]
    assert limit["limit"]
    assert limit["budget"] is None
    assert limit["points"][0]["weights"] is None
    assert limit["points"][0]["kl"] <= ORACLE.log_candidates


def test_all_pairs_with_the_default_budgets(table: str, capsys: pytest.CaptureFixture[str]):
    result = run_json(capsys, "frontier", table, "--directions", "3", "--no-limit")
    assert len(result["frontiers"]) == 6
    assert [contour["budget"] for contour in result["frontiers"][0]["contours"]] == [0.25, 0.5, 1.0, 2.0]


def test_floors_that_cost_more_than_a_budget_leave_it_empty(table: str, capsys: pytest.CaptureFixture[str]):
    options = ["--pair", "helpfulness,humor", "--floor", "positivity=+0.5sd", "--budget", "0.01", "--budget", "1"]
    (curves,) = run_json(capsys, "frontier", table, *options, "--directions", "4")["frontiers"]
    assert list(curves["floors"]) == ["positivity"]
    assert [len(contour["points"]) for contour in curves["contours"]] == [0, 4, 4]
    assert all(
        p["levels"]["positivity"] >= curves["floors"]["positivity"] - 1e-8 for p in curves["contours"][1]["points"]
    )
    assert main(["frontier", table, *options]) == 0
    assert "0.01 nats: the floors alone cost more" in capsys.readouterr().out


def test_a_triple_is_a_surface(table: str, capsys: pytest.CaptureFixture[str]):
    options = ["--triple", "helpfulness,humor,positivity", "--directions", "4", "--budget", "9"]
    (surface,) = run_json(capsys, "frontier", table, *options)["frontiers"]
    assert len(surface["triangles"]) == 9
    assert len(surface["contours"][0]["points"]) == 10
    assert all(point["saturated"] for point in surface["contours"][0]["points"])
    assert main(["frontier", table, *options]) == 0
    assert "9 nats (beyond the limit), between" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pair", "humor"], "is no A,B"),
        (["--pair", "humor,humor"], "is no A,B"),
        (["--triple", "humor,helpfulness"], "is no A,B,C"),
        (["--pair", "humor,wit"], "Unknown value 'wit'"),
        (["--budget", "0"], "expected nats above 0"),
        (["--budget", "nan"], "expected nats above 0"),
        (["--floor", "humor"], "is no NAME=LEVEL"),
        (["--floor", "humor=much"], "--floor"),
        (["--directions", "1"], "directions"),
    ],
)
def test_invalid_options_of_frontier_are_refused(
    table: str, capsys: pytest.CaptureFixture[str], options: list[str], message: str
):
    assert main(["frontier", table, *options]) == 2
    assert message in capsys.readouterr().err


TARGET_OPTIONS = ["--target", "helpfulness=+0.4sd", "--target", "harmlessness=+0.2sd"]


def test_prices_and_derivatives_in_reward_units(table: str, capsys: pytest.CaptureFixture[str]):
    result = run_json(capsys, "sensitivity", table, *TARGET_OPTIONS)
    targets = np.array([0.4, 0.2, np.nan, np.nan])
    expected = local_sensitivity(solve(ORACLE, targets))
    assert result["attainable"]
    assert result["bottleneck"] == VALUES[expected.bottleneck]
    assert list(result["price"].values()) == pytest.approx(expected.price / ORACLE.scale)
    assert list(result["elasticity"].values()) == pytest.approx(expected.elasticity)
    # The change per reward unit of the first target, by finite differences of the solver.
    up, down = (solve(ORACLE, targets + h * np.eye(4)[0]) for h in (1e-5, -1e-5))
    by_reward = ORACLE.scale / (2e-5 * ORACLE.scale[0])
    assert list(result["levels_by_target"]["helpfulness"].values()) == pytest.approx(
        (up.levels - down.levels) * by_reward, abs=1e-6
    )
    assert list(result["weights_by_target"]["helpfulness"].values()) == pytest.approx(
        (up.weights - down.weights) / ORACLE.scale / (2e-5 * ORACLE.scale[0]), abs=1e-6
    )
    assert result["curves"] == []


def test_each_swept_value_has_a_curve(table: str, capsys: pytest.CaptureFixture[str]):
    result = run_json(
        capsys, "sensitivity", table, *TARGET_OPTIONS, "--sweep", "humor", "--sweep", "helpfulness", "--points", "5"
    )
    assert [curve["value"] for curve in result["curves"]] == ["humor", "helpfulness"]
    expected = sensitivity_curve(ORACLE, np.array([0.4, 0.2, np.nan, np.nan]), 2, points=5)
    first = result["curves"][0]
    assert [point["kl"] for point in first["points"]] == pytest.approx(expected.kl, abs=1e-8)
    assert [switch["target"] for switch in first["switches"]] == pytest.approx(
        [ORACLE.base[2] + switch.target * ORACLE.scale[2] for switch in expected.switches]
    )
    assert main(["sensitivity", table, *TARGET_OPTIONS, "--sweep", "humor"]) == 0
    text = capsys.readouterr().out
    assert "The bottleneck is" in text
    assert "-0.0000" not in text.split("The target of")[0].split("Level of the row")[1]
    assert "The target of humor, up to" in text


def test_a_palette_out_of_reach_has_no_price(table: str, capsys: pytest.CaptureFixture[str]):
    options = ["--target", "helpfulness=p99.9", "--target", "harmlessness=p99.9"]
    result = run_json(capsys, "sensitivity", table, *options, "--sweep", "humor", "--sweep", "helpfulness")
    assert not result["attainable"]
    assert result["price"] is None
    assert result["curves"][0]["highest"] is None
    assert main(["sensitivity", table, *options, "--sweep", "humor"]) == 0
    text = capsys.readouterr().out
    assert "Not possible together" in text
    assert "nothing can be swept" in text


def test_invalid_options_of_sensitivity_are_refused(table: str, capsys: pytest.CaptureFixture[str]):
    assert main(["sensitivity", table]) == 2
    assert main(["sensitivity", table, *TARGET_OPTIONS, "--sweep", "wit"]) == 2
    assert "Unknown value 'wit'" in capsys.readouterr().err
