"""Judge pairs: which of two replies has more of a value, without showing their scores.

Constraint: replies are shown as text, in an order that does not depend on their scores; a judgement is stored at once,
and the last ones can be taken back.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from map_core.custom_values import agreement, replies_key
from map_core.custom_values.active import clear_cache
from map_core.data.reward_table import RewardTable
from map_core.data.shown_replies import shown_reply
from map_core.errors import PaletteError
from map_core.scoring import Definition
from map_core.scoring.pairwise import FIRST_PAIRS, MAX_PAIRS, PairAnswer, PairQuestion, choose_pairs
from map_core.store import custom_values
from pages.view.shell import markup, page_words
from pages.view.shell.account import database
from pages.view.shell.replies import draw_reply
from pages.view.shell.session_keys import Key
from pages.view.shell.viewer import viewer_id
from pages.view.values.state import CustomValue, ValuesView, load_values

JUDGING: Key[tuple[int, int, int] | None] = Key("values_judging", None)
GIVEN: Key[list[int]] = Key("values_given", [])
REFUSED: Key[str] = Key("values_judge_refused", "")

_LABELS = {PairAnswer.FIRST: "This one", PairAnswer.SECOND: "This one", PairAnswer.NEITHER: "Cannot say"}
_SHORTCUTS = {PairAnswer.FIRST: "1", PairAnswer.SECOND: "2", PairAnswer.NEITHER: "0"}


def goal(own: CustomValue) -> int:
    """Return the number of judgements at which the next round ends, at most :data:`MAX_PAIRS`."""
    return min(MAX_PAIRS, FIRST_PAIRS * (len(own.judged) // FIRST_PAIRS + 1))


def begin(own: CustomValue) -> None:
    """Start judging pairs in place of the page."""
    JUDGING.set((own.value.id, own.value.version, goal(own)))
    GIVEN.set([])


def stop() -> None:
    """Go back to the value."""
    JUDGING.pop()
    REFUSED.pop()


def judged_value(view: ValuesView) -> CustomValue | None:
    """Return the value whose pairs are being judged; None where none is."""
    judging = JUDGING.get()
    if judging is None:
        return None
    own = next((custom for custom in view.own if (custom.value.id, custom.value.version) == judging[:2]), None)
    return None if own is None or own.rewards is None else own


@st.fragment
def draw_judging(name: str) -> None:
    """Draw one pair after another, until the goal of the round is reached.

    Args:
        name: of the value.
    """
    view = load_values(database())
    own = view.own_named(name)
    judging = JUDGING.get()
    if own is None or own.rewards is None or judging is None:
        st.rerun()
    open_pairs = _open_pairs(view, own)
    if len(own.judged) >= judging[2] or not open_pairs:
        stop()
        st.rerun()
    with st.container(key="values_judge"):
        _draw_progress(own.value.definition, len(own.judged), judging[2])
        _draw_pair(view, own, open_pairs[0])
        draw_end("values_back" if GIVEN.get() else "", _take_back, "values_judge_stop", stop, REFUSED.get())


def draw_end(
    back: str,
    take_back: Callable[[], None],
    end: str,
    stop: Callable[[], None],
    refusal: str,
    shortcut: str | None = None,
) -> None:
    """Draw the buttons below what is judged, and why the last judgement could not be saved.

    Args:
        back: key of the button that takes the last judgement back; "" while there is none.
        take_back: takes it back.
        end: key of the button that ends judging.
        stop: goes back to the value.
        refusal: why the last judgement could not be saved; "" where it was.
        shortcut: of the first button.
    """
    with st.container(horizontal=True, vertical_alignment="center", key="values_judge_end"):
        if back:
            label = "Undo the last answer"
            st.button(label, key=back, icon=":material/undo:", type="tertiary", shortcut=shortcut, on_click=take_back)
        if st.button("Stop here", key=end, type="tertiary", icon=":material/close:"):
            stop()
            st.rerun()
    if refusal:
        st.warning("This judgement could not be saved.", icon=":material/error:")
        st.text(refusal)


def _open_pairs(view: ValuesView, own: CustomValue) -> list[PairQuestion]:
    """Return the pairs that nobody has judged yet, in the order in which they are asked."""
    assert own.rewards is not None
    judged_pairs = {frozenset((judgement.first, judgement.second)) for judgement in own.judged}
    # More pairs start with the same ones; choosing 200 at once would take most of a second at every click.
    wanted = min(MAX_PAIRS, len(own.judged) + 2 * FIRST_PAIRS)
    pairs = choose_pairs(view.table, own.rewards, wanted, seed=int(own.value.definition.key[:8], 16))
    open_pairs = [pair for pair in pairs if frozenset(agreement.replies_of(view.table, pair)) not in judged_pairs]
    if own.value.definition.head is None:
        return open_pairs
    # A trained value is tested on prompts that it was not trained on, while there are any.
    trained_rows = (row for pair in agreement.training_pairs(view.database, view.table, own.value) for row in pair)
    known = {view.table.prompt_of(row) for row in trained_rows}
    return sorted(open_pairs, key=lambda pair: view.table.prompt_of(pair.first) in known)


def _draw_progress(definition: Definition, done: int, total: int) -> None:
    st.html(markup.question(f"Which of these two is more: {definition.title}?", f"{done + 1} of {total}"))
    st.progress(done / total)
    st.html(markup.note(f"More like: {definition.more[0]}. Less like: {definition.less[0]}."))
    st.html(
        markup.note(
            "Choose the one that has more of it, even if the other is the better reply. You can also press the keys 1 "
            "and 2, and 0 where you cannot say."
        )
    )


def _draw_pair(view: ValuesView, own: CustomValue, question: PairQuestion) -> None:
    prompts = [view.table.prompts[view.table.prompt_of(row)] for row in (question.first, question.second)]
    if prompts[0] == prompts[1]:
        with st.container(key="values_prompt", gap=None):
            st.html(markup.note("Both answer this prompt:"))
            st.text(prompts[0])
    sides = ((PairAnswer.FIRST, question.first), (PairAnswer.SECOND, question.second))
    with st.container(horizontal=True, key="values_pair"):
        for number, (answer, row) in enumerate(sides):
            with st.container(key=f"values_side_{number}"):
                with st.container(border=True, key=f"values_reply_{number}"):
                    if prompts[0] != prompts[1]:
                        st.html(markup.note("Answers this prompt:"))
                        st.text(prompts[number])
                    draw_reply(shown_reply(view.table, row))
                _draw_answer(own, view, question, answer)
    _draw_answer(own, view, question, PairAnswer.NEITHER)


def _draw_answer(own: CustomValue, view: ValuesView, question: PairQuestion, answer: PairAnswer) -> None:
    st.button(
        _LABELS[answer],
        key=f"values_is_{answer.value}",
        shortcut=_SHORTCUTS[answer],
        width="stretch",
        on_click=_on_answer,
        args=(own.value.id, own.value.version, view.table, question, answer),
    )


def _on_answer(id: int, version: int, table: RewardTable, question: PairQuestion, answer: PairAnswer) -> None:
    """Store a judgement."""
    REFUSED.pop()
    pair = agreement.replies_of(table, question)
    try:
        judgements = agreement.kept_judgements(database(), table, id, version)
        if any({judgement.first, judgement.second} == set(pair) for judgement in judgements):
            return  # a double click, or judged by somebody else meanwhile
        judgement = custom_values.judge(database(), id, version, replies_key(table), pair, answer, viewer_id())
    except PaletteError as error:
        REFUSED.set(page_words.of(error))
        return
    GIVEN.set([*GIVEN.get(), judgement.id])
    clear_cache()


def _take_back() -> None:
    """Withdraw this viewer's last judgement; its pair is asked about again."""
    given_ids: list[int] = list(GIVEN.get())
    if not given_ids:
        return
    try:
        custom_values.withdraw(database(), given_ids.pop())
    except PaletteError as error:
        REFUSED.set(page_words.of(error))
        return
    GIVEN.set(given_ids)
    clear_cache()
