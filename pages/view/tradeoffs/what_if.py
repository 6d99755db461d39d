"""What if: a point of a figure in words against today's palette, what it sounds like, and the way to take it."""

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
from pages.view.shell import markup
from pages.view.shell import wording as wordings
from pages.view.shell.replies import draw_reply
from pages.view.shell.session_keys import KeyFamily
from pages.view.tradeoffs.shared import CurrentPalette, rerun_if_changed, take_targets, undo

CLICKED: KeyFamily[tuple[Hashable, tuple[int, ...]] | None] = KeyFamily("what_if_clicked_{}", None)
ROUND: KeyFamily[int] = KeyFamily("what_if_round_{}", 0)

#: The limit of a direction is read at weights so many times as long.
LIMIT_FACTOR = 1e4


@dataclass(frozen=True, eq=False)
class WhatIfPoint:
    """A palette that is looked at and not yet taken.

    Args:
        caption: what it is, with numbers.
        levels: (value,) realised, in standard deviations above base.
        weights: (value,) x.
        kl: nats; NaN where it is not known.
        targets: (value,) those to take, in standard deviations above base, NaN for free values.
        limit: every prompt answers with its best reply.
    """

    caption: str
    levels: np.ndarray
    weights: np.ndarray
    kl: float
    targets: np.ndarray
    limit: bool = False


def contour_point(
    today: CurrentPalette, caption: str, values: tuple[int, ...], contour: Contour, number: int
) -> WhatIfPoint:
    """Return a point of a frontier: its levels become the targets of these values; others that it misses give way."""
    limit = math.isinf(contour.budget)
    weights = contour.weights[number] * (LIMIT_FACTOR if limit else 1.0)
    kl = float(contour.kl[number])
    levels = contour.levels[number]
    return WhatIfPoint(caption, levels, weights, kl, plane.targets_at_point(today.targets, levels, values), limit)


def clicked_point(view: str, event: Any, mark: Hashable) -> tuple[int, ...] | None:
    """Return what the point that was clicked last in a figure carries.

    Args:
        view: the figure's view.
        event: the figure's own state, which Streamlit forgets when anything is drawn differently.
        mark: what the figure is of; a click on another figure is forgotten.
    """
    points = [p for p in event.selection.points if p.get("customdata") is not None] if event else []
    if points:
        CLICKED.of(view).set((mark, tuple(int(n) for n in points[0]["customdata"])))
    held = CLICKED.of(view).get()
    return held[1] if held and held[0] == mark else None


def selection_round(view: str) -> int:
    """Return a part of a figure's key: another number clears what was clicked."""
    return int(ROUND.of(view).get())


def _clear(view: str) -> None:
    ROUND.of(view).set(selection_round(view) + 1)
    CLICKED.of(view).pop()


def draw_panel(today: CurrentPalette, view: str, point: WhatIfPoint | None, how: str) -> None:
    """Draw the panel beside a figure.

    Args:
        today: the palette in force.
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
        same = bool(np.allclose(point.targets, today.targets, atol=1e-9, equal_nan=True))
        if same:
            st.html(markup.note("This is your palette now."))
        else:
            _draw_comparison(today, point)
        with st.container(horizontal=True, vertical_alignment="center"):
            if not same:
                moved = ~(np.abs(point.targets - today.targets) <= 1e-9)
                message = f"{point.caption.removesuffix('.')} was taken as your target."
                st.button(
                    "Use this",
                    key=f"take_it_{view}",
                    type="primary",
                    icon=":material/check:",
                    on_click=take_targets,
                    args=(today.scene, np.where(moved, point.targets, np.nan), message),
                )
            if same:
                _draw_undo(view)
            st.button("Clear", key=f"clear_{view}", type="tertiary", on_click=_clear, args=(view,))


def _draw_undo(view: str) -> None:
    """Draw the way back, as long as taking a point is the last thing that happened."""
    if palette_state.offers_undo():
        st.button("Undo", key=f"undo_{view}", icon=":material/undo:", type="tertiary", on_click=undo)


def _draw_comparison(today: CurrentPalette, point: WhatIfPoint) -> None:
    scene, now = today.scene, today.solution
    if today.assessment.solution is None:
        start = "the base model, because nothing near it is possible" if now is None else "the nearest one that is"
        st.html(markup.note(f"Your palette is not possible, so this is compared with {start}."))
    current_levels, spent = (np.zeros(len(today.names)), 0.0) if now is None else (now.levels, now.kl)
    level_changes = [
        change
        for change in changes.level_changes(scene.oracle, scene.percentiles, current_levels, point.levels)
        if change.value < today.plain
    ]
    texts = " ".join(
        filter(
            None,
            [changes.gains_sentence(level_changes, today.names), changes.losses_sentence(level_changes, today.names)],
        )
    )
    wording = wordings.current()
    still = wording.pick("No level moves by a percentile.", "No level moves by a point.")
    paragraphs = [texts or still, _cost(spent, point)]
    with st.container(gap="small"):
        for sentence in filter(None, [*paragraphs, _gives_way(today, point), _doubt(today, point)]):
            st.text(sentence)
    rows = [
        (
            change.value,
            [
                today.titles[change.value],
                wording.level(change.before),
                wording.level(change.after),
                _signed(change.moved),
            ],
        )
        for change in level_changes
    ]
    st.html(
        markup.levels_table(
            ["Value", "Base" if now is None else "Now", "There", "Change"], rows, theme=today.scene.theme
        )
    )


def _cost(now: float, point: WhatIfPoint) -> str:
    if math.isnan(point.kl):
        return "It takes the most that choosing among the replies can do at these levels."
    return changes.cost_sentence(now, point.kl, wordings.current())


def _gives_way(today: CurrentPalette, point: WhatIfPoint) -> str:
    """Return the targets that taking it would lower."""
    lowered = [int(j) for j in np.flatnonzero(point.targets < today.targets - 1e-6)]
    if not lowered:
        return ""
    groups = {} if today.scene.aim is None else protections.group_names(today.scene.aim, today.names)
    names = sentences.listed(sentences.grouped(lowered, today.names, groups))
    locked = sentences.grouped([j for j in lowered if today.fixed[j]], today.names, groups)
    held = f" You asked that {sentences.listed(locked)} be held." if locked else ""
    return f"Taking it lowers your target{'s' * (len(lowered) > 1)} of {names}.{held}"


def _doubt(today: CurrentPalette, point: WhatIfPoint) -> str:
    """Return the sentence that too few replies carry it; "" where enough do."""
    if point.limit:
        return "It rests on a single reply per prompt, so it is possible, but not reliable."
    ess = today.scene.oracle.effective_sample_size(point.weights)
    if trust(today.scene.oracle, ess) >= 0:
        return ""
    figure, meaning = sentences.ess_text(ess, today.scene.oracle.form)
    return f"Possible, but not reliable: {figure} {meaning}"


def _signed(moved: int) -> str:
    return f"{moved:+d}".replace("-", "−") if moved else "0"


def draw_replies(today: CurrentPalette, view: str, point: WhatIfPoint | None) -> None:
    """Draw the likeliest reply here and there to one prompt of the use case, straight from the table."""
    if point is None:
        return
    table, oracle = today.scene.table, today.scene.oracle
    with st.container(key=f"heard_{view}", border=True):
        st.html('<h3 class="vp-small-title">Sample reply</h3>')
        prompt = st.selectbox(
            "Prompt",
            today.scene.examples,
            format_func=table.prompts.__getitem__,
            key=f"hear_{today.palette.use_case}",
            persist_state="session",
        )
        weights = np.zeros(len(today.names)) if today.solution is None else today.solution.weights
        try:
            now, picked = (reply_example(table, oracle, x, int(prompt)) for x in (weights, point.weights))
        except InputError as error:
            st.text(str(error))
            return
        same = now.aligned == picked.aligned
        with st.container(horizontal=True, key=f"heard_both_{view}"):
            for title, key, example in (("There", "there", picked), ("Now" if today.solution else "Base", "now", now)):
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
