"""Tuned models over a set of palettes: how far each comes, against what it spends. Nothing is measured here."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from map_core.core import amounts
from map_core.figures.theme import ACCENT, COLOURS, NEUTRAL, apply_layout, escape_label
from map_core.studies.tuning_study import TuningStudy
from map_core.text.tuning import ROUTES, LevelWords
from map_core.text.tuning_evidence import palette_title

HEIGHT = 380
SYMBOLS = ("circle", "square", "triangle-up", "cross", "pentagon", "star")


def level_against_nats(studies: tuple[TuningStudy, ...], words: LevelWords) -> go.Figure:
    """Draw each palette of each study: share of the way, with its interval, against nats as a multiple of lambda's own.

    To first order the tilt by t lambda comes t of the way for t^2 of the nats, and nothing comes further for as many:
    the dashed line.

    Args:
        studies: one a route, each with at least one palette.
        words: how palettes are worded.

    Returns:
        A figure; a trace is named after each route, the others "the most, about" and "exactly the palette".
    """
    figure = go.Figure()
    spent_most = 1.0
    for place, study in enumerate(studies):
        palettes = [palette for palette in study.palettes if palette["check"]["share_of_way"] is not None]
        checks = [palette["check"] for palette in palettes]
        spent = [max(check["kl"], 0.0) / check["kl_forecast"] for check in checks]
        spent_most = max([spent_most, *spent])
        shares = np.array([check["share_of_way"] for check in checks])
        ends = np.array([check["share_of_way_interval"] for check in checks], dtype=float).reshape(-1, 2)
        shade = COLOURS[place % len(COLOURS)]
        figure.add_scatter(
            x=spent,
            y=100 * shares,
            error_y={
                "array": 100 * (ends[:, 1] - shares),
                "arrayminus": 100 * (shares - ends[:, 0]),
                "symmetric": False,
                "thickness": 1.2,
                "width": 3,
                "color": shade,
            },
            mode="markers",
            marker={"symbol": SYMBOLS[place % len(SYMBOLS)], "size": 10, "color": shade, "line": {"width": 0.5}},
            customdata=[escape_label(palette_title(palette["asked"], words)) for palette in palettes],
            hovertemplate="%{customdata}<br>%{y:.0f}% of the way for %{x:.2f} times the effort<extra></extra>",
            name=ROUTES.get(study.method, (study.method, "", ""))[0],
        )
    line = np.linspace(0.0, 1.05 * spent_most, 60)
    figure.add_scatter(
        x=line,
        y=100 * np.minimum(np.sqrt(line), 1.5),
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
        name="the most, about",
    )
    figure.add_scatter(
        x=[1.0],
        y=[100.0],
        mode="markers",
        marker={"symbol": "diamond", "size": 14, "color": ACCENT, "line": {"width": 1.5, "color": "white"}},
        hovertemplate="exactly the palette<extra></extra>",
        name="exactly the palette",
    )
    figure = apply_layout(figure, HEIGHT)
    figure.update_xaxes(
        title=words.wording.pick("Nats, as a multiple of λ's own", "Effort, against what the palette needs")
    )
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(title="Of the way to the palette", ticksuffix="%")
    legend = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "font": {"size": 12}}
    return figure.update_layout(showlegend=True, legend=legend, hovermode="closest", margin={"t": 60})


def alt(studies: tuple[TuningStudy, ...]) -> str:
    """Describe the figure in a sentence."""
    routes = "; ".join(
        f"{ROUTES.get(study.method, (study.method, '', ''))[0]}: "
        f"{amounts.percent(study.summary['share_of_way'])} of the way on average "
        f"for {amounts.fixed(study.summary['nats_over_lambdas'], 2)} times the effort"
        for study in studies
    )
    return f"How far tuned models come to their palettes, against the effort that they spend. {routes}."
