"""The history of a palette: every level and the cost, step by step; levels have gaps where a step was out of reach."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from map_core.core import safe_csv
from map_core.core.types import Verdict
from map_core.figures.theme import ACCENT, DEFAULT_THEME, NEUTRAL, Theme, apply_layout, dash, escape_label
from map_core.text import sentences
from map_core.text.wording import NUMBERS, Wording, effort

HEIGHT = 420
#: Ticks of the vertical axis where it shows the effort in words, in nats.
EFFORT_TICKS = (0.25, 0.6, 1.2, 2.0)
_MARKS = {Verdict.REACHABLE: "circle", Verdict.ON_PAPER: "triangle-up", Verdict.OUT_OF_REACH: "x"}


@dataclass(frozen=True, eq=False)
class TimelineStep:
    """One step of a palette's history.

    Args:
        what: the change in words, with numbers.
        when: in the reader's time zone.
        verdict: on the palette after the step.
        levels: (value,) realised percentiles, NaN when it is out of reach.
        kl: nats, NaN when it is out of reach.
    """

    what: str
    when: datetime
    verdict: Verdict
    levels: np.ndarray
    kl: float


def timeline(
    steps: Sequence[TimelineStep],
    names: Sequence[str],
    values: Sequence[int],
    current: int,
    theme: Theme = DEFAULT_THEME,
    wording: Wording = NUMBERS,
) -> go.Figure:
    """Draw levels above and nats below, over the steps.

    Args:
        steps: in order of time.
        names: of the values.
        values: positions of the values that are drawn.
        current: position of the current step.
        theme: colours of the values.
        wording: with numbers, or in everyday words; then the lower axis names efforts.
    """
    # A step is drawn until the next one begins, and the last one for 0.4 of a step.
    across = [*range(1, len(steps) + 1), len(steps) + 0.4]
    drawn = [*steps, steps[-1]]
    labels = [escape_label(wording.reworded(step.what)) for step in drawn]
    # The repeated last point only extends the line, so it has no marker.
    small, large = ([*[size] * len(steps), 0] for size in (6, 11))
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.64, 0.36], vertical_spacing=0.09)
    for j in values:
        figure.add_scatter(
            x=across,
            y=[float(step.levels[j]) for step in drawn],
            mode="lines+markers",
            line={"color": theme.colour(j), "dash": dash(j), "width": 2.2, "shape": "hv"},
            marker={"size": small, "color": theme.colour(j)},
            text=labels,
            hovertemplate=f"%{{text}}<br><b>{escape_label(sentences.capitalised(names[j]))}</b> "
            f"{wording.mark}%{{y:.0f}}<extra></extra>",
            name=names[j],
            row=1,
            col=1,
        )
    figure.add_scatter(
        x=across,
        y=[0.0 if np.isnan(step.kl) else step.kl for step in drawn],
        mode="lines+markers",
        line={"color": NEUTRAL, "width": 2, "shape": "hv"},
        marker={"size": large, "color": NEUTRAL, "symbol": [_MARKS[step.verdict] for step in drawn]},
        text=[
            f"{label}<br><b>{sentences.HEADLINES[step.verdict]}</b>"
            + ("" if np.isnan(step.kl) else f", {wording.distance(step.kl)}")
            for label, step in zip(labels, drawn, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
        name=wording.pick("nats", "effort"),
        row=2,
        col=1,
    )
    figure.add_vline(x=current + 1, line={"color": ACCENT, "width": 2})
    figure = apply_layout(figure, HEIGHT)
    ticks = {"tickvals": across[:-1]} if len(steps) <= 12 else {}
    figure.update_xaxes(range=[0.6, len(steps) + 0.4], fixedrange=True, **ticks)
    figure.update_xaxes(title="Step", row=2, col=1)
    figure.update_yaxes(title=wording.pick("Percentile", "Out of 100"), fixedrange=True, row=1, col=1)
    efforts = {} if wording.numbers else {"tickvals": EFFORT_TICKS, "ticktext": [effort(kl) for kl in EFFORT_TICKS]}
    title = wording.pick("Nats", "Effort")
    figure.update_yaxes(title=title, fixedrange=True, rangemode="tozero", **efforts, row=2, col=1)
    return figure.update_layout(hovermode="closest")


def timeline_csv(steps: Sequence[TimelineStep], values: Sequence[str]) -> str:
    """Return CSV, one row per step: number, time, change, verdict, nats and level percentiles; empty where none."""
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    writer.writerow(["step", "when", "what", "verdict", "kl_nats", *(f"level_percentile_{v}" for v in values)])
    for number, step in enumerate(steps, start=1):
        numbers = ["" if np.isnan(n) else float(n) for n in (step.kl, *step.levels)]
        when = step.when.isoformat(timespec="seconds")
        writer.writerow([number, when, step.what, step.verdict.value, *numbers])
    return out.getvalue()
