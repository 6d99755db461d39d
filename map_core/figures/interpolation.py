"""Figure of the mixtures of two palettes: every level and the cost, with unreliable and unreachable parts shaded."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from map_core.analysis.interpolation import Interpolation
from map_core.core import amounts, safe_csv
from map_core.core.types import Verdict
from map_core.figures.theme import ACCENT, DEFAULT_THEME, NEUTRAL, Theme, apply_layout, dash, escape_label, translucent
from map_core.oracle import Oracle
from map_core.text import sentences
from map_core.text.units import Units

HEIGHT = 430
_SHADES = {Verdict.ON_PAPER: "#E69F00", Verdict.OUT_OF_REACH: "#D55E00"}


def blend(
    interpolation: Interpolation, units: Units, values: Sequence[int], share: float, theme: Theme = DEFAULT_THEME
) -> go.Figure:
    """Draw levels above and nats below, over the share of the second palette.

    Args:
        interpolation: the mixtures.
        units: in percentiles.
        values: positions of the values that are drawn.
        share: share of the second palette in the selected mixture, 0 to 1.
        theme: colours of the values.
    """
    across = 100 * interpolation.shares
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.64, 0.36], vertical_spacing=0.09)
    for j in values:
        figure.add_scatter(
            x=across,
            y=units.of(j, interpolation.levels[:, j]),
            mode="lines",
            line={"color": theme.colour(j), "dash": dash(j), "width": 2.5},
            hovertemplate=f"{escape_label(sentences.capitalised(units.names[j]))}: {units.hover}<extra></extra>",
            name=units.names[j],
            row=1,
            col=1,
        )
    figure.add_scatter(
        x=across,
        y=units.efforts(interpolation.kl),
        mode="lines",
        line={"color": NEUTRAL, "width": 2.5},
        fill="tozeroy",
        fillcolor=translucent(NEUTRAL, 0.15),
        hovertemplate=f"{units.effort_hover}<extra></extra>",
        name=units.wording.pick("nats", "effort"),
        row=2,
        col=1,
    )
    for verdict, start, end in verdict_stretches(interpolation):
        if verdict in _SHADES:
            shade = translucent(_SHADES[verdict], 0.16)
            figure.add_vrect(x0=100 * start, x1=100 * end, fillcolor=shade, line_width=0, layer="below")
            figure.add_annotation(
                x=50 * (start + end),
                y=1.0,
                yref="paper",
                yanchor="bottom",
                text=sentences.HEADLINES[verdict].lower(),
                showarrow=False,
                font={"size": 12},
            )
    figure.add_vline(x=100 * share, line={"color": ACCENT, "width": 2})
    figure = apply_layout(figure, HEIGHT)
    figure.update_xaxes(range=[0, 100], ticksuffix="%", fixedrange=True)
    figure.update_xaxes(title="Share of the second palette", row=2, col=1)
    figure.update_yaxes(title=units.wording.pick("Percentile", "Out of 100"), fixedrange=True, row=1, col=1)
    figure.update_yaxes(
        title=units.wording.pick("Nats", "Effort, % of the most"), fixedrange=True, rangemode="tozero", row=2, col=1
    )
    return figure.update_layout(hovermode="x unified")


def verdict_stretches(interpolation: Interpolation) -> list[tuple[Verdict, float, float]]:
    """Return which verdict holds where: (verdict, from, to) in shares, changing halfway between two points."""
    halfway = (interpolation.shares[1:] + interpolation.shares[:-1]) / 2
    stretches: list[tuple[Verdict, float, float]] = []
    start = 0.0
    for point, verdict in enumerate(interpolation.verdicts):
        last = point == len(interpolation.verdicts) - 1
        if last or interpolation.verdicts[point + 1] is not verdict:
            end = 1.0 if last else float(halfway[point])
            stretches.append((verdict, start, end))
            start = end
    return stretches


def summary(interpolation: Interpolation, units: Units, values: Sequence[int], names: tuple[str, str]) -> list[str]:
    """Describe the figure in words: where the verdict changes, the cost at both ends, and how each level moves."""
    parts = [
        f"From {amounts.percent(start)} to {amounts.percent(end)} of {names[1]}: "
        f"{sentences.HEADLINES[verdict].lower()}."
        for verdict, start, end in verdict_stretches(interpolation)
    ]
    if np.isfinite(interpolation.kl[[0, -1]]).all():
        most = int(np.nanargmax(interpolation.kl))
        parts.append(
            units.wording.pick(
                f"The cost goes from {amounts.nats(interpolation.kl[0])} ({names[0]}) to "
                f"{amounts.fixed(interpolation.kl[-1], 2)} ({names[1]}); the most on the way is "
                f"{amounts.fixed(interpolation.kl[most], 2)}, at {amounts.percent(interpolation.shares[most])}.",
                f"{sentences.capitalised(names[0])} takes {units.wording.price(interpolation.kl[0])} and {names[1]} "
                f"{units.wording.price(interpolation.kl[-1])}; the effort is largest at "
                f"{amounts.percent(interpolation.shares[most])}.",
            )
        )
    for j in values:
        solved = np.flatnonzero(np.isfinite(interpolation.levels[:, j]))
        if len(solved):
            first, last = (units.level_text(j, float(interpolation.levels[point, j])) for point in solved[[0, -1]])
            moves = f"stays at {first}" if first == last else f"goes from {first} to {last}"
            parts.append(f"{sentences.capitalised(units.names[j])} {moves}.")
    return parts


def blends_csv(interpolation: Interpolation, oracle: Oracle) -> str:
    """Return CSV, one row per mixture: share, verdict, nats, targets and levels in reward units; empty for none."""
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    named = [f"{kind}_{v}" for kind in ("target", "level") for v in oracle.values]
    writer.writerow(["share_of_second", "verdict", "kl_nats", *named])
    for point, verdict in enumerate(interpolation.verdicts):
        numbers = [
            interpolation.kl[point],
            *oracle.rewards_at(interpolation.targets[point]),
            *oracle.rewards_at(interpolation.levels[point]),
        ]
        row = ["" if np.isnan(number) else float(number) for number in numbers]
        writer.writerow([float(interpolation.shares[point]), verdict.value, *row])
    return out.getvalue()
