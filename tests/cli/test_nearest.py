"""``nearest`` on the command line: locks, importance and budgets, what it prints, and how it fails."""

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

ASKED = ["--target", "humor=+1.5sd", "--target", "helpfulness=+1.6sd", "--target", "harmlessness=+0.8sd"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    save(make_table(prompts=20, candidates=32), path)
    return path


def ask(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main(["nearest", *map(str, arguments), "--json"]) == 0

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def test_it_says_what_the_library_finds(table: Path, capsys: pytest.CaptureFixture[str]):
    result = ask(capsys, table, *ASKED, "--lock", "harmlessness", "--importance", "humor=4", "--budget", 1.5)
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


def test_a_budget_beyond_all_nats_is_all_nats(table: Path, capsys: pytest.CaptureFixture[str]):
    assert ask(capsys, table, *ASKED, "--budget", 100)["nearest"]["budget"] == pytest.approx(np.log(32))


@pytest.mark.parametrize(
    ("extra", "status", "message"),
    [
        (
            ["--target", "positivity=99", "--lock", "positivity"],
            "locked_out_of_reach",
            "alone are not possible together",
        ),
        (["--lock", "helpfulness", "--budget", "0.1"], "locked_over_budget", "cost more than the budget"),
    ],
)
def test_there_may_be_none(
    table: Path, capsys: pytest.CaptureFixture[str], extra: list[str], status: str, message: str
):
    result = ask(capsys, table, *ASKED, *extra)
    assert result["nearest"] is None
    assert result["status"] == status
    assert main(["nearest", str(table), *ASKED, *extra]) == 0
    assert message in capsys.readouterr().out


def test_words_for_people(table: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["nearest", str(table), *ASKED]) == 0
    printed = capsys.readouterr().out
    assert "Nearest palette" in printed
    assert "given up" in printed


def test_a_palette_a_line(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    palettes = tmp_path / "palettes.jsonl"
    palettes.write_text('{"targets": {"humor": 9}}\n{"targets": {}}\n')
    assert main(["nearest", str(table), "--targets-file", str(palettes), "--json"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["nearest"]["targets"]["humor"] < 9
    assert second["nearest"]["distance"] == 0


@pytest.mark.parametrize(
    ("extra", "message"),
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
def test_errors_are_one_message(table: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str):
    assert main(["nearest", str(table), *ASKED, *extra]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert "Traceback" not in printed.err


SEVERAL = ["--target", "humor=+1.6sd", "--every-scorer", "humor=positivity,helpfulness"]


def test_a_value_and_its_further_scorers_give_way_together(table: Path, capsys: pytest.CaptureFixture[str]):
    result = ask(capsys, table, *SEVERAL, "--importance", "humor=4")
    near, base = result["nearest"], result["base"]
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=32))
    scale = dict(zip(oracle.values, oracle.scale, strict=True))
    above = (near["targets"]["humor"] - base["humor"]) / scale["humor"]
    assert above < 1.6 - 1e-3
    for scorer in ("positivity", "helpfulness"):
        level = near["targets"][f"by {scorer}: humor"]
        assert (level - base[scorer]) / scale[scorer] == pytest.approx(above, abs=1e-9)
        assert near["levels"][scorer] >= level - 1e-6
    assert near["distance"] == pytest.approx(2 * (1.6 - above), abs=1e-6)  # the target alone, with importance 4
    # What it says can be asked for again, and it is what solve says as well.
    asked = ["--target", f"humor={near['targets']['humor']!r}", *SEVERAL[2:]]
    assert main(["solve", str(table), *asked, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["verdict"] != "out_of_reach"
    assert again["kl"] == pytest.approx(near["kl"], abs=1e-6)
    assert main(["solve", str(table), *SEVERAL, "--json"]) == 0
    solved = json.loads(capsys.readouterr().out)["nearest"]
    assert solved["targets"]["humor"] == pytest.approx(ask(capsys, table, *SEVERAL)["nearest"]["targets"]["humor"])


def test_a_locked_target_is_not_lowered_for_its_further_scorers(table: Path, capsys: pytest.CaptureFixture[str]):
    locked = [*SEVERAL, "--target", "harmlessness=+1sd", "--lock", "humor"]
    assert ask(capsys, table, *locked)["status"] == "locked_out_of_reach"
    lower = [part.replace("+1.6sd", "+0.3sd") for part in locked]
    near = ask(capsys, table, *lower)["nearest"]
    assert near["given_up"]["humor"] == pytest.approx(0, abs=1e-8)
    assert near["given_up"]["by positivity: humor"] == pytest.approx(0, abs=1e-8)


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
