"""Tests of Excel workbooks, written by openpyxl and others: they equal the same rows in JSON lines."""

from __future__ import annotations

import datetime
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

from map_core.data.importing import import_table
from map_core.data.prompts import read_prompts
from map_core.data.workbook import CHARACTERS, find_sheet, is_workbook
from map_core.errors import InputError
from tests.data.foreign_files import lines, write

HEADER = ("prompt", "reply", "humor", "wit", "held_out")


def workbook(path: Path, **sheets: Sequence[Sequence[Any]]) -> Path:
    """Write a workbook with these sheets."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def scored(above: int = 0, **changed: Any) -> list[Sequence[Any]]:
    """Return the rows of a sheet of scored replies; ``changed`` are cells of its fourth row of replies."""
    rows = [[f"Why {n // 2}?", f'So, "{n}"\nand; on', n / 4, n, n < 2] for n in range(6)]
    for name, cell in changed.items():
        rows[3][HEADER.index(name)] = cell
    return [*[()] * above, HEADER, *rows]


def packed_again(path: Path, part: str, change: Callable[[str], str], **others: bytes) -> Path:
    """Change the text of one part of a workbook, and add others."""
    out = path.with_name(f"again_{path.name}")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as written:
        for name in archive.namelist():
            content = archive.read(name)
            written.writestr(name, change(content.decode()) if name == part else content)
        for name, content in others.items():
            written.writestr(name, content)
    return out


def test_sheet_equals_the_same_rows_in_json_lines(tmp_path: Path):
    rows = scored(above=2)
    from_workbook = import_table(workbook(tmp_path / "a.xlsx", Scores=rows, Notes=[()]))
    records = (dict(zip(HEADER, row, strict=True)) for row in rows[3:])
    from_json_lines = import_table(write(tmp_path, "a.jsonl", lines(*records)))
    assert from_workbook.table.replies == from_json_lines.table.replies
    assert from_workbook.table.prompts == from_json_lines.table.prompts
    assert np.array_equal(from_workbook.table.rewards, from_json_lines.table.rewards)
    assert np.array_equal(from_workbook.table.held_out, from_json_lines.table.held_out)
    assert "Read as Excel, sheet 'Scores'." in from_workbook.notes


def test_cells_agree_with_pandas(tmp_path: Path):
    cells = [
        ["text", "number", "whole", "flag", "day", "moment", "empty"],
        ["é\U0001f600 <b>", 0.1, 7.0, True, datetime.date(2026, 2, 3), datetime.datetime(2026, 2, 3, 4, 5, 6), None],
        ["=a", -1e-9, 12345678901, False, datetime.date(1999, 12, 31), datetime.datetime(2000, 1, 1, 23, 59), None],
    ]
    cells[2][0] = "'=a"
    path = workbook(tmp_path / "a.xlsx", A=cells)
    reference = pd.read_excel(path, engine="openpyxl").replace({np.nan: None}).to_dict("records")
    rows = [dict(row) for _, row in find_sheet(path).rows()]
    for row, expected in zip(rows, reference, strict=True):
        assert row.pop("day") == expected.pop("day").date().isoformat()
        assert row.pop("moment") == expected.pop("moment").isoformat()
        assert row.pop("empty") is expected.pop("empty", None) is None
        assert row == expected
    assert json.loads(json.dumps(rows[0]))["whole"] == 7


def test_claimed_dimensions_are_not_trusted(tmp_path: Path):
    path = workbook(tmp_path / "a.xlsx", A=scored())
    part = "xl/worksheets/sheet1.xml"
    claimed = packed_again(path, part, lambda text: text.replace('<dimension ref="A1:E7"', '<dimension ref="A1"'))
    with zipfile.ZipFile(claimed) as archive:
        assert '<dimension ref="A1"' in archive.read(part).decode()
    assert import_table(claimed).table.replies == import_table(path).table.replies


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (scored(above=1, humor="funny"), "row 2 is the header.: row 6, column 'humor' is 'funny'"),
        (scored(humor="#N/A"), "row 5, column 'humor' is '#N/A'"),
        (scored(humor=None), "row 5, column 'humor' is empty"),
        (scored(humor="=1+1"), "row 5, column 'humor' is empty"),  # a formula without a cached result
        (scored(reply="x" * CHARACTERS), "row 5: a text has 32,767 characters, which is where Excel cuts texts off"),
        ([*scored(), ["Why?", "So", 1, 1, True, "aside"]], "row 8: beyond the last column, 'held_out', stands 'aside'"),
        ([("prompt", None, "humor"), ("a", "b", 1)], "row 1: column 2 has no name"),
        ([("prompt", "humor", " humor"), ("a", "b", 1)], "has the column 'humor' twice"),
        ([()], "has no rows"),
        ([HEADER], "no rows"),
    ],
)
def test_errors_name_the_row_of_the_sheet(tmp_path: Path, rows: Sequence[Sequence[Any]], message: str):
    with pytest.raises(InputError, match=message):
        import_table(workbook(tmp_path / "a.xlsx", A=rows))


def test_several_sheets_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="has rows in the sheets 'May', 'June'; expected one"):
        import_table(workbook(tmp_path / "a.xlsx", May=scored(), June=scored(), Empty=[()]))


def test_damaged_and_other_archives_are_refused(tmp_path: Path):
    path = workbook(tmp_path / "a.xlsx", A=scored())
    damaged = packed_again(path, "xl/worksheets/sheet1.xml", lambda text: text[: len(text) // 2])
    assert is_workbook(damaged)
    with pytest.raises(InputError, match=r"a workbook that cannot be read .*save the sheet as CSV UTF-8"):
        import_table(damaged)
    (tmp_path / "cut.xlsx").write_bytes(path.read_bytes()[:-200])
    with zipfile.ZipFile(tmp_path / "letter.xlsx", "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    for name in ("cut.xlsx", "letter.xlsx"):
        with pytest.raises(InputError, match=r"another packed file; expected text, Parquet or \.xlsx"):
            import_table(tmp_path / name)


def test_row_beyond_the_limit_of_excel_is_refused(tmp_path: Path):
    path = workbook(tmp_path / "a.xlsx", A=scored())
    far = packed_again(path, "xl/worksheets/sheet1.xml", lambda text: text.replace('r="7"', 'r="999999999"'))
    with pytest.raises(InputError, match="it has a row below row 1,048,576, which is Excel's last"):
        import_table(far)


def test_prompts_of_a_sheet_equal_those_of_csv(tmp_path: Path):
    rows = [("id", "Prompt", "use_case", "weight", "held_out"), (1, "How, so?", "Care", 2.5, True), ("b", "Why?", None)]
    (tmp_path / "a.csv").write_text('id,Prompt,use_case,weight,held_out\n1,"How, so?",Care,2.5,true\nb,Why?,,,\n')
    assert read_prompts(workbook(tmp_path / "a.xlsx", A=rows)) == read_prompts(tmp_path / "a.csv")
    with pytest.raises(InputError, match="has the columns 'question'; expected one that is named prompt"):
        read_prompts(workbook(tmp_path / "b.xlsx", A=[("question",), ("Why?",)]))


def test_formatted_cells_far_to_the_right_are_refused(tmp_path: Path):
    path = workbook(tmp_path / "a.xlsx", A=[("prompt",), *((f"Why {n}?",) for n in range(200))])
    wide = packed_again(
        path,
        "xl/worksheets/sheet1.xml",
        lambda text: re.sub(r'<row r="(\d+)"(.*?)</row>', r'<row r="\1"\2<c r="XFD\1"/></row>', text),
    )
    assert len(read_prompts(path)) == 200
    with pytest.raises(InputError, match=r"more than 2,000,000 cells, with the empty ones"):
        read_prompts(wide)
