"""Tests of guesses of an import: they are reported, and ambiguities that change a count or a value are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from map_core.cli import main
from map_core.data.importing import ColumnChoice, import_file
from map_core.data.importing.echoes import without_prompt
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import load
from map_core.errors import InputError


def imported(path: Path, content: str | bytes, **choice: str) -> tuple[RewardTable, str]:
    """Import a file; return the table and all notes about it."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    result = import_file(path, path.with_suffix(".parquet"), ColumnChoice(**choice) if choice else None)
    return load(path.with_suffix(".parquet")), " ".join(result.notes)


def numbers(table: RewardTable) -> list[float]:
    return table.rewards[:, 0].tolist()


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["3,5", "1,5"], [3.5, 1.5]),
        (["900", "1,25"], [900, 1.25]),
        (["900,5", "1.200,25"], [900.5, 1200.25]),
        (["0.5", "1.250"], [0.5, 1.25]),
        (["7", "8"], [7, 8]),
    ],
)
def test_numbers_with_semicolons_between_cells(cells: list[str], values: list[float], tmp_path: Path):
    text = "prompt;reply;elo\n" + "".join(f"How?;{k};{cell}\n" for k, cell in enumerate(cells))
    assert numbers(imported(tmp_path / "t.csv", text)[0]) == values


@pytest.mark.parametrize("cell", ["1,200", "1.200"])
def test_ambiguous_number_is_refused_until_somebody_decides(
    cell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    text = f"prompt;reply;elo\nHow?;a;900\nHow?;b;{cell}\n"
    with pytest.raises(InputError, match=rf"row 3, column 'elo' is '{cell}'.*--decimal point or --decimal comma"):
        imported(tmp_path / "t.csv", text)
    thousands = "point" if "," in cell else "comma"
    assert numbers(imported(tmp_path / "t.csv", text, decimal=thousands)[0]) == [900, 1200]
    fraction = "comma" if "," in cell else "point"
    assert numbers(imported(tmp_path / "t.csv", text, decimal=fraction)[0]) == [900, 1.2]
    assert main(["import", str(tmp_path / "t.csv"), "--out", str(tmp_path / "o.parquet"), "--decimal", thousands]) == 0
    assert numbers(load(tmp_path / "o.parquet")) == [900, 1200]


def test_another_column_reveals_the_decimal_mark(tmp_path: Path):
    table, _ = imported(tmp_path / "t.csv", "prompt;reply;elo;share\nHow?;a;900;0,5\nHow?;b;1,200;0,25\n")
    assert table.rewards.tolist() == [[900, 0.5], [1.2, 0.25]]


def test_thousands_separators_in_comma_separated_files_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"row 3, column 'elo' is '1,200', not a number"):
        imported(tmp_path / "t.csv", 'prompt,reply,elo\nHow?,a,900\nHow?,b,"1,200"\nHow?,c,"1,300"\n')


def test_tab_separated_files_with_decimal_commas(tmp_path: Path):
    text = "prompt\treply\thumor\tkindness\nHow?\ta\t0,5\t1\nHow?\tb\t1,5\t2\n".encode("utf-16")
    table, reading = imported(tmp_path / "t.txt", text)
    assert table.rewards.tolist() == [[0.5, 1], [1.5, 2]]
    assert "Read as CSV in UTF-16 with tabs between cells, decimal commas in humor." in reading
    plain = "prompt\treply\thumor\nHow?\ta\t1.250\nHow?\tb\t2.375\n"
    assert numbers(imported(tmp_path / "t.tsv", plain)[0]) == [1.25, 2.375]


def test_quotation_marks_are_text_in_a_tab_file_without_quoting(tmp_path: Path):
    lines = ['Who said it?\t"Yes, I did.\t1', "Who said it?\tNobody did.\t2", 'Who said it?\tNo, I did not."\t3']
    table, reading = imported(tmp_path / "t.tsv", "\n".join(["prompt\treply\thumor", *lines]))
    assert table.replies == ('"Yes, I did.', "Nobody did.", 'No, I did not."')
    assert "quotation marks as text" in reading
    quoted = 'prompt\treply\thumor\nHow?\t"two\nlines"\t1\nHow?\t"a ""b"""\t2\n'
    assert imported(tmp_path / "q.tsv", quoted)[0].replies == ("two\nlines", 'a "b"')


def test_empty_columns_and_rows_of_a_spreadsheet(tmp_path: Path):
    table, reading = imported(tmp_path / "t.csv", "prompt,reply,humor,,\nHow?,a,1,,\nHow?,b,2,,\n,,,,\n,,,,\n")
    assert numbers(table) == [1, 2]
    assert "Nothing is left out." in reading


@pytest.mark.parametrize("context", ["input", "context"])
def test_the_input_of_an_instruction_belongs_to_the_prompt(context: str, tmp_path: Path):
    rows = [
        {"instruction": "Which mood?", context: text, "output": reply, "humor": k}
        for k, (text, reply) in enumerate([("Rain.", "Sad."), ("Rain.", "Glad."), ("Sun.", "Glad."), ("", "None.")])
    ]
    content = "\n".join(map(json.dumps, rows))
    table, reading = imported(tmp_path / "t.jsonl", content)
    assert table.prompts == ("Which mood?\n\nRain.", "Which mood?\n\nSun.", "Which mood?")
    assert f"'{context}' what belongs to each prompt, after a blank line" in reading
    alone, _ = imported(tmp_path / "t.jsonl", content, context="")
    assert alone.prompts == ("Which mood?",)


def test_split_column_with_one_value_holds_nothing_out(tmp_path: Path):
    content = "prompt,reply,humor,split\nHow?,a,1,test\nHow?,b,2,test\n"
    table, reading = imported(tmp_path / "t.csv", content)
    assert not table.held_out.size
    assert "'split' is the same in every row, so no prompt is held out by it." in reading
    with pytest.raises(InputError, match="holds every prompt out"):
        imported(tmp_path / "t.csv", content, held_out="split")


@pytest.mark.parametrize(
    ("prompt", "reply", "remaining"),
    [
        ("Hi", "Hippos are not here.", None),
        ("Hi", "Hi! How are you?", "! How are you?"),
        ("No", "Noted.", None),
        ("How do bees make honey?", "How do bees make honey? From nectar.", "From nectar."),
        ("How do bees  make honey?", "How do bees make honey?\nFrom nectar.", "From nectar."),
        ("Count to 1", "Count to 1.5", None),
        ("It is", "It's me", None),
        ("caf", "café", None),
    ],
)
def test_a_repeated_prompt_ends_at_a_word(prompt: str, reply: str, remaining: str | None):
    assert without_prompt(prompt, reply) == remaining


def test_short_prompts_count_as_echoes_only_on_request(tmp_path: Path):
    content = "prompt,reply,humor\n" + "".join(f"Hi,Hi! {k},{k}\n" for k in range(4))
    table, reading = imported(tmp_path / "t.csv", content)
    assert table.replies[0] == "Hi! 0"
    assert "4 of 4 replies begin with the words of their prompt and are kept whole" in reading
    removed, _ = imported(tmp_path / "t.csv", content, echoes="remove")
    assert removed.replies[0] == "! 0"
    long = "prompt,reply,humor\n" + "".join(f"How do bees do it?,How do bees do it? So {k}.,{k}\n" for k in range(4))
    assert imported(tmp_path / "t.csv", long)[0].replies[0] == "So 0."
    assert imported(tmp_path / "t.csv", long, echoes="keep")[0].replies[0] == "How do bees do it? So 0."
