"""The results of the page Sequence: figure, words, table and data, and how much the order matters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from map_core.analysis.order_effects import OrderComparison
from map_core.analysis.sequential import SequentialPath
from map_core.core.jobs import Job
from map_core.figures import order_effects as compared
from map_core.figures import sequence, sequence_text, theme
from map_core.solver.newton import Solution
from pages.view.session.scene import Scene
from pages.view.shell import background, markup
from pages.view.shell.download import draw_download
from pages.view.studies import order_list


@dataclass(frozen=True, eq=False)
class SequenceQuery:
    """The settings of the page.

    Args:
        scene: the table.
        targets: (value,) in standard deviations above base, NaN for free values.
        solution: all values at once; None where the palette is not possible.
        chosen: positions of the values, in the order in which they are aligned.
        rounds: how often the order is repeated.
        grows: steps never reduce a weight.
    """

    scene: Scene
    targets: np.ndarray
    solution: Solution | None
    chosen: tuple[int, ...]
    rounds: int
    grows: bool


def draw_sequence(query: SequenceQuery, job: Job) -> None:
    """Draw the path as a figure, in words, as a table and as data.

    Args:
        query: the settings of the page.
        job: its result, and partial result, is the path of the rounds computed so far.
    """
    whole: SequentialPath | None = background.draw_state(
        job, "The path could not be computed", "Aligning one value after another.", height=420
    )
    if whole is None:
        return
    figure_data = sequence.SequenceFigureData(
        whole.after(query.rounds), query.solution, query.scene.units(), query.scene.theme
    )
    with st.container(key="sequence_said"):
        st.header(markup.plain(sequence_text.largest_loss_sentence(figure_data)))
        for sentence in (
            sequence_text.ending_sentence(figure_data),
            sequence_text.stop_sentence(figure_data),
            _rounds_sentence(query, job, whole),
        ):
            if sentence:
                st.html(markup.note(sentence))
    if not figure_data.path.steps:
        return
    st.plotly_chart(
        sequence.path(figure_data), key="sequence_path", config=theme.CONFIG, alt=sequence_text.alt(figure_data)
    )
    st.html(
        markup.note(
            "Large dot: the value's own step. Thick line down: what a step took back. Dotted: target. "
            "Diamond: all values at once."
        )
    )
    with st.expander("In words", key="sequence_words"):
        small = figure_data.units.wording.pick("Changes under 0.01 standard deviations", "The smallest changes")
        st.html(markup.note(f"{small} are left out."))
        for sentence in sequence_text.summary(figure_data):
            st.text(sentence)
    with st.expander("Step by step", key="sequence_steps"):
        st.html(markup.levels_table(*sequence_text.table(figure_data), wide=True, theme=query.scene.theme))
    draw_download(sequence_text.sequence_csv(figure_data), "sequence", "sequence_csv")


def _rounds_sentence(query: SequenceQuery, job: Job, whole: SequentialPath) -> str:
    if query.solution is None or query.grows:
        return ""
    rounds = whole.rounds_to(query.solution.levels, sequence.NEAR)
    if rounds is None and not job.ended:
        return "Counting the rounds until nothing changes any more."
    return sequence_text.rounds_needed_sentence(rounds, whole.rounds, query.scene.units().wording)


def draw_orders(query: SequenceQuery, job: Job) -> None:
    """Draw the order that loses least and the one that loses most, with a button that uses it.

    Args:
        query: the settings of the page.
        job: its result is the comparison of orders.
    """
    comparison: OrderComparison | None = background.draw_state(
        job, "The orders could not be compared", "Comparing the orders."
    )
    if comparison is None:
        return
    if comparison.best is None or comparison.worst is None:
        return
    ends = () if compared.orders_agree(comparison) else (("least", comparison.best), ("most", comparison.worst))
    for how, index in ends:
        order = comparison.paths[index].order
        with st.container(horizontal=True, vertical_alignment="center", key=f"sequence_{how}"):
            st.html(f'<h3 class="vp-small-title">{how.capitalize()} is lost</h3>', width="content")
            chips = [(j, f"{number}. {query.scene.names[j]}") for number, j in enumerate(order, start=1)]
            st.html(markup.chips(chips, query.scene.theme), width="content")
            st.html(markup.note(compared.shortfall_sentence(comparison, index, query.scene.units())), width="content")
            if st.button(
                "Use this order",
                key=f"sequence_use_{index}",
                type="tertiary",
                disabled=order == query.chosen,
                on_click=order_list.set_order,
                args=(query.scene, order),
            ):
                st.rerun()  # the whole page, and not only this fragment
    st.html(markup.note(compared.order_summary(comparison)))
