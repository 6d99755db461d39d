"""Tests of comparing palettes side by side and over time: figures, sentences and CSV match the computed results."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import numpy as np
import pytest

from map_core.core.types import Verdict
from map_core.figures import theme
from map_core.figures.palette_comparison import SHAPES, PaletteSnapshot, snapshots, snapshots_csv, summary
from map_core.figures.timeline import TimelineStep, timeline, timeline_csv
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.text.units import Units
from tests.tables import make_table

NAN = np.nan
TABLE = make_table(values=("helpfulness", "humor"))
UNITS = Units(MemoryOracle.of(TABLE), percentiles(TABLE), "percentile", ("helpfulness", "<i>humor</i>"))
WARM = PaletteSnapshot(
    "Warm <b>", Verdict.REACHABLE, np.array([60.0, NAN]), np.array([61, 44]), np.array([0.5, 0.0]), 0.25
)
HIGH = PaletteSnapshot("High", Verdict.OUT_OF_REACH, np.array([99.0, NAN]), np.full(2, NAN), np.full(2, NAN), NAN)
COOL = PaletteSnapshot(
    "Cool", Verdict.ON_PAPER, np.array([NAN, 70.0]), np.array([40.0, 70]), np.array([0.0, 2.0]), 0.75
)
BASE = np.array([50.0, 48.0])


def test_symbols_by_palette_and_colours_by_value():
    figure = snapshots([WARM, HIGH, COOL], UNITS, BASE)
    symbols = [trace.marker.symbol for trace in figure.data]
    assert symbols[0] == ("circle", "circle-open")
    assert symbols[1] == ("diamond-open", "diamond-open")
    assert symbols[2] == ("square-open", "square")
    assert [SHAPES[n] for n in range(3)] == ["circle", "diamond", "square"]
    for trace in figure.data:
        assert trace.marker.color == (theme.DEFAULT_THEME.colour(0), theme.DEFAULT_THEME.colour(1))
    np.testing.assert_allclose(figure.data[0].x, [61, 44])
    np.testing.assert_allclose(figure.data[1].x, [99, NAN])
    assert "asked for p60" in figure.data[0].text[0]
    assert "no target" in figure.data[0].text[1]
    assert "not possible" in figure.data[1].text[0]


def test_names_are_escaped_in_figures():
    figure = snapshots([WARM], UNITS, BASE)
    assert figure.layout.yaxis.ticktext == ("Helpfulness", "&lt;i&gt;humor&lt;/i&gt;")
    assert "<b>Warm &lt;b&gt;</b>" in figure.data[0].text[0]


def test_comparison_summary():
    lines = summary([WARM, HIGH, COOL], UNITS)
    assert lines[0] == "Warm <b>: reachable, 0.25 nats, and gives helpfulness p61 and <i>humor</i> p44."
    assert lines[1] == "High: not possible together."
    assert lines[3] == "Helpfulness is highest with Warm <b> (p61) and lowest with Cool (p40)."


def test_comparison_csv():
    rows = list(csv.DictReader(io.StringIO(snapshots_csv([WARM, HIGH], TABLE.values))))
    assert len(rows) == 4
    assert rows[0]["palette"] == "Warm <b>"
    assert float(rows[0]["target_percentile"]) == 60
    assert rows[1]["target_percentile"] == ""
    assert (rows[2]["kl_nats"], rows[2]["level_percentile"], rows[2]["verdict"]) == ("", "", "out_of_reach")


def timeline_steps() -> list[TimelineStep]:
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return [
        TimelineStep("Started.", time, Verdict.REACHABLE, np.array([60.0, 50]), 0.2),
        TimelineStep("Too much <b>.", time, Verdict.OUT_OF_REACH, np.full(2, NAN), NAN),
        TimelineStep("Back.", time, Verdict.ON_PAPER, np.array([70.0, 45]), 0.4),
    ]


def test_timeline_has_gaps_where_targets_are_out_of_reach():
    figure = timeline(timeline_steps(), TABLE.values, [0], 1)
    traces = {trace.name: trace for trace in figure.data}
    assert set(traces) == {"helpfulness", "nats"}
    np.testing.assert_allclose(traces["helpfulness"].y, [60, NAN, 70, 70])
    assert traces["nats"].marker.symbol[:3] == ("circle", "x", "triangle-up")
    assert traces["helpfulness"].x == pytest.approx((1, 2, 3, 3.4))
    assert "Too much &lt;b&gt;." in traces["nats"].text[1]
    assert "Not possible" in traces["nats"].text[1]
    assert [shape.x0 for shape in figure.layout.shapes] == [2, 2]


def test_timeline_csv():
    rows = list(csv.DictReader(io.StringIO(timeline_csv(timeline_steps(), TABLE.values))))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert rows[1]["kl_nats"] == rows[1]["level_percentile_humor"] == ""
    assert (rows[2]["when"], float(rows[2]["level_percentile_helpfulness"])) == ("2026-01-02T03:04:05+00:00", 70)
