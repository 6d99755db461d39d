"""Tests of the command ``choose``: questions and answers, saving, undoing, and JSON."""

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
    reward_table = make_table(prompts=20, candidates=12)
    path = tmp_path / "table.parquet"
    save(
        replace(
            reward_table,
            replies=tuple(f"{text}, and more than that is not to be said." for text in reward_table.replies),
        ),
        path,
    )
    return path


def test_choices_are_saved_undone_and_resumed(table: Path, tmp_path: Path):
    choices_path = tmp_path / "choices.jsonl"
    result = CliRunner().invoke(choose, [str(table), "--choices", str(choices_path)], input="1\n2\nb\n0\n1\nq\n")
    assert result.exit_code == 0, result.output
    assert "1 of 15." in result.output
    assert [json.loads(line)["answer"] for line in choices_path.read_text().splitlines()] == [
        "first",
        "neither",
        "first",
    ]
    assert "You saw no difference once." in result.output
    resumed = CliRunner().invoke(choose, [str(table), "--choices", str(choices_path), "--pairs", "4"], input="2\n")
    assert "4 of 4." in resumed.output
    assert "Which would you rather send? 1, 2, 0, b, q" in resumed.output
    assert len(choices_path.read_text().splitlines()) == 4


def test_json_prints_the_state_and_the_next_pair_without_a_question(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["choose", str(table), "--json"]) == 0
    without_choices = json.loads(capsys.readouterr().out)
    assert without_choices["choices"] == 0
    assert without_choices["targets"] == {}
    first, second = without_choices["next"]["first"], without_choices["next"]["second"]
    assert first["prompt_id"] == second["prompt_id"]
    assert len(without_choices["next"]["replies"]) == 2
    choices_path = tmp_path / "choices.jsonl"
    choices_path.write_text(json.dumps({"first": first, "second": second, "answer": "first"}))
    assert main(["choose", str(table), "--choices", str(choices_path), "--json"]) == 0
    after_choice = json.loads(capsys.readouterr().out)
    assert after_choice["decided"] == after_choice["explained"] == 1
    assert set(after_choice["targets"]) == {name for name, weight in after_choice["weights"].items() if weight > 0}
    assert set(after_choice["levels"]) == set(after_choice["evidence"])
    assert after_choice["next"] != without_choices["next"]


def test_error_names_an_invalid_line(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    choices_path = tmp_path / "choices.jsonl"
    choices_path.write_text('{"first": 1}\n')
    assert main(["choose", str(table), "--choices", str(choices_path), "--json"]) == 1
    assert "Line 1 of" in capsys.readouterr().err


def test_no_question_when_choices_cannot_be_saved(table: Path, tmp_path: Path):
    result = CliRunner().invoke(
        choose, [str(table), "--choices", str(tmp_path / "none" / "choices.jsonl")], input="1\nq\n"
    )
    assert result.exit_code != 0
    assert "1 of 15." not in result.output
