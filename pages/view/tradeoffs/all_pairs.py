"""All pairs: the frontier of every two of the chosen values, drawn as they are computed."""

from __future__ import annotations

from itertools import combinations

import streamlit as st

from map_core.analysis.frontier import Frontier, frontier
from map_core.core.jobs import Job
from map_core.figures import pair_grid, theme
from pages.view.shell import background, markup, page_words
from pages.view.shell import wording as wordings
from pages.view.shell.download import draw_download
from pages.view.tradeoffs.shared import (
    CurrentPalette,
    draw_others_choice,
    draw_words,
    open_pair,
    pick_values,
    rerun_if_changed,
)

BUDGETS = (0.5, 2.0)
#: Values at most, because every pair is a figure; and the number of values up to which the pairs form a matrix.
MAX_VALUES, MATRIX_VALUES = 10, 5
DIRECTIONS = 15

PairFrontiers = dict[tuple[int, int], Frontier]


def draw_all_pairs(current: CurrentPalette) -> None:
    """Draw the choice of values, and a cell for each pair."""
    if current.plain < 2:
        st.html(markup.note("This table has one value, so there is nothing to trade."))
        return
    st.header("Every pair at a glance")
    st.html(
        markup.note(
            wordings.current().pick(
                f"One cell per pair, in percentiles on one scale. The inner line is what {BUDGETS[0]:g} nats buy, the "
                f"outer one {BUDGETS[1]:g}.",
                "One cell per pair, on one scale out of 100. The inner line is what a small effort gives, the outer "
                "one a large effort.",
            )
            + " Round: base model. Open diamond: your target. Filled: what your palette gives. Click a cell to open "
            "its pair."
        )
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="pairs_controls"):
        first = current.wanted[:MATRIX_VALUES] if len(current.wanted) > 1 else current.first(min(3, current.plain))
        chosen = pick_values("Values", current, first, "pairs_values", most=MAX_VALUES)
        keep_others = draw_others_choice()
    if len(chosen) < 2:
        st.html(markup.note("Choose two values or more."))
        return
    cells = list(combinations(chosen, 2))

    def work(job: Job) -> PairFrontiers:
        frontiers: PairFrontiers = {}
        for pair in cells:
            floors = current.floors(keep_others, list(pair))
            frontiers[pair] = frontier(
                current.scene.oracle, pair, BUDGETS, floors=floors, directions=DIRECTIONS, limit=False
            )
            job.report(dict(frontiers))
        return frontiers

    floors = current.floors(keep_others, []).tobytes()
    key = (current.scene.key, tuple(cells), floors)
    background.poll(background.job("pairs", key, work), lambda job: _draw(job, current, cells))


def _draw(job: Job, current: CurrentPalette, cells: list[tuple[int, int]]) -> None:
    rerun_if_changed()
    frontiers: PairFrontiers = job.result or job.partial or {}
    units = current.scene.units()
    if job.error:
        st.html(markup.note(f"The pairs could not be computed: {page_words.of(job.error)}"))
    values = sorted({j for pair in cells for j in pair})
    st.html(_grid_rules(values))
    height = pair_grid.HEIGHTS.get(min(len(values), MATRIX_VALUES) - 1, pair_grid.LEAST_HEIGHT)
    ends = pair_grid.shared_range(units, list(frontiers.values()), current.position)
    with st.container(key="pairs_matrix"):
        for pair in cells:
            with st.container(key=f"pair_{pair[0]}_{pair[1]}", border=True, gap=None):
                _draw_cell(current, pair, frontiers.get(pair), ends, height)
        with st.container(key="pairs_words"):
            sentences = pair_grid.summary(frontiers, units)
            if not job.ended:
                st.html(markup.note(f"{len(frontiers)} of {len(cells)} pairs are done."))
            for sentence in sentences[:3]:
                st.text(sentence)
    draw_words(sentences)
    if job.result:
        draw_download(pair_grid.pairs_csv(job.result, current.scene.oracle), "frontier-pairs", "pairs_csv")


def _draw_cell(
    current: CurrentPalette, pair: tuple[int, int], frontier: Frontier | None, ends: tuple[float, float], height: int
) -> None:
    across, upwards = (markup.plain(current.titles[pair[0]]), markup.plain(current.names[pair[1]]))
    st.button(
        f"{across} and {upwards}",
        key=f"open_{pair[0]}_{pair[1]}",
        type="tertiary",
        on_click=open_pair,
        args=(pair,),
        help="Open this pair",
    )
    if frontier is None:
        with st.container(height=height, border=False):
            st.html(markup.note("Waiting."))
        return
    units = current.scene.units()
    reached = [contour for contour in frontier.contours if len(contour.levels)]
    if not reached:
        with st.container(height=height, border=False):
            st.html(markup.note("The targets of the other values alone take more than this."))
        return
    event = st.plotly_chart(
        pair_grid.pair_cell(units, pair, frontier, current.position, ends, height, current.scene.theme),
        key=f"cell_{pair[0]}_{pair[1]}",
        on_select="rerun",
        selection_mode="points",
        config=theme.CONFIG | {"displayModeBar": False},
        alt=f"What is possible of {current.names[pair[0]]}, on the horizontal axis, and {current.names[pair[1]]}, on "
        "the vertical one.",
    )
    st.html(markup.note(pair_grid.joint_share_text(pair_grid.joint_share(reached[-1], pair))))
    if event and event.selection.points:
        open_pair(pair)
        rerun_if_changed()


def _grid_rules(values: list[int]) -> str:
    """Return the style rules that place the cells on a wide screen: below a matrix's diagonal, or in rows."""
    if len(values) > MATRIX_VALUES:
        wide = "@media (min-width: 900px) { [data-testid]:has(> .st-key-pairs_words) { grid-column: 1 / -1; } }"
        return f"<style>.st-key-pairs_matrix {{ --vp-columns: {MATRIX_VALUES - 1}; }} {wide}</style>"
    rules = "".join(
        f"[data-testid]:has(> .st-key-pair_{a}_{b}), .st-key-pairs_matrix > .st-key-pair_{a}_{b} "
        f"{{ grid-column: {values.index(a) + 1}; grid-row: {values.index(b)}; }}"
        for a, b in combinations(values, 2)
    )
    columns = len(values) - 1
    half = columns // 2
    place = f"{{ grid-column: {half + 1} / -1; grid-row: 1 / {half + 1}; }}"
    words = f"[data-testid]:has(> .st-key-pairs_words) {place}" if half else ""
    wide = f"@media (min-width: 900px) {{ {rules} {words} }}"
    return f"<style>.st-key-pairs_matrix {{ --vp-columns: {columns}; }} {wide}</style>"
