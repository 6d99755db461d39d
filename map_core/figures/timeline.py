"""How a palette changed: every level and the cost, step by step; gaps where a step was out of reach."""

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
#: Where the vertical axis names the effort, in nats.
EFFORT_TICKS = (0.25, 0.6, 1.2, 2.0)
_MARKS = {Verdict.REACHABLE: "circle", Verdict.ON_PAPER: "triangle-up", Verdict.OUT_OF_REACH: "x"}


@dataclass(frozen=True, eq=False)
class TimelineStep:
    """One step of a palette's history.

    Args:
        what: the change in words, with numbers.
        when: in the reader's time.
        verdict: on the palette after it.
        levels: (value,) percentiles that it gives, NaN when it is out of reach.
        kl: nats, NaN when it is out of reach.
    """

    what: str
    when: datetime
    verdict: Verdict
    levels: np.ndarray
    kl: float


def timeline(
    moments: Sequence[TimelineStep],
    names: Sequence[str],
    values: Sequence[int],
    place: int,
    theme: Theme = DEFAULT_THEME,
    wording: Wording = NUMBERS,
) -> go.Figure:
    """Draw levels above and nats below, over the steps.

    Args:
        moments: the steps, the first one first.
        names: of the values.
        values: positions of the values that are drawn.
        place: of the step that is in force.
        theme: colours of the values.
        wording: with numbers, or in everyday words: then the lower part shows the effort as it is called.
    """
    # A step lasts until the next one; the last one is drawn half a step long.
    across = [*range(1, len(moments) + 1), len(moments) + 0.4]
    drawn = [*moments, moments[-1]]
    labels = [escape_label(wording.reworded(moment.what)) for moment in drawn]
    small, large = ([*[size] * len(moments), 0] for size in (6, 11))
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.64, 0.36], vertical_spacing=0.09)
    for j in values:
        figure.add_scatter(
            x=across,
            y=[float(moment.levels[j]) for moment in drawn],
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
        y=[0.0 if np.isnan(moment.kl) else moment.kl for moment in drawn],
        mode="lines+markers",
        line={"color": NEUTRAL, "width": 2, "shape": "hv"},
        marker={"size": large, "color": NEUTRAL, "symbol": [_MARKS[moment.verdict] for moment in drawn]},
        text=[
            f"{label}<br><b>{sentences.HEADLINES[moment.verdict]}</b>"
            + ("" if np.isnan(moment.kl) else f", {wording.distance(moment.kl)}")
            for label, moment in zip(labels, drawn, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
        name=wording.pick("nats", "effort"),
        row=2,
        col=1,
    )
    figure.add_vline(x=place + 1, line={"color": ACCENT, "width": 2})
    figure = apply_layout(figure, HEIGHT)
    few = {"tickvals": across[:-1]} if len(moments) <= 12 else {}
    figure.update_xaxes(range=[0.6, len(moments) + 0.4], fixedrange=True, **few)
    figure.update_xaxes(title="Step", row=2, col=1)
    figure.update_yaxes(title=wording.pick("Percentile", "Out of 100"), fixedrange=True, row=1, col=1)
    named = {} if wording.numbers else {"tickvals": EFFORT_TICKS, "ticktext": [effort(kl) for kl in EFFORT_TICKS]}
    title = wording.pick("Nats", "Effort")
    figure.update_yaxes(title=title, fixedrange=True, rangemode="tozero", **named, row=2, col=1)
    return figure.update_layout(hovermode="closest")


def timeline_csv(moments: Sequence[TimelineStep], values: Sequence[str]) -> str:
    """Return CSV, one row per step: number, time, what changed, verdict, nats and level percentiles; empty for none."""
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    writer.writerow(["step", "when", "what", "verdict", "kl_nats", *(f"level_percentile_{v}" for v in values)])
    for number, moment in enumerate(moments, start=1):
        numbers = ["" if np.isnan(n) else float(n) for n in (moment.kl, *moment.levels)]
        when = moment.when.isoformat(timespec="seconds")
        writer.writerow([number, when, moment.what, moment.verdict.value, *numbers])
    return out.getvalue()
