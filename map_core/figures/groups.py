"""Several groups' palettes in one picture: what each asks for, the common level by each rule, and what each gives up.

A group is a letter in a circle, so that groups are distinct without a colour; colours stay those of the values.
Constraint: names of groups are a user's text, and a figure's labels are read as markup, so they enter escaped and
shortened.
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

#: How a rule is drawn: its colour, the sign of its level, the pattern of its bars. Reads on white and on black alike.
SLATE = "#6A7F9C"
MARKS = {Rule.WORST_OFF: (ACCENT, "diamond", ""), Rule.BARGAIN: (SLATE, "diamond-open", "/")}
#: Groups that are drawn with a letter each; more are dots.
MAX_LETTERS = 12
#: Names longer than this are cut in a figure.
MAX_NAME_LENGTH = 22


@dataclass(frozen=True, eq=False)
class GroupFigureData:
    """What is drawn.

    Args:
        agreement: what there is so far.
        units: of the axis.
        large: for a wall: larger type and marks.
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
    def asked(self) -> list[int]:
        """Positions of the values that some group asks something of."""
        wanted = np.array([group.targets for group in self.agreement.groups])
        return [int(j) for j in np.flatnonzero(~np.isnan(wanted).all(axis=0))]

    @property
    def type_size(self) -> int:
        """Of the labels, in pixels."""
        return 17 if self.large else 13

    def percentiles(self, value: int) -> np.ndarray:
        """Return each group's target of one value on the axis, (group,), NaN where it is free."""
        return np.asarray(self.units.of(value, np.array([group.targets[value] for group in self.agreement.groups])))


def group_letter(number: int) -> str:
    """Return the sign of the group at this position: A to Z, then AA, AB ...

    Example:
        >>> group_letter(0), group_letter(27)
        ('A', 'AB')
    """
    first, last = divmod(number, 26)
    return (string.ascii_uppercase[first - 1] if first else "") + string.ascii_uppercase[last]


def group_label(name: str) -> str:
    """Return a name as a figure may show it: on one line, not too long, and with its markup escaped."""
    text = " ".join(name.split())
    return escape(text if len(text) <= MAX_NAME_LENGTH else text[: MAX_NAME_LENGTH - 1] + "…")


def stack_layers(places: Sequence[float], apart: float) -> list[int]:
    """Return the layer that each mark is stacked on, so that no two of one layer are closer than this.

    Example:
        >>> stack_layers([50.0, 51.0, 60.0], 4.0)
        [0, 1, 0]
    """
    ends: list[float] = []
    layers = [0] * len(places)
    for k in sorted(range(len(places)), key=lambda k: places[k]):
        free = next((layer for layer, end in enumerate(ends) if places[k] - end >= apart), None)
        if free is None:
            free = len(ends)
            ends.append(places[k])
        ends[free] = places[k]
        layers[k] = free
    return layers


def levels(data: GroupFigureData) -> go.Figure:
    """Draw one row per value: base level, what each group asks for, and below them the common level of each rule.

    Returns:
        A figure; its traces are named "base model", the values, and the rules.
    """
    figure, rows, mark = go.Figure(), data.asked, data.units.wording.mark
    groups, size = data.agreement.groups, 26 if data.large else 21
    base = [float(data.units.of(j, np.array(0.0))) for j in rows]
    targets = {j: data.percentiles(j) for j in rows}
    common = {
        rule: [float(data.units.of(j, common_palette.solution.levels[j])) for j in rows]
        for rule, common_palette in data.agreement.common.items()
    }
    ends = np.concatenate(
        [np.array(base), *targets.values(), *(np.array(common_levels) for common_levels in common.values())]
    )
    low, high = (float(np.nanmin(ends)), float(np.nanmax(ends))) if len(ends) else (0.0, 100.0)
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
        places = targets[j][asking]
        figure.add_scatter(
            x=[places.min(), places.max()],
            y=[k, k],
            mode="lines",
            line={"color": data.theme.colour(j), "width": 5 if data.large else 4},
            opacity=0.35,
            hoverinfo="skip",
            name="span",
        )
        on = stack_layers(places.tolist(), (high - low) / ((17 if data.large else 24) if data.lettered else 60))
        step = min(0.3 if data.lettered else 0.14, 0.4 / max(1, *on))
        figure.add_scatter(
            x=places,
            y=[k - step * layer for layer in on],
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
    row = 66 if data.large else 58
    figure = apply_layout(figure, data.height or 70 + row * max(len(rows), 1))
    ticks = [capitalised(escape(data.units.names[j])) for j in rows]
    size_of = {"tickfont": {"size": data.type_size}}
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=ticks, range=[len(rows) - 0.45, -0.72], **size_of)
    figure.update_xaxes(title=data.units.wording.scale, tickprefix=mark, range=[low, high], title_standoff=6, **size_of)
    return figure.update_layout(hovermode="closest", margin={"t": 8})


def shares(data: GroupFigureData) -> go.Figure:
    """Draw one row per group: how far it would get alone, and how far the common palette of each rule brings it.

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
    for place, (rule, common) in enumerate(agreement.common.items()):
        shade, _, pattern = MARKS[rule]
        shown_shares = np.clip(common.satisfaction, 0, 1)
        figure.add_bar(
            x=100 * shown_shares,
            y=[row + (place - 0.5) * 0.36 for row in rows],
            width=0.3,
            orientation="h",
            marker={
                "color": shade,
                "line": {"width": 0},
                "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": "white", "solidity": 0.22, "size": 7},
            },
            text=[share_of_way(float(share)) for share in shown_shares],
            textposition="outside",
            textfont={"size": data.type_size - 2},
            cliponaxis=False,
            hovertemplate=f"{RULES[rule]}: %{{x:.0f}}% of the way<extra></extra>",
            name=RULES[rule],
        )
    figure = apply_layout(figure, data.height or 64 + (52 if data.large else 46) * len(rows))
    names = [f"{group_letter(g)}  {group_label(group.name)}" for g, group in enumerate(agreement.groups)]
    size_of = {"tickfont": {"size": data.type_size}}
    figure.update_yaxes(tickvals=rows, ticktext=names, range=[len(rows) - 0.45, -0.55], showgrid=False, **size_of)
    _share_axis(figure, data)
    return figure.update_layout(barmode="overlay", margin={"t": 8})


def _dots(data: GroupFigureData) -> go.Figure:
    """Draw one row per rule, each group a dot at its share; the worst-off is named."""
    agreement, figure = data.agreement, go.Figure()
    for place, (rule, common) in enumerate(agreement.common.items()):
        shade, symbol, _ = MARKS[rule]
        places = 100 * np.clip(common.satisfaction, 0, 1)
        on = stack_layers(places.tolist(), 1.6)
        step = min(0.12, 0.7 / max(1, *on))
        figure.add_scatter(
            x=places,
            y=[place + 0.25 - step * layer for layer in on],
            mode="markers",
            marker={"symbol": symbol, "size": 10, "color": shade, "line": {"width": 1.5, "color": shade}},
            customdata=[group_label(group.name) for group in agreement.groups],
            hovertemplate=f"%{{customdata}}: %{{x:.0f}}% of the way<extra>{RULES[rule]}</extra>",
            name=RULES[rule],
        )
    rows = list(range(len(agreement.common)))
    figure = apply_layout(figure, data.height or 64 + 96 * max(len(rows), 1))
    size_of = {"tickfont": {"size": data.type_size}}
    figure.update_yaxes(
        tickvals=rows, ticktext=[RULES[rule] for rule in agreement.common], range=[len(rows) - 0.45, -0.6], **size_of
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
