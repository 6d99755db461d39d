"""Two values: what is possible of both together at each budget."""

from __future__ import annotations

import math

import streamlit as st

from map_core.analysis.frontier import Frontier, frontier
from map_core.core.jobs import Job
from map_core.figures import plane, theme
from map_core.text.units import Unit
from map_core.text.wording import NUMBERS
from pages.view.shell import background, glossary, markup, page_words
from pages.view.shell import wording as wordings
from pages.view.shell.download import draw_download
from pages.view.tradeoffs import what_if
from pages.view.tradeoffs.shared import (
    ACROSS,
    BUDGETS,
    UPWARDS,
    CurrentPalette,
    draw_others_choice,
    draw_words,
    pick_axis,
)

HOW = (
    "Click a point on a line to see what it would give against your palette, what it costs and what it sounds like. "
    "Nothing changes until you use it."
)


def draw_two_values(current: CurrentPalette) -> None:
    """Draw the controls, the plane, and the panel beside it."""
    if current.plain < 2:
        st.html(markup.note("This table has one value, so there is nothing to trade."))
        return
    st.header("What is possible together", help=glossary.help_text("frontier", "budget"))
    st.html(
        markup.note(
            wordings.current().pick(
                "Grey dots are the model's own replies. Each line is as far as a budget goes, in nats from the base "
                "model.",
                "Grey dots are the model's own replies. Each line is as far as one effort goes. Both axes count out of "
                "100: 60 is better than 60 of 100 of the model's own replies.",
            )
        )
    )
    first, second = current.first(2)
    with st.container(horizontal=True, vertical_alignment="bottom", key="frontier_controls"):
        across = pick_axis("Horizontal axis", current, first, ACROSS)
        upwards = pick_axis("Vertical axis", current, second, UPWARDS)
        unit: Unit = st.segmented_control(
            "Units",
            ["percentile", "reward"],
            format_func={
                "percentile": wordings.current().pick("Percentiles", "Out of 100"),
                "reward": wordings.current().pick("Rewards", "Scores"),
            }.__getitem__,
            default="percentile",
            required=True,
            key="frontier_unit",
            persist_state="session",
        )
        keep_others = draw_others_choice()
    if across == upwards:
        st.html(markup.note("Choose two different values."))
        return
    pair = (across, upwards)
    floors = current.floors(keep_others, list(pair))

    def work(job: Job) -> Frontier:
        return frontier(current.scene.oracle, pair, BUDGETS, floors=floors)

    def draw(job: Job) -> None:
        _draw(job, current, pair, unit, keep_others)

    background.poll(background.job("frontier", (current.scene.key, pair, floors.tobytes()), work), draw)


def _draw(job: Job, current: CurrentPalette, pair: tuple[int, int], unit: Unit, keep_others: bool) -> None:
    scene, names = current.scene, current.names
    units = scene.units(unit)
    frontier: Frontier | None = job.result
    left, right = st.columns([1.7, 1], gap="medium")
    with left:
        event = st.plotly_chart(
            plane.plane(scene.table, units, pair, frontier, current.position),
            key=f"plane_{pair}_{unit}_{keep_others}_{what_if.selection_round('two')}",
            on_select="rerun",
            selection_mode="points",
            config=theme.CONFIG,
            alt=f"What is possible of {names[pair[0]]} and {names[pair[1]]} together at each budget, with the base "
            "model, your target and what your palette gives. The same in words below.",
        )
        if job.error:
            st.html(markup.note(f"The frontier could not be computed: {page_words.of(job.error)}"))
        if frontier is None and not job.ended:
            st.html(markup.note("Computing the frontier."))
    with right:
        clicked = what_if.clicked_point("two", event, job.key) if frontier else None
        point = None
        if frontier is not None and clicked is not None and len(clicked) == 2:
            contour, direction = plane.clicked_point(frontier, clicked)
            pair_name = f"{names[pair[0]]} and {names[pair[1]]}"
            budget = "at the limit" if math.isinf(contour.budget) else NUMBERS.at_budget(contour.budget, start=False)
            caption = f"A point of the frontier of {pair_name} {budget}."
            point = what_if.contour_point(current, caption, pair, contour, direction)
        what_if.draw_panel(current, "two", point, HOW)
    what_if.draw_replies(current, "two", point)
    if frontier is None:
        return
    if not any(len(contour.levels) for contour in frontier.contours if math.isfinite(contour.budget)):
        most = units.wording.budget(BUDGETS[-1])
        message = f"The targets of the other values alone take more than {most}, or cannot be met."
        st.html(markup.note(message))
    draw_words(plane.summary(frontier, units))
    values = scene.table.values
    draw_download(
        plane.plane_csv(frontier, scene.oracle), f"frontier-{values[pair[0]]}-{values[pair[1]]}", "frontier_csv"
    )
