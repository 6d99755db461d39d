"""``people`` on the command line: levels, the calibrated table, and what to label next."""

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
    made = make_table(prompts=20, candidates=16)
    path = tmp_path / "table.parquet"
    table_format.save(made, path)
    rng = np.random.default_rng(0)
    lines = [
        json.dumps(
            {
                "prompt_id": made.prompt_ids[row // 16],
                "candidate": row % 16,
                "labels": {"humor": int(made.rewards[row, 2] > rng.normal(2, 1))},
                "judge": judge,
            }
        )
        for row in range(0, 12 * 16, 2)
        for judge in ("anna", "ben")
    ]
    (tmp_path / "table.labels.jsonl").write_text("\n".join(lines))
    return path


def test_levels_today_and_with_a_palette(table: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["people", str(table), "--target", "humor=p75", "--json"]) == 0
    humor = json.loads(capsys.readouterr().out)["humor"]
    assert humor["palette"]["share"] > humor["base"]["share"]
    assert humor["palette"]["low"] < humor["palette"]["share"] < humor["palette"]["high"]
    assert set(humor["judges"]["judges"]) == {"anna", "ben"}
    assert main(["people", str(table), "--target", "humor=p75"]) == 0
    assert "96 of 12 prompts" in capsys.readouterr().out


def test_the_calibrated_table_can_have_targets(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "calibrated.parquet"
    assert main(["people", str(table), "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["solve", str(out), "--target", "humor_people=0.6", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["levels"]["humor_people"] == pytest.approx(0.6)


def test_what_to_label_next_is_of_new_prompts(table: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["people", str(table), "--next", "humor", "--prompts", "3"]) == 0
    asked = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["prompt_id"] for row in asked} <= {f"p{number}" for number in range(12, 20)}
    assert all(0 < row["chance"] <= 1 and row["labels"] == {"humor": None} and row["reply"] for row in asked)


def test_what_to_label_first_needs_no_labels(table: Path, capsys: pytest.CaptureFixture[str]):
    path = table.with_name("table.labels.jsonl")
    for content in ("", json.dumps({"prompt_id": "p00", "candidate": 0, "labels": {"humor": 1}}), None):
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
        assert main(["people", str(table), "--next", "humor", "--prompts", "2"]) == 0
        asked = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert asked
        assert all(row["reply"] and row["labels"] == {"humor": None} for row in asked)
    path.write_text(json.dumps({"prompt_id": "p00", "candidate": 0, "labels": {"humor": 1}}))
    assert main(["people", str(table), "--next", "humor", "--prompts", "20"]) == 0
    asked = [json.loads(line)["prompt_id"] for line in capsys.readouterr().out.splitlines()]
    assert len(set(asked)) > 15
    assert "p00" not in asked
    path.unlink()
    assert main(["people", str(table), "--next", "wit"]) == 1
    assert "Unknown value 'wit'" in capsys.readouterr().err
    assert main(["people", str(table), "--next", "humor", "--labels", str(path)]) == 2
    assert "There are no labels at" in capsys.readouterr().err


def test_without_labels_it_says_where_they_are_looked_for(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "table.labels.jsonl").unlink()
    assert main(["people", str(table)]) == 2
    assert "There are no labels at" in capsys.readouterr().err


def test_a_file_that_is_there_is_not_replaced_without_a_word(table: Path, capsys: pytest.CaptureFixture[str]):
    before = table.read_bytes()
    assert main(["people", str(table), "--out", str(table)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert table.read_bytes() == before
    other = table.with_name("other.parquet")
    other.write_bytes(b"")
    assert main(["people", str(table), "--out", str(other), "--force"]) == 0
    assert "humor_people" in table_format.load(other).values


def test_labels_that_say_nothing_end_in_words(table: Path, capsys: pytest.CaptureFixture[str]):
    labels = table.with_name("table.labels.jsonl")
    for value, label, said in (("nope", 1, "labels none of the values"), ("humor", 1, "All 1 labels of 'humor' are 1")):
        labels.write_text(json.dumps({"prompt_id": "p00", "candidate": 0, "labels": {value: label}}))
        assert main(["people", str(table), "--json"]) == 1
        spoken = capsys.readouterr()
        assert (said in spoken.err, spoken.out) == (True, "")
        out = table.with_name("calibrated.parquet")
        assert main(["people", str(table), "--out", str(out)]) == 1
        assert said in capsys.readouterr().err
        assert not out.exists()
    assert main(["people", str(table), "--out", str(out), "--target", "humor=p70"]) == 2
    assert "without targets" in capsys.readouterr().err


def test_solve_says_how_many_judgements_stand_behind_each_level(table: Path, capsys: pytest.CaptureFixture[str]):
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
    said = capsys.readouterr()
    assert "The labels beside the table cannot be used" in said.err
    assert "Reachable" in said.out
