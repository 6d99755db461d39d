"""Below the replies: which one is shown, continuing the chat, more candidates, and the figures of each choice."""

from __future__ import annotations

import math

import numpy as np
import streamlit as st

from map_core.analysis.headroom import share_lost
from map_core.core import amounts
from map_core.errors import InputError
from map_core.generation.choice import Choice
from map_core.generation.request import Method
from map_core.generation.weighted_rewards import weighted_names, weighted_rewards
from map_core.service.snapshot import GenerationSnapshot
from map_core.text import sentences
from map_core.text.tuning import proposal_sentence
from map_core.text.wording import Wording, effort
from pages.view.compare import chat, comparison, generator, prompt_form
from pages.view.compare.comparison import ComparisonView
from pages.view.compare.pinned import PaletteColumn
from pages.view.shell import markup, page_words
from pages.view.shell import wording as wordings


def draw_failure(snapshot: GenerationSnapshot) -> None:
    """Draw the error of a generation and what to do."""
    if snapshot.error:
        st.error("This did not work.", icon=":material/error:")
        st.text(page_words.of(snapshot.error))
    if snapshot.command:
        st.code(snapshot.command, language=None, wrap_lines=True)


def draw_shown_switch(view: ComparisonView) -> None:
    """Draw the choice between the likeliest reply and a drawn one, and explain the difference."""
    if not view.done or view.choices[0] is None or not view.columns[0].weights.by_value:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="shown_line"):
        comparison.SHOWN.get_or_set(comparison.LIKELIEST)
        st.segmented_control(
            "Which reply is shown",
            [comparison.LIKELIEST, comparison.DRAWN],
            format_func={comparison.LIKELIEST: "Likeliest reply", comparison.DRAWN: "Drawn by chance"}.__getitem__,
            required=True,
            key=comparison.SHOWN.name,
            persist_state="session",
            label_visibility="collapsed",
        )
        st.html(
            markup.note(
                "Each palette's reply is drawn by chance, with the probabilities of its candidates: the forecast of "
                "levels is about such draws."
                if view.drawn
                else "The likeliest reply shows best what your palette asks for. The forecast of levels is about "
                "replies that are drawn by chance."
            )
        )


def draw_continue(view: ComparisonView) -> None:
    """Draw the buttons that continue the chat with one of the replies, and the one that draws more candidates."""
    if not view.done:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="continue_line"):
        shown = [("base", "Base model", view.base_index)]
        shown += [
            (column.key, column.name, picked)
            for column, choice in zip(view.columns, view.choices, strict=True)
            if (picked := view.shown_index(choice)) is not None
        ]
        for key, name, index in shown:
            st.button(
                f"Continue the chat: {markup.plain(name)}",
                key=f"continue_{key}",
                type="tertiary",
                icon=":material/reply:",
                on_click=chat.continue_with,
                args=(view.scene, view.generation, view.shown.candidates[index]),
            )
        _draw_more(view)


def draw_figures(view: ComparisonView) -> None:
    """Draw the expander with each palette's figures and rewards; its content only once it is open."""
    if not any(choice is not None for choice in view.choices):
        return
    expander = st.expander("Figures", icon=":material/monitoring:", key="figures", on_change="rerun")
    if not expander.open:
        return
    with expander:
        with st.container(horizontal=True, key="figure_columns"):
            for column, choice in zip(view.columns, view.choices, strict=True):
                if choice is not None and (picked := view.shown_index(choice)) is not None:
                    with st.container(key=f"{column.key}_figures"):
                        _draw_choice(view, column, choice, picked)
        if view.done:
            _draw_rewards(view)


def _draw_choice(view: ComparisonView, column: PaletteColumn, choice: Choice, picked: int) -> None:
    """Draw the probability, sample size and cost of a choice, and its rewards once it is final."""
    count = len(choice.probabilities)
    if len(view.columns) > 1:
        st.html(markup.name(column.name))
    wording = wordings.current()
    sample = wording.pick("Effective sample size", "What it rests on")
    carry = f"{amounts.fixed(choice.ess, 1)} of {count}"
    tuned = generator.tuned_of(view.generation)
    even = f"among {count} candidates" if tuned else f"{sentences.chance(1 / count)} under the base"
    facts = [
        ("Probability", sentences.chance(choice.probabilities[picked]), even),
        (sample, carry, "candidates carry the choice"),
        (
            wording.pick("Spent", "Effort"),
            *((wording.distance(max(choice.kl, 0.0)), "estimated") if tuned else _effort(choice.kl, count, wording)),
        ),
    ]
    if wording.numbers:
        error = f"± {amounts.nats(choice.error)} on the weighted reward"
        facts.append(("log Z", amounts.fixed(choice.log_z, 2), error))
    st.html(markup.facts(facts))
    if view.done and tuned:
        st.html(markup.note(proposal_sentence(tuned, choice.ess, count)))
    elif view.done and choice.more_would_help:
        st.html(markup.note("More candidates would help: too few carry this choice."))
    if view.done and (note := _race_note(view, column, choice)):
        st.html(markup.note(note))
    if column.weights.note and column.key != "aligned":  # that of the current palette is above the prompt
        st.html(markup.note(column.weights.note))
    if view.generation.request.method is Method.BEST:
        most = math.log(count) - 1 + 1 / count
        st.html(
            markup.note(
                wording.pick(f"Best of {count} takes", "The candidate shown is the one with")
                + " the highest weighted reward and not a draw"
                + wording.pick(f": it spends up to {amounts.nats(most)}", "")
                + ". The other figures are those of a draw."
            )
        )
    if view.done:
        st.html(markup.levels_table(*_details(view, column, choice, picked), theme=view.scene.theme))


def _race_note(view: ComparisonView, column: PaletteColumn, choice: Choice) -> str:
    """Describe how exact a race is for the current weights, which may differ from those that it was drawn for."""
    if (headroom := view.generation.request.headroom) is None:
        return ""
    try:
        lost = share_lost(view.scene.table, column.weights.by_value, headroom)
    except InputError:  # a custom value that the table has no rewards of
        return ""
    return sentences.race(lost, bool(choice.decided))


def _effort(kl: float, count: int, wording: Wording) -> tuple[str, str]:
    """Return what a choice has spent, and how that compares with the most it can spend."""
    spent = amounts.nats(kl) if wording.numbers else effort(kl)
    return spent, sentences.spent(kl, count, wording)


def _details(
    view: ComparisonView, column: PaletteColumn, choice: Choice, picked: int
) -> tuple[list[str], list[tuple[int, tuple[str, ...]]]]:
    """Return the header and a row per value: weight, and the average, expected and shown reward."""
    rows = []
    for name in view.generation.request.scored:
        rewards = np.array([candidate.rewards.get(name, math.nan) for candidate in view.shown.candidates])
        has_reward = ~np.isnan(rewards)
        if not has_reward.any():
            continue
        shares = np.array(choice.probabilities) * has_reward
        expected = float(shares @ np.where(has_reward, rewards, 0.0) / shares.sum()) if shares.sum() else math.nan
        weight = column.weights.by_value.get(name, 0.0)
        cells = (weight, float(rewards[has_reward].mean()), expected, float(rewards[picked]))
        rows.append((_position(view, name), (_title(view, name), *(sentences.number(cell) for cell in cells))))
    return ["Value", "Weight", "Average", "Expected", "This reply"], rows


def _draw_rewards(view: ComparisonView) -> None:
    """Draw the rewards of the replies shown, with their percentiles among the base model's replies."""
    table, shown = view.scene.table, [view.base_index, *(view.shown_index(choice) for choice in view.choices)]
    percentiles, rows = view.scene.percentiles, []
    for name in view.generation.request.scored:
        cells = [_title(view, name)]
        for index in shown:
            reward = None if index is None else view.shown.candidates[index].rewards.get(name)
            if reward is None:
                cells.append("–")
            elif name in table.values:
                percentile = percentiles.percentile_of(table.values.index(name), reward)
                cells.append(f"{sentences.number(reward)} ({wordings.current().level(percentile)})")
            else:
                cells.append(sentences.number(reward))
        rows.append((_position(view, name), cells))
    if rows:
        st.html(
            markup.levels_table(
                [
                    wordings.current().pick("Reward", "Score (out of 100)"),
                    "Base model",
                    *(column.name for column in view.columns),
                ],
                rows,
                theme=view.scene.theme,
            )
        )


def _draw_more(view: ComparisonView) -> None:
    """Draw the button that doubles the candidates, where that is possible."""
    drawn = len(view.shown.candidates)
    tuned = bool(generator.tuned_of(view.generation))
    if tuned or view.generation.request.method is Method.BLOCKS or drawn >= prompt_form.MAX_DRAWN:
        return
    more = min(drawn, prompt_form.MAX_DRAWN - drawn)
    wanted = any(choice is not None and choice.more_would_help for choice in view.choices)
    with st.container(horizontal=True, vertical_alignment="center", key="more"):
        st.button(
            f"Draw {more} more",
            key="draw_more",
            icon=":material/library_add:",
            type="secondary" if wanted else "tertiary",
            on_click=prompt_form.draw_more,
            args=(view.scene, view.generation, dict(view.columns[0].weights.by_value)),
        )
        if wanted:
            st.html(markup.note("More candidates would help here: the choice then rests on more of them."))


def draw_reason(view: ComparisonView) -> None:
    """Draw why the current palette shows its candidate."""
    choice, picked = view.choices[0], view.shown_index(view.choices[0])
    if not view.done or choice is None or picked is None:
        return
    by_value = generator.of_scored(view.columns[0].weights.by_value, view.generation.request.scored)
    rewards_of = {
        name: [candidate.rewards.get(name, math.nan) for candidate in view.shown.candidates]
        for name in view.generation.request.scored
    }
    table, weights = weighted_rewards(rewards_of, by_value, len(view.shown.candidates))
    names = weighted_names(rewards_of, by_value)
    others = [k for k, row in enumerate(table) if not np.isnan(row).any() and k != picked]
    rewards = table[[picked, *others]]
    probability = choice.probabilities[picked]
    st.text(
        f"Candidate {picked + 1} {'was picked' if view.drawn else 'is shown'}. "
        + sentences.why_picked(
            rewards,
            np.array(weights),
            probability,
            probability >= max(choice.probabilities) - 1e-12,
            [generator.value_title(view.scene, name) for name in names],
            view.drawn,
        )
    )


def _title(view: ComparisonView, name: str) -> str:
    return sentences.capitalised(generator.value_title(view.scene, name))


def _position(view: ComparisonView, name: str) -> int:
    return view.scene.table.values.index(name) if name in view.scene.table.values else 0
