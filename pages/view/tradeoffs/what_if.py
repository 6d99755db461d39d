"""What if: a clicked point of a figure compared with the current palette, sample replies, and a button that uses it."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from map_core.analysis.examples import reply_example
from map_core.analysis.frontier import Contour
from map_core.errors import InputError
from map_core.feasibility.trust import trust
from map_core.figures import plane
from map_core.text import changes, protections, sentences
from pages.view.session import palette_state
from pages.view.shell import markup, page_words
from pages.view.shell import wording as wordings
from pages.view.shell.replies import draw_reply
from pages.view.shell.session_keys import KeyFamily
from pages.view.tradeoffs.shared import CurrentPalette, rerun_if_changed, take_targets, undo

CLICKED: KeyFamily[tuple[Hashable, tuple[int, ...]] | None] = KeyFamily("what_if_clicked_{}", None)
ROUND: KeyFamily[int] = KeyFamily("what_if_round_{}", 0)

#: The limit of a direction is approximated by scaling its weights by this factor.
LIMIT_FACTOR = 1e4


@dataclass(frozen=True, eq=False)
class WhatIfPoint:
    """A palette that was clicked in a figure.

    Args:
        caption: what it is, with numbers.
        levels: (value,) realised, in standard deviations above base.
        weights: (value,) x.
        kl: nats; NaN where it is not known.
        targets: (value,) to use, in standard deviations above base, NaN for free values.
        limit: every prompt answers with its best reply.
    """

    caption: str
    levels: np.ndarray
    weights: np.ndarray
    kl: float
    targets: np.ndarray
    limit: bool = False


def contour_point(
    current: CurrentPalette, caption: str, values: tuple[int, ...], contour: Contour, number: int
) -> WhatIfPoint:
    """Return a point of a frontier: its levels become targets of these values; others that it misses are lowered."""
    limit = math.isinf(contour.budget)
    weights = contour.weights[number] * (LIMIT_FACTOR if limit else 1.0)
    kl = float(contour.kl[number])
    levels = contour.levels[number]
    return WhatIfPoint(caption, levels, weights, kl, plane.targets_at_point(current.targets, levels, values), limit)


def clicked_point(view: str, event: Any, mark: Hashable) -> tuple[int, ...] | None:
    """Return the custom data of the point that was clicked last in a figure.

    Args:
        view: the figure's view.
        event: the figure's selection state, which Streamlit forgets when the figure changes.
        mark: identifies the content of the figure; a click on other content is forgotten.
    """
    points = [p for p in event.selection.points if p.get("customdata") is not None] if event else []
    if points:
        CLICKED.of(view).set((mark, tuple(int(n) for n in points[0]["customdata"])))
    held = CLICKED.of(view).get()
    return held[1] if held and held[0] == mark else None


def selection_round(view: str) -> int:
    """Return a number in a figure's key; another number clears the selection."""
    return int(ROUND.of(view).get())


def _clear(view: str) -> None:
    ROUND.of(view).set(selection_round(view) + 1)
    CLICKED.of(view).pop()


def draw_panel(current: CurrentPalette, view: str, point: WhatIfPoint | None, how: str) -> None:
    """Draw the panel beside a figure.

    Args:
        current: the current palette.
        view: the figure's view, part of the keys.
        point: what was clicked.
        how: what to do when nothing was.
    """
    rerun_if_changed()
    with st.container(key=f"what_if_{view}", border=True):
        st.html('<h3 class="vp-small-title">What if</h3>')
        if point is None:
            st.html(markup.note(how))
            _draw_undo(view)
            return
        st.html(markup.note(wordings.current().reworded(point.caption)))
        same = bool(np.allclose(point.targets, current.targets, atol=1e-9, equal_nan=True))
        if same:
            st.html(markup.note("This is your palette now."))
        else:
            _draw_comparison(current, point)
        with st.container(horizontal=True, vertical_alignment="center"):
            if not same:
                moved = ~(np.abs(point.targets - current.targets) <= 1e-9)
                message = f"Your targets are now those of {point.caption[:1].lower()}{point.caption[1:]}"
                st.button(
                    "Use this",
                    key=f"take_it_{view}",
                    type="primary",
                    icon=":material/check:",
                    on_click=take_targets,
                    args=(current.scene, np.where(moved, point.targets, np.nan), message),
                )
            if same:
                _draw_undo(view)
            st.button("Clear", key=f"clear_{view}", type="tertiary", on_click=_clear, args=(view,))


def _draw_undo(view: str) -> None:
    """Draw the undo button, as long as using a point was the last step."""
    if palette_state.offers_undo():
        st.button("Undo", key=f"undo_{view}", icon=":material/undo:", type="tertiary", on_click=undo)


def _draw_comparison(current: CurrentPalette, point: WhatIfPoint) -> None:
    scene, now = current.scene, current.solution
    if current.assessment.solution is None:
        start = "the base model, because nothing near it is possible" if now is None else "the nearest one that is"
        st.html(markup.note(f"Your palette is not possible, so this is compared with {start}."))
    current_levels, spent = (np.zeros(len(current.names)), 0.0) if now is None else (now.levels, now.kl)
    level_changes = [
        change
        for change in changes.level_changes(scene.oracle, scene.percentiles, current_levels, point.levels)
        if change.value < current.plain
    ]
    texts = " ".join(
        filter(
            None,
            [
                changes.gains_sentence(level_changes, current.names),
                changes.losses_sentence(level_changes, current.names),
            ],
        )
    )
    wording = wordings.current()
    still = wording.pick("No level moves by a percentile.", "No level moves by a point.")
    paragraphs = [texts or still, _cost(spent, point)]
    with st.container(gap="small"):
        for sentence in filter(None, [*paragraphs, _gives_way(current, point), _doubt(current, point)]):
            st.text(sentence)
    rows = [
        (
            change.value,
            [
                current.titles[change.value],
                wording.level(change.before),
                wording.level(change.after),
                _signed(change.moved),
            ],
        )
        for change in level_changes
    ]
    st.html(
        markup.levels_table(
            ["Value", "Base" if now is None else "Now", "There", "Change"], rows, theme=current.scene.theme
        )
    )


def _cost(now: float, point: WhatIfPoint) -> str:
    if math.isnan(point.kl):
        return "It takes the most that choosing among the replies can do at these levels."
    return changes.cost_sentence(now, point.kl, wordings.current())


def _gives_way(current: CurrentPalette, point: WhatIfPoint) -> str:
    """Return which targets using the point would lower, in a sentence."""
    lowered = [int(j) for j in np.flatnonzero(point.targets < current.targets - 1e-6)]
    if not lowered:
        return ""
    groups = {} if current.scene.aim is None else protections.group_names(current.scene.aim, current.names)
    names = sentences.listed(sentences.grouped(lowered, current.names, groups))
    locked = sentences.grouped([j for j in lowered if current.fixed[j]], current.names, groups)
    held = f" You asked not to lower {sentences.listed(locked)}." if locked else ""
    return f"Using it lowers your target{'s' * (len(lowered) > 1)} of {names}.{held}"


def _doubt(current: CurrentPalette, point: WhatIfPoint) -> str:
    """Return the sentence that too few replies carry the point; "" where enough do."""
    if point.limit:
        return "It rests on a single reply per prompt, so it is possible, but not reliable."
    ess = current.scene.oracle.effective_sample_size(point.weights)
    if trust(current.scene.oracle, ess) >= 0:
        return ""
    figure, meaning = sentences.ess_text(ess, current.scene.oracle.form)
    return f"Possible, but not reliable: {figure} {meaning}"


def _signed(moved: int) -> str:
    return f"{moved:+d}".replace("-", "−") if moved else "0"


def draw_replies(current: CurrentPalette, view: str, point: WhatIfPoint | None) -> None:
    """Draw the likeliest replies of the table to one prompt, under the point and under the current palette."""
    if point is None:
        return
    table, oracle = current.scene.table, current.scene.oracle
    with st.container(key=f"heard_{view}", border=True):
        st.html('<h3 class="vp-small-title">Sample reply</h3>')
        prompt = st.selectbox(
            "Prompt",
            current.scene.examples,
            format_func=table.prompts.__getitem__,
            key=f"hear_{current.palette.use_case}",
            persist_state="session",
        )
        weights = np.zeros(len(current.names)) if current.solution is None else current.solution.weights
        try:
            now, picked = (reply_example(table, oracle, x, int(prompt)) for x in (weights, point.weights))
        except InputError as error:
            st.text(page_words.of(error))
            return
        same = now.aligned == picked.aligned
        with st.container(horizontal=True, key=f"heard_both_{view}"):
            for title, key, example in (
                ("There", "there", picked),
                ("Now" if current.solution else "Base", "now", now),
            ):
                with st.container(key=f"heard_{key}_{view}", gap="small"):
                    st.html(markup.name(title, f"probability {sentences.chance(example.probability)}"))
                    if same and example is now:
                        st.html(markup.note("The same reply."))
                    else:
                        draw_reply(example.aligned_shown)
        base = sentences.chance(1 / now.candidates)
        st.html(
            markup.note(
                f"The likeliest of the {now.candidates} replies that the table holds for this prompt; under the base "
                f"model each has a probability of {base}."
            )
        )
