"""Sensitivity: weights, cost and every level as one target moves, with confidence bands and breakpoints."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import streamlit as st

from map_core.analysis.sensitivity import SensitivityCurve, local_sensitivity, sensitivity_curve
from map_core.confidence import Bands, bands
from map_core.core import amounts
from map_core.core.jobs import Job
from map_core.feasibility import AttainableLevels
from map_core.figures import sweep, theme
from map_core.text import sentences
from pages.view.shell import background, glossary, markup
from pages.view.shell import wording as wordings
from pages.view.shell.download import draw_download
from pages.view.tradeoffs.shared import CurrentPalette, draw_words, pick_value

LEVEL = 0.9
#: Lines that are shown at first: the swept value's, then those with a target.
FIRST = 4


def draw_sweep(current: CurrentPalette) -> None:
    """Draw the choice of the value, the curves, and what they say."""
    st.header("What a target costs", help=glossary.help_text("sensitivity", "shadow price"))
    names, own = current.names, current.assessment.solution
    prices = None if own is None else local_sensitivity(own)
    with st.container(horizontal=True, vertical_alignment="bottom", key="sensitivity_controls"):
        first = (prices.bottleneck if prices else None) or 0
        first = first if first < current.plain else 0
        value = pick_value("Move the target of", current, first, "sensitivity_value")
        picked = st.pills(
            "Also show",
            [j for j in range(current.plain) if j != value],
            selection_mode="multi",
            format_func=lambda j: markup.plain(current.titles[j]),
            default=[j for j in current.first(FIRST) if j != value],
            key=f"sensitivity_shown_{value}",
            persist_state="session",
            wrap=True,
        )
    if prices is not None and not math.isnan(current.targets[value]):
        st.html(markup.note(sentences.price(prices, value, names, wordings.current())))
    targets = current.targets.copy()
    targets[value] = np.nan

    def work(job: Job) -> tuple[SensitivityCurve, Bands | None]:
        oracle = current.scene.oracle
        curve = sensitivity_curve(oracle, targets, value, attainable=AttainableLevels(oracle))
        job.report((curve, None))
        return curve, bands(oracle, curve, level=LEVEL) if oracle.counted_prompts > 1 else None

    key = (current.scene.key, value, targets.tobytes())
    drawn = [int(j) for j in picked]
    background.poll(background.job("sensitivity", key, work), lambda job: _draw(job, current, value, drawn))


def _draw(job: Job, current: CurrentPalette, value: int, values: list[int]) -> None:
    done: tuple[SensitivityCurve, Bands | None] | None = background.draw_state(
        job, "The curves could not be computed", "Computing the curves.", height=380
    )
    if done is None:
        return
    curve, error = done
    names, units = current.names, current.scene.units()
    if len(curve.targets) < 2:
        message = "The other targets cannot be met even without this one. Lower one of them first."
        st.html(markup.note(message))
        return
    drawn = sweep.SweepData(curve, units, float(current.targets[value]), error, [value, *values], current.scene.theme)
    st.html(markup.legend([(j, names[j]) for j in sorted({value, *values})], current.scene.theme))
    with st.container(key="sensitivity_levels"):
        _chart("levels", sweep.levels(drawn), value, f"What each value gets as the target of {names[value]} moves.")
    with st.container(horizontal=True, key="sensitivity_charts"):
        if units.wording.numbers:
            _chart("weights", sweep.weights(drawn), value, f"Weights as the target of {names[value]} moves.")
        _chart(
            "kl",
            sweep.kl(drawn),
            value,
            f"{units.wording.pick('Distance from the base model', 'Effort')} as the target of {names[value]} moves.",
        )
    where = [units.level_text(value, switch.target) for switch in curve.switches]
    with st.container(key="breakpoints", gap="small"):
        for sentence in sentences.switches(curve, names, where):
            st.text(sentence)
        most = units.level_text(value, curve.highest, toward="down")
        st.text(f"The highest that is possible for {names[value]} while the others keep their targets is {most}.")
    st.html(markup.note(_method(error)))
    draw_words(sweep.summary(drawn))
    name = f"sensitivity-{current.scene.table.values[value]}"
    draw_download(sweep.sweep_csv(curve, current.scene.oracle, error), name, "sensitivity_csv")


def _chart(name: str, figure: Any, value: int, caption: str) -> None:
    st.plotly_chart(figure, key=f"sweep_{name}_{value}", config=theme.CONFIG, alt=f"{caption} The same in words below.")


def _method(error: Bands | None) -> str:
    """Return how the bands are made."""
    dotted = "Dotted lines mark where a target starts or stops costing anything."
    if error is None:
        return dotted
    if not wordings.current().numbers:
        return f"{dotted} Shaded: where the line would lie 9 times out of 10 with other prompts of this kind."
    return (
        f"{dotted} Bands: {amounts.percent(error.level)} intervals for other prompts of this kind, point by point, by "
        f"sandwich standard errors over the table's {error.prompts} prompts and Student's quantile. The cost is rid of "
        "its bias, so its line need not lie in the middle; a weight ends at 0."
    )
