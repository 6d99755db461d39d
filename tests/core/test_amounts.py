"""Tests of numbers as text and as JSON: every float gets a text, and no text has "inf", "nan" or "-0"."""

from __future__ import annotations

import ast
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from map_core.core import amounts
from map_core.text import changes, groups, sentences, verdict
from tests import ROOT

#: Zeros, numbers that round to 0, numbers near a change of notation, and non-finite numbers.
EDGE_CASES = (
    *(0.0, -0.0, 5e-324, -5e-324, 1e-12, -1e-12, 4.9e-4, 5e-4, -0.04, 0.5, -0.5, 0.999, 1.0, 4.99, 5.0, 5.01),
    *(69.7, 99.94, 100.0, -3.2, 709.0, 709.8, 710.0, 1e6, 1e12, -1e12, 1e15, -1e15, 1e100, -1e100, 1.7e308, -1.7e308),
    *(math.inf, -math.inf, math.nan),
)
FORMATTERS = {
    "fixed": amounts.fixed,
    "fixed, 2": lambda x: amounts.fixed(x, 2),
    "fixed, signed": lambda x: amounts.fixed(x, 2, signed=True),
    "fixed, grouped": lambda x: amounts.fixed(x, grouped=True),
    "significant": amounts.significant,
    "number": amounts.number,
    "scientific": amounts.scientific,
    "percentile": amounts.percentile,
    "percentile, down": lambda x: amounts.percentile(x, toward="down"),
    "percentile, up": lambda x: amounts.percentile(x, 1, toward="up"),
    "percent": amounts.percent,
    "percent, 1": lambda x: amounts.percent(x, 1),
    "percent, no sign": lambda x: amounts.percent(x, sign=False),
    "chance": amounts.chance,
    "nats": amounts.nats,
    "drafts": amounts.best_of_count,
    "drafts, exact": lambda x: amounts.best_of_count(x, exact=True),
    "best of": verdict.best_of_text,
    "better than": sentences.better_than,
    "distance": lambda x: sentences.distance(x, math.log(64)),
    "distance of nothing": lambda x: sentences.distance(x, 0.0),
    "distance, most": lambda x: sentences.distance(1.0, x),
    "spent": lambda x: sentences.spent(x, 64),
    "price": changes.price_text,
    "cost before": lambda x: changes.cost_sentence(x, 1.0),
    "cost after": lambda x: changes.cost_sentence(1.0, x),
    "price of groups": groups.price_in_drafts,
    "share of groups": groups.share_of_way,
    "wish": lambda x: groups.wish_text(x, 50.0),
    "wish, base": lambda x: groups.wish_text(50.0, x),
}


def check_readable(message: str) -> None:
    """Assert that a text is readable: no word for a non-finite number, no signed zero, no endless digits."""
    assert isinstance(message, str)
    assert message
    assert not any(word in message.lower().split() for word in ("inf", "-inf", "+inf", "nan", "none"))
    assert not any(f"{prefix}{word}" in message for prefix in ("p", "+", "-", "−", "± ") for word in ("inf", "nan"))
    assert not any(zero in message.split() for zero in ("-0", "-0.0", "-0.00", "+0.00", "p-0", "-0%", "−0"))
    assert len(message) < 160


@pytest.mark.parametrize("name", list(FORMATTERS))
def test_every_edge_case_has_a_readable_text(name):
    for value in EDGE_CASES:
        check_readable(FORMATTERS[name](value))


@pytest.mark.parametrize(
    "formatter", [amounts.fixed, amounts.significant, amounts.number, amounts.percentile, amounts.percent]
)
def test_unknown_numbers_are_a_dash(formatter):
    assert formatter(None) == formatter(math.nan) == amounts.UNKNOWN == "–"


@given(st.floats())
def test_any_float_has_a_readable_text(value):
    for formatter in FORMATTERS.values():
        check_readable(formatter(value))


@pytest.mark.parametrize(
    ("value", "decimals", "message"),
    [
        *((2.345, 0, "2"), (2.345, 2, "2.35"), (-2.5, 1, "-2.5"), (0.0, 2, "0.00"), (-0.0, 0, "0"), (-0.04, 1, "0.0")),
        *((1e15, 2, "1.0e+15"), (-1e300, 0, "-1.0e+300"), (math.nan, 2, "–"), (math.inf, 0, "–"), (10**400, 0, "–")),
    ],
)
def test_fixed_rounds_to_the_decimals(value, decimals, message):
    assert amounts.fixed(value, decimals) == message


def test_signs_and_thousands():
    assert amounts.fixed(0.25, 2, signed=True) == "+0.25"
    assert amounts.fixed(-0.25, 2, signed=True) == "-0.25"
    assert amounts.fixed(-0.001, 2, signed=True) == "0.00"
    assert amounts.fixed(1234567.8, 1, grouped=True) == "1,234,567.8"
    assert amounts.fixed(np.float64(3.5)) == "4"


def test_significant_figures():
    assert [amounts.significant(x, 3) for x in (0.25, 4.0, 1234.5, -0.0, math.inf)] == [
        "0.25",
        "4",
        "1.23e+03",
        "0",
        "–",
    ]


@pytest.mark.parametrize(
    ("value", "toward", "message"),
    [
        *((69.7, "nearest", "p70"), (69.7, "down", "p69"), (69.2, "up", "p70"), (100.0, "up", "p100")),
        *((-0.2, "nearest", "p0"), (0.0, "down", "p0"), (math.nan, "down", "–"), (math.inf, "up", "–")),
    ],
)
def test_percentiles_are_rounded_in_the_given_direction(value, toward, message):
    assert amounts.percentile(value, toward=toward) == message


def test_percents_and_chances_are_rounded_for_reading():
    assert [amounts.percent(x) for x in (0.0, 0.234, 1.0, -0.0, math.nan)] == ["0%", "23%", "100%", "0%", "–"]
    assert amounts.percent(0.005, 1) == "0.5%"
    assert amounts.percent(0.52, sign=False) == "52"
    assert [amounts.chance(x) for x in (0.004, 0.999, 0.5, math.nan)] == ["under 1%", "over 99%", "50%", "–"]


@pytest.mark.parametrize("kl", [1e-9, 0.1, 1.0, 4.16, 39.9, 40.1, 300.0, 700.0])
def test_log_best_of_is_the_inverse_of_its_divergence_where_the_number_itself_overflows(kl):
    log_n = amounts.log_best_of(kl)
    assert log_n + math.expm1(-log_n) == pytest.approx(kl, rel=1e-9)


def test_best_of_is_infinite_where_floats_overflow():
    assert amounts.best_of(-1.0) == amounts.best_of(0.0) == 1.0
    assert amounts.best_of(705.0) == math.inf == amounts.best_of(math.inf)
    assert math.isnan(amounts.best_of(math.nan))
    assert amounts.log_best_of(7723.0) == 7724.0


@pytest.mark.parametrize(
    ("kl", "message", "exact"),
    [
        *((0.0, "1", "1.0"), (0.62, "3.9", "3.9"), (3.0, "54", "53.6"), (12.8, "984,608", "984,608.1")),
        *((12.9, "more than a million", "more than a million"), (8000.0, "more than a million", "more than a million")),
        *((math.inf, "more than a million", "more than a million"), (math.nan, "–", "–")),
    ],
)
def test_draft_counts_are_capped_at_a_million(kl, message, exact):
    assert amounts.best_of_count(kl) == message
    assert amounts.best_of_count(kl, exact=True) == exact


@pytest.mark.parametrize("value", EDGE_CASES, ids=repr)
def test_json_has_null_for_non_finite_numbers(value):
    content = amounts.json_safe({"one": value, "two": [value, (value, "text")], "three": amounts.rounded(value, 2)})
    loaded = json.loads(json.dumps(content, allow_nan=False))
    assert (loaded["one"] is None) == (not math.isfinite(value))
    assert loaded["two"][1][1] == "text"


def test_finite_content_is_unchanged():
    content = {"level": 0.1, "count": 3, "free": True, "name": "nan", "none": None}
    assert amounts.json_safe(content) == content
    assert amounts.rounded(-0.001, 2) == 0.0
    assert math.copysign(1.0, amounts.rounded(-0.001, 2)) == 1.0


#: Packages and modules that write text for readers, relative to ``map_core``.
TEXT_MODULES = (*("text", "figures", "report", "cli", "custom_values/agreement"),)
TEXT_SOURCES = [
    path
    for path in sorted((ROOT / "map_core").rglob("*.py")) + sorted((ROOT / "pages").rglob("*.py"))
    if path.is_relative_to(ROOT / "pages")
    or str(path.relative_to(ROOT / "map_core")).startswith(
        tuple(f"{module}{separator}" for module in TEXT_MODULES for separator in "./")
    )
]
GENERATED_CODE = {"map_core/report/snippets.py"}
#: Writes the rewards of replies that were just scored, which are finite or an error.
SCORE_OUTPUT = {"map_core/cli/generation_output.py"}
#: Formats that write floats, in an f-string and in str.format; %{...} in figures is Plotly's own syntax.
FLOAT_FORMAT = re.compile(r"[<>^=]?[+ -]?\d*,?(\.[^fgeGE%]*)?[fgeGE%]")
FLOAT_PLACEHOLDER = re.compile(r"(?<!%)\{:[^{}]*[fge%]\}")


def float_formats(path: Path) -> list[str]:
    """Return the formats of floats in a module's source, except those of constants."""
    occurrences = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            expression = ast.unparse(node.value)
            format_spec = re.sub(r"\{[^{}]*\}", "1", ast.unparse(node.format_spec)[2:-1])
            constant = re.fullmatch(r"[A-Z_]+(\.[A-Z_]+|\[\d\])*", expression)
            if FLOAT_FORMAT.fullmatch(format_spec) and not constant:
                occurrences.append(f"line {node.lineno}: {expression}:{format_spec}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and FLOAT_PLACEHOLDER.search(node.value):
            occurrences.append(f"line {node.lineno}: {node.value}")
    return occurrences


def test_formats_of_floats_are_found():
    path = ROOT / "map_core" / "core" / "amounts.py"
    assert len(float_formats(path)) >= 4, "amounts itself is where they stand"
    assert len(TEXT_SOURCES) > 150


@pytest.mark.parametrize("path", TEXT_SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_that_write_text_format_no_floats_themselves(path):
    if str(path.relative_to(ROOT)) not in GENERATED_CODE | SCORE_OUTPUT:
        assert float_formats(path) == [], "map_core.core.amounts writes numbers, whatever they are"
