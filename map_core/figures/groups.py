"""Several groups' palettes in one figure: each group's targets, the common level by each rule, and each group's share.

A group is drawn as a letter in a circle, so that groups are distinct without a colour; colours are those of the values.
Constraint: names of groups are user text and Plotly reads labels as markup, so names are escaped and shortened.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go

from map_core.figures.theme import ACCENT, DEFAULT_THEME, NEUTRAL, Theme, apply_layout
from map_core.groups import GroupAgreement, Rule
from map_core.text.groups import RULES, share_of_way
from map_core.text.sentences import capitalised
from map_core.text.units import Units

#: Readable on white and on black.
SLATE = "#6A7F9C"
#: By rule: the colour, the symbol of its levels, and the pattern of its bars.
MARKS = {Rule.WORST_OFF: (ACCENT, "diamond", ""), Rule.BARGAIN: (SLATE, "diamond-open", "/")}
#: Largest number of groups that are drawn with a letter each; more are drawn as dots.
MAX_LETTERS = 12
#: Names longer than this are cut in a figure.
MAX_NAME_LENGTH = 22


@dataclass(frozen=True, eq=False)
class GroupFigureData:
    """The data of the figures and texts.

    Args:
        agreement: the groups and the common palettes computed so far.
        units: of the axis.
        large: use larger type and marks, for a projector.
        height: of the figure of levels in pixels; by the number of rows when None.
        theme: colours of the values.
    """

    agreement: GroupAgreement
    units: Units
    large: bool = False
    height: int | None = None
    theme: Theme = DEFAULT_THEME

    @property
    def lettered(self) -> bool:
        """Each group has a letter of its own in the figures."""
        return len(self.agreement.groups) <= MAX_LETTERS

    @property
    def targeted(self) -> list[int]:
        """Positions of the values for which some group has a target."""
        targets = np.array([group.targets for group in self.agreement.groups])
        return [int(j) for j in np.flatnonzero(~np.isnan(targets).all(axis=0))]

    @property
    def type_size(self) -> int:
        """Font size of the labels, in pixels."""
        return 17 if self.large else 13

    def percentiles(self, value: int) -> np.ndarray:
        """Return each group's target of one value on the axis, (group,), NaN where it is free."""
        return np.asarray(self.units.of(value, np.array([group.targets[value] for group in self.agreement.groups])))


def group_letter(position: int) -> str:
    """Return the letters of the group at this position: A to Z, then AA, AB ...

    Example:
        >>> group_letter(0), group_letter(27)
        ('A', 'AB')
    """
    first, last = divmod(position, 26)
    return (string.ascii_uppercase[first - 1] if first else "") + string.ascii_uppercase[last]


def group_label(name: str) -> str:
    """Return a name for a figure: on one line, at most :data:`MAX_NAME_LENGTH` characters, and with markup escaped."""
    text = " ".join(name.split())
    return escape(text if len(text) <= MAX_NAME_LENGTH else text[: MAX_NAME_LENGTH - 1] + "…")


def stack_layers(x: Sequence[float], distance: float) -> list[int]:
    """Return the layer of each mark, so that no two marks in one layer are closer than ``distance``.

    Example:
        >>> stack_layers([50.0, 51.0, 60.0], 4.0)
        [0, 1, 0]
    """
    last_x: list[float] = []  # by layer
    layers = [0] * len(x)
    for mark in sorted(range(len(x)), key=lambda mark: x[mark]):
        free = next((layer for layer, last in enumerate(last_x) if x[mark] - last >= distance), None)
        if free is None:
            free = len(last_x)
            last_x.append(x[mark])
        last_x[free] = x[mark]
        layers[mark] = free
    return layers


def levels(data: GroupFigureData) -> go.Figure:
    """Draw one row per value: the base level, each group's target, and below them the common level of each rule.

    Returns:
        A figure; its traces are named "base model", the values, and the rules.
    """
    figure, rows, mark = go.Figure(), data.targeted, data.units.wording.mark
    groups, size = data.agreement.groups, 26 if data.large else 21
    base = [float(data.units.of(j, np.array(0.0))) for j in rows]
    targets = {j: data.percentiles(j) for j in rows}
    common = {
        rule: [float(data.units.of(j, common_palette.solution.levels[j])) for j in rows]
        for rule, common_palette in data.agreement.common.items()
    }
    drawn = np.concatenate(
        [np.array(base), *targets.values(), *(np.array(common_levels) for common_levels in common.values())]
    )
    low, high = (float(np.nanmin(drawn)), float(np.nanmax(drawn))) if len(drawn) else (0.0, 100.0)
    low, high = max(0.0, math.floor(low / 5 - 0.6) * 5), min(100.0, math.ceil(high / 5 + 0.6) * 5)
    for k, j in enumerate(rows):
        figure.add_scatter(
            x=[base[k], base[k]],
            y=[k - 0.42, k + 0.42],
            mode="lines",
            line={"color": NEUTRAL, "width": 2},
            hovertemplate=f"base model {data.units.wording.level(base[k])}<extra>{escape(data.units.names[j])}</extra>",
            name="base model",
        )
        asking = np.flatnonzero(~np.isnan(targets[j]))
        x = targets[j][asking]
        figure.add_scatter(
            x=[x.min(), x.max()],
            y=[k, k],
            mode="lines",
            line={"color": data.theme.colour(j), "width": 5 if data.large else 4},
            opacity=0.35,
            hoverinfo="skip",
            name="span",
        )
        layers = stack_layers(x.tolist(), (high - low) / ((17 if data.large else 24) if data.lettered else 60))
        step = min(0.3 if data.lettered else 0.14, 0.4 / max(1, *layers))
        figure.add_scatter(
            x=x,
            y=[k - step * layer for layer in layers],
            mode="markers+text" if data.lettered else "markers",
            marker={
                "size": size if data.lettered else size // 2,
                "color": "white" if data.lettered else data.theme.colour(j),
                "line": {
                    "width": 2.5 if data.lettered else 1,
                    "color": data.theme.colour(j) if data.lettered else "white",
                },
            },
            text=[group_letter(int(g)) for g in asking] if data.lettered else None,
            textfont={"size": data.type_size - 2, "color": "#1D2530"},
            customdata=[group_label(groups[int(g)].name) for g in asking],
            hovertemplate=f"%{{customdata}} asks for {mark}%{{x:.0f}}<extra>{escape(data.units.names[j])}</extra>",
            name=data.units.names[j],
        )
    for rule, reached in common.items():
        shade, symbol, _ = MARKS[rule]
        figure.add_scatter(
            x=reached,
            y=[k + 0.3 for k in range(len(rows))],
            mode="markers",
            marker={"symbol": symbol, "size": size // 2 + 2, "color": shade, "line": {"width": 2.5, "color": shade}},
            hovertemplate=f"{RULES[rule]}: {mark}%{{x:.0f}}<extra></extra>",
            name=RULES[rule],
        )
    row_height = 66 if data.large else 58
    figure = apply_layout(figure, data.height or 70 + row_height * max(len(rows), 1))
    ticks = [capitalised(escape(data.units.names[j])) for j in rows]
    font = {"tickfont": {"size": data.type_size}}
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=ticks, range=[len(rows) - 0.45, -0.72], **font)
    figure.update_xaxes(title=data.units.wording.scale, tickprefix=mark, range=[low, high], title_standoff=6, **font)
    return figure.update_layout(hovermode="closest", margin={"t": 8})


def shares(data: GroupFigureData) -> go.Figure:
    """Draw one row per group: its share of the way to its targets alone, and with the common palette of each rule.

    Returns:
        A figure; its traces are named "alone" and the rules. With too many groups for a row each, one row per rule
        in which each group is a dot.
    """
    agreement = data.agreement
    figure = go.Figure()
    if not data.lettered:
        return _dots(data)
    rows = list(range(len(agreement.groups)))
    if agreement.alone is not None:
        figure.add_bar(
            x=100 * np.clip(agreement.alone, 0, 1),
            y=rows,
            width=0.78,
            orientation="h",
            marker={"color": "rgba(128,138,148,0.26)", "line": {"width": 0}},
            hovertemplate="alone %{x:.0f}% of the way<extra></extra>",
            name="alone",
        )
    for bar, (rule, common) in enumerate(agreement.common.items()):
        shade, _, pattern = MARKS[rule]
        bar_shares = np.clip(common.satisfaction, 0, 1)
        figure.add_bar(
            x=100 * bar_shares,
            y=[row + (bar - 0.5) * 0.36 for row in rows],
            width=0.3,
            orientation="h",
            marker={
                "color": shade,
                "line": {"width": 0},
                "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": "white", "solidity": 0.22, "size": 7},
            },
            text=[share_of_way(float(share)) for share in bar_shares],
            textposition="outside",
            textfont={"size": data.type_size - 2},
            cliponaxis=False,
            hovertemplate=f"{RULES[rule]}: %{{x:.0f}}% of the way<extra></extra>",
            name=RULES[rule],
        )
    figure = apply_layout(figure, data.height or 64 + (52 if data.large else 46) * len(rows))
    names = [f"{group_letter(g)}  {group_label(group.name)}" for g, group in enumerate(agreement.groups)]
    font = {"tickfont": {"size": data.type_size}}
    figure.update_yaxes(tickvals=rows, ticktext=names, range=[len(rows) - 0.45, -0.55], showgrid=False, **font)
    _share_axis(figure, data)
    return figure.update_layout(barmode="overlay", margin={"t": 8})


def _dots(data: GroupFigureData) -> go.Figure:
    """Draw one row per rule, in which each group is a dot at its share; the name of a group is in its hover text."""
    agreement, figure = data.agreement, go.Figure()
    for row, (rule, common) in enumerate(agreement.common.items()):
        shade, symbol, _ = MARKS[rule]
        percentages = 100 * np.clip(common.satisfaction, 0, 1)
        layers = stack_layers(percentages.tolist(), 1.6)
        step = min(0.12, 0.7 / max(1, *layers))
        figure.add_scatter(
            x=percentages,
            y=[row + 0.25 - step * layer for layer in layers],
            mode="markers",
            marker={"symbol": symbol, "size": 10, "color": shade, "line": {"width": 1.5, "color": shade}},
            customdata=[group_label(group.name) for group in agreement.groups],
            hovertemplate=f"%{{customdata}}: %{{x:.0f}}% of the way<extra>{RULES[rule]}</extra>",
            name=RULES[rule],
        )
    rows = list(range(len(agreement.common)))
    figure = apply_layout(figure, data.height or 64 + 96 * max(len(rows), 1))
    font = {"tickfont": {"size": data.type_size}}
    figure.update_yaxes(
        tickvals=rows, ticktext=[RULES[rule] for rule in agreement.common], range=[len(rows) - 0.45, -0.6], **font
    )
    _share_axis(figure, data)
    return figure.update_layout(hovermode="closest", margin={"t": 8})


def _share_axis(figure: go.Figure, data: GroupFigureData) -> None:
    figure.update_xaxes(
        title="share of the way",
        range=[0, 116],
        tickvals=[0, 25, 50, 75, 100],
        ticktext=["0%", "25%", "50%", "75%", "100%"],
        title_standoff=6,
        tickfont={"size": data.type_size},
    )
