"""The timeline of the current palette: every step of this session with what it gained and lost, and undo to it."""

from __future__ import annotations

import streamlit as st

from map_core.core.types import Verdict
from map_core.figures import theme
from map_core.figures.timeline import TimelineStep, timeline, timeline_csv
from map_core.text import changes, sentences
from pages.view.palettes import markup as marks
from pages.view.palettes import shared
from pages.view.session import header, palette_cache, palette_state
from pages.view.session.palette_cache import AssessedPalette
from pages.view.session.palette_state import HistoryStep
from pages.view.shell import confirmation, markup, wording
from pages.view.shell.download import draw_download

#: Steps that are listed at first.
FIRST_LISTED = 12


def draw_timeline(own: AssessedPalette) -> None:
    """Draw undo and redo, the chart, and the steps, the newest first."""
    history = palette_state.history()
    st.header("How this palette came about")
    with st.container(horizontal=True, vertical_alignment="center", key="timeline_controls"):
        st.button(
            "Undo",
            key="timeline_undo",
            icon=":material/undo:",
            on_click=palette_state.undo,
            disabled=history.position == 0,
        )
        last = len(history.steps) - 1
        st.button(
            "Redo",
            key="timeline_redo",
            icon=":material/redo:",
            on_click=palette_state.redo,
            disabled=history.position == last,
        )
        st.html(markup.note(f"Step {history.position + 1} of {last + 1} in this session."), width="content")
    assessed = palette_cache.known_palettes("timeline", [step.palette for step in history.steps])
    if None not in assessed and last > 0:
        _draw_chart(own, [palette for palette in assessed if palette is not None], history.steps, history.position)
    elif last == 0:
        st.html(markup.note("Nothing has changed yet. Each change of the palette becomes a step here."))
    everything = last < FIRST_LISTED or st.toggle(f"All {last + 1} steps", key="timeline_all", persist_state="session")
    for n in range(last, -1 if everything else last - FIRST_LISTED, -1):
        with st.container(
            key=f"step_{'now' if n == history.position else 'past' if n < history.position else 'undone'}_{n}"
        ):
            _draw_step(n, history.steps[n], assessed[n], assessed[n - 1] if n else None, n == history.position)


def _draw_chart(
    own: AssessedPalette, assessed: list[AssessedPalette], steps: tuple[HistoryStep, ...], position: int
) -> None:
    moments = [
        TimelineStep(step.what, shared.local_time(step.when), palette.assessment.verdict, palette.levels, palette.kl)
        for step, palette in zip(steps, assessed, strict=True)
    ]
    names, values = own.scene.names, shared.initial_values(assessed)
    chosen = st.pills(
        "Values",
        range(len(names)),
        selection_mode="multi",
        format_func=lambda j: markup.plain(sentences.capitalised(names[j])),
        default=values,
        key="timeline_values",
        persist_state="session",
    )
    values = sorted(int(j) for j in chosen)
    st.html(markup.legend([(j, names[j]) for j in values], own.scene.theme))
    st.plotly_chart(
        timeline(moments, names, values, position, own.scene.theme, wording.current()),
        key="timeline_chart",
        config=theme.CONFIG,
        alt="Levels and cost of this palette over the steps of this session. The steps in words are below.",
    )
    draw_download(timeline_csv(moments, own.scene.table.values), "palette-timeline", "timeline_csv")


def _draw_step(
    n: int, step: HistoryStep, now: AssessedPalette | None, before: AssessedPalette | None, current: bool
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"step_head_{n}"):
        st.html(marks.name(f"{n + 1}. {palette_state.step_text(step)}", tag="now" if current else ""), width="content")
        if now is not None:
            header.draw_verdict_badge(now.assessment.verdict)
        st.html(markup.note(f"{shared.local_time(step.when):%H:%M:%S}"), width="content")
        if not current:
            st.button("Go to this step", key=f"step_go_{n}", type="tertiary", on_click=go_to_step, args=(n,))
        confirmation.draw(f"step_{n}")
    if now is not None:
        st.html(marks.steps(step_sentences(now, before)))


def step_sentences(now: AssessedPalette, before: AssessedPalette | None) -> list[str]:
    """Return what a step gained and lost, in sentences; the first step says what it gives."""
    if before is None or now.scene is not before.scene:
        return [f"{shared.price_sentence(now)}."] if now.solution is not None else []
    texts = []
    if now.assessment.verdict is not before.assessment.verdict:
        old, new = (sentences.HEADLINES[step.assessment.verdict].lower() for step in (before, now))
        texts.append(f"From {old} to {new}.")
    if now.solution is None or before.solution is None:
        if now.assessment.verdict is Verdict.OUT_OF_REACH:
            texts.append("These levels are not possible, so there is nothing to gain or lose.")
        return texts
    ends = (step.solution.levels[: len(now.scene.names)] for step in (before, now) if step.solution is not None)
    moved = changes.level_changes(now.scene.oracle, now.scene.percentiles, *ends)
    texts += [changes.gains_sentence(moved, now.scene.names), changes.losses_sentence(moved, now.scene.names)]
    texts.append(changes.cost_sentence(before.kl, now.kl, wording.current()))
    return [sentence for sentence in texts if sentence]


def go_to_step(position: int) -> None:
    """Make a step the current one; no other step is lost by that."""
    palette_state.go_to(position)
    confirmation.confirm(f"step_{position}", f"Step {position + 1} is your palette now.")
