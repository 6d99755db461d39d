"""What happens as one target is moved: every realised level, the weights and the distance, over the swept level.

Three figures with one across axis and one legend, which the page draws beside them.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from map_core.figures.design import ACCENT, NEUTRAL, Units, colour, dash, laid_out
from map_core.oracle import Oracle
from map_core.sensitivity import Curve

HEIGHT = 340


@dataclass(frozen=True, eq=False)
class Sweep:
    """A curve and what is needed to draw it.

    Args:
        curve: the sweep, with at least two points.
        units: of the swept value's axis, and of the levels.
        current: where the user's own target stands, in standard deviations above base; NaN when free.
    """

    curve: Curve
    units: Units
    current: float

    @property
    def across(self) -> np.ndarray:
        """(point,) the swept target on the axis."""
        return self.units.of(self.curve.value, self.curve.targets)


def levels(sweep: Sweep) -> go.Figure:
    """Every realised level, in percentiles of the base model's replies, so that all share an axis."""
    curve, units = sweep.curve, sweep.units
    shared = Units(units.oracle, units.percentiles, "percentile", units.names)
    figure = go.Figure()
    for j in _by_importance(curve):
        _add_line(figure, sweep, shared.of(j, curve.levels[:, j]), j, "p%{y:.0f}")
    return _finish(figure, sweep, "Realised level (percentile)")


def weights(sweep: Sweep) -> go.Figure:
    """The weight of every value that has one somewhere along the sweep, in nats per standard deviation."""
    curve = sweep.curve
    figure = go.Figure()
    for j in np.flatnonzero(curve.weights.max(axis=0) > 1e-6):
        _add_line(figure, sweep, curve.weights[:, j], int(j), "%{y:.3g}")
    # Towards the highest level weights grow without bound; the last points would flatten all the rest.
    top = float(np.quantile(curve.weights.max(axis=1), 0.9)) if len(curve.weights) else 1.0
    figure.update_yaxes(range=[0, 1.25 * max(top, 1e-3)])
    return _finish(figure, sweep, "Weight (nats per standard deviation)")


def kl(sweep: Sweep) -> go.Figure:
    """The distance from the base model along the sweep."""
    figure = go.Figure()
    figure.add_scatter(
        x=sweep.across,
        y=sweep.curve.kl,
        mode="lines",
        line={"color": NEUTRAL, "width": 2.5},
        fill="tozeroy",
        fillcolor="rgba(128,138,148,0.15)",
        hovertemplate="%{y:.2f} nats<extra></extra>",
        name="distance",
    )
    figure.update_yaxes(rangemode="tozero")
    return _finish(figure, sweep, "Distance (nats)")


def _by_importance(curve: Curve) -> list[int]:
    """The swept value last, so that its line lies on top."""
    others = [j for j in range(curve.levels.shape[1]) if j != curve.value]
    return [*others, curve.value]


def _add_line(figure: go.Figure, sweep: Sweep, y: np.ndarray, value: int, shown: str) -> None:
    name = sweep.units.names[value]
    figure.add_scatter(
        x=sweep.across,
        y=y,
        mode="lines",
        line={"color": colour(value), "width": 3.5 if value == sweep.curve.value else 2, "dash": dash(value)},
        hovertemplate=f"{shown}<extra>{name}</extra>",
        name=name,
    )


def _finish(figure: go.Figure, sweep: Sweep, title: str) -> go.Figure:
    value = sweep.curve.value
    for switch in sweep.curve.switches:
        x = float(sweep.units.of(value, np.array(switch.target)))
        figure.add_vline(x=x, line={"color": colour(switch.value), "width": 1, "dash": "dot"})
    if not np.isnan(sweep.current) and sweep.curve.targets[0] <= sweep.current <= sweep.curve.highest:
        x = float(sweep.units.of(value, np.array(sweep.current)))
        figure.add_vline(
            x=x, line={"color": ACCENT, "width": 1.5}, annotation={"text": "now", "font": {"size": 12}, "yshift": 4}
        )
    figure.update_xaxes(title=sweep.units.axis(value))
    figure = laid_out(figure, HEIGHT)
    return figure.update_layout(
        title={"text": title, "font": {"size": 14}, "x": 0, "xref": "paper", "y": 0.98, "yanchor": "top"},
        hovermode="x unified",
    )


def sweep_csv(curve: Curve, oracle: Oracle) -> str:
    """The points of a curve in reward units: the target, nats, then every level and weight (1/reward)."""
    out = io.StringIO()
    writer = csv.writer(out)
    swept = oracle.values[curve.value]
    writer.writerow(
        [f"target_{swept}", "kl_nats", *(f"level_{v}" for v in oracle.values), *(f"weight_{v}" for v in oracle.values)]
    )
    base, scale = oracle.base[curve.value], oracle.scale[curve.value]
    for target, nats, level, x in zip(curve.targets, curve.kl, curve.levels, curve.weights, strict=True):
        row = [base + target * scale, nats, *oracle.rewards_at(level), *(x / oracle.scale)]
        writer.writerow([float(entry) for entry in row])
    return out.getvalue()
