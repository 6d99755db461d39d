"""Several palettes side by side: one row per value, with a mark per palette at its level.

The colour is that of the value, as in every figure; a palette is identified by the shape of its mark.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from map_core.core import safe_csv
from map_core.core.types import Verdict
from map_core.figures.theme import DEFAULT_THEME, NEUTRAL, Theme, apply_layout, escape_label
from map_core.text import sentences
from map_core.text.units import Units

#: Plotly's names of the marks, and the same as letters for text.
SHAPES = ("circle", "diamond", "square", "triangle-up")
LETTERS = ("●", "◆", "■", "▲")
ROW, AROUND = 54, 90


@dataclass(frozen=True, eq=False)
class PaletteSnapshot:
    """The data of one palette.

    Args:
        name: chosen by its owner.
        verdict: on its targets.
        targets: (value,) percentiles, NaN for free values.
        levels: (value,) realised percentiles, NaN when it is out of reach.
        weights: (value,) lambda, 1/reward, NaN when it is out of reach.
        kl: nats, NaN when it is out of reach.
    """

    name: str
    verdict: Verdict
    targets: np.ndarray
    levels: np.ndarray
    weights: np.ndarray
    kl: float


def snapshots(
    palettes: Sequence[PaletteSnapshot], units: Units, base: np.ndarray, theme: Theme = DEFAULT_THEME
) -> go.Figure:
    """Draw the palettes side by side.

    Args:
        palettes: up to four palettes.
        units: of the values' names.
        base: (value,) percentiles of the base model's levels.
        theme: colours of the values.
    """
    values = len(units.names)
    figure = go.Figure()
    # Palettes are spread over the height of a row, so that equal levels do not cover each other.
    shift = np.linspace(-0.2, 0.2, len(palettes)) if len(palettes) > 1 else np.zeros(1)
    for j in range(values):
        figure.add_shape(
            type="line", x0=base[j], x1=base[j], y0=j - 0.36, y1=j + 0.36, line={"color": NEUTRAL, "width": 2}
        )
        for n, snapshot in enumerate(palettes):
            if not np.isnan(snapshot.targets[j]) and not np.isnan(snapshot.levels[j]):
                ends = {"x0": base[j], "x1": snapshot.levels[j]}
                line = {"color": theme.colour(j), "width": 2, "dash": "solid"}
                figure.add_shape(type="line", **ends, y0=j + shift[n], y1=j + shift[n], line=line, opacity=0.4)
    for n, snapshot in enumerate(palettes):
        has_target = ~np.isnan(snapshot.targets)
        hover_texts = [
            f"<b>{escape_label(snapshot.name)}</b><br>{escape_label(sentences.capitalised(units.names[j]))}: "
            + ("not possible" if np.isnan(snapshot.levels[j]) else f"gives {units.wording.level(snapshot.levels[j])}")
            + (f", asked for {units.wording.level(snapshot.targets[j])}" if has_target[j] else ", no target")
            for j in range(values)
        ]
        # A palette out of reach has no levels; its targets are drawn instead, as open marks.
        missing = np.isnan(snapshot.levels)
        figure.add_scatter(
            x=np.where(missing, snapshot.targets, snapshot.levels),
            y=np.arange(values) + shift[n],
            mode="markers",
            marker={
                "symbol": [
                    f"{SHAPES[n]}-open" if missing[j] or not has_target[j] else SHAPES[n] for j in range(values)
                ],
                "size": 13,
                "color": [theme.colour(j) for j in range(values)],
                "line": {"width": 2, "color": [theme.colour(j) for j in range(values)]},
            },
            hovertemplate="%{text}<extra></extra>",
            text=hover_texts,
            name=snapshot.name,
        )
    figure = apply_layout(figure, AROUND + ROW * values)
    figure.update_xaxes(range=[-2, 102], title=sentences.capitalised(units.wording.scale), fixedrange=True)
    figure.update_yaxes(
        tickvals=list(range(values)),
        ticktext=[escape_label(sentences.capitalised(name)) for name in units.names],
        range=[values - 0.5, -0.5],
        fixedrange=True,
    )
    return figure.update_layout(hovermode="closest")


def summary(palettes: Sequence[PaletteSnapshot], units: Units) -> list[str]:
    """Describe the figure in words: each palette's verdict, cost and levels, and which gives the most of each value."""
    parts = []
    for snapshot in palettes:
        levels = sentences.listed(
            [f"{name} {units.wording.level(level)}" for name, level in zip(units.names, snapshot.levels, strict=True)]
        )
        verdict = sentences.HEADLINES[snapshot.verdict].lower()
        parts.append(
            f"{snapshot.name}: {verdict}."
            if np.isnan(snapshot.kl)
            else f"{snapshot.name}: {verdict}, {units.wording.distance(snapshot.kl)}, and gives {levels}."
        )
    solved = [snapshot for snapshot in palettes if not np.isnan(snapshot.kl)]
    if len(solved) > 1:
        for j, name in enumerate(units.names):
            highest, lowest = (pick(solved, key=lambda snapshot: snapshot.levels[j]) for pick in (max, min))
            if highest.levels[j] - lowest.levels[j] >= 1:
                parts.append(
                    f"{sentences.capitalised(name)} is highest with {highest.name} "
                    f"({units.wording.level(highest.levels[j])}) and lowest with {lowest.name} "
                    f"({units.wording.level(lowest.levels[j])})."
                )
    return parts


def snapshots_csv(palettes: Sequence[PaletteSnapshot], values: Sequence[str]) -> str:
    """Return CSV, one row per palette and value: target and realised percentiles and the weight; empty where none."""
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    writer.writerow(
        ["palette", "verdict", "kl_nats", "value", "target_percentile", "level_percentile", "weight_per_reward"]
    )
    for snapshot in palettes:
        for j, value in enumerate(values):
            numbers = [snapshot.kl, snapshot.targets[j], snapshot.levels[j], snapshot.weights[j]]
            kl, *rest = ("" if np.isnan(number) else float(number) for number in numbers)
            writer.writerow([snapshot.name, snapshot.verdict.value, kl, value, *rest])
    return out.getvalue()
