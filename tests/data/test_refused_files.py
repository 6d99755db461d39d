"""Tests of refused third-party files: messages name the row and the column."""

from __future__ import annotations

from pathlib import Path

import pytest

from map_core.data.importing import (
    import_table,
)
from map_core.errors import InputError
from tests.data.foreign_files import KINDS, lines, reply, write


def test_error_in_a_later_chunk_names_its_row(tmp_path: Path, small_steps: None):
    rows = [reply(humor=n) for n in range(9)]
    rows[6]["humor"] = rows[8]["humor"] = None
    with pytest.raises(InputError, match=r"row 7, column 'humor' is empty \(and 1 more like it, in row 9\)"):
        import_table(write(tmp_path, "a.jsonl", lines(*rows)))
    rows = [reply(reply=f"r{n}") for n in range(9)]
    rows[7]["prompt"] = " "
    with pytest.raises(InputError, match="row 8, column 'prompt' is empty"):
        import_table(write(tmp_path, "a.jsonl", lines(*rows)))
    content = b"prompt,reply,humor\n" + b"a,x,1\n" * 5 + "é".encode() + b"\xff,x,1\n"
    with pytest.raises(InputError, match="byte 0xff at position 51"):
        import_table(write(tmp_path, "a.csv", content))


@pytest.mark.parametrize(("above", "header"), [("", 1), ("\n \n", 3), (",,\n", 2), ("sep=,\n,,\n", 2)])
def test_row_numbers_are_those_of_a_spreadsheet(tmp_path: Path, above: str, header: int):
    path = write(tmp_path, "a.csv", f"{above}prompt,reply,humor\na,x,1\n\na,y,funny\n")
    with pytest.raises(InputError, match=f"row {header} is the header.: row {header + 3}, column 'humor' is 'funny'"):
        import_table(path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("maybe", "no", "later"),
            "row 1, column 'held_out' is 'maybe' .and 1 more like it, in row 3.; expected",
        ),
        ((2, 0, 1), "row 1, column 'held_out' is 2; expected true or false"),
        ((1, 1, 1), "the column 'held_out' holds every prompt out, so there is none to solve on"),
        ((1, 0, 0), "row 2, column 'held_out' differs from an earlier row with the same prompt"),
    ],
)
def test_invalid_flags_are_refused(tmp_path: Path, flags: tuple[object, ...], message: str):
    prompts = ("a", "a", "b")
    rows = [reply(prompt=prompt, held_out=flag) for prompt, flag in zip(prompts, flags, strict=True)]
    with pytest.raises(InputError, match=message):
        import_table(write(tmp_path, "a.jsonl", lines(*rows)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "", "is empty"),
        ("a.csv", " \n", "is empty"),
        ("a.json", "[]", "no rows"),
        ("a.csv", "prompt,reply,humor\n", "no rows"),
        ("a.json", '[{"prompt": "a"', "is no JSON"),
        ("a.json", "[1, 2]", "Entry 1 of .* is 1; expected an object"),
        ("a.jsonl", lines(reply()) + "\n{oops}", "Line 2 of .* is no JSON .Expecting .*at character 2.;"),
        ("a.jsonl", lines(reply(), [1]), "Line 2 of .* is .1.; expected an object"),
        ("a.parquet", "hello", "not a Parquet file"),
        ("a.csv", b"prompt,reply,humor\nd\xe9j\xe0,x,1\n", "not text in UTF-8 .byte 0xe9 at position 20"),
        ("a.bin", b"\x00\x01\x02\x00", "neither Parquet nor text"),
        (
            "a.csv",
            b"PK\x03\x04 [Content_Types].xml \x00",
            "older format of Excel .*save the sheet as .xlsx or CSV UTF-8",
        ),
        ("a.csv", "prompt,reply,humor\na,x,1\na,y,z,2\n", "cannot be read as CSV .row 3, which ends in line 3.*3 col"),
        ("a.csv", 'prompt,reply,humor\na,"x,1\na,y,2\n', "cannot be read as CSV .row 2, line 3: unexpected end"),
        ("a.csv", 'prompt,reply,humor\na,"x"y,1\n', "cannot be read as CSV .row 2, line 2: ',' expected after"),
        ("a.csv", "p,p,humor\na,x,1\n", "has the column 'p' twice"),
        ("a.jsonl", '{"prompt": "a", "reply": "x", "humor": 1, "humor": 2}', "Line 1 of .* has the key 'humor' twice"),
        ("a.json", '[{"prompt": "a", "prompt": "b"}]', "Entry 1 of .* has the key 'prompt' twice"),
        ("a.json", '[{"prompt": "a", "reply": "x", "humor": 1},]', "no JSON .after entry 1"),
        ("a.json", '[{"prompt": "a", "reply": "x", "humor": 1} 2]', "no JSON .after entry 1: '2.' is not expected"),
        (
            "a.json",
            '[{"prompt": "a", "reply": "x", "humor": 1}] more',
            "no JSON .after entry 1: 'more' is not expected",
        ),
        ("a.json", '[{"prompt": oops}]', "no JSON .after entry 0: Expecting value near 'oops}]'.;"),
        ("a.json", '[{"a": 1},\n{"b": 2},\n{"c" 3}]', "after entry 2: Expecting ':' delimiter near '3}]'.;"),
        ("a.json", '[{"a": 1}, {"b":', "after entry 1: Expecting value.;"),
        ("a.json", "[" * 100_000, "after entry 0: lists and objects in each other, too many levels deep.;"),
        ("a.json", f'[{{"a": {"9" * 5000}}}]', "after entry 0: a whole number of more than 4,300 digits.;"),
        ("a.jsonl", f'{{"a": {"9" * 5000}}}', "Line 1 of .* is no JSON .a whole number of more than 4,300 digits.;"),
        ("a.csv", "prompt,reply,humor\na,x,1\n".encode("utf-16")[:-1], "not text in UTF-16 .its end is cut off"),
        ("a.csv", "prompt,reply,humor,humor\na,x,1,2\n", "column 'humor' twice"),
        ("a.csv", "just some words\nand more\n", "known to hold the prompt.*--prompt-column"),
        ("a.csv", "prompt,humor\na,1\n", "known to hold the reply: prompt, humor.*--reply-column"),
        ("a.csv", "prompt,reply,note\na,x,b\n", "no column of numbers"),
        ("a.csv", "prompt,reply,humor\na,x,1\na,y,\n", "row 3, column 'humor' is empty"),
        # Blank lines and the header are rows of a spreadsheet, and a cell of two lines is one row.
        ("a.csv", "prompt,reply,humor\n\na,x,1\n\na,y,\n", "row 5, column 'humor' is empty"),
        ("a.csv", 'prompt,reply,humor\n"a\nb",x,1\na,y,bad\n', "row 3, column 'humor' is 'bad', not a number"),
        (
            "a.csv",
            "prompt,reply,humor\na,x,1\na,y,\na,z,bad\n",
            "row 3.* is empty .and 1 more, which is no number, in row 4",
        ),
        (
            "a.csv",
            "prompt,reply,humor\na,x,1\na,y,bad\na,z,\n",
            "row 3.* is 'bad', not a number .and 1 more, which is empty, in row 4",
        ),
        (
            "a.csv",
            "prompt;reply;humor\na;w;1,5\na;x;2,5\na;y;bad\na;z;\n",
            "row 4.* is 'bad', not a number .and 1 more, which is empty",
        ),
        (
            "a.csv",
            "prompt;reply;humor\na;w;1,5\na;x;2,5\na;y;1.5\n",
            "row 4.* is 1.5, with a decimal point where other cells have a",
        ),
        ("a.csv", "prompt,reply,humor\na,x,85%\na,y,90%\n", "row 2, column 'humor' is '85%' with a percent sign"),
        ("a.csv", 'prompt,reply,humor\na,x,1\na,y,"1,5"\n', "row 3, column 'humor' is '1,5', not a number"),
        ("a.csv", "prompt;reply;humor\na;x;1,5\na;y;1.5\n", "row 2, column 'humor' is '1,5', not a number"),
        ("a.csv", "prompt,reply,humor\na,x,1\na,y,nan\na,z,nan\n", "row 3.*nan, not a finite number .and 1 more .*4"),
        ("a.csv", "prompt,reply,humor\na,x,1\na,y,inf\n", "row 3, column 'humor' is inf"),
        ("a.csv", "prompt,reply,humor\na,x,1\na,y,1e200\n", "row 3, column 'humor' is 1e200, too large"),
        ("a.csv", b"\xfe\xff", "is empty"),
        ("a.csv", "prompt,reply,humor\na,x,1\n ,y,2\n", "row 3, column 'prompt' is empty"),
        ("a.jsonl", lines(reply(), reply(humor=None)), "row 2, column 'humor' is empty"),
        ("a.jsonl", lines(reply(), {"prompt": "a", "reply": "y"}), "row 2, column 'humor' is empty"),
        ("a.jsonl", lines(reply(), reply(humor=float("nan"))), "row 2, column 'humor' is nan"),
        ("a.jsonl", lines(reply(), reply(humor=10**400)), "row 2, column 'humor'"),
        ("a.jsonl", lines(reply(), reply(humor="funny")), "row 2, column 'humor' is 'funny', not a number"),
        ("a.jsonl", lines(reply(), reply(humor={"x": 1})), "row 2, column 'humor'"),
        ("a.jsonl", lines(reply(), reply(reply=None)), "row 2, column 'reply' is empty"),
        ("a.jsonl", lines(reply(prompt=[{"role": "user"}])), "row 1, column 'prompt' is .*; expected text"),
        ("a.jsonl", '{"prompt": "\\ud800", "reply": "x", "humor": 1}', "half a character"),
        ("a.json", lines({"prompt": {"0": "a"}, "reply": {"0": "x"}, "humor": {"0": 1}}), "no column of numbers"),
    ],
)
def test_invalid_files_are_refused(name: str, content: str | bytes, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        import_table(write(tmp_path, name, content))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": ["wit"]}, "no column 'wit'; it has prompt, generated, humor, length"),
        ({"values": []}, "No values are named"),
        ({"values": ["humor", "humor"]}, "'humor' is named twice"),
        ({"values": ["prompt"]}, "'prompt' holds text"),
        ({"prompt_column": "asked"}, "no column 'asked' for the prompt"),
        ({"reply_column": "said"}, "no column 'said' for the reply"),
        ({"use_case_column": "who"}, "no column 'who' for the use case"),
        ({"prompt_column": "prompt", "use_case_column": "prompt"}, "'prompt' already has another role"),
        ({"reply_column": "generated", "use_case_column": "generated"}, "'generated' already has another role"),
    ],
)
def test_missing_columns_are_reported(options: dict, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        import_table(KINDS["CSV"](tmp_path), **options)
