"""``choose`` on the command line: asked and answered, kept, taken back, and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from map_core.cli import main
from map_core.cli.choose import choose
from map_core.data.table_format import save
from tests.tables import make_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    made = make_table(prompts=20, candidates=12)
    path = tmp_path / "table.parquet"
    save(replace(made, replies=tuple(f"{text}, and more than that is not to be said." for text in made.replies)), path)
    return path


def test_choices_are_asked_kept_taken_back_and_resumed(table: Path, tmp_path: Path):
    kept = tmp_path / "choices.jsonl"
    run = CliRunner().invoke(choose, [str(table), "--choices", str(kept)], input="1\n2\nb\n0\n1\nq\n")
    assert run.exit_code == 0, run.output
    assert "1 of 15." in run.output
    assert [json.loads(line)["answer"] for line in kept.read_text().splitlines()] == ["first", "neither", "first"]
    assert "You saw no difference once." in run.output
    again = CliRunner().invoke(choose, [str(table), "--choices", str(kept), "--pairs", "4"], input="2\n")
    assert "4 of 4." in again.output
    assert "Which would you rather send? 1, 2, 0, b, q" in again.output
    assert len(kept.read_text().splitlines()) == 4


def test_json_asks_nothing_and_names_the_next_pair(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["choose", str(table), "--json"]) == 0
    empty = json.loads(capsys.readouterr().out)
    assert empty["choices"] == 0
    assert empty["targets"] == {}
    first, second = empty["next"]["first"], empty["next"]["second"]
    assert first["prompt_id"] == second["prompt_id"]
    assert len(empty["next"]["replies"]) == 2
    kept = tmp_path / "choices.jsonl"
    kept.write_text(json.dumps({"first": first, "second": second, "answer": "first"}))
    assert main(["choose", str(table), "--choices", str(kept), "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one["decided"] == one["explained"] == 1
    assert set(one["targets"]) == {name for name, weight in one["weights"].items() if weight > 0}
    assert set(one["levels"]) == set(one["evidence"])
    assert one["next"] != empty["next"]


def test_a_line_that_is_no_choice_is_named(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    kept = tmp_path / "choices.jsonl"
    kept.write_text('{"first": 1}\n')
    assert main(["choose", str(table), "--choices", str(kept), "--json"]) == 1
    assert "Line 1 of" in capsys.readouterr().err


def test_choices_that_cannot_be_kept_are_not_asked_for(table: Path, tmp_path: Path):
    run = CliRunner().invoke(
        choose, [str(table), "--choices", str(tmp_path / "none" / "choices.jsonl")], input="1\nq\n"
    )
    assert run.exit_code != 0
    assert "1 of 15." not in run.output
