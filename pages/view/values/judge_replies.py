"""Judge one reply at a time: does it have a value, yes or no. Replies that narrow the interval most come first.

Constraint: scores are not shown; an answer is stored at once, and the last ones can be taken back. Replies to hidden
prompts are never shown.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import numpy as np
import streamlit as st

from map_core.analysis.generation_weights import effective_solution
from map_core.calibration import PeopleLevel, next_labels, people_levels, value_labels
from map_core.calibration.labels import labels_of_prompts
from map_core.calibration.next_labels import LabelRequest
from map_core.custom_values import replies_key
from map_core.data.reward_table import RewardTable
from map_core.data.shown_replies import shown_reply
from map_core.errors import InputError, PaletteError
from map_core.scoring.validation import Label
from map_core.store import labels as store
from map_core.store.labels import KeptLabel, Said
from map_core.text import people as texts
from pages.view.session import palette_state, people_labels
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from pages.view.shell import markup, page_words, remember
from pages.view.shell.account import database
from pages.view.shell.replies import draw_reply
from pages.view.shell.session_keys import Key
from pages.view.values.judge import draw_end

JUDGED: Key[str] = Key("values_judged_value", "")
WAITING: Key[tuple[LabelRequest, ...]] = Key("values_waiting", ())
GIVEN: Key[list[int]] = Key("values_labels_given", [])
REFUSED: Key[str] = Key("values_label_refused", "")
JUDGE: Key[str] = Key("values_judge_id", "")
#: The cookie with the id of a judge who is not logged in, and its lifetime in seconds.
COOKIE, REMEMBERED = "value_palette_judge", 365 * 24 * 3600
#: Replies per prompt on average; and one of how many replies is one that others have judged.
PER_PROMPT, SHARED = 6, 4

_ANSWERS = {Said.YES: ("Yes", "Y"), Said.NO: ("No", "N"), Said.UNSURE: ("Not sure", "0")}


@dataclass(frozen=True, eq=False)
class Judging:
    """What is known of one value while somebody judges.

    Args:
        scene: the table, in the current use case.
        value: its name.
        weights: (value,) x of the current palette.
        kept: everybody's answers on the page.
        mine: this judge's answers.
        labels: of the value, including those beside the table.
        level: with the palette; None while there are too few labels.
    """

    scene: Scene
    value: str
    weights: np.ndarray
    kept: tuple[KeptLabel, ...]
    mine: tuple[KeptLabel, ...]
    labels: tuple[Label, ...]
    level: PeopleLevel | None

    @property
    def labelled_prompts(self) -> set[str]:
        """Ids of the prompts with a label."""
        return {label.prompt_id for label in self.labels}


def begin(value: str) -> None:
    """Start judging replies in place of the page."""
    JUDGED.set(value)
    WAITING.pop()
    GIVEN.pop()
    REFUSED.pop()


def stop() -> None:
    """Go back to the value."""
    JUDGED.pop()
    WAITING.pop()


def judge_id() -> str:
    """Return the id of the judge: of the login, or a secret that this browser keeps."""
    return database().visitor.id or JUDGE.get_or_set(remember.remembered(COOKIE) or secrets.token_urlsafe(12))


@st.fragment
def draw_judging(value: str, title: str, measures: str) -> None:
    """Draw one reply after another, until the judge stops.

    Args:
        value: its name in the table.
        title: as people read it.
        measures: what a higher score means, a sentence; "" where that is not known.
    """
    judge = judge_id()
    if not database().visitor.id:
        remember.remember(COOKIE, judge, REMEMBERED)
    known = _judging(value, judge)
    label_request = _next(known, judge)
    with st.container(key="values_judge"):
        st.html(markup.question(f"{title}: would you say yes to this reply?", f"{len(known.mine)} judged by you"))
        now, more = texts.progress_sentences(known.level, len(known.labelled_prompts))
        st.html(markup.note(f"{now} {more}"))
        st.html(markup.note(f"Yes means that the reply has it. {measures}".strip()))
        if label_request is None:
            st.html(markup.lead("There is no further reply to judge here. Thank you."))
        else:
            _draw_reply(known, label_request, judge)
        back = "values_label_back" if GIVEN.get() else ""
        draw_end(back, _take_back, "values_label_stop", stop, REFUSED.get(), shortcut="Backspace")


def _judging(value: str, judge: str) -> Judging:
    scene, palette = palette_state.current_counted()
    solution = effective_solution(palette_state.current_assessment(scene, palette))
    weights = np.zeros(len(scene.table.values)) if solution is None else solution.weights
    kept = tuple(label for label in people_labels.kept() if label.value == value)
    given = labels_of_prompts(scene.table, people_labels.given())
    of_value = tuple(label for label in given if value in label.labels)
    levels, _ = people_levels(scene.table, scene.oracle, of_value, weights, only=value)
    level = levels[value][1] if value in levels else None
    mine = tuple(label for label in kept if label.judge == judge)
    return Judging(scene, value, weights, kept, mine, of_value, level)


def _next(known: Judging, judge: str) -> LabelRequest | None:
    """Return the next reply to judge: now and then one that others have judged, else one that nobody has."""
    table, answered = known.scene.table, {label.reply for label in known.mine}
    others = [label for label in known.kept if label.judge != judge]
    judged = {label.reply for label in others}
    # Requests from before the use case was changed may not belong to this table.
    waiting = tuple(
        request
        for request in WAITING.get()
        if (request.prompt_id, request.candidate) not in answered and _row(table, request) is not None
    )
    shares = bool(waiting) and (waiting[0].prompt_id, waiting[0].candidate) in judged
    shown = dict(zip(table.prompt_ids, table.shown.tolist(), strict=True))
    open_to_me = (label for label in others if label.reply not in answered and shown.get(label.reply[0]))
    shared = tuple(LabelRequest(*label.reply, label.chance or 1.0) for label in islice(open_to_me, 1))
    if not shares and (len(answered) + 1) // SHARED > len(answered & judged):
        waiting = (*shared, *waiting)
    waiting = waiting or _draw(known, judge) or shared
    WAITING.set(waiting)
    return waiting[0] if waiting else None


def _draw(known: Judging, judge: str) -> tuple[LabelRequest, ...]:
    """Sample the replies to judge of the next prompt; empty where none is left."""
    table = known.scene.table
    touched = known.labelled_prompts | {label.reply[0] for label in known.kept}
    among = table.shown & np.array([prompt not in touched for prompt in table.prompt_ids])
    labels = None
    with suppress(InputError):  # none yet, or all alike
        labels = value_labels(table, known.labels, known.value)
    # The seed depends on prompt and judge; a sample may be empty.
    for attempt in range(20):
        seed = [len(touched), attempt, *judge.encode()]
        drawn = next_labels(
            table,
            known.scene.oracle,
            labels or known.value,
            known.weights,
            1,
            int(np.random.SeedSequence(seed).generate_state(1)[0]),
            per_prompt=PER_PROMPT,
            among=among,
        )
        if drawn:
            # Shuffled, so that a judge who stops half way has judged a random part of them.
            order = np.random.default_rng(seed).permutation(len(drawn))
            return tuple(drawn[k] for k in order)
    return ()


def _row(table: RewardTable, label_request: LabelRequest) -> int | None:
    """Return the row of the reply that is asked about; None where the table does not have it."""
    known = label_request.prompt_id in table.prompt_ids
    return table.row_of(table.prompt_ids.index(label_request.prompt_id), label_request.candidate) if known else None


def _draw_reply(known: Judging, label_request: LabelRequest, judge: str) -> None:
    table = known.scene.table
    row = _row(table, label_request)
    assert row is not None, "_next() asks of this very table"
    with st.container(key="values_prompt", gap=None):
        st.html(markup.note("Asked:"))
        st.text(table.prompts[table.prompt_of(row)])
    with st.container(border=True, key="values_reply_0"):
        draw_reply(shown_reply(table, row))
    with st.container(horizontal=True, key="values_says"):
        for answer, (label, shortcut) in _ANSWERS.items():
            st.button(
                label,
                key=f"values_is_{answer.value}",
                shortcut=shortcut,
                width="stretch",
                on_click=_on_answer,
                args=(known.value, label_request, answer, judge),
            )


def _on_answer(value: str, label_request: LabelRequest, answer: Said, judge: str) -> None:
    """Store an answer."""
    REFUSED.pop()
    reply = (label_request.prompt_id, label_request.candidate)
    if not any((request.prompt_id, request.candidate) == reply for request in WAITING.get()):
        return  # a double click
    try:
        key = replies_key(scenes.file_table())
        label = store.keep(database(), key, value, reply, answer, judge, min(label_request.chance, 1.0))
    except PaletteError as error:
        REFUSED.set(page_words.of(error))
        return
    people_labels.forget()
    GIVEN.set([*GIVEN.get(), label.id])
    WAITING.set(tuple(request for request in WAITING.get() if (request.prompt_id, request.candidate) != reply))


def _take_back() -> None:
    """Withdraw this judge's last answer; its reply is asked about again."""
    given = list(GIVEN.get())
    if not given:
        return
    last = next((label for label in people_labels.kept() if label.id == given[-1]), None)
    try:
        store.withdraw(database(), given.pop())
    except PaletteError as error:
        REFUSED.set(page_words.of(error))
        return
    people_labels.forget()
    GIVEN.set(given)
    if last is not None:
        WAITING.set((LabelRequest(*last.reply, last.chance or 1.0), *WAITING.get()))
