"""The results of the page Baselines: shares, every draw, words, tables and data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from map_core.analysis.baselines import Baseline
from map_core.core.jobs import Job
from map_core.figures import baselines as drawn
from map_core.figures import baselines_text, theme
from map_core.text import sentences
from pages.view.session.scene import Scene
from pages.view.shell import background, markup
from pages.view.shell.download import draw_download


@dataclass(frozen=True, eq=False)
class BaselineQuery:
    """The settings of the page.

    Args:
        scene: the table.
        targets: (value,) in standard deviations above base, NaN for free values.
        times: what the others may cost, as a multiple of the palette.
    """

    scene: Scene
    targets: np.ndarray
    times: float


def draw_baselines(query: BaselineQuery, job: Job) -> None:
    """Draw shares, every draw, words, tables and data.

    Args:
        query: the settings of the page.
        job: its result are the baselines.
    """
    baselines: tuple[Baseline, ...] | None = background.draw_state(
        job, "The comparison could not be made", "Drawing random weights, and solving each for its cost.", height=420
    )
    if baselines is None:
        return
    figure_data = drawn.BaselineFigureData(baselines, query.targets, query.scene.units(), query.times)
    st.header(baselines_text.headline(figure_data))
    st.html(markup.facts(baselines_text.facts(figure_data)))
    with st.container(horizontal=True, key="baselines_shares"):
        for improved, title in ((False, "Meet every target"), (True, "Improve every targeted value")):
            with st.container(key=f"baselines_share_{int(improved)}"):
                st.html(f'<h3 class="vp-small-title">{title}</h3>')
                st.plotly_chart(
                    drawn.shares(figure_data, improved),
                    key=f"baselines_bars_{int(improved)}",
                    config=theme.CONFIG,
                    alt=f"{title}: the share of each kind of weights. {baselines_text.headline(figure_data)}",
                )
    st.html(markup.note("Thin lines: where the share of all random weights lies, with 90% confidence."))
    st.header("Every draw")
    _draw_draws(query, figure_data)
    with st.expander("In words", key="baselines_words"):
        for sentence in baselines_text.summary(figure_data):
            st.text(sentence)
    with st.expander("Levels and cost", key="baselines_table"):
        st.html(markup.levels_table(*baselines_text.table(figure_data), wide=True))
        st.html(markup.note("Of random weights, the median."))
    with st.expander("How often a reply beats the base model's", key="baselines_wins"):
        st.html(markup.levels_table(*baselines_text.wins(figure_data), wide=True))
        st.html(markup.note("Replies to the same prompt, ties half: 50% is the base model itself."))
    draw_download(baselines_text.baselines_csv(figure_data), "baselines", "baselines_csv")


def _draw_draws(query: BaselineQuery, figure_data: drawn.BaselineFigureData) -> None:
    """Draw the figure of all weights, value by value or in the plane of two values."""
    names, wanted = query.scene.names, figure_data.targeted
    pairs = len(names) > 1
    titles = [sentences.capitalised(name) for name in names]
    across, upwards = (wanted + [j for j in range(len(names)) if j not in wanted])[:2] if pairs else (0, 0)
    with st.container(horizontal=True, vertical_alignment="bottom", key="baselines_view_controls"):
        view = st.segmented_control(
            "Show",
            ["plane", "strips"] if pairs else ["strips"],
            format_func={"plane": "Two values", "strips": "Value by value"}.__getitem__,
            default="plane" if len(wanted) > 1 else "strips",
            required=True,
            key="baselines_view",
            persist_state="session",
        )
        if view == "plane":
            axes = [
                st.selectbox(
                    label,
                    range(len(names)),
                    index=index,
                    format_func=titles.__getitem__,
                    key=key,
                    persist_state="session",
                )
                for label, index, key in (
                    ("Horizontal axis", across, "baselines_across"),
                    ("Vertical axis", upwards, "baselines_upwards"),
                )
            ]
            across, upwards = int(axes[0]), int(axes[1])
    if view == "plane" and across == upwards:
        st.html(markup.note("Choose two different values."))
        return
    figure = drawn.plane(figure_data, (across, upwards)) if view == "plane" else drawn.strips(figure_data)
    st.plotly_chart(figure, key=f"baselines_{view}", config=theme.CONFIG, alt=baselines_text.alt(figure_data))
    count = max(len(way.evaluation.kl) for way in figure_data.ways)
    most = f", the first {drawn.MAX_DOTS} of each kind" if count > drawn.MAX_DOTS else ""
    st.html(
        markup.note(
            f"Rings: random weights at any cost; full dots: {figure_data.cost()}{most}. A star meets every target. "
            "Diamond: your palette."
        )
    )
