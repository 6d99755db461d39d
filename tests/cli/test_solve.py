"""Tests of the command ``solve``: its output and its errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from map_core.cli import main
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import save
from map_core.oracle import MemoryOracle
from tests.tables import make_table

KEYS = {
    *("targets", "form", "verdict", "margin", "weights", "levels", "base", "kl", "ess", "residual", "steps"),
    *("solve_ms", "certificate", "nearest", "conflict"),
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    save(make_table(prompts=20, candidates=32), path)
    return path


def parse_strict_json(line: str) -> dict:
    """Parse JSON; NaN and Infinity, which Python would accept, fail."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    return json.loads(line, parse_constant=refuse)


def test_one_result_per_line_of_a_targets_file_in_order(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    palettes = tmp_path / "palettes.jsonl"
    all_targets = [{"humor": 2.5}, {"helpfulness": "p99.9", "harmlessness": "p99.9"}, {}, {"positivity": "+0.2sd"}]
    palettes.write_text("\n".join(json.dumps({"targets": t}) for t in all_targets) + "\n\n")
    assert main(["solve", str(table), "--targets-file", str(palettes), "--json"]) == 0
    results = [parse_strict_json(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["verdict"] for r in results] == ["reachable", "out_of_reach", "reachable", "reachable"]
    assert all(set(r) >= KEYS for r in results)
    first, second, third, _ = results
    assert first["levels"]["humor"] == pytest.approx(2.5, abs=1e-8)
    assert first["certificate"] is first["nearest"] is first["conflict"] is None
    assert second["weights"] is second["levels"] is second["kl"] is None
    assert second["margin"] < 0
    assert third["margin"] is None
    assert third["kl"] == 0
    # The certificate in reward units: w . s = 1, and the best replies fall short of the targets by the margin.
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=32))
    w = np.array(list(second["certificate"].values()))
    assert w @ oracle.scale == pytest.approx(1.0)
    highest = w @ oracle.rewards_at(oracle.best(w * oracle.scale))
    required = sum(second["certificate"][name] * level for name, level in second["targets"].items())
    assert highest - required == pytest.approx(second["margin"], abs=1e-9)
    # The conflict: each target's highest level beside the other is reachable and below the target.
    conflict = second["conflict"]
    assert conflict["smallest"] is True
    for name, level in conflict["highest"].items():
        assert level < second["targets"][name]
        others = [f"--target={n}={second['targets'][n]!r}" for n in conflict["highest"] if n != name]
        assert main(["solve", str(table), *others, f"--target={name}={level - 1e-9!r}", "--json"]) == 0
        assert parse_strict_json(capsys.readouterr().out)["verdict"] == "on_paper"
    # The nearest palette is reachable itself, with the same weights.
    pairs = [f"--target={name}={level!r}" for name, level in second["nearest"]["targets"].items()]
    assert main(["solve", str(table), *pairs, "--json"]) == 0
    solved = parse_strict_json(capsys.readouterr().out)
    assert solved["verdict"] == "reachable"
    assert solved["weights"] == pytest.approx(second["nearest"]["weights"], abs=1e-4)


def test_forms_and_use_cases(table: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--target", "humor=+0.5sd", "--json"]
    results = []
    for more_options in ([], ["--form", "pooled"], ["--use-case", "Stories"]):
        assert main(["solve", str(table), *options, *more_options]) == 0
        results.append(parse_strict_json(capsys.readouterr().out))
    assert [r["form"] for r in results] == ["per-prompt", "pooled", "per-prompt"]
    assert results[0]["weights"] != results[1]["weights"]
    assert results[0]["base"] != results[2]["base"]


def test_exceeded_budget_is_reported_with_the_nearest_palette(table: Path, capsys: pytest.CaptureFixture[str]):
    options = ["solve", str(table), "--target", "humor=+0.8sd", "--target", "positivity=+0.5sd"]
    assert main([*options, "--json"]) == 0
    unlimited = parse_strict_json(capsys.readouterr().out)
    assert unlimited["over_budget"] is False
    assert main([*options, "--budget", str(0.5 * unlimited["kl"]), "--json"]) == 0
    limited = parse_strict_json(capsys.readouterr().out)
    assert limited["verdict"] == unlimited["verdict"] == "reachable"
    assert limited["over_budget"] is True
    assert limited["nearest"]["kl"] == pytest.approx(0.5 * unlimited["kl"], rel=1e-6)
    assert main([*options, "--budget", str(0.5 * unlimited["kl"])]) == 0
    assert "more than the budget" in capsys.readouterr().out
    assert main([*options, "--budget", "0"]) == 1
    assert "expected a number above 0" in capsys.readouterr().err


def test_fewer_candidates_need_larger_weights(table: Path, capsys: pytest.CaptureFixture[str]):
    options = ["solve", str(table), "--target", "humor=+0.5sd", "--json"]
    results = []
    for more_options in ([], ["--candidates", "32"], ["--candidates", "8"]):
        assert main([*options, *more_options]) == 0
        results.append(parse_strict_json(capsys.readouterr().out))
    assert results[0]["weights"] == results[1]["weights"]
    assert results[2]["targets"] == results[0]["targets"]
    assert results[2]["levels"]["humor"] == pytest.approx(results[2]["targets"]["humor"])
    assert results[2]["weights"]["humor"] > results[0]["weights"]["humor"]


def test_ranges_of_each_value_beside_the_other_targets(table: Path, capsys: pytest.CaptureFixture[str]):
    options = ["solve", str(table), "--target", "humor=+0.5sd", "--ranges"]
    assert main([*options, "--json"]) == 0
    ranges = parse_strict_json(capsys.readouterr().out)["ranges"]
    assert set(ranges) == {"helpfulness", "harmlessness", "humor", "positivity"}
    low, high = ranges["helpfulness"]
    assert low < high
    # Just below the highest level both are possible, just above they are not.
    for level, verdict in ((high - 1e-6, "on_paper"), (high + 1e-2, "out_of_reach")):
        assert main([*options, "--target", f"helpfulness={level!r}", "--json"]) == 0
        assert parse_strict_json(capsys.readouterr().out)["verdict"] == verdict
    assert main(options) == 0
    assert "lowest" in capsys.readouterr().out


def test_text_output(table: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["solve", str(table), "--target", "humor=p60"]) == 0
    output = capsys.readouterr().out
    assert "Reachable." in output
    assert "no target" in output
    assert main(["solve", str(table), "--target", "humor=p60", "--target", "helpfulness=99"]) == 0
    output = capsys.readouterr().out
    assert "Not possible together" in output
    assert "One target alone is set above what any mix of replies gives; the most there is: helpfulness" in output
    assert "is possible once one of these alone is lowered: helpfulness." in output
    assert main(["solve", str(table), "--target", "harmlessness=+1.6sd", "--target", "helpfulness=+1.6sd"]) == 0
    assert "The fewest targets that are not possible together: helpfulness, harmlessness." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--target", "humour=1"], 2, "Unknown value 'humour'"),
        (["--target", "humor"], 2, "no NAME=LEVEL"),
        (["--target", "humor=funny"], 2, "The target of humor is 'funny'"),
        (["--target", "humor=1", "--target", "humor=2"], 2, "twice"),
        ([], 2, "Give targets"),
        (["--target", "humor=1", "--form", "both"], 2, "--form"),
        (["--target", "humor=1", "--use-case", "Nowhere"], 1, "Unknown use case 'Nowhere'"),
        (["--targets-file", "missing.jsonl"], 2, "does not exist"),
    ],
)
def test_errors_are_one_message(
    table: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
):
    assert main(["solve", str(table), *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_error_names_an_invalid_line(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    palettes = tmp_path / "palettes.jsonl"
    palettes.write_text('{"targets": {"humor": 1}}\n{"humor": 1}\n')
    assert main(["solve", str(table), "--targets-file", str(palettes)]) == 2
    captured = capsys.readouterr()
    assert "Line 2" in captured.err
    assert captured.out == ""


def test_unusable_tables_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    text_file = tmp_path / "notes.txt"
    text_file.write_text("hello")
    assert main(["solve", str(text_file), "--target", "humor=1"]) == 1
    assert "not a Parquet file" in capsys.readouterr().err
    single: RewardTable = make_table(prompts=6, candidates=1)
    save(single, tmp_path / "single.parquet")
    assert main(["solve", str(tmp_path / "single.parquet"), "--target", "humor=1", "--form", "per-prompt"]) == 1
    assert "Use the pooled form" in capsys.readouterr().err


def test_shares_and_cohorts_beside_levels(table: Path, capsys: pytest.CaptureFixture[str]):
    targets = ["humor>=p20:0.95", "helpfulness<p10=5%", "positivity@Stories=+0.2sd", "humor=p60"]
    options = [word for target in targets for word in ("--target", target)]
    assert main(["solve", str(table), *options, "--json"]) == 0
    result = parse_strict_json(capsys.readouterr().out)
    assert result["targets"]["humor>=p20"] == 0.95
    assert result["targets"]["helpfulness>=p10"] == 0.95
    assert all(result["levels"][name] >= level - 1e-8 for name, level in result["targets"].items())
    humor, _, positivity = result["columns"].values()
    assert humor["value"] == "humor"
    assert humor["reply"] == f"humor>={humor['threshold']!r}"
    assert positivity["cohort"] == {"label": "use_case", "entry": "Stories"}
    assert positivity["prompts"] == 0.5


def test_a_share_in_a_targets_file(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    palettes = tmp_path / "palettes.jsonl"
    palettes.write_text('{"targets": {"humor>=p20": 0.95}}\n{"targets": {"humor": "p60"}}\n')
    assert main(["solve", str(table), "--targets-file", str(palettes), "--json"]) == 0
    shared, plain = map(parse_strict_json, capsys.readouterr().out.splitlines())
    assert shared["levels"]["humor>=p20"] == pytest.approx(0.95)
    assert "humor>=p20" not in plain["targets"]
    assert main(["solve", str(table), "--target", "humor=p60", "--json"]) == 0
    single = parse_strict_json(capsys.readouterr().out)
    assert plain["kl"] == pytest.approx(single["kl"], abs=1e-9)


def test_every_reply_above_a_threshold_lies_on_the_edge(table: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["solve", str(table), "--target", "humor>=p20:1"]) == 0
    assert "on the very edge" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["humor>=p20"], "is no NAME>=LEVEL:SHARE, such as humor>=p20:0.95"),
        (["humor>=p20:2"], "expected a number from 0 to 1"),
        (["humor>=p20:0.5", "humor<p20:0.1"], "given twice"),
        (["humor@Sport=p60"], "No prompt has 'Sport'"),
    ],
)
def test_invalid_shares_and_cohorts_are_refused(
    table: Path, targets: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["solve", str(table), *[word for target in targets for word in ("--target", target)]]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", ["nearest", "sensitivity", "confidence", "baselines", "sequence"])
def test_other_commands_accept_shares_and_cohorts(command: str, table: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--target", "humor>=p20:0.9", "--target", "positivity@Stories=+0.1sd", "--json"]
    assert main([command, str(table), *options]) == 0
    assert parse_strict_json(capsys.readouterr().out)["targets"]["humor>=p20"] == 0.9


def test_report_lists_demands_beyond_averages(table: Path, tmp_path: Path):
    out = tmp_path / "report.html"
    assert main(["report", str(table), "--target", "humor>=p20:0.9", "--out", str(out)]) == 0
    section = out.read_text(encoding="utf-8").partition("Beyond averages")[2]
    assert "At least 90 of 100 replies" in section


def test_frontier_accepts_shares_as_values_and_floors(table: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--pair", "humor>=p20,helpfulness", "--floor", "positivity>=p10:0.9", "--budget", "0.5", "--json"]
    assert main(["frontier", str(table), *options]) == 0
    frontier = parse_strict_json(capsys.readouterr().out)["frontiers"][0]
    assert frontier["values"] == ["humor>=p20", "helpfulness"]
    assert frontier["floors"] == {"positivity>=p10": 0.9}
