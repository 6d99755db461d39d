"""Parallel view: well spread palettes on the frontier of some values, as parallel coordinates over all values."""

from __future__ import annotations

from typing import Any

import streamlit as st

from map_core.analysis.frontier_spread import FrontierSpread, spread_frontier
from map_core.core.jobs import Job
from map_core.figures import parallel_coordinates, plane, theme
from map_core.text.wording import NUMBERS
from pages.view.shell import background, markup
from pages.view.shell import wording as wordings
from pages.view.shell.download import draw_download
from pages.view.shell.session_keys import Key
from pages.view.tradeoffs import what_if
from pages.view.tradeoffs.shared import (
    BUDGETS,
    CurrentPalette,
    budget_label,
    draw_others_choice,
    draw_words,
    pick_values,
    read_budgets,
)

LINES = 24
_TINTS: dict[parallel_coordinates.Tint, str] = {
    "favoured": "The value it favours",
    "cost": "Its cost",
    "verdict": "Its verdict",
}
HOW = (
    "Each line is a palette that is possible. Click a mark on one to see what it would give against yours, what it "
    "costs and what it sounds like. Nothing changes until you use it."
)


def draw_parallel(current: CurrentPalette) -> None:
    """Draw the choice of values and budgets, the lines, and the panel of the chosen line."""
    if current.plain < 2:
        st.html(markup.note("This table has one value, so there is nothing to trade."))
        return
    st.header("What you can choose with one effort")
    st.html(
        markup.note(
            f"{LINES} palettes per effort, as different as possible, each as far as the effort goes. Dotted lines rest "
            "on too few replies to be trusted. Yours is the thick line, its targets the diamonds; the dashed grey line "
            "is the base model."
        )
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="lines_controls"):
        first = current.wanted if len(current.wanted) > 1 else current.first(2)
        chosen = pick_values("Values to weigh against each other", current, first, "lines_values")
        read_budgets("lines_budgets", several=True)
        budgets = st.pills(
            wordings.current().pick("Budgets in nats", "Effort"),
            list(BUDGETS),
            selection_mode="multi",
            format_func=budget_label,
            default=[1.0],
            key="lines_budgets",
            bind="query-params",
            persist_state="session",
        )
        tint = st.segmented_control(
            "What the colour of a line shows",
            list(_TINTS),
            format_func=_TINTS.__getitem__,
            default="favoured",
            required=True,
            key="lines_tint",
            bind="query-params",
            persist_state="session",
        )
        keep_others = draw_others_choice()
    if len(chosen) < 2 or not budgets:
        st.html(markup.note("Choose two values or more, and an effort."))
        return
    floors, nats = current.floors(keep_others, chosen), tuple(sorted(float(b) for b in budgets))

    def work(job: Job) -> FrontierSpread:
        return spread_frontier(current.scene.oracle, chosen, nats, lines=max(LINES, len(chosen)), floors=floors)

    key = (current.scene.key, tuple(chosen), nats, floors.tobytes())
    background.poll(background.job("fan", key, work), lambda job: _draw(job, current, tint))


def _draw(job: Job, current: CurrentPalette, tint: parallel_coordinates.Tint) -> None:
    spread: FrontierSpread | None = background.draw_state(
        job, "The palettes could not be computed", "Computing the palettes."
    )
    if spread is None:
        return
    scene = current.scene
    units = scene.units()
    if not len(spread.kl):
        st.html(markup.note("The targets of the other values alone take more than this, or cannot be met."))
        return
    axes = range(current.plain)
    left, right = st.columns([1.7, 1], gap="medium")
    with left:
        now = current.assessment.solution
        numbers = list(range(len(spread.kl)))
        if now is not None:
            must = st.pills(
                "Only those that are no worse than yours in",
                list(axes),
                selection_mode="multi",
                format_func=lambda j: markup.plain(current.titles[j]),
                key="lines_no_worse",
                bind="query-params",
                persist_state="session",
                wrap=True,
            )
            numbers = parallel_coordinates.no_worse(spread, units, now.levels, [int(j) for j in must])
            st.html(markup.note(f"{len(numbers)} of {len(spread.kl)} palettes are shown."))
        key = f"lines_{what_if.selection_round('lines')}"
        # Read before the figure is drawn, because the figure highlights the chosen line.
        clicked = what_if.clicked_point("lines", Key[Any](key, None).get(), job.key)
        chosen = clicked[0] if clicked is not None and clicked[0] in numbers else None
        st.plotly_chart(
            parallel_coordinates.lines(spread, numbers, units, axes, current.position, tint, chosen, scene.theme),
            key=key,
            on_select="rerun",
            selection_mode="points",
            config=theme.CONFIG | {"displayModeBar": False},
            alt="Possible palettes, each a line over the levels of all values, with yours on top. "
            "The same in words below.",
        )
    with right:
        point = None
        if chosen is not None:
            levels = spread.levels[chosen]
            caption = f"One of the palettes {NUMBERS.at_budget(float(spread.budget[chosen]), start=False)}."
            new = plane.targets_at_point(current.targets, levels, spread.values)
            point = what_if.WhatIfPoint(caption, levels, spread.weights[chosen], float(spread.kl[chosen]), new)
        what_if.draw_panel(current, "lines", point, HOW)
    what_if.draw_replies(current, "lines", point)
    draw_words(parallel_coordinates.summary(spread, numbers, units))
    draw_download(parallel_coordinates.spread_csv(spread, scene.oracle), "palettes-at-budgets", "lines_csv")
