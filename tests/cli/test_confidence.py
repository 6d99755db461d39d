"""Tests of the command ``confidence``: error bars as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from map_core.cli import main
from map_core.data.table_format import save
from tests.tables import make_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    save(make_table(prompts=24, candidates=24), path)
    return path


def test_json_output(table: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["confidence", str(table), "--target", "humor=+0.3sd", "--draws", "100", "--json"]
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert "NaN" not in output
    assert "Infinity" not in output
    result = json.loads(output)
    assert result["verdict"] == "reachable"
    assert result["levels"]["humor"]["estimate"] == pytest.approx(result["targets"]["humor"])
    assert (
        result["weights"]["humor"]["low"] < result["weights"]["humor"]["estimate"] < result["weights"]["humor"]["high"]
    )
    assert sum(result["probability"].values()) == pytest.approx(1.0)
    assert result["held_out"]["solved"] == result["held_out"]["folds"] == 2
    assert result["prompts"] == 24
    assert main(arguments) == 0
    assert capsys.readouterr().out == output


def test_text_output(table: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["confidence", str(table), "--target", "humor=+0.3sd", "--draws", "100", "--folds", "3"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("Reachable.")
    assert "new prompts" in output
    assert "solved on 2 of 3 parts" in output
    out_of_reach = ["confidence", str(table), "--target", "humor=99", "--draws", "100"]
    assert main(out_of_reach) == 0
    output = capsys.readouterr().out
    assert output.startswith("Not possible together.")
    assert "cannot meet the targets" in output
    assert main([*out_of_reach[:2], "--target", "humor=+0.3sd", "--form", "pooled", "--draws", "100"]) == 0
    assert "No interval for the margin" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "humor=p60", "--level", "1.5"], "--level is 1.5"),
        (["--target", "humor=p60", "--draws", "3"], "3 draws"),
        (["--target", "humor=p60", "--folds", "99"], "99 folds"),
        (["--target", "humor=p60", "--seed", "-1"], "--seed is -1"),
        ([], "Give targets"),
        (["--target", "wit=p60"], "Unknown value 'wit'"),
    ],
)
def test_invalid_options_are_refused(
    table: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    assert main(["confidence", str(table), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
