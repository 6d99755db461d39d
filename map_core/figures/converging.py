"""Realised levels as prompts are answered, converging to their forecast; one figure per value.

A prompt's level is the expected reward over its candidates, which has far less noise than the reward of the picked
reply; the band is a Student interval of the mean over prompts.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from scipy.special import stdtrit

from map_core.core import amounts, safe_csv
from map_core.figures.theme import ACCENT, DEFAULT_THEME, NEUTRAL, Theme, apply_layout, translucent
from map_core.text import sentences
from map_core.text.units import Units

HEIGHT = 270
LEVEL = 0.9


@dataclass(frozen=True, eq=False)
class ConvergenceData:
    """Realised levels so far and their forecast, in reward units.

    Args:
        realised: (prompt, value) expected levels of the finished prompts, in the order of asking.
        base: (prompt, value) levels of the base model on the same candidates.
        forecast: (value,) levels forecast for the weights.
        targets: (value,) NaN for free values.
        prompts: number of prompts at the end, for a fixed axis.
    """

    realised: np.ndarray
    base: np.ndarray
    forecast: np.ndarray
    targets: np.ndarray
    prompts: int


def running_means(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the first n levels and the half-width of its interval, for every n.

    Args:
        levels: (prompt, value).

    Returns:
        Means and half-widths, (prompt, value) each; the half-width is NaN for one prompt.

    Example:
        >>> mean, half = running_means(np.array([[1.0], [3.0]]))
        >>> mean.ravel().tolist(), round(float(half[1, 0]), 2)
        ([1.0, 2.0], 6.31)
    """
    counts = np.arange(1, len(levels) + 1)[:, None]
    mean = np.cumsum(levels, axis=0) / counts
    half = np.full(levels.shape, np.nan)
    for n in range(2, len(levels) + 1):
        half[n - 1] = stdtrit(n - 1, (1 + LEVEL) / 2) * levels[:n].std(axis=0, ddof=1) / np.sqrt(n)
    return mean, half


def converging(convergence: ConvergenceData, value: int, units: Units, theme: Theme = DEFAULT_THEME) -> go.Figure:
    """Draw one value's realised level against the number of prompts, beside its forecast, target and base level.

    Args:
        convergence: at least one prompt.
        value: its position.
        units: of the level.
        theme: colours of the values.
    """
    across = np.arange(1, len(convergence.realised) + 1)
    mean, half = running_means(convergence.realised[:, [value]])
    base, _ = running_means(convergence.base[:, [value]])
    shade = theme.colour(value)
    figure = go.Figure()
    with_band = across >= 2
    low, high = (_in_units(units, value, (mean + sign * half)[with_band, 0]) for sign in (-1, 1))
    figure.add_scatter(
        x=np.concatenate([across[with_band], across[with_band][::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        mode="lines",
        line={"width": 0},
        fillcolor=translucent(shade, 0.18),
        hoverinfo="skip",
        name="90% band",
    )
    figure.add_scatter(
        x=across,
        y=_in_units(units, value, base[:, 0]),
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5},
        hovertemplate="%{y:.3g}<extra>base model</extra>",
        name="base model",
    )
    figure.add_scatter(
        x=across,
        y=_in_units(units, value, mean[:, 0]),
        mode="lines+markers",
        line={"color": shade, "width": 2.5},
        marker={"size": 5},
        hovertemplate="%{y:.3g}<extra>realised</extra>",
        name="realised",
    )
    forecast = float(_in_units(units, value, convergence.forecast[[value]])[0])
    target = float(_in_units(units, value, convergence.targets[[value]])[0])
    lines = [(forecast, shade, "dash", "forecast")]
    if np.isfinite(target):
        lines.append((target, ACCENT, "dot", "target"))
    if len(lines) == 2 and abs(target - forecast) < (1.0 if units.unit == "percentile" else 0.02 * abs(forecast)):
        lines = [(target, ACCENT, "dot", "target and forecast")]
    for level, line_shade, dash, label in lines:
        figure.add_hline(
            y=level,
            line={"color": line_shade, "width": 1.5, "dash": dash},
            annotation={"text": label, "font": {"size": 12}},
            annotation_position="top right" if label != "forecast" else "bottom right",
        )
    figure.update_xaxes(title="prompts answered", range=[0.5, max(convergence.prompts, 4) + 0.5], tickformat="d")
    figure.update_yaxes(title=units.axis(value).rsplit("(", 1)[-1].rstrip(")"))
    if units.unit == "percentile":
        figure.update_yaxes(range=[0, 102])
    figure = apply_layout(figure, HEIGHT)
    return figure.update_layout(
        title={
            "text": sentences.capitalised(units.names[value]),
            "font": {"size": 14},
            "x": 0,
            "xref": "paper",
            "y": 0.98,
            "yanchor": "top",
        },
        hovermode="x unified",
        uirevision="converging",
    )


def _in_units(units: Units, value: int, rewards: np.ndarray) -> np.ndarray:
    """Convert rewards of one value to the units of the axis."""
    return units.of(value, (rewards - units.oracle.base[value]) / units.oracle.scale[value])


def summary(convergence: ConvergenceData, values: Sequence[int], units: Units) -> list[str]:
    """Describe the figures in words: realised level, its band, forecast, and whether the band contains the forecast."""
    count = len(convergence.realised)
    mean, half = running_means(convergence.realised)
    parts = []
    for value in values:

        def level_text(reward: float, value: int = value) -> str:
            return units.level_text(value, (reward - units.oracle.base[value]) / units.oracle.scale[value])

        level, width, forecast = float(mean[-1, value]), float(half[-1, value]), float(convergence.forecast[value])
        name = sentences.capitalised(units.names[value])
        sentence = f"{name}: {level_text(level)} over {amounts.counted(count, 'prompt')}"
        if count > 1:
            inside = abs(level - forecast) <= width
            sentence += f", 90% band {level_text(level - width)} to {level_text(level + width)}"
            sentence += f"; the forecast of {level_text(forecast)} lies {'inside' if inside else 'outside'}."
        else:
            sentence += f"; the forecast is {level_text(forecast)}."
        parts.append(sentence)
    return parts


def converging_csv(convergence: ConvergenceData, values: Sequence[str]) -> str:
    """Return CSV, one row per prompt, in reward units: every value's expected and base level, running mean and band."""
    mean, half = running_means(convergence.realised)
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    kinds = ("level", "base", "running_mean", "half_band")
    writer.writerow(["prompts", *(f"{kind}_{value}" for value in values for kind in kinds)])
    for n in range(len(convergence.realised)):
        row: list[float | int | str] = [n + 1]
        for j in range(len(values)):
            band = float(half[n, j])
            row += [float(convergence.realised[n, j]), float(convergence.base[n, j]), float(mean[n, j])]
            row.append("" if np.isnan(band) else band)
        writer.writerow(row)
    return out.getvalue()
