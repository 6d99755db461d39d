"""Tests of exported CSV: spreadsheets execute no cell, whatever the names of people, models and files."""

from __future__ import annotations

import csv
import io
import re

import pytest

from map_core.core import safe_csv
from tests import ROOT

FORMULAS = ['=HYPERLINK("http://x")', "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_written_as_text(text: str):
    out = io.StringIO(newline="")
    safe_csv.Writer(out).writerows([[text, 1.5], ["plain", text]])
    out.seek(0)
    assert list(csv.reader(out)) == [["'" + text, "1.5"], ["plain", "'" + text]]


@pytest.mark.parametrize("content", ["-0.25", "+3e-7", "-inf", -0.25, 3, None, "", "a=1", "'=1"])
def test_numbers_and_other_text_are_unchanged(content: object):
    assert safe_csv.cell(content) == content


def test_all_exports_use_safe_csv():
    """No other module writes CSV, by csv.writer or by pandas without safe cells."""
    csv_modules = {}
    for path in [*(ROOT / "map_core").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]:
        source = path.read_text(encoding="utf-8")
        if path.name != "safe_csv.py" and re.search(r"csv\.(writer|DictWriter)\(|\.to_csv\(", source):
            csv_modules[path.name] = source
    assert list(csv_modules) == ["export.py"]
    assert "frame.map(safe_csv.cell).to_csv(" in csv_modules["export.py"]
