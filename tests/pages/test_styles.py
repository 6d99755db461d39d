"""Tests of the style sheets: no selector makes a browser re-evaluate other elements while figures are drawn."""

from __future__ import annotations

import re

import pytest

from tests import ROOT

SHEETS = sorted((ROOT / "assets").glob("*.css"))


def selectors(sheet: str) -> list[str]:
    """Return the selectors of a style sheet, without those of its media and key frames."""
    plain = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    return [part.strip() for part in re.findall(r"([^{}]+)\{", plain) if not part.strip().startswith("@")]


def looks_further_than_its_element(alternatives: str) -> bool:
    """Return whether a condition ``:has()`` of an element decides about other elements than that one."""
    depth, conditional = 0, False
    plain = re.sub(r"\s*([,>+~])\s*", r"\1", alternatives.strip())
    for part in re.split(r"(:has(?=\()|[(), >+~])", plain):
        if part == ":has":
            conditional = True
        elif not depth and part == ",":
            conditional = False
        elif not depth and conditional and part and part in " >+~":
            return True
        depth += (part == "(") - (part == ")")
    return False


@pytest.mark.parametrize(
    ("selector", "further"),
    [
        (".app:has(.mark) .bar", True),
        (".app:has(:is(.a, .b)) :is(.bar, .side)", True),
        (".app:has(.mark):not(.other) > .bar", True),
        (".app:not(:has(.mark)) ~ .bar", True),
        (".plain, .app:has(> .mark) + .bar", True),
        (".app > .bar:has(.mark)", False),
        (".app > .bar:has(> .a > .b):not(.c), .other .one", False),
        (":is(.a, .b) > div:is(:has(> .c), :has(> .d))", False),
        (".app:not([open]) span + span", False),
    ],
)
def test_scope_of_a_condition(selector: str, further: bool):
    assert looks_further_than_its_element(selector) is further


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_no_condition_of_an_element_decides_about_others(sheet):
    """A browser would re-evaluate all others for each mark of a figure, so states have their own sheets."""
    sheet_selectors = selectors(sheet.read_text(encoding="utf-8"))
    assert sheet_selectors
    assert [selector for selector in sheet_selectors if looks_further_than_its_element(selector)] == []
