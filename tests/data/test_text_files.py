"""Tests of text files: delimiters, headers, encodings, line ends, keys."""

from __future__ import annotations

import io
from contextlib import nullcontext

import pytest

from map_core.data.text_files.delimited import csv_rows, read_header
from map_core.data.text_files.encoding import decode_text
from map_core.data.text_files.json_stream import json_lines, json_list
from map_core.errors import InputError


def rows_of(text: str) -> list[dict[str, str]]:
    header = read_header(lambda: nullcontext(io.StringIO(text, newline="")), "file.csv")
    return [row for _, _, row in csv_rows(io.StringIO(text, newline=""), header, "file.csv")]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("prompt,reply\na,b\n", [{"prompt": "a", "reply": "b"}]),
        ("prompt;reply\na;b, c\n", [{"prompt": "a", "reply": "b, c"}]),
        ('"prompt"\t"reply"\r\n"a"\t"b"\r\n', [{"prompt": "a", "reply": "b"}]),
        ("sep=;\r\nprompt;reply\r\na;1,5\r\n", [{"prompt": "a", "reply": "1,5"}]),
        (
            "prompt;reply;Rating (0, 1, 2, 3, 4)\na;b;3\n",
            [{"prompt": "a", "reply": "b", "Rating (0, 1, 2, 3, 4)": "3"}],
        ),
        ("Prompt , use case\na,b\n", [{"Prompt": "a", "use case": "b"}]),
        ("prompt\nHello, how are you?\n\nWell; well\n", [{"prompt": "Hello, how are you?"}, {"prompt": "Well; well"}]),
        ('prompt,reply\n"two\nlines",b\n', [{"prompt": "two\nlines", "reply": "b"}]),
    ],
)
def test_rows_of_csv_text_are_read(text: str, rows: list[dict[str, str]]):
    assert rows_of(text) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt,use_case\nHello, how are you?,Care\n", r"row 2, which ends in line 2, has 3 cells; beyond .* 'Care'"),
        ("prompt,use_case\na,b\nc\n", r"row 3, which ends in line 3, has 1 cells and none for the column 'use_case'"),
        ("prompt,prompt\na,b\n", r"has the column 'prompt' twice"),
        ('prompt,reply\na,"b\n', r"row 2, line 2: unexpected end of data"),
    ],
)
def test_errors_name_the_line(text: str, message: str):
    with pytest.raises(InputError, match=message):
        rows_of(text)


def test_every_delimiter_and_line_end_gives_the_same_rows():
    cells = [["prompt", "reply"], ["a, b", "c; d"], ["e", "f\tg"]]
    expected = [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]
    for delimiter in ",;\t":
        for end in ("\n", "\r\n"):
            text = "".join(delimiter.join(f'"{cell}"' for cell in row) + end for row in cells)
            assert rows_of(text) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_with_their_marks(encoding: str):
    text = "généreux\r\n\u2028"
    assert decode_text(text.encode(encoding), "file") == text


def test_windows_encoding_is_reported_with_its_first_byte():
    with pytest.raises(InputError, match=r"byte 0xe9 at position 1\). It is likely in a Windows encoding.*'généreux'"):
        decode_text("généreux".encode("cp1252"), "file.txt")
    with pytest.raises(InputError, match=r"NUL bytes: likely UTF-16 without a byte order mark"):
        decode_text("generous".encode("utf-16-le"), "file.txt")


def test_json_lines_end_at_line_feeds_and_keys_are_unique():
    assert list(json_lines(io.StringIO('{"a": "x\u2028y"}\n\n{"a": 2}\r\n'), "f")) == [
        (1, {"a": "x\u2028y"}),
        (3, {"a": 2}),
    ]
    assert list(json_list(io.StringIO('[{"a": 1},\n{"a": 2}]'), "f")) == [(1, {"a": 1}), (2, {"a": 2})]
    with pytest.raises(InputError, match="Line 2 of f has the key 'a' twice"):
        list(json_lines(io.StringIO('{"a": 1}\n{"a": 1, "a": 2}'), "f"))
    with pytest.raises(InputError, match="Entry 1 of f has the key 'a' twice"):
        list(json_list(io.StringIO('[{"b": {"a": 1, "a": 2}}]'), "f"))
