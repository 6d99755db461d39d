"""A sweep of one target: every realised level, the weights and the distance, over the swept level.

Three figures share the x axis and one legend, which the page draws beside them. Constraint: colours do not depend on
which values are shown, and the data file has all of them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from map_core.analysis.sensitivity import SensitivityCurve
from map_core.confidence import Bands
from map_core.core import amounts, safe_csv
from map_core.figures.theme import ACCENT, DEFAULT_THEME, NEUTRAL, Theme, apply_layout, dash, escape_label, translucent
from map_core.oracle import Oracle
from map_core.text.units import Units

HEIGHT, TALL = 300, 420
#: The labels of breakpoints closer than this share of the axis are written at opposite ends of their lines.
CROWDED = 0.06


@dataclass(frozen=True, eq=False)
class SweepData:
    """A curve with the settings of its figures.

    Args:
        curve: the sweep, with at least two points.
        units: of the swept value's axis, and of the levels.
        current: the user's own target, in standard deviations above base; NaN when free.
        bands: error bands of the curve; None for none.
        shown: positions of the values whose lines are drawn; all of them by default.
        theme: colours of the values.
    """

    curve: SensitivityCurve
    units: Units
    current: float
    bands: Bands | None = None
    shown: Sequence[int] | None = None
    theme: Theme = DEFAULT_THEME

    def draws(self, value: int) -> bool:
        """Return whether the line of a value is drawn; that of the swept one always is."""
        return value == self.curve.value or self.shown is None or value in self.shown

    @property
    def across(self) -> np.ndarray:
        """(point,) the swept target on the axis."""
        return self.units.of(self.curve.value, self.curve.targets)


def levels(sweep: SweepData) -> go.Figure:
    """Draw every realised level, in percentiles of the base model's replies, so that all share an axis."""
    curve, units, bands = sweep.curve, sweep.units, sweep.bands
    shared = replace(units, unit="percentile")
    figure = go.Figure()
    drawn = [j for j in _swept_last(curve) if sweep.draws(j)]
    for j in drawn if bands else ():
        assert bands is not None
        _add_band(figure, sweep, shared.of(j, bands.levels.low[:, j]), shared.of(j, bands.levels.high[:, j]), j)
    for j in drawn:
        _add_line(figure, sweep, shared.of(j, curve.levels[:, j]), j, units.hover)
    figure = _finish(
        figure, sweep, units.wording.pick("Realised level (percentile)", "What each value gets, out of 100"), TALL
    )
    _name_switches(figure, sweep)
    return figure


def weights(sweep: SweepData) -> go.Figure:
    """Draw the weight of every value that has one somewhere along the sweep, in nats per standard deviation."""
    curve, bands = sweep.curve, sweep.bands
    figure = go.Figure()
    drawn = [int(j) for j in np.flatnonzero(curve.weights.max(axis=0) > 1e-6) if sweep.draws(int(j))]
    for j in drawn if bands else ():
        assert bands is not None
        _add_band(figure, sweep, bands.weights.low[:, j], bands.weights.high[:, j], j)
    for j in drawn:
        _add_line(figure, sweep, curve.weights[:, j], j, "%{y:.3g}")
    # Weights grow without bound towards the highest level; with the last points on the axis the rest would look flat.
    top = float(np.quantile(curve.weights.max(axis=1), 0.9)) if len(curve.weights) else 1.0
    figure.update_yaxes(range=[0, 1.25 * max(top, 1e-3)])
    return _finish(figure, sweep, sweep.units.wording.pick("Weight (nats per standard deviation)", "Weight"))


def kl(sweep: SweepData) -> go.Figure:
    """Draw the distance from the base model along the sweep."""
    figure = go.Figure()
    if sweep.bands is not None:
        low, high = (sweep.units.efforts(end) for end in (sweep.bands.kl.low, sweep.bands.kl.high))
        _add_band(figure, sweep, low, high, None)
    figure.add_scatter(
        x=sweep.across,
        y=sweep.units.efforts(sweep.curve.kl),
        mode="lines",
        line={"color": NEUTRAL, "width": 2.5},
        hovertemplate=f"{sweep.units.effort_hover}<extra></extra>",
        name="distance",
    )
    top = float(sweep.units.efforts(sweep.curve.kl).max(initial=0.0))
    figure.update_yaxes(range=[0, 1.08 * max(top, 1e-3)])
    return _finish(figure, sweep, sweep.units.wording.effort_name)


def _swept_last(curve: SensitivityCurve) -> list[int]:
    """Return the values with the swept one last, so that its line lies on top."""
    others = [j for j in range(curve.levels.shape[1]) if j != curve.value]
    return [*others, curve.value]


def _add_line(figure: go.Figure, sweep: SweepData, y: np.ndarray, value: int, label: str) -> None:
    name = sweep.units.names[value]
    figure.add_scatter(
        x=sweep.across,
        y=y,
        mode="lines",
        line={
            "color": sweep.theme.colour(value),
            "width": 3.5 if value == sweep.curve.value else 2,
            "dash": dash(value),
        },
        hovertemplate=f"{label}<extra>{escape_label(name)}</extra>",
        name=name,
    )


def _add_band(figure: go.Figure, sweep: SweepData, low: np.ndarray, high: np.ndarray, value: int | None) -> None:
    """Add the area between two curves, in the colour of a value; neutral where ``value`` is None."""
    figure.add_scatter(
        x=np.concatenate([sweep.across, sweep.across[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=translucent(NEUTRAL if value is None else sweep.theme.colour(value), 0.16),
        hoverinfo="skip",
        name="band" if value is None else f"band of {sweep.units.names[value]}",
    )


def _finish(figure: go.Figure, sweep: SweepData, title: str, height: int = HEIGHT) -> go.Figure:
    value = sweep.curve.value
    for switch in sweep.curve.switches:
        x = float(sweep.units.of(value, np.array(switch.target)))
        figure.add_vline(x=x, line={"color": sweep.theme.colour(switch.value), "width": 1.2, "dash": "dot"})
    if not np.isnan(sweep.current) and sweep.curve.targets[0] <= sweep.current <= sweep.curve.highest:
        x = float(sweep.units.of(value, np.array(sweep.current)))
        figure.add_vline(
            x=x, line={"color": ACCENT, "width": 1.5}, annotation={"text": "now", "font": {"size": 12}, "yshift": 4}
        )
    figure.update_xaxes(title=escape_label(sweep.units.axis(value)))
    figure = apply_layout(figure, height)
    return figure.update_layout(
        title={"text": title, "font": {"size": 14}, "x": 0, "xref": "paper", "y": 0.98, "yanchor": "top"},
        hovermode="x unified",
    )


def switch_text(sweep: SweepData, index: int) -> str:
    """Describe a switch of the curve, short enough to fit beside its line."""
    switch = sweep.curve.switches[index]
    name = sweep.units.names[switch.value]
    return f"{name} begins to cost" if switch.active else f"{name} comes for free"


def _name_switches(figure: go.Figure, sweep: SweepData) -> None:
    """Label the switches along their lines; a label too close to the previous one is written at the bottom."""
    across = sweep.across
    if not len(across):
        return
    span, previous_x, at_bottom = float(across[-1] - across[0]) or 1.0, -np.inf, False
    for index, switch in enumerate(sweep.curve.switches):
        x = float(sweep.units.of(sweep.curve.value, np.array(switch.target)))
        at_bottom = not at_bottom if x - previous_x < CROWDED * span else False
        previous_x = x
        figure.add_annotation(
            x=x,
            y=0.02 if at_bottom else 0.98,
            yref="paper",
            yanchor="bottom" if at_bottom else "top",
            xanchor="right",
            text=escape_label(switch_text(sweep, index)),
            textangle=-90,
            showarrow=False,
            font={"size": 11},
            xshift=-1,
        )


def summary(sweep: SweepData) -> list[str]:
    """Describe the figures in words: every drawn level, cost and band at the ends, middle and current target."""
    curve, units = sweep.curve, sweep.units
    last = len(curve.targets) - 1
    points = {0, last // 2, last}
    if not np.isnan(sweep.current) and curve.targets[0] <= sweep.current <= curve.targets[-1]:
        points.add(int(np.argmin(np.abs(curve.targets - sweep.current))))
    parts = []
    for point in sorted(points):
        drawn = [j for j in _swept_last(curve) if sweep.draws(j)]
        levels = [f"{units.names[j]} {units.level_text(j, curve.levels[point, j])}" for j in drawn]
        # The swept value, the last one, is named first in the sentence.
        beside = ", ".join(levels[:-1] or levels)
        target = units.level_text(curve.value, curve.targets[point])
        parts.append(f"With {units.names[curve.value]} at {target}: {beside}. {_cost_sentence(sweep, point)}")
    return parts


def _cost_sentence(sweep: SweepData, point: int) -> str:
    """Word the cost at one point of the sweep, with its band where there is one."""
    kl, bands = float(sweep.curve.kl[point]), sweep.bands
    if not sweep.units.wording.numbers:
        return f"It takes {sweep.units.wording.price(kl)}."
    if bands is None:
        return f"It costs {amounts.nats(kl)}."
    low, high = amounts.fixed(bands.kl.low[point], 2), amounts.fixed(bands.kl.high[point], 2)
    return f"It costs {amounts.nats(kl)} ({low} to {high})."


def sweep_csv(curve: SensitivityCurve, oracle: Oracle, bands: Bands | None = None) -> str:
    """Return CSV, one row per point of a curve: target and levels (reward units), nats, weights (1/reward), bands.

    Args:
        curve: the sweep.
        oracle: its base level and scale convert the units.
        bands: error bands; they add two columns for each number.
    """
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    swept = oracle.values[curve.value]
    head = ["kl_nats", *(f"level_{v}" for v in oracle.values), *(f"weight_{v}" for v in oracle.values)]
    ends = [f"{name}_{end}" for end in ("low", "high") for name in head] if bands else []
    writer.writerow([f"target_{swept}", *head, *ends])
    base, scale = oracle.base[curve.value], oracle.scale[curve.value]
    for i, target in enumerate(curve.targets):
        sides = [(curve.kl, curve.levels, curve.weights)]
        if bands is not None:
            sides += [(bands.kl.low, bands.levels.low, bands.weights.low)]
            sides += [(bands.kl.high, bands.levels.high, bands.weights.high)]
        row = [base + target * scale]
        for nats, level, x in sides:
            row += [nats[i], *oracle.rewards_at(level[i]), *(x[i] / oracle.scale)]
        writer.writerow([float(entry) for entry in row])
    return out.getvalue()
