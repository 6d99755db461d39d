"""The base model and each palette side by side: the reply of the moment, what it rests on, and how far the work is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from map_core.core import amounts
from map_core.feasibility import Assessment
from map_core.generation.choice import Choice
from map_core.generation.request import Method
from map_core.service.generation import Generation
from map_core.service.snapshot import GenerationSnapshot, Phase
from map_core.text import sentences
from pages.view.compare import chat, generator, pinned, prompt_form
from pages.view.compare.pinned import PaletteColumn
from pages.view.session.scene import Scene
from pages.view.shell import markup
from pages.view.shell.replies import draw_reply


@dataclass(frozen=True, eq=False)
class ComparisonView:
    """A generation at one moment, and what each palette makes of its candidates.

    Args:
        scene: the table that is looked at.
        assessment: today's palette on it.
        generation: what is drawn.
        shown: its state.
        columns: the palettes, today's first.
        choices: one a palette; None before any rewards.
    """

    scene: Scene
    assessment: Assessment
    generation: Generation
    shown: GenerationSnapshot
    columns: tuple[PaletteColumn, ...]
    choices: tuple[Choice | None, ...]

    @property
    def done(self) -> bool:
        """Picks are final."""
        return self.shown.phase is Phase.DONE

    def place(self, choice: Choice | None) -> int | None:
        """Return the candidate that a palette shows, see :func:`shown_candidate`."""
        return shown_candidate(self.shown, choice)

    @property
    def base_place(self) -> int:
        """The base model's candidate: its own draw; in the end another one where the palette has picked the same."""
        place = self.place(self.choices[0])
        return self.shown.base if place is None or not self.done else self.shown.base_beside(place)


def comparison(scene: Scene, assessment: Assessment, generation: Generation) -> ComparisonView:
    """Return the state of now; the weights in force follow the palette and the number of candidates."""
    snapshot = generation.snapshot()
    columns = pinned.columns(scene, assessment, len(snapshot.candidates))
    if generator.is_owner(generation):
        scored = set(generation.request.scored)
        generation.reweigh({name: w for name, w in columns[0].weights.by_value.items() if name in scored})
    return ComparisonView(scene, assessment, generation, snapshot, columns, choices(generation, snapshot, columns))


def choices(
    generation: Generation, snapshot: GenerationSnapshot, columns: Sequence[PaletteColumn]
) -> tuple[Choice | None, ...]:
    """Return what each palette makes of the candidates that are shown; None before any rewards."""
    picks = [generation.choice(column.weights.by_value) for column in columns]
    # Candidates may have been added between the two looks: then there are no choices until the next one.
    return tuple(c if c is not None and len(c.probabilities) == len(snapshot.candidates) else None for c in picks)


def shown_candidate(snapshot: GenerationSnapshot, choice: Choice | None) -> int | None:
    """Return the candidate that a choice shows: its pick when all is done, before that the leader."""
    if choice is None:
        return None
    return choice.picked if snapshot.phase is Phase.DONE else int(np.argmax(choice.probabilities))


def draw_progress(snapshot: GenerationSnapshot) -> None:
    """Where the work is: the queue, what is being written, what went wrong and what to do."""
    speed = (
        f", {amounts.fixed(snapshot.tokens / snapshot.sampling_seconds, grouped=True)} tokens/s"
        if snapshot.sampling_seconds
        else ""
    )
    many = f"{len(snapshot.candidates)} candidates, {snapshot.tokens:,} tokens, "
    many += f"{amounts.fixed(snapshot.seconds, 1)} s{speed}"
    match snapshot.phase:
        case Phase.WAITING:
            status = snapshot.note or "Waiting for the model."
        case Phase.SAMPLING:
            status = f"Writing: {many}"
        case Phase.SCORING:
            status = f"Scoring the complete replies: {many}"
        case Phase.CANCELLED:
            status = f"Stopped: {many}. What was written stays; nothing was picked."
        case _:
            status = f"Done: {many}"
    if snapshot.error:
        st.error("This did not work.", icon=":material/error:")
        st.text(snapshot.error)
    else:
        st.html(f'<div role="status">{markup.note(status)}</div>')
    if snapshot.restarts and snapshot.phase is not Phase.WAITING and not snapshot.error:
        st.html(markup.note("The model process stopped and came back: this reply was written again."))
    if snapshot.resampled:
        times = "once" if snapshot.resampled == 1 else f"{snapshot.resampled} times"
        st.html(markup.note(f"Beginnings were compared and copied {times} on the way."))
    for note in snapshot.notes:
        st.text(note)
    if snapshot.command:
        st.code(snapshot.command, language=None, wrap_lines=True)


def draw_asked(prompt: str) -> None:
    """Name the prompt that the replies below answer: the box above may hold another one by now."""
    with st.container(key="asked", gap=None):
        st.html(markup.note("Replies to"))
        st.text(prompt)


def draw_empty_columns(columns: tuple[PaletteColumn, ...]) -> None:
    """Draw the columns before anything was asked."""
    with st.container(horizontal=True, key="columns"):
        with st.container(border=True, key="base_reply"):
            st.html(markup.name("Base model"))
            st.html(markup.note("A reply as the model gives it today."))
        for column in columns:
            with st.container(border=True, key=f"{column.key}_reply"):
                st.html(markup.name(column.name))
                st.html(markup.note("The reply that your palette would choose."))


def draw_replies(view: ComparisonView) -> None:
    """Draw a column for the base model and one for each palette."""
    snapshot = view.shown
    with st.container(horizontal=True, key="columns"):
        with st.container(border=True, key="base_reply"):
            st.html(markup.name("Base model"))
            base = snapshot.candidates[view.base_place]
            st.caption(f"Candidate {view.base_place + 1}, any one of the {len(snapshot.candidates)}")
            draw_reply(base.display_text)
            if view.base_place != snapshot.base:
                st.html(markup.note("Both draws fell on the same reply, so this is another one of the base model's."))
            _draw_continue(view, "base", base.text)
        for column, choice in zip(view.columns, view.choices, strict=True):
            with st.container(border=True, key=f"{column.key}_reply"):
                _draw_aligned(view, column, choice)
    if view.done:
        _draw_more(view)
        _draw_rewards(view)


def _draw_aligned(view: ComparisonView, column: PaletteColumn, choice: Choice | None) -> None:
    snapshot, place = view.shown, view.place(choice)
    if place is None:
        other = (snapshot.base + 1) % len(snapshot.candidates)
        if view.done:
            st.html(markup.name(column.name))
            st.html(markup.note("No candidate could be scored, so none was picked."))
            return
        st.html(markup.name(column.name, "provisional"))
        st.caption(f"Candidate {other + 1}, provisional: nothing is scored yet")
        draw_reply(snapshot.candidates[other].display_text)
        return
    if view.done and not column.weights.by_value:
        st.html(markup.name(column.name, "not steered"))
        st.caption(f"Candidate {place + 1}, any one of them: no value that is scored here has a weight")
    elif view.done:
        st.html(markup.name(column.name, "picked"))
        st.caption(f"Candidate {place + 1}, picked by {'this' if column.key != 'aligned' else 'your'} palette")
    else:
        caption = (
            "leading when it was stopped"
            if snapshot.phase.ended
            else "provisional leader: it may change until all are complete"
        )
        st.html(markup.name(column.name, "provisional"))
        st.caption(f"Candidate {place + 1}, {caption}")
    draw_reply(snapshot.candidates[place].display_text)
    if choice is not None:
        _draw_continue(view, column.key, snapshot.candidates[place].text)
        _draw_certificate(view, column, choice, place)


def _draw_continue(view: ComparisonView, key: str, reply: str) -> None:
    if view.done:
        st.button(
            "Continue the chat with this",
            key=f"continue_{key}",
            type="tertiary",
            icon=":material/reply:",
            on_click=chat.continue_with,
            args=(view.scene, view.generation, reply),
        )


def _draw_certificate(view: ComparisonView, column: PaletteColumn, choice: Choice, place: int) -> None:
    """Draw what this choice rests on and what it has cost; provisional like the choice itself."""
    count = len(choice.probabilities)
    st.html(
        markup.facts(
            [
                (
                    "Probability",
                    sentences.chance(choice.probabilities[place]),
                    f"{sentences.chance(1 / count)} under the base",
                ),
                ("Effective sample size", f"{amounts.fixed(choice.ess, 1)} of {count}", "candidates carry the choice"),
                ("Spent", amounts.nats(choice.kl), sentences.spent(choice.kl, count)),
                (
                    "log Z",
                    amounts.fixed(choice.log_z, 2),
                    f"± {amounts.nats(choice.error)} on the weighted reward",
                ),
            ]
        )
    )
    if view.done and choice.more_would_help:
        st.html(markup.note("More candidates would help: too few carry this choice."))
    if column.weights.note and column.key != "aligned":  # that of today's palette stands above the prompt
        st.html(markup.note(column.weights.note))
    if view.generation.request.method is Method.BEST:
        most = math.log(count) - 1 + 1 / count
        st.html(
            markup.note(
                f"Best of {count} takes the highest weighted reward and not a draw: it spends up to "
                f"{amounts.nats(most)}. The other figures are those of a draw."
            )
        )
    if view.done:
        with st.expander("Weights and rewards", key=f"details_{column.key}"):
            st.html(markup.levels_table(*_details(view, column, choice, place), theme=view.scene.theme))


def _details(
    view: ComparisonView, column: PaletteColumn, choice: Choice, place: int
) -> tuple[list[str], list[tuple[int, tuple[str, ...]]]]:
    """Value by value: the weight, the average candidate, the expected and the shown reward."""
    rows = []
    for name in view.generation.request.scored:
        rewards = np.array([candidate.rewards.get(name, math.nan) for candidate in view.shown.candidates])
        has_reward = ~np.isnan(rewards)
        if not has_reward.any():
            continue
        shares = np.array(choice.probabilities) * has_reward
        expected = float(shares @ np.where(has_reward, rewards, 0.0) / shares.sum()) if shares.sum() else math.nan
        weight = column.weights.by_value.get(name, 0.0)
        cells = (weight, float(rewards[has_reward].mean()), expected, float(rewards[place]))
        rows.append((_position(view, name), (_title(view, name), *(sentences.number(cell) for cell in cells))))
    return ["Value", "Weight", "Average", "Expected", "This reply"], rows


def _draw_rewards(view: ComparisonView) -> None:
    """Draw the rewards of the replies shown, with their percentiles among the base model's replies."""
    table, places = view.scene.table, [view.base_place, *(view.place(choice) for choice in view.choices)]
    percentiles, rows = view.scene.percentiles, []
    for name in view.generation.request.scored:
        cells = [_title(view, name)]
        for place in places:
            reward = None if place is None else view.shown.candidates[place].rewards.get(name)
            if reward is None:
                cells.append("–")
            elif name in table.values:
                percentile = percentiles.percentile_of(table.values.index(name), reward)
                cells.append(f"{sentences.number(reward)} ({amounts.percentile(percentile)})")
            else:
                cells.append(sentences.number(reward))
        rows.append((_position(view, name), cells))
    if rows:
        st.html(
            markup.levels_table(
                ["Reward", "Base model", *(column.name for column in view.columns)], rows, theme=view.scene.theme
            )
        )


def _draw_more(view: ComparisonView) -> None:
    """Draw as many candidates again, where that can help and there is room."""
    now = len(view.shown.candidates)
    if view.generation.request.method is Method.BLOCKS or now >= prompt_form.MAX_DRAWN:
        return
    more = min(now, prompt_form.MAX_DRAWN - now)
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
    """Why today's palette has picked its candidate."""
    choice, place = view.choices[0], view.place(view.choices[0])
    if not view.done or choice is None or place is None:
        return
    names = [name for name, weight in view.columns[0].weights.by_value.items() if weight]
    known_values = [
        k
        for k, candidate in enumerate(view.shown.candidates)
        if all(name in candidate.rewards for name in names) and k != place
    ]
    rewards = np.array([[view.shown.candidates[k].rewards[name] for name in names] for k in (place, *known_values)])
    probability = choice.probabilities[place]
    st.text(
        f"Candidate {place + 1} was picked. "
        + sentences.why_picked(
            rewards.reshape(len(known_values) + 1, len(names)),
            np.array([view.columns[0].weights.by_value[name] for name in names]),
            probability,
            probability >= max(choice.probabilities) - 1e-12,
            [generator.value_title(view.scene, name) for name in names],
        )
    )


def _title(view: ComparisonView, name: str) -> str:
    return sentences.capitalised(generator.value_title(view.scene, name))


def _position(view: ComparisonView, name: str) -> int:
    return view.scene.table.values.index(name) if name in view.scene.table.values else 0
