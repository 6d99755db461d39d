"""Realised levels as prompts are answered: they converge, within a band, on what was forecast.

A prompt's level is the expected reward over its candidates, which has far less noise than the one reply that is
picked; the band is that of the mean over prompts, by Student's distribution. One figure per value.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from scipy.special import stdtrit

from map_core.core import amounts, safe_csv
from map_core.figures.theme import ACCENT, DEFAULT_THEME, NEUTRAL, Theme, apply_layout
from map_core.text.units import Units

HEIGHT = 270
LEVEL = 0.9


@dataclass(frozen=True, eq=False)
class ConvergenceData:
    """What was realised so far, and what was promised; all in reward units.

    Args:
        realised: (prompt, value) expected levels of the prompts that are done, in the order in which they were asked.
        base: (prompt, value) levels of the base model on the same candidates.
        forecast: (value,) levels that the weights were forecast to give.
        targets: (value,) NaN for free values.
        prompts: how many there will be, for a fixed axis.
    """

    realised: np.ndarray
    base: np.ndarray
    forecast: np.ndarray
    targets: np.ndarray
    prompts: int


def running_means(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the first n levels and half the width of its interval, for n from 1 on.

    Args:
        levels: (prompt, value).

    Returns:
        (prompt, value) each; the half width is NaN for one prompt.

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
    wide = across >= 2
    low, high = (_in(units, value, (mean + sign * half)[wide, 0]) for sign in (-1, 1))
    figure.add_scatter(
        x=np.concatenate([across[wide], across[wide][::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        mode="lines",
        line={"width": 0},
        fillcolor=_faint(shade),
        hoverinfo="skip",
        name="90% band",
    )
    figure.add_scatter(
        x=across,
        y=_in(units, value, base[:, 0]),
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5},
        hovertemplate="%{y:.3g}<extra>base model</extra>",
        name="base model",
    )
    figure.add_scatter(
        x=across,
        y=_in(units, value, mean[:, 0]),
        mode="lines+markers",
        line={"color": shade, "width": 2.5},
        marker={"size": 5},
        hovertemplate="%{y:.3g}<extra>realised</extra>",
        name="realised",
    )
    promised = float(_in(units, value, convergence.forecast[[value]])[0])
    target = float(_in(units, value, convergence.targets[[value]])[0])
    lines = [(promised, shade, "dash", "forecast")]
    if np.isfinite(target):
        lines.append((target, ACCENT, "dot", "target"))
    if len(lines) == 2 and abs(target - promised) < (1.0 if units.unit == "percentile" else 0.02 * abs(promised)):
        lines = [(target, ACCENT, "dot", "target and forecast")]
    for level, shade_of, dash, label in lines:
        figure.add_hline(
            y=level,
            line={"color": shade_of, "width": 1.5, "dash": dash},
            annotation={"text": label, "font": {"size": 12}},
            annotation_position="top right" if label != "forecast" else "bottom right",
        )
    figure.update_xaxes(title="prompts answered", range=[0.5, max(convergence.prompts, 4) + 0.5], tickformat="d")
    figure.update_yaxes(title=units.axis(value).rsplit("(", 1)[-1].rstrip(")"))
    if units.unit == "percentile":
        figure.update_yaxes(range=[0, 102])
    figure = apply_layout(figure, HEIGHT)
    name = units.names[value]
    return figure.update_layout(
        title={
            "text": name[:1].upper() + name[1:],
            "font": {"size": 14},
            "x": 0,
            "xref": "paper",
            "y": 0.98,
            "yanchor": "top",
        },
        hovermode="x unified",
        uirevision="converging",
    )


def _in(units: Units, value: int, rewards: np.ndarray) -> np.ndarray:
    """Return the rewards of one value in the units that people read."""
    return units.of(value, (rewards - units.oracle.base[value]) / units.oracle.scale[value])


def _faint(shade: str) -> str:
    red, green, blue = (int(shade[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"


def summary(convergence: ConvergenceData, values: Sequence[int], units: Units) -> list[str]:
    """Describe the figures in words: realised level, its band, forecast, and whether they agree."""
    count = len(convergence.realised)
    mean, half = running_means(convergence.realised)
    parts = []
    for value in values:

        def shown(reward: float, value: int = value) -> str:
            return units.level_text(value, (reward - units.oracle.base[value]) / units.oracle.scale[value])

        now, width, promised = float(mean[-1, value]), float(half[-1, value]), float(convergence.forecast[value])
        name = units.names[value][:1].upper() + units.names[value][1:]
        sentence = f"{name}: {shown(now)} over {amounts.counted(count, 'prompt')}"
        if count > 1:
            inside = abs(now - promised) <= width
            sentence += f", 90% band {shown(now - width)} to {shown(now + width)}"
            sentence += f"; the forecast of {shown(promised)} lies {'inside' if inside else 'outside'}."
        else:
            sentence += f"; the forecast is {shown(promised)}."
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
