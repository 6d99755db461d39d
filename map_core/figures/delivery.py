"""Forecast against delivery: all palettes of a study at once, and one palette value by value.

Levels are in standard deviations above the base model, so that all values share an axis; the intervals of a palette
are where realised levels are expected if its forecast is right. Constraint: nothing is measured here.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from map_core.core import amounts, safe_csv
from map_core.core.wilson import wilson_interval
from map_core.figures.theme import ACCENT, DEFAULT_THEME, NEUTRAL, Theme, apply_layout
from map_core.studies.comparisons import Comparison, preferred_share
from map_core.studies.delivery import CrossFitDelivery, DeliveryStudy, bootstrap_mean
from map_core.studies.reproduce import PAPER
from map_core.text import sentences
from map_core.text.wording import NUMBERS, Wording

SYMBOLS = ("circle", "square", "triangle-up", "diamond", "pentagon", "star", "hexagram", "triangle-down")
AXIS = "standard deviations above base"
#: Heights in pixels: of the figure of all palettes, and of a value's row in the figure of one palette.
HEIGHT, ROW = 600, 62
#: Height of the legend on the narrowest screen together with the axis above it, and of that axis alone.
LEGEND, AXIS_TITLE = 180, 58
#: Shares of the way to the targets for the answers "yes" and "mostly"; and how far coverage may fall short.
NEARLY_ALL, MOSTLY, HOLDS_WITHIN = 0.9, 0.6, 0.05
#: Everyday name of the pooled weights, which the published work solves on all prompts together.
PUBLISHED = "paper's weights"


@dataclass(frozen=True, eq=False)
class DeliveryFigureData:
    """The data of the figures and texts.

    Args:
        delivery: the palettes over many halvings.
        percentiles: of each palette's targets; None where they differ.
        names: of the values, as people read them.
        colours: position of each value in the open table, which has its colour.
        theme: colours of the values.
        wording: with numbers, or in everyday words.
    """

    delivery: CrossFitDelivery
    percentiles: Sequence[int | None]
    names: Sequence[str]
    colours: Sequence[int]
    theme: Theme = DEFAULT_THEME
    wording: Wording = NUMBERS

    @property
    def axis(self) -> str:
        """Unit of the levels, in words."""
        return self.wording.pick(AXIS, "gain over the base model")

    @property
    def pooled_name(self) -> str:
        """Name of the weights of the published work."""
        return self.wording.pick("pooled weights", PUBLISHED)

    def above(self, levels: np.ndarray) -> np.ndarray:
        """Convert (palette, value) levels to standard deviations above the base level of the fresh candidates."""
        return np.asarray((levels - self.delivery.base) / self.delivery.scale)

    def targeted(self, palette: int) -> list[int]:
        """Return the positions of the values for which a palette has a target."""
        return [int(j) for j in np.flatnonzero(~np.isnan(self.delivery.asked[palette]))]

    def title(self, palette: int) -> str:
        """Return the title of a palette on one line: its values and their percentile."""
        targeted = self.targeted(palette)
        if len(targeted) == len(self.names) > 3:
            names = f"all {len(targeted)} values"
        else:
            names = ", ".join(self.names[j] for j in targeted)
        percentile = self.percentiles[palette]
        title = sentences.capitalised(names) + ("" if percentile is None else f" at {self.wording.mark}{percentile}")
        return title if self.delivery.mostly_reachable[palette] else f"{title} (not possible: the nearest stands in)"


def overview(data: DeliveryFigureData) -> go.Figure:
    """Draw every targeted value of every palette: forecast on the x axis, realised with its interval on the y axis.

    Returns:
        A figure; a trace is named after each value, and one "pooled weights".
    """
    graded = data.delivery
    figure = go.Figure()
    forecast, realised, pooled = (data.above(levels) for levels in (graded.forecast, graded.realised, graded.pooled))
    targeted = ~np.isnan(graded.asked)
    drawn = np.concatenate([levels[targeted & np.isfinite(levels)] for levels in (forecast, realised, pooled)])
    low, high = (float(drawn.min()), float(drawn.max())) if len(drawn) else (0.0, 1.0)
    padding = 0.06 * max(high - low, 0.1)
    line = [low - padding, high + padding]
    figure.add_scatter(
        x=line,
        y=line,
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
        name="as forecast",
    )
    figure.add_scatter(
        x=forecast[targeted],
        y=pooled[targeted],
        mode="markers",
        marker={"symbol": "x-thin", "size": 8, "line": {"width": 1.5, "color": NEUTRAL}},
        hovertemplate=f"{data.pooled_name}: %{{y:.2f}}, forecast of ours %{{x:.2f}}<extra></extra>",
        name=data.pooled_name,
    )
    for j, name in enumerate(data.names):
        rows = np.flatnonzero(targeted[:, j])
        if not len(rows):
            continue
        shade = data.theme.colour(data.colours[j])
        target = data.above(graded.targets)[rows, j]
        figure.add_scatter(
            x=forecast[rows, j],
            y=realised[rows, j],
            error_y={"array": (graded.error / graded.scale)[rows, j], "thickness": 1.2, "width": 3, "color": shade},
            mode="markers",
            marker={"symbol": SYMBOLS[j % len(SYMBOLS)], "size": 9, "color": shade, "line": {"width": 0.5}},
            customdata=[[data.title(int(row)), float(aim)] for row, aim in zip(rows, target, strict=True)],
            hovertemplate="%{customdata[0]}<br>target %{customdata[1]:.2f}, forecast %{x:.2f}, realised %{y:.2f}"
            f"<extra>{name}</extra>",
            name=name,
        )
    figure = apply_layout(figure, HEIGHT)
    figure.update_xaxes(title=f"Forecast, {data.axis}", range=line)
    figure.update_yaxes(title="Realised", range=line)
    # The legend is placed at the bottom of the container: below the plot it would cover the axis on a narrow screen.
    foot = {"xref": "container", "yref": "container", "x": 0, "y": (LEGEND - AXIS_TITLE) / HEIGHT, "yanchor": "top"}
    legend = {"orientation": "h", **foot, "font": {"size": 12}, "entrywidth": 88, "entrywidthmode": "pixels"}
    figure.update_layout(margin={"b": LEGEND})
    return figure.update_layout(showlegend=True, legend=legend, hovermode="closest")


def palette(data: DeliveryFigureData, index: int) -> go.Figure:
    """Draw one palette, one row per targeted value: base, target, forecast with its interval, realised, pooled weights.

    Returns:
        A figure; its traces are named "forecast", "pooled weights", "target" and "realised".
    """
    graded, rows = data.delivery, data.targeted(index)
    figure = go.Figure()
    levels = {
        name: data.above(getattr(graded, name))[index][rows] for name in ("forecast", "pooled", "targets", "realised")
    }
    half = (graded.error / graded.scale)[index][rows]
    heights = list(range(len(rows)))
    shades = [data.theme.colour(data.colours[j]) for j in rows]
    figure.add_vline(x=0.0, line={"color": NEUTRAL, "width": 1.5})
    figure.add_scatter(
        x=levels["forecast"],
        y=heights,
        error_x={"array": half, "thickness": 5, "width": 0, "color": "rgba(128,138,148,0.55)"},
        mode="markers",
        marker={"symbol": "line-ns", "size": 14, "line": {"width": 2, "color": NEUTRAL}},
        customdata=np.column_stack([levels["forecast"] - half, levels["forecast"] + half]),
        hovertemplate="forecast %{x:.2f}, realised in 90% of cases %{customdata[0]:.2f} to %{customdata[1]:.2f}"
        "<extra></extra>",
        name="forecast",
    )
    for name, key, marker in (
        (data.pooled_name, "pooled", {"symbol": "x-thin", "size": 10, "line": {"width": 2, "color": NEUTRAL}}),
        ("target", "targets", {"symbol": "diamond-open", "size": 16, "color": ACCENT, "line": {"width": 2}}),
        ("realised", "realised", {"size": 10, "color": shades, "line": {"width": 1, "color": "white"}}),
    ):
        figure.add_scatter(
            x=levels[key],
            y=heights,
            mode="markers",
            marker=marker,
            hovertemplate=f"{name} %{{x:.2f}}<extra></extra>",
            name=name,
        )
    figure = apply_layout(figure, 150 + ROW * len(rows))
    labels = [sentences.capitalised(data.names[j]) for j in rows]
    figure.update_yaxes(tickvals=heights, ticktext=labels, range=[len(rows) - 0.4, -0.6])
    figure.update_xaxes(title=sentences.capitalised(data.axis))
    legend = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "font": {"size": 12}}
    return figure.update_layout(showlegend=True, legend=legend, hovermode="closest", margin={"t": 44})


def answer_sentence(study: DeliveryStudy, comparisons: Sequence[Comparison] = ()) -> str:
    """Answer whether replies reach the levels set with the faders, in a sentence or two; "" where none was possible.

    "Yes" where the whole interval of the share of the way to the targets is above :data:`NEARLY_ALL` and the coverage
    of the forecast intervals is at most :data:`HOLDS_WITHIN` below their level.
    """
    graded = study.graded
    way, error = graded.way(graded.realised), graded.way_error
    if not math.isfinite(way):
        return ""
    share = bootstrap_mean(graded.inside, graded.level)[0]
    holds = way - error >= NEARLY_ALL and share >= graded.level - HOLDS_WITHIN
    answer = "Yes" if holds else "For the most part" if way >= MOSTLY else "Only in part"
    way_text, covered = amounts.percent(min(way, 1.0)), amounts.percent(share, sign=False)
    held_out = [comparison for comparison in comparisons if comparison.held_out]
    readers = ""
    if held_out:
        preferred = amounts.percent(preferred_share(held_out)[0], sign=False)
        readers = f" Readers who did not know which was which preferred the aligned reply in {preferred} of 100 cases."
    return (
        f"{answer}: new replies to other prompts came {way_text} of the way to the targets, and in {covered} of 100 "
        f"cases the level was within the range that was forecast.{readers}"
    )


def method_sentence(study: DeliveryStudy) -> str:
    """Describe the method of the study in a sentence or two."""
    graded, settings = study.graded, study.made
    model = (settings.get("model") or {}).get("name") or "the base model"
    when = f" on {settings['date']}" if settings.get("date") else ""
    return (
        f"{len(graded.asked)} graded and {len(study.random.asked)} random palettes were solved on one half of "
        f"{graded.prompts} prompts and compared with replies to the other half, in both directions, for "
        f"{graded.halvings} ways to divide the prompts. These replies were generated for the comparison: "
        f"{graded.candidates} to each prompt, by {model}{when}."
    )


def comparisons_sentence(comparisons: Sequence[Comparison]) -> str:
    """Word what readers preferred in blind comparisons, on held-out prompts alone; "" where there are none."""
    held_out = [comparison for comparison in comparisons if comparison.held_out]
    if not held_out:
        return ""
    share, low, high = preferred_share(held_out)
    interval = f"{amounts.percent(low, sign=False)} to {amounts.percent(high, sign=False)}"
    return (
        f"Read blind by {len(held_out[0].votes)} readers, the aligned reply was preferred to the base reply, for what "
        f"its palette asks, in {amounts.percent(share, sign=False)} of 100 cases ({interval}; ties count half): "
        f"{len(held_out)} pairs from all presets, replies to prompts that nothing was solved on."
    )


def facts(study: DeliveryStudy, wording: Wording = NUMBERS) -> list[tuple[str, str, str]]:
    """Return the results of the study as (label, figure, explanation)."""
    graded, random = study.graded, study.random
    share, low, high = bootstrap_mean(graded.inside, graded.level)
    asking = random.mostly_reachable & random.rising.any(axis=1)
    improved, total = int(random.improved[asking].sum()), int(asking.sum())
    interval = wilson_interval(improved, total, random.level)
    by_chance = bootstrap_mean(random.random_improves[asking], random.level)[0]
    half, wins = (bootstrap_mean(shares[asking], random.level)[0] for shares in (random.improves, random.wins_all))
    within = f"within {amounts.percent(graded.level)} intervals"
    return [
        (
            "Of the way to the targets",
            amounts.percent(graded.way(graded.realised)),
            f"± {amounts.percent(graded.way_error)}, over {int(graded.mostly_reachable.sum())} palettes "
            "that are possible; "
            f"{amounts.percent(graded.way(graded.realised, capped=True))} if nothing beyond a target counts; "
            f"{amounts.percent(graded.way(graded.pooled))} with the "
            + wording.pick("published pooled weights", PUBLISHED),
        ),
        (
            "Forecasts that held",
            amounts.percent(share),
            f"of the levels of one half lie {within} ({amounts.percent(low)} to {amounts.percent(high)})",
        ),
        (
            "All that was asked improved",
            f"{improved} of {total}",
            f"random palettes over all prompts ({amounts.percent(interval[0])} to {amounts.percent(interval[1])}); on "
            f"one half of them {amounts.percent(half)} by reward, {amounts.percent(wins)} by win rate",
        ),
        (
            "The same by random weights",
            amounts.percent(by_chance),
            f"on one half, at the same cost; the paper reports {amounts.percent(PAPER.map_improves)} by reward, "
            f"{amounts.percent(PAPER.map_wins)} by win rate and {amounts.percent(PAPER.random_improves)} for random "
            "weights",
        ),
    ]


def not_improved_sentence(study: DeliveryStudy, wording: Wording = NUMBERS) -> str:
    """Word how high the targets of the values were that did not improve; empty where all improved."""
    random = study.random
    asking = random.mostly_reachable & random.rising.any(axis=1)
    below = random.rising & asking[:, None] & (random.realised <= random.base)
    if not below.any():
        return ""
    most = float(((random.asked - random.start) / random.scale)[below].max())
    whole = bootstrap_mean(random.improves_whole[asking], random.level)[0]
    return (
        "Values that were asked to rise and did not were asked for "
        + wording.pick(f"{amounts.fixed(most, 2)} standard deviations at the most", "very little")
        + ". On one half, counting also targets that the half solved on meets without being asked, everything "
        f"improves on {amounts.percent(whole)} of the random palettes."
    )


def by_value(data: DeliveryFigureData) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return each value's share of the way to its targets: the header, and one row of (position, cells) per value."""
    graded, rows = data.delivery, []
    for j, name in enumerate(data.names):
        shares = [graded.way(levels, value=j) for levels in (graded.realised, graded.picked, graded.pooled)]
        cells = [amounts.percent(way) for way in shares]
        rows.append((data.colours[j], [sentences.capitalised(name), *cells]))
    return ["Of the way to the targets", "Expected", "Picked", data.wording.pick("Pooled", "Published")], rows


def paper_sentence() -> str:
    """Word the paper's own figures, in a sentence."""
    shares = "; ".join(
        f"{', '.join(amounts.percent(way) for way in ways[:-1])} and {amounts.percent(ways[-1])} ({name})"
        for name, ways in PAPER.ways
    )
    return f"The paper's replies came, for humor, helpful and harmless, {shares} of the way: other models and values."


def summary(data: DeliveryFigureData, index: int) -> list[str]:
    """Describe one palette in words, one sentence per targeted value."""
    graded, parts = data.delivery, []
    targets, forecast, realised, pooled = (
        data.above(levels)[index] for levels in (graded.targets, graded.forecast, graded.realised, graded.pooled)
    )
    half = (graded.error / graded.scale)[index]
    for j in data.targeted(index):
        inside = abs(realised[j] - forecast[j]) <= half[j]
        sentence = (
            f"{sentences.capitalised(data.names[j])}: target {amounts.fixed(targets[j], 2, signed=True)}, forecast "
            f"{amounts.fixed(forecast[j], 2, signed=True)} ± {amounts.fixed(half[j], 2)}, realised "
            f"{amounts.fixed(realised[j], 2, signed=True)}, {'inside' if inside else 'outside'} its interval"
        )
        if not math.isnan(pooled[j]):
            sentence += f"; with {data.pooled_name} {amounts.fixed(pooled[j], 2, signed=True)}"
        parts.append(f"{sentence}.")
    return parts


def delivery_csv(data: DeliveryFigureData) -> str:
    """Return CSV, one row per targeted value of a palette, in reward units."""
    graded, out = data.delivery, io.StringIO()
    writer = safe_csv.Writer(out)
    fields = ("asked", "targets", "forecast", "error", "realised", "picked", "pooled", "wins")
    writer.writerow(["palette", "title", "can_be_had", "value", "base", "standard_deviation", *fields])
    for index in range(len(graded.asked)):
        for j in data.targeted(index):
            levels = [float(getattr(graded, name)[index, j]) for name in fields]
            writer.writerow(
                [
                    index + 1,
                    data.title(index),
                    float(graded.reachable[index]),
                    graded.values[j],
                    float(graded.base[j]),
                    float(graded.scale[j]),
                    *("" if math.isnan(level) else level for level in levels),
                ]
            )
    return out.getvalue()
