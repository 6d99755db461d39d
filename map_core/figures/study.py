"""The published experiments on one table, in four panels: reachable palettes, missed targets, solve times, and rounds.

Every line is a field of :class:`map_core.studies.reproduce.SizeResult`; the paper's own figures are dotted. Each panel
has its own legend beside it.
"""

from __future__ import annotations

import math

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from map_core.core import amounts
from map_core.core.types import Form
from map_core.figures.theme import COLOURS, NEUTRAL, apply_layout
from map_core.studies.reproduce import PAPER, ReproductionStudy

HEIGHT = 720
OURS, PUBLISHED, RANDOM, ROUND, ROUNDS, POOLED = COLOURS[:6]
#: Each panel: row, column, title, and its lines as name, field of SizeResult, colour, dash.
PANELS = (
    (
        (1, 1, "Share of random palettes"),
        (
            ("reachable, proven", "reachable", OURS, "solid"),
            ("solved, by the published rule", "published_solved", PUBLISHED, "dash"),
        ),
    ),
    (
        (1, 2, "Share of reachable palettes with a target missed"),
        (
            ("this solver", "our_missed", OURS, "solid"),
            ("published steps", "safe_missed", PUBLISHED, "dash"),
            ("published weights, pooled", "pooled_missed", POOLED, "dot"),
            ("one round in sequence", "one_round_missed", ROUND, "dash"),
            ("five rounds", "rounds_missed", ROUNDS, "dash"),
            ("random weights", "random_misses", RANDOM, "dash"),
        ),
    ),
    (
        (2, 1, "Milliseconds a solve"),
        (
            ("this solver", "our_ms", OURS, "solid"),
            ("published steps, one thread", "published_ms", PUBLISHED, "dash"),
        ),
    ),
)


def study_figure(study: ReproductionStudy) -> go.Figure:
    """Draw all four panels.

    Args:
        study: the result of :func:`map_core.studies.reproduce.reproduce`.

    Returns:
        The figure; a NaN share leaves a gap in its line.
    """
    per_prompt = study.protocol.form is Form.PER_PROMPT
    titles = [title for (_, _, title), _ in PANELS]
    figure = make_subplots(
        rows=2,
        cols=2,
        subplot_titles=[*titles, "One palette in sequence, quantile reached"],
        horizontal_spacing=0.26,
        vertical_spacing=0.16,
    )
    for number, ((row, column, _), lines) in enumerate(PANELS, start=1):
        for name, field, shade, dash in lines:
            if field == "pooled_missed" and not per_prompt:
                continue
            y = [1.0 - s.random_meets if field == "random_misses" else getattr(s, field) for s in study.sizes]
            _add_line(figure, (row, column), number, name, y, shade, dash)
    paper = list(PAPER.feasible[: len(study.sizes)])
    _add_line(figure, (1, 1), 1, "solved, in the paper", paper, NEUTRAL, "dot")
    if study.rounds is not None:
        for name, reached, shade in (
            ("one round", study.rounds.one_round, ROUND),
            ("five rounds", study.rounds.five_rounds, ROUNDS),
            ("all at once", study.rounds.together, OURS),
        ):
            figure.add_bar(
                x=list(study.rounds.values),
                y=list(reached),
                name=name,
                marker={"color": shade},
                legend=_legend(4),
                hovertemplate="%{y:.3f}",
                row=2,
                col=2,
            )
        figure.add_hline(y=study.rounds.quantile, line={"color": NEUTRAL, "dash": "dot"}, row=2, col=2)
    figure = apply_layout(figure, HEIGHT)
    for (row, column, _), _ in PANELS:
        figure.update_xaxes(title="values in the palette", dtick=1, row=row, col=column)
    for column in (1, 2):
        figure.update_yaxes(range=[-0.02, 1.04], tickformat=".0%", row=1, col=column)
    ticks = [base * 10.0**power for power in range(-2, 6) for base in (1, 2, 5)]
    figure.update_yaxes(
        type="log", tickvals=ticks, ticktext=[amounts.significant(tick) for tick in ticks], row=2, col=1
    )
    right, below = (0.38, 1.01), 0.42
    legends = {
        _legend(2 * row + column + 1): {"x": right[column], "y": (1.0, below)[row], "yanchor": "top"}
        for row in (0, 1)
        for column in (0, 1)
    }
    return figure.update_layout(showlegend=True, barmode="group", margin={"r": 190}, **legends)


def _legend(number: int) -> str:
    """Return Plotly's name of the legend of a panel, numbered from 1."""
    return "legend" if number == 1 else f"legend{number}"


def _add_line(
    figure: go.Figure, panel: tuple[int, int], legend: int, name: str, y: list[float], shade: str, dash: str
) -> None:
    """Add a line over the number of values, in the legend of its panel."""
    figure.add_scatter(
        x=list(range(1, len(y) + 1)),
        y=[None if math.isnan(number) else number for number in y],
        mode="lines+markers",
        name=name,
        legend=_legend(legend),
        line={"color": shade, "width": 2.5, "dash": dash},
        row=panel[0],
        col=panel[1],
    )
