"""The controls for what a palette asks for beyond averages: shares of replies, worst replies, use cases, other mixes.

How many of 100 replies are asked for is a fader as well (:mod:`pages.view.palette.protection_faders`). Constraint: each
control makes one step of the history, so that undo, saved palettes and the address have it.
"""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from map_core.core import amounts
from map_core.data.derived_columns import USE_CASE, Cohort, ColumnKind
from map_core.feasibility.aim import AskedColumn, all_cohorts, labels_that_divide
from map_core.palettes.beside import Beside
from map_core.palettes.column_names import EVERY, ColumnName
from map_core.palettes.palette import Palette
from map_core.text import protections, sentences
from pages.view.palette import protection_faders, several_scorers
from pages.view.session import palette_state
from pages.view.session.live_answer import LiveAnswer
from pages.view.session.scene import Scene
from pages.view.shell import markup
from pages.view.shell.session_keys import Key, KeyFamily

VALUE: KeyFamily[str] = KeyFamily("protect_value_{}", "")
SHARE: KeyFamily[float] = KeyFamily("protect_share_{}", 95.0)
PART: KeyFamily[str] = KeyFamily("protect_part_{}", "p20")
WHERE: KeyFamily[Cohort | None] = KeyFamily("protect_where_{}", None)
TAILS: Key[list[str]] = Key("protect_tails", [])
NO_LOSER: Key[str | bool | None] = Key("protect_no_loser", None)
MIX: Key[float] = Key("protect_mix", 0.0)

#: In place of a threshold: the average level over the prompts of a use case, and not a share.
AVERAGE = "average"
NEW = "new"


def draw_protections(live: LiveAnswer) -> None:
    """Draw what is asked for beyond averages, and the controls that ask for it."""
    scene, palette = live.scene, live.palette
    asked = () if scene.aim is None else scene.aim.asked
    count = len(asked) + len(protections.beside_sentences(palette.beside, str))
    label = "Protect the weakest replies and every use case" + (f" ({count})" if count else "")
    with st.expander(label, icon=":material/shield:", key="protect"):
        st.html(
            markup.note(
                "A level is an average. Here you ask for more: that hardly any reply is weak, or that no use case "
                "pays for another."
            )
        )
        for problem in scene.problems:
            st.html(markup.note(f"Not counted here: {problem}"))
        for number, column in enumerate(asked):
            place = protection_faders.place(scene, palette, column)
            with st.container(key=f"protection_{number}", gap=None):
                st.text(protection_faders.sentence(scene, column, place))
                with st.container(horizontal=True, vertical_alignment="center"):
                    _draw_change(live, column, number, place)
        with st.container(key="protect_add"):
            # The key changes once a sentence was added, which closes the popover.
            popover = st.popover("Add", icon=":material/add:", key=f"protect_add_{len(asked)}", on_change="rerun")
        if popover.open:
            with popover:
                _draw_form(live, NEW, None, 95.0)
        _draw_switches(scene, palette.beside)
        several_scorers.draw_scorers(scene, palette.beside.every_scorer)


def _draw_change(live: LiveAnswer, column: AskedColumn, number: int, place: float) -> None:
    """Draw the form that changes one sentence, and the button that removes it."""
    popover = st.popover("Change", key=f"protection_change_{number}", type="tertiary", on_change="rerun")
    if popover.open:
        with popover:
            _draw_form(live, str(number), column, place)
    st.button(
        "Remove",
        key=f"protection_remove_{number}",
        type="tertiary",
        on_click=_remove,
        args=(column.name, protection_faders.sentence(live.scene, column, place)),
    )


def _draw_form(live: LiveAnswer, part: str, column: AskedColumn | None, place: float) -> None:
    """Draw the form of one sentence: how many replies, no worse than what, on which value, for which prompts."""
    scene = live.scene
    values = scene.table.values[: scene.plain]
    parts = None if column is None else column.parts
    first = parts.value if parts else next((v for v in values if not live.palette.targets[v].free), values[0])
    wheres: list[Cohort | None] = [None]
    for label in labels_that_divide(scene.table):
        wheres.append(Cohort(label, EVERY))
    wheres += all_cohorts(scene.table)
    written = "p20" if parts is None else AVERAGE if parts.kind is ColumnKind.LEVEL else parts.threshold
    known = [*protections.PARTS, AVERAGE]
    with st.form(f"protect_form_{part}", border=False):
        st.selectbox(
            "On",
            values,
            index=values.index(first),
            format_func=lambda value: scene.title(scene.table.index(value)),
            key=VALUE.of(part).name,
        )
        st.number_input(
            "At least this many of 100 replies", 0.0, 100.0, round(place, 1), 1.0, "%g", key=SHARE.of(part).name
        )
        st.selectbox(
            "no worse than",
            known if written in known else [written, *known],
            index=known.index(written) if written in known else 0,
            format_func=lambda level: (
                "that place on average, for a use case" if level == AVERAGE else protections.threshold_text(level)
            ),
            key=PART.of(part).name,
        )
        st.selectbox(
            "Where",
            wheres,
            index=wheres.index(parts.cohort) if parts and parts.cohort in wheres else 0,
            format_func=lambda cohort: protections.cohort_text(cohort) or "over all replies",
            key=WHERE.of(part).name,
        )
        st.form_submit_button(
            "Add" if column is None else "Change",
            type="primary",
            key=f"protect_take_{part}",
            on_click=_take,
            args=(part, None if column is None else column.name),
        )


def _draw_switches(scene: Scene, beside: Beside) -> None:
    """Draw the switch per value for its worst replies, the one for cohorts, and the choice of the mix of prompts."""
    table = scene.table
    kept = [value for value in beside.no_worse_tail if value in table.values]
    st.pills(
        "Never at the cost of the worst replies on",
        table.values[: scene.plain],
        selection_mode="multi",
        default=TAILS.show(kept),
        format_func=lambda value: markup.plain(scene.title(table.index(value))),
        key=TAILS.name,
        on_change=_on_tails,
        help="On these values no share of the weakest replies gets weaker than with the base model.",
    )
    labels = labels_that_divide(table)
    below = "On every value with a target, each of them stays at least where the base model has it."
    if labels == (USE_CASE,):
        st.toggle(
            "No use case below its original level",
            bool(NO_LOSER.show(beside.no_cohort_below_base == USE_CASE)),
            key=NO_LOSER.name,
            on_change=_on_no_loser,
            help=below,
        )
    elif labels:
        label = beside.no_cohort_below_base if beside.no_cohort_below_base in labels else None
        st.pills(
            "None of these falls below its original level",
            labels,
            default=NO_LOSER.show(label),
            format_func=lambda name: markup.plain(f"Every {_label_name(name)}"),
            key=NO_LOSER.name,
            on_change=_on_no_loser,
            help=below,
        )
    distances = [0.0, *protections.MIXES]
    held = beside.any_mix or 0.0
    distances += [] if held in distances else [held]
    shown = MIX.show(held)
    st.selectbox(
        "Keep the targets under",
        distances,
        index=None if shown is None else distances.index(shown),
        format_func=lambda rho: (
            protections.MIXES.get(rho, f"any mix within {amounts.significant(rho)} nats")
            if rho
            else "the mix of prompts in the table"
        ),
        key=MIX.name,
        on_change=_on_mix,
        help="Some kinds of prompts may become more frequent: every target then holds under each mix that differs no "
        "more than this. It takes a second or two and starts when a fader rests.",
    )


def _take(part: str, replaced: str | None) -> None:
    """Set the target that the form describes, in place of the one that was changed."""
    scene, palette = palette_state.current()
    written, cohort, number = PART.of(part).get(), WHERE.of(part).get(), float(SHARE.of(part).get())
    value = VALUE.of(part).get()
    level: float | str = round(number / 100.0, 6)
    if written == AVERAGE:
        cohort = cohort or Cohort(USE_CASE, EVERY)  # over all replies it would be the fader of the value
        parts, level = ColumnName(value, cohort=cohort), f"p{amounts.significant(number)}"
    else:
        parts = ColumnName(value, ColumnKind.SHARE, written, cohort)
    columns = {name: old for name, old in palette.columns.items() if name not in (replaced, parts.name)}
    what = protections.target_sentence(parts, number, scene.names[scene.table.index(value)])
    palette_state.apply(replace(palette, columns={**columns, parts.name: level}), what)


def _remove(name: str, sentence: str) -> None:
    palette = palette_state.history().now
    columns = {other: level for other, level in palette.columns.items() if other != name}
    palette_state.apply(replace(palette, columns=columns), f"No longer asked for: {sentence}")


def _apply(palette: Palette, beside: Beside, what: str) -> None:
    palette_state.apply(replace(palette, beside=beside), what)


def _on_tails() -> None:
    scene, palette = palette_state.current()
    values, chosen = scene.table.values, TAILS.get() or []
    before = [value for value in palette.beside.no_worse_tail if value in values]
    named = [scene.names[j] for j, value in enumerate(values) if (value in chosen) != (value in before)]
    verb = "Protected" if len(chosen) > len(before) else "No longer protected"
    what = f"{verb}: the worst replies on {sentences.listed(named)}."
    _apply(palette, replace(palette.beside, no_worse_tail=tuple(chosen)), what)


def _on_no_loser() -> None:
    chosen, palette = NO_LOSER.get(), palette_state.history().now
    label, before = USE_CASE if chosen is True else chosen or None, palette.beside.no_cohort_below_base
    if label:
        (what,) = protections.beside_sentences(Beside(no_cohort_below_base=label), str)
    else:
        what = f"{sentences.capitalised(protections.cohorts(before or USE_CASE))} may pay for each other."
    _apply(palette, replace(palette.beside, no_cohort_below_base=label), what)


def _label_name(label: str) -> str:
    return label.replace("_", " ")


def _on_mix() -> None:
    rho, palette = float(MIX.get() or 0.0), palette_state.history().now
    what = (
        f"Kept under {protections.MIXES.get(rho, 'other mixes of prompts')}."
        if rho
        else "Kept under the mix in the table."
    )
    _apply(palette, replace(palette.beside, any_mix=rho or None), what)
