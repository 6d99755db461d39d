"""Three values: the surface of levels at one budget, and a triangle of the same palettes to choose from."""

from __future__ import annotations

import streamlit as st

from map_core.analysis.frontier import Surface, surface
from map_core.core.jobs import Job
from map_core.figures import plane, theme, triangle
from map_core.figures import surface as space
from map_core.text.wording import NUMBERS
from pages.view.shell import background, markup
from pages.view.shell import wording as wordings
from pages.view.shell.download import draw_download
from pages.view.tradeoffs import what_if
from pages.view.tradeoffs.shared import (
    BUDGETS,
    CurrentPalette,
    budget_label,
    draw_others_choice,
    draw_words,
    pick_value,
    read_budgets,
)

DIRECTIONS = 11
HOW = (
    "Click a mark of the triangle to see what it would give against your palette, what it costs and what it sounds "
    "like. Nothing changes until you use it."
)


def draw_three_values(current: CurrentPalette) -> None:
    """Draw the choice of three values and a budget, the two figures, and the panel."""
    if current.plain < 3:
        st.html(markup.note("This table has fewer than three values. The view Two values shows all there is to trade."))
        return
    st.header("Three values with the same effort")
    st.html(
        markup.note(
            "The triangle divides one effort among three values: a corner gives all of it to one, the middle shares "
            "it. The darker a mark, the more the value that gains least still gains. The surface shows the same "
            "palettes by the levels that they give."
        )
    )
    first = current.first(3)
    with st.container(horizontal=True, vertical_alignment="bottom", key="three_controls"):
        chosen = [
            pick_value(label, current, j, f"three_{n}")
            for n, (label, j) in enumerate(zip(("First value", "Second value", "Third value"), first, strict=True))
        ]
        read_budgets("three_budget")
        budget = st.segmented_control(
            wordings.current().pick("Budget in nats", "Effort"),
            list(BUDGETS),
            format_func=budget_label,
            default=1.0,
            required=True,
            key="three_budget",
            bind="query-params",
            persist_state="session",
        )
        keep_others = draw_others_choice()
    if len(set(chosen)) < 3:
        st.html(markup.note("Choose three different values."))
        return
    triple = (chosen[0], chosen[1], chosen[2])
    floors, nats = current.floors(keep_others, chosen), float(budget)

    def work(job: Job) -> Surface:
        return surface(current.scene.oracle, triple, [nats], floors=floors, directions=DIRECTIONS, limit=False)

    key = (current.scene.key, triple, nats, floors.tobytes())
    background.poll(background.job("surface", key, work), lambda job: _draw(job, current, triple, nats))


def _draw(job: Job, current: CurrentPalette, triple: tuple[int, int, int], nats: float) -> None:
    surface: Surface | None = background.draw_state(job, "The surface could not be computed", "Computing the surface.")
    if surface is None:
        return
    names, units = current.names, current.scene.units()
    sheet = surface.contours[0]
    if not len(sheet.levels):
        st.html(
            markup.note(
                f"The targets of the other values alone take more than {units.wording.budget(nats)}, or cannot be met."
            )
        )
        return
    triple_title = f"{names[triple[0]]}, {names[triple[1]]} and {names[triple[2]]}"
    left, right = st.columns([1.7, 1], gap="medium")
    with left, st.container(horizontal=True, key="three_figures"):
        with st.container(key="three_flat"):
            event = st.plotly_chart(
                triangle.triangle(units, surface, sheet, current.scene.theme),
                key=f"triangle_{triple}_{nats}_{what_if.selection_round('three')}",
                on_select="rerun",
                selection_mode="points",
                config=theme.CONFIG | {"displayModeBar": False},
                alt=f"How {units.wording.budget(nats)} can be divided among {triple_title}: each mark is a "
                "palette. The same in words below.",
            )
        clicked = what_if.clicked_point("three", event, job.key)
        point = None
        if clicked is not None and clicked[0] < len(sheet.levels):
            title = f"A point of the surface of {triple_title} {NUMBERS.at_budget(nats, start=False)}."
            point = what_if.contour_point(current, title, triple, sheet, clicked[0])
        with st.container(key="three_space"):
            st.plotly_chart(
                space.space(
                    units, surface, current.position, None if point is None else point.levels, current.scene.theme
                ),
                key=f"space_{triple}_{nats}",
                config=theme.CONFIG,
                alt=f"The levels of {triple_title} that {units.wording.budget(nats)} reaches, as a surface in space, "
                "with the base model, your target and what your palette gives. The same in words below.",
            )
    with right:
        what_if.draw_panel(current, "three", point, HOW)
    what_if.draw_replies(current, "three", point)
    draw_words(space.summary(surface, units))
    values = "-".join(current.scene.table.values[j] for j in triple)
    draw_download(plane.plane_csv(surface, current.scene.oracle), f"surface-{values}", "three_csv")
