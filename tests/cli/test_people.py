"""Tests of the command ``people``: levels, the calibrated table, and what to label next."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from map_core.cli import main
from map_core.data import table_format
from tests.tables import make_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    reward_table = make_table(prompts=20, candidates=16)
    path = tmp_path / "table.parquet"
    table_format.save(reward_table, path)
    rng = np.random.default_rng(0)
    lines = [
        json.dumps(
            {
                "prompt_id": reward_table.prompt_ids[row // 16],
                "candidate": row % 16,
                "labels": {"humor": int(reward_table.rewards[row, 2] > rng.normal(2, 1))},
                "judge": judge,
            }
        )
        for row in range(0, 12 * 16, 2)
        for judge in ("anna", "ben")
    ]
    (tmp_path / "table.labels.jsonl").write_text("\n".join(lines))
    return path


def test_levels_of_the_base_model_and_of_a_palette(table: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["people", str(table), "--target", "humor=p75", "--json"]) == 0
    humor = json.loads(capsys.readouterr().out)["humor"]
    assert humor["palette"]["share"] > humor["base"]["share"]
    assert humor["palette"]["low"] < humor["palette"]["share"] < humor["palette"]["high"]
    assert set(humor["judges"]["judges"]) == {"anna", "ben"}
    assert main(["people", str(table), "--target", "humor=p75"]) == 0
    assert "96 on 12 prompts" in capsys.readouterr().out


def test_calibrated_table_accepts_targets(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "calibrated.parquet"
    assert main(["people", str(table), "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["solve", str(out), "--target", "humor_people=0.6", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["levels"]["humor_people"] == pytest.approx(0.6)


def test_next_replies_to_label_are_of_new_prompts(table: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["people", str(table), "--next", "humor", "--prompts", "3"]) == 0
    suggestions = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["prompt_id"] for row in suggestions} <= {f"p{number}" for number in range(12, 20)}
    assert all(0 < row["chance"] <= 1 and row["labels"] == {"humor": None} and row["reply"] for row in suggestions)


def test_first_replies_to_label_need_no_labels(table: Path, capsys: pytest.CaptureFixture[str]):
    path = table.with_name("table.labels.jsonl")
    for content in ("", json.dumps({"prompt_id": "p00", "candidate": 0, "labels": {"humor": 1}}), None):
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
        assert main(["people", str(table), "--next", "humor", "--prompts", "2"]) == 0
        suggestions = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert suggestions
        assert all(row["reply"] and row["labels"] == {"humor": None} for row in suggestions)
    path.write_text(json.dumps({"prompt_id": "p00", "candidate": 0, "labels": {"humor": 1}}))
    assert main(["people", str(table), "--next", "humor", "--prompts", "20"]) == 0
    suggestions = [json.loads(line)["prompt_id"] for line in capsys.readouterr().out.splitlines()]
    assert len(set(suggestions)) > 15
    assert "p00" not in suggestions
    path.unlink()
    assert main(["people", str(table), "--next", "wit"]) == 1
    assert "Unknown value 'wit'" in capsys.readouterr().err
    assert main(["people", str(table), "--next", "humor", "--labels", str(path)]) == 2
    assert "There are no labels at" in capsys.readouterr().err


def test_missing_labels_error_names_the_expected_file(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "table.labels.jsonl").unlink()
    assert main(["people", str(table)]) == 2
    assert "There are no labels at" in capsys.readouterr().err


def test_existing_file_is_replaced_only_with_force(table: Path, capsys: pytest.CaptureFixture[str]):
    before = table.read_bytes()
    assert main(["people", str(table), "--out", str(table)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert table.read_bytes() == before
    existing = table.with_name("other.parquet")
    existing.write_bytes(b"")
    assert main(["people", str(table), "--out", str(existing), "--force"]) == 0
    assert "humor_people" in table_format.load(existing).values


def test_uninformative_labels_are_refused(table: Path, capsys: pytest.CaptureFixture[str]):
    labels = table.with_name("table.labels.jsonl")
    for value, label, message in (
        ("nope", 1, "labels none of the values"),
        ("humor", 1, "The only label of 'humor' is 1"),
    ):
        labels.write_text(json.dumps({"prompt_id": "p00", "candidate": 0, "labels": {value: label}}))
        assert main(["people", str(table), "--json"]) == 1
        captured = capsys.readouterr()
        assert (message in captured.err, captured.out) == (True, "")
        out = table.with_name("calibrated.parquet")
        assert main(["people", str(table), "--out", str(out)]) == 1
        assert message in capsys.readouterr().err
        assert not out.exists()
    assert main(["people", str(table), "--out", str(out), "--target", "humor=p70"]) == 2
    assert "without targets" in capsys.readouterr().err


def test_solve_reports_the_number_of_labels_behind_each_level(table: Path, capsys: pytest.CaptureFixture[str]):
    pairs = ["--target", "humor=p75", "--target", "positivity=p55"]
    assert main(["solve", str(table), *pairs, "--json"]) == 0
    reach = json.loads(capsys.readouterr().out)["labels"]
    assert (reach["humor"]["labels"], reach["positivity"]["labels"]) == (96, 0)
    assert 0 < reach["humor"]["effective"] < 96
    assert not reach["positivity"]["few"]
    assert main(["people", str(table), *pairs, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["humor"]["reach"] == reach["humor"]
    path = table.with_suffix(".labels.jsonl")
    path.write_text("\n".join(path.read_text().splitlines()[:12]))
    assert main(["solve", str(table), *pairs]) == 0
    assert "Humor: few people have judged replies like these." in capsys.readouterr().out
    path.write_text("no label")
    assert main(["solve", str(table), *pairs]) == 0
    captured = capsys.readouterr()
    assert "The labels beside the table cannot be used" in captured.err
    assert "Reachable" in captured.out
