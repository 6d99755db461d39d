"""Probabilities of one prompt's replies, under the aligned model and under the base model.

Constraint: reply texts never enter the figure.
"""

from __future__ import annotations

import io

import numpy as np
import plotly.graph_objects as go

from map_core.core import amounts, safe_csv
from map_core.core.softmax import Softmax
from map_core.figures.theme import ACCENT, NEUTRAL, apply_layout


def bars(distribution: Softmax) -> go.Figure:
    """Draw one bar per reply, the likeliest first, with the base model's share as a line."""
    ranks, base = np.arange(1, len(distribution.probabilities) + 1), 1 / len(distribution.probabilities)
    percent = 100 * distribution.probabilities[distribution.order]
    figure = go.Figure(
        go.Bar(
            x=ranks,
            y=percent,
            marker={"color": NEUTRAL},
            hovertemplate="Reply %{x} of the likeliest<br>%{y:.1f}%<extra></extra>",
        )
    )
    figure.add_hline(y=100 * base, line={"color": ACCENT, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=1, xref="paper", xanchor="right", y=100 * base, yanchor="bottom", text="base model", showarrow=False
    )
    figure.update_xaxes(title="Replies to this prompt, the likeliest first")
    figure.update_yaxes(title="Probability (%)", rangemode="tozero")
    return apply_layout(figure, 280)


def choice_csv(distribution: Softmax) -> str:
    """Return CSV, one row per bar: rank, position among the prompt's replies, probability, the base model's."""
    base, out = 1 / len(distribution.probabilities), io.StringIO()
    writer = safe_csv.Writer(out)
    writer.writerow(["place", "reply", "probability", "base"])
    for rank, k in enumerate(distribution.order, start=1):
        shares = (distribution.probabilities[k], base)
        writer.writerow([rank, k, *(amounts.significant(share, 9, unknown="") for share in shares)])
    return out.getvalue()
