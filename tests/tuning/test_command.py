"""Tests of the command `tune`: what it prints and writes, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from map_core.cli import main
from map_core.data.table_format import load
from map_core.models.files import locate
from map_core.tuning.folder import read_ratios
from tests.lazy import requires
from tests.tuning.tiny_runs import VALUES, pairs_command

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), requires("requirements-tune.txt", "trl", "peft")]


def test_the_command_tunes_and_reports_the_result(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    command = pairs_command(path, out, "--target", "diversity=p55", "--steps", "2", "--replies", "4")
    assert main([*command, "--estimate"]) == 0
    assert "a step takes" in capsys.readouterr().err
    assert main([*command, "--progress-file", str(tmp_path / "progress.json"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["palette"]["verdict"] in ("reachable", "on_paper")
    assert len(record["held_out"]) == 2
    assert json.loads((tmp_path / "progress.json").read_text())["state"] == "done"
    share = pairs_command(path, tmp_path / "share", "--target", "positivity>=p60=50%", "--steps", "2")
    assert main([*share, "--json", "--evidence", "2"]) == 0
    record = json.loads(capsys.readouterr().out)
    (name,) = record["weights"]
    assert name.startswith("positivity>=")
    assert 0.0 <= record["evidence"]["levels"][name]["base"] <= 1.0
    assert main([*share, "--method", "rloo", "--fresh"]) == 1
    assert "tune by pairs" in capsys.readouterr().err
    assert main(["tune", str(path), "--target", "diversity=+9sd", "--out", str(tmp_path / "no")]) == 1
    assert "The nearest palette that is possible: --target diversity=" in capsys.readouterr().err


def test_rounds_for_a_share_are_estimated_run_and_reported(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from map_core.tuning import natural

    monkeypatch.setattr(natural, "cache_folder", lambda: tmp_path / "cache")
    out, progress = tmp_path / "out", tmp_path / "progress.json"
    command = ["tune", str(path), "--target", "positivity>=p60=50%", "--target", "diversity=p55", "--rounds", "2"]
    command += ["--value-replies", "6", "--beginnings", "2", "--rank", "2", "--evidence", "0", "--out", str(out)]
    assert main([*command, "--estimate", "--progress-file", str(progress)]) == 0
    messages = capsys.readouterr().err
    assert "reading the replies takes" in messages
    assert "if it learns 2 times" in messages
    estimate = json.loads(progress.read_text())["figures"]["estimate"]
    assert estimate["rounds"] == 2
    assert estimate["round_seconds"] > estimate["check_seconds"] == 0
    assert main([*command, "--progress-file", str(progress), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    (share,) = (name for name in record["weights"] if name.startswith("positivity>="))
    first = record["rounds"][0]
    assert set(first["levels"]) == set(first["gains"]) == {share, "diversity"}
    assert 0.0 <= first["levels"][share] <= 1.0
    unread = read_ratios(out / "round-1" / "unread_ratios.json")
    assert unread
    assert all(1 <= len(ratios) <= 16 for ratios in unread.values())
    assert not set(unread) & set(record["held_out"])
    figures = json.loads(progress.read_text())["figures"]
    assert figures["rounds"] == record["rounds"]
    assert figures["most_rounds"] is None


def test_held_out_prompts_are_evaluated_during_training_and_answered_at_the_end(
    path: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from map_core.core.kept_folder import SETTING
    from map_core.models.tuned import tuned_folder

    monkeypatch.setenv(SETTING, str(tmp_path / "kept"))
    out = tuned_folder("My kind one")
    out.parent.mkdir(parents=True)
    command = pairs_command(path, out, "--weights", "diversity=2", "--steps", "4", "--replies", "4")
    command += ["--looks", "1", "--check", "2", "--use-case", "A", "--progress-file", str(tmp_path / "progress.json")]
    assert main([*command, "--estimate", "--quiet"]) == 0
    progress = json.loads((tmp_path / "progress.json").read_text())
    estimate = progress["figures"]["estimate"]
    assert min(estimate["seconds"], estimate["check_seconds"]) > 0
    assert estimate["rounds"] == 1
    assert main([*command, "--learning-rate", "0.02", "--fresh", "--json", "--quiet"]) == 0
    record = json.loads(capsys.readouterr().out)
    progress = json.loads((tmp_path / "progress.json").read_text())
    assert (progress["state"], progress["stage"], progress["done"]) == ("done", "checking", 2)
    assert [step for step, _ in progress["figures"]["loss"]] == [1, 2, 3, 4]
    (evaluation,) = progress["figures"]["held_out"]
    assert evaluation == record["looks"][0]
    assert (evaluation["step"], set(evaluation["levels"])) == (2, set(VALUES))
    assert record["check"]["prompts"] == 2
    replies = set(load(path).replies)
    for row in record["side_by_side"]:
        assert {row["base"], row["chosen"]} <= replies
    assert [row["tuned"] for row in record["side_by_side"]] == list(load(out / "check.parquet").replies[::4])
    # Its name locates it like any other model.
    assert locate("My kind one").sha256 == locate(str(out)).sha256
    assert main([*command, "--check", "1"]) == 2
