"""Tests of the document of a report: no scripts, no external resources, and correct figures."""

from __future__ import annotations

import base64
import csv
import io
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from map_core import report as reports
from map_core.core.assets import asset
from map_core.data.reward_table import RewardTable
from map_core.figures.theme import DEFAULT_THEME, Theme
from map_core.report import svg_charts
from map_core.report.figures import figures
from map_core.text.wording import PLAIN
from tests.report.reports_made import read, report_of, words_of
from tests.tables import make_table

HOSTILE = "<script>alert('x')</script> & \"quoted\" <img src=x onerror=alert(1)>"


def hostile(table: RewardTable) -> RewardTable:
    """Return the table with hostile text in every text field."""
    return RewardTable(
        values=("humor", "<b>=1+1</b>"),
        rewards=table.rewards[:, :2],
        offsets=table.offsets,
        prompt_ids=table.prompt_ids,
        prompts=tuple(f"{HOSTILE} {k}" for k in range(len(table.prompts))),
        use_cases=(f"Care {HOSTILE}",) * len(table.prompts),
        replies=tuple(f"=cmd|'/c calc'!A{k} {HOSTILE} </pre></style></svg>" for k in range(len(table.rewards))),
        metadata={"model": {"name": HOSTILE}, "scorers": [{"name": "humor", "measures": HOSTILE}], "system": HOSTILE},
    )


def test_hostile_text_is_escaped(table):
    odd = hostile(table)
    report = report_of(
        odd,
        {"humor": 60.0, "<b>=1+1</b>": 55.0},
        use_case=f"Care {HOSTILE}",
        name=HOSTILE,
        link=f"http://localhost/?{HOSTILE}",
        names=(HOSTILE, "=1+1"),
        shown_table=HOSTILE,
    )
    reader = read(report)
    assert reader.text.count(HOSTILE) > 20
    known = {name for name, _ in reader.tags}
    assert not known & {"script", "img", "iframe", "object", "embed", "form", "b="}
    for tag, attributes in reader.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
    # Text that a spreadsheet would evaluate as a formula is prefixed with an apostrophe.
    for name, text in reports.csv_files(report).items():
        for row in csv.reader(io.StringIO(text)):
            assert not [cell for cell in row if cell[:1] in ("=", "+", "@") and not _number(cell)], name


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_nothing_is_loaded_from_elsewhere(table):
    report = report_of(table, {"humor": 60.0, "helpfulness": 60.0}, link="http://localhost:8501/?palette=humor:p60")
    document = reports.html(report)
    for tag, attributes in read(report).tags:
        for name in ("src", "href", "action", "data", "srcset", "xlink:href"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    assert not re.search(r"url\((?!\"data:)", document)
    assert "@import" not in document
    assert "<script" not in document
    assert "default-src 'none'" in document
    assert len(document.encode()) < 1_000_000
    # The address is shown as text.
    assert "http://localhost:8501/?palette=humor:p60" in words_of(report)


def test_document_embeds_the_fonts(table):
    """The document looks the same offline; a missing font is an error and no fallback."""
    page = reports.html(report_of(table, {"humor": 0.2}))
    for family, file in (
        ("Hanken Grotesk", "hanken-grotesk-latin.woff2"),
        ("Newsreader", "newsreader-latin.woff2"),
    ):
        assert f'font-family: "{family}"' in page or f"font-family: '{family}'" in page
        assert base64.b64encode(asset("fonts", file).read_bytes()).decode() in page


def test_chosen_colours_reach_a_report_made_in_another_thread(table):
    """The page passes the chosen colours to the thread that makes the report."""
    chosen = {table.index("humor"): "#C026A8"}

    def rendered(theme: Theme) -> str:
        return reports.html(report_of(table, {"humor": 60.0, "helpfulness": 55.0}, theme=theme))

    with ThreadPoolExecutor(1) as another:
        mine, plain = (another.submit(rendered, theme).result() for theme in (Theme(chosen), DEFAULT_THEME))
    shade = DEFAULT_THEME.colour(table.index("humor"))
    assert mine.count("#C026A8") == plain.count(shade) - mine.count(shade) > 10  # swatches, marks and lines
    assert "#C026A8" not in plain


def test_figures_stay_within_their_bounds_and_have_captions(table):
    report = report_of(table, {"humor": 60.0, "helpfulness": 60.0})
    drawn = figures(report)
    assert set(drawn) == {"levels", "frontier", "price", "others"}
    for chart in drawn.values():
        assert chart.said
        for mark in chart.marks:
            assert -9 <= mark.x <= svg_charts.WIDTH + 9
            assert 0 <= mark.y <= chart.height
        for line in chart.lines:
            numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", line.path)]
            assert all(-1 <= x <= svg_charts.WIDTH for x in numbers[::2])
            assert all(-1 <= y <= chart.height for y in numbers[1::2])
    # The mark of a level is at its percentile.
    levels = drawn["levels"]
    dots = [mark for mark in levels.marks if mark.kind == "dot"]
    expected = [report.percentile(j, report.solution.levels[j]) for j in range(4)]
    assert [mark.x for mark in dots] == pytest.approx([levels.box.x(p) for p in expected])
    # Labels of costs have their own lines, whatever their length.
    heights = sorted(label.y for label in drawn["frontier"].labels if not label.here and label.text != "Base")
    assert len(heights) > 2
    assert min(np.diff(heights)) > 12
    # At the current target the drawn price is the shadow price.
    (current_mark,) = drawn["price"].marks
    assert current_mark.y == pytest.approx(drawn["price"].box.y(report.solution.kl))


def test_without_numbers_every_level_counts_out_of_100(table):
    report = report_of(table, {"humor": 60.0})
    text = reports.html(report, PLAIN).partition("<h2>How sure are we?")[2].partition("</table>")[0]
    cells = [[float(x) for x in re.findall(r"-?[\d.]+", re.sub("<.*?>", " ", row))] for row in text.split("<tr")[2:]]
    assert len(cells) == len(table.values)
    assert all(0 <= number <= 100 for row in cells for number in row)
    target_row = next(row for row in cells if len(row) == max(map(len, cells)))
    assert target_row[0] == 60
    assert target_row[1] == pytest.approx(60, abs=1)
    assert "no preference" in reports.html(report, PLAIN).partition("</table>")[0]


@pytest.mark.parametrize(
    ("numbers", "ends"),
    [([41.0, 87.0], (40.0, 90.0)), ([0.0, 0.3], (0.0, 0.3)), ([50.0], (49.5, 50.5)), ([], (0.0, 1.0))],
)
def test_axis_ticks_are_round(numbers, ends):
    low, high = svg_charts.round_ends(numbers)
    assert (low, high) == pytest.approx(ends, abs=0.2)
    assert all(low <= number <= high for number in numbers)
    positions = svg_charts.ticks((low, high))
    assert 2 <= len(positions) <= 7
    assert low <= positions[0]
    assert positions[-1] <= high + 1e-9


def test_chart_of_many_values_shows_those_that_move_most():
    many = make_table(prompts=20, candidates=32, values=tuple(f"value_{k}" for k in range(12)), seed=2)
    report = report_of(many, {"value_0": 60.0, "value_1": 58.0})
    drawn = figures(report)["others"]
    assert len(drawn.labels) == 8
    assert "(the 8 that move most)" in drawn.title
    moves = np.ptp(report.curve.levels, axis=0)
    moves[report.curve.value] = -1
    expected = sorted(np.argsort(-moves)[:8])
    assert [label.text for label in drawn.labels] == [f"Value {j}" for j in expected]


def test_labels_are_moved_apart_in_their_order():
    assert svg_charts.spread_apart([10.0, 11.0, 50.0], 14.0, 0.0, 60.0) == [10.0, 24.0, 50.0]
    assert svg_charts.spread_apart([58.0, 59.0, 60.0], 14.0, 0.0, 60.0) == [32.0, 46.0, 60.0]
    assert svg_charts.spread_apart([], 14.0, 0.0, 60.0) == []
