"""Excel workbooks, as openpyxl and other programs write them, are read as the same rows in JSON lines are."""

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
    """Rows of a sheet of scored replies; ``changed`` are cells of its fourth row of replies."""
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


def test_a_sheet_is_read_as_its_rows_in_json_lines_are(tmp_path: Path):
    rows = scored(above=2)
    ours = import_table(workbook(tmp_path / "a.xlsx", Scores=rows, Notes=[()]))
    records = (dict(zip(HEADER, row, strict=True)) for row in rows[3:])
    theirs = import_table(write(tmp_path, "a.jsonl", lines(*records)))
    assert ours.table.replies == theirs.table.replies
    assert ours.table.prompts == theirs.table.prompts
    assert np.array_equal(ours.table.rewards, theirs.table.rewards)
    assert np.array_equal(ours.table.held_out, theirs.table.held_out)
    assert "Read as Excel, sheet 'Scores'." in ours.notes


def test_cells_are_those_that_pandas_reads(tmp_path: Path):
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


def test_the_size_that_a_file_claims_is_not_believed(tmp_path: Path):
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
        (scored(humor="=1+1"), "row 5, column 'humor' is empty"),  # a formula that no program has worked out
        (scored(reply="x" * CHARACTERS), "row 5: a text has 32,767 characters, which is where Excel cuts texts off"),
        ([*scored(), ["Why?", "So", 1, 1, True, "aside"]], "row 8: beyond the last column, 'held_out', stands 'aside'"),
        ([("prompt", None, "humor"), ("a", "b", 1)], "row 1: column 2 has no name"),
        ([("prompt", "humor", " humor"), ("a", "b", 1)], "has the column 'humor' twice"),
        ([()], "has no rows"),
        ([HEADER], "no rows"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_row_in_the_sheet(
    tmp_path: Path, rows: Sequence[Sequence[Any]], message: str
):
    with pytest.raises(InputError, match=message):
        import_table(workbook(tmp_path / "a.xlsx", A=rows))


def test_of_several_sheets_none_is_chosen(tmp_path: Path):
    with pytest.raises(InputError, match="has rows in the sheets 'May', 'June'; expected one"):
        import_table(workbook(tmp_path / "a.xlsx", May=scored(), June=scored(), Empty=[()]))


def test_damaged_and_foreign_archives(tmp_path: Path):
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


def test_a_row_far_below_is_beyond_what_excel_has(tmp_path: Path):
    path = workbook(tmp_path / "a.xlsx", A=scored())
    far = packed_again(path, "xl/worksheets/sheet1.xml", lambda text: text.replace('r="7"', 'r="999999999"'))
    with pytest.raises(InputError, match="it has a row below row 1,048,576, which is Excel's last"):
        import_table(far)


def test_prompts_of_a_sheet_are_those_of_csv(tmp_path: Path):
    rows = [("id", "Prompt", "use_case", "weight", "held_out"), (1, "How, so?", "Care", 2.5, True), ("b", "Why?", None)]
    (tmp_path / "a.csv").write_text('id,Prompt,use_case,weight,held_out\n1,"How, so?",Care,2.5,true\nb,Why?,,,\n')
    assert read_prompts(workbook(tmp_path / "a.xlsx", A=rows)) == read_prompts(tmp_path / "a.csv")
    with pytest.raises(InputError, match="has the columns 'question'; expected one that is named prompt"):
        read_prompts(workbook(tmp_path / "b.xlsx", A=[("question",), ("Why?",)]))


def test_a_formatted_cell_far_to_the_right_of_each_row_ends_the_reading(tmp_path: Path):
    path = workbook(tmp_path / "a.xlsx", A=[("prompt",), *((f"Why {n}?",) for n in range(200))])
    wide = packed_again(
        path,
        "xl/worksheets/sheet1.xml",
        lambda text: re.sub(r'<row r="(\d+)"(.*?)</row>', r'<row r="\1"\2<c r="XFD\1"/></row>', text),
    )
    assert len(read_prompts(path)) == 200
    with pytest.raises(InputError, match=r"more than 2,000,000 cells, with the empty ones"):
        read_prompts(wide)
