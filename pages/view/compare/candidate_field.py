"""The candidates of a generation: a live scatter of marks, one of them in full, a table, and downloads."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from map_core.figures import candidate_field
from map_core.service import records
from map_core.text import sentences
from pages.view.compare import generator, replies, reply_feed
from pages.view.compare.comparison import ComparisonView
from pages.view.shell import component, markup
from pages.view.shell import wording as wordings
from pages.view.shell.replies import draw_reply
from pages.view.shell.session_keys import Key

FIELD: Key[dict[str, Any]] = Key("field", {})

_mount = component.register(
    "field",
    '<svg role="group"></svg>',
)


def draw_candidates(view: ComparisonView) -> None:
    """Draw the expander with all candidates; its content only once it is open, tables and files once all is done."""
    expander = st.expander("All candidates", icon=":material/scatter_plot:", key="all_candidates", on_change="rerun")
    reply_feed.feed().other_pieces = None
    if not expander.open:
        return
    with expander:
        replies.draw_reason(view)
        _draw_field(view)
        if view.shown.phase.ended:
            _draw_reading(view)
            _draw_table(view)
            _draw_downloads(view)


def _on_chosen() -> None:
    """Show the candidate whose mark was clicked."""
    if (chosen := FIELD.get().get("chosen")) is not None:
        generator.READING.set(int(chosen))


def _draw_field(view: ComparisonView) -> None:
    scene, scored = view.scene, view.generation.request.scored
    positions = [j for j, name in enumerate(scene.table.values) if name in scored]
    if len(positions) < 2:
        return
    weights = view.columns[0].weights.by_value
    pull = {j: abs(weights.get(scene.table.values[j], 0.0)) * float(scene.oracle.scale[j]) for j in positions}
    first, second = sorted(positions, key=lambda j: -pull[j])[:2]
    titles = {j: scene.title(j) for j in positions}
    with st.container(horizontal=True, key="field_controls"):
        axes = [
            st.selectbox(
                label,
                positions,
                index=positions.index(j),
                format_func=titles.__getitem__,
                key=key,
                persist_state="session",
                width=200,
            )
            for label, j, key in (
                ("Horizontal axis", first, "field_across"),
                ("Vertical axis", second, "field_upwards"),
            )
        ]
        st.html(
            markup.note(
                "Each mark is a candidate; the larger, the likelier it is picked. The square is the base reply. "
                "Choose one to read it."
            )
        )
    pair = (int(axes[0]), int(axes[1]))
    units, drawn = scene.units(), _dots(view, pair)
    reading = generator.READING.get()
    reply_feed.feed().other_pieces = partial(_field_piece, pair=pair, reading=reading)
    _mount(
        key=FIELD.name,
        data=candidate_field.drawing(drawn, units, pair, view.assessment.targets) | {"reading": reading},
        on_chosen_change=_on_chosen,
    )
    if not drawn and not view.shown.phase.ended:
        st.html(markup.note("The marks appear with the first rewards."))
    if view.shown.provisional and drawn:
        st.html(markup.note("Rewards and probabilities are of partial replies: a guide, not the outcome."))
    if view.shown.phase.ended and drawn:
        with st.expander("In words", key="field_words"):
            for sentence in candidate_field.summary(drawn, units, pair):
                st.text(sentence)


def _field_piece(view: ComparisonView, pair: tuple[int, int], reading: int | None) -> dict[str, Any]:
    """Return the scatter as the live channel sends it."""
    drawing = candidate_field.drawing(_dots(view, pair), view.scene.units(), pair, view.assessment.targets)
    return {"field": drawing | {"reading": reading}}


def _dots(view: ComparisonView, pair: tuple[int, int]) -> tuple[candidate_field.Dot, ...]:
    choice = view.choices[0]
    if choice is None:
        return ()
    labels: dict[int, list[str]] = {}
    for column, own_choice in zip(view.columns, view.choices, strict=True):
        if (picked := view.shown_index(own_choice)) is not None:
            labels.setdefault(picked, []).append(column.name)
    candidates = view.shown.candidates
    return candidate_field.dots(
        [candidate.rewards for candidate in candidates],
        choice.probabilities,
        [not candidate.ended for candidate in candidates],
        view.base_index,
        labels,
        view.scene.units(),
        pair,
    )


def _draw_reading(view: ComparisonView) -> None:
    """Draw the candidate that was clicked, or chosen by its number."""
    candidates = view.shown.candidates
    if (generator.READING.get() or 0) >= len(candidates):
        generator.READING.set(None)
    generator.READING.set(generator.READING.get())  # Streamlit forgets the entry where the box was not drawn last time
    selected = st.selectbox(
        "Read a candidate",
        range(len(candidates)),
        index=None,
        format_func=lambda k: f"Candidate {k + 1}",
        placeholder="Click a mark, or choose one here",
        key=generator.READING.name,
        width=260,
    )
    if selected is None:
        return
    with st.container(border=True, key="reading_reply"):
        candidate = candidates[selected]
        facts = [f"Candidate {selected + 1}", f"{candidate.tokens} token{'s' * (candidate.tokens != 1)}"]
        for column, choice in zip(view.columns, view.choices, strict=True):
            if choice is not None:
                whose = "" if len(view.columns) == 1 else f" ({column.name})"
                facts.append(f"probability {sentences.chance(choice.probabilities[selected])}{whose}")
        st.html(markup.note(", ".join(facts)))
        draw_reply(candidate.display_text)
        table, percentiles = view.scene.table, view.scene.percentiles
        chips = []
        for name, reward in candidate.rewards.items():
            j = table.values.index(name) if name in table.values else -1
            rank = f", {wordings.current().level(percentiles.percentile_of(j, reward))}" if j >= 0 else ""
            chips.append((j, f"{generator.value_title(view.scene, name)} {sentences.number(reward)}{rank}"))
        st.html(markup.chips(chips, view.scene.theme))


def _draw_table(view: ComparisonView) -> None:
    snapshot, main = view.shown, view.choices[0]
    picks = [view.shown_index(choice) for choice in view.choices]
    titles = {
        name: sentences.capitalised(generator.value_title(view.scene, name)) for name in view.generation.request.scored
    }
    rows: list[dict[str, Any]] = []
    for k, candidate in enumerate(snapshot.candidates):
        role = ["base"] if view.base_index == k else []
        if picks[0] == k:
            role.insert(0, ("picked" if view.drawn else "likeliest") if view.done else "leads")
        role += [column.name for column, picked in zip(view.columns[1:], picks[1:], strict=True) if picked == k]
        probability = None if main is None else main.probabilities[k]
        rows.append({"Candidate": k + 1, "Role": ", ".join(role), "Probability": probability})
        for column, choice in zip(view.columns[1:], view.choices[1:], strict=True):
            rows[-1][f"Probability ({column.name})"] = None if choice is None else choice.probabilities[k]
        rows[-1] |= {"Reply": candidate.text} | {title: candidate.rewards.get(name) for name, title in titles.items()}
    if view.done:
        rows.sort(key=lambda row: -(row["Probability"] or 0.0))
    kinds = st.column_config
    st.dataframe(
        rows,
        hide_index=True,
        key="candidates_table",
        placeholder="–",
        height=min(36 * (len(rows) + 1), 400),
        column_config={
            "Candidate": kinds.NumberColumn("No.", width=44),
            "Role": kinds.TextColumn(width=90),
            "Probability": kinds.ProgressColumn(format="percent", min_value=0.0, max_value=1.0, width=110),
            "Reply": kinds.TextColumn(width=420),
            **{
                f"Probability ({c.name})": kinds.NumberColumn(c.name, format="percent", width=90)
                for c in view.columns[1:]
            },
            **{title: kinds.NumberColumn(format="%.3g", width=95) for title in titles.values()},
        },
    )


def _draw_downloads(view: ComparisonView) -> None:
    """Draw the downloads of this generation."""
    record = records.generation_record(
        view.generation,
        view.columns[0].weights.by_value,
        {column.name: column.weights.by_value for column in view.columns[1:]},
        model=generator.table_model(view.scene),
        **({"tuned": tuned} if (tuned := generator.tuned_of(view.generation)) else {}),
    )
    draw_downloads([record], "candidates")


def draw_downloads(rows: list[dict[str, Any]], name: str) -> None:
    """Draw the downloads of records, as JSON lines and as CSV; each is made on a click."""
    with st.container(horizontal=True, key=f"{name}_files"):
        for label, write, kind, mime in (
            ("All candidates (JSON lines)", records.json_lines, "jsonl", "application/jsonl"),
            ("All candidates (CSV)", records.candidates_csv, "csv", "text/csv"),
        ):
            st.download_button(
                label,
                partial(write, rows),
                f"{name}.{kind}",
                mime,
                icon=":material/download:",
                type="tertiary",
                key=f"{name}_{kind}",
                on_click="ignore",
            )
