"""Judge which of two replies is better, blind or with the models' names in sight.

While the toggle is on, replies are covered until they are judged: names, order, certificates and candidates would all
give away which is whose. Judgements with the names in sight are counted separately, because names bias people.
Constraint: replies are shown as text; a vote is stored at once, and the last one can be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from map_core import store
from map_core.errors import PaletteError
from map_core.generation.choice import Choice
from map_core.palettes.palette import ALL
from map_core.service.generation import Generation
from map_core.service.snapshot import GenerationSnapshot, Phase
from map_core.store import setting, table_key, votes
from map_core.store.votes import Preference
from map_core.text.blind_votes import BlindPair, Side, blind_pair, preference_sentence, votes_csv
from pages.view.compare.comparison import ComparisonView, shown_candidate
from pages.view.session import palette_state
from pages.view.session import scene as scenes
from pages.view.shell import background, markup, page_words, wording
from pages.view.shell.account import database
from pages.view.shell.kept_keys import KeptKey
from pages.view.shell.replies import draw_reply
from pages.view.shell.session_keys import Key
from pages.view.shell.viewer import viewer_id

BLIND: Key[bool] = Key("judge_blind", False)
REFUSED: Key[str] = Key("judge_refused", "")

#: Longer prompts are kept with their beginning only.
_MAX_PROMPT_LENGTH = 2_000
ANSWERS = {Side.A: "A is better", Side.NEITHER: "No difference", Side.B: "B is better"}
_NAMED_ANSWERS = {
    Preference.BASE: "Base model",
    Preference.TIE: "No difference",
    Preference.ALIGNED: "Aligned model",
}
#: What the key of judgements with the names in sight ends with.
_NAMED = " named"
_OUTCOMES = {
    Preference.ALIGNED: "You preferred the aligned model.",
    Preference.BASE: "You preferred the base model.",
    Preference.TIE: "You saw no difference.",
}


@dataclass(frozen=True)
class VoteQuestion:
    """Two replies that can be judged.

    Args:
        name: of the pair.
        prompt: that both answer.
        pair: the replies; None where they are equal.
        shown: how replies are read, by their text.
    """

    name: str
    prompt: str
    pair: BlindPair | None
    shown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _CastVote:
    """A judgement of this viewer.

    Args:
        vote: its id.
        preferred: the answer.
        viewer: the visit that gave it, an earlier one after a reload; it is needed to take the vote back.
    """

    vote: int
    preferred: Preference
    viewer: str


def _dump_votes(cast: dict[str, _CastVote]) -> dict[str, Any]:
    return {name: [cast_vote.vote, cast_vote.preferred.value, cast_vote.viewer] for name, cast_vote in cast.items()}


def _read_votes(dumped: Any) -> dict[str, _CastVote]:
    return {
        str(name): _CastVote(int(vote), Preference(preferred), str(viewer))
        for name, (vote, preferred, viewer) in dumped.items()
    }


CAST_VOTES: KeptKey[dict[str, _CastVote]] = KeptKey("judged", {}, _dump_votes, _read_votes)


def vote_question(
    generation: Generation, snapshot: GenerationSnapshot, choice: Choice | None, drawn: bool = True
) -> VoteQuestion | None:
    """Return what can be asked of a generation; None before its end, and where nothing was picked.

    Args:
        generation: what was asked.
        snapshot: its state.
        choice: of the palette among the candidates.
        drawn: as :func:`pages.view.compare.comparison.shown_candidate` takes it.
    """
    picked = shown_candidate(snapshot, choice, drawn)
    if snapshot.phase is not Phase.DONE or picked is None:
        return None
    # Another palette may pick another reply: that is another pair, in an order of its own.
    name = f"{generation.id} {picked}"
    return VoteQuestion(
        name,
        generation.request.prompt,
        blind_pair(name, snapshot.base_reply, snapshot.candidates[picked].text),
        {candidate.text: candidate.display_text for candidate in snapshot.candidates},
    )


def is_blind() -> bool:
    """Return whether this viewer judges blind."""
    return BLIND.get()


def _cast_votes() -> dict[str, _CastVote]:
    return CAST_VOTES.get_or_set({})


def _open_questions(questions: Sequence[VoteQuestion]) -> list[VoteQuestion]:
    """Return those still to be answered; equal replies are not asked about."""
    return [question for question in questions if question.pair is not None and question.name not in _cast_votes()]


def draw_blind_switch() -> None:
    """Draw the toggle that covers the replies; the database is opened meanwhile."""
    background.job("database", setting(), lambda job: store.database())
    st.toggle(
        "Judge blind",
        key=BLIND.name,
        persist_state="session",
        help="Replies are covered until they are complete and you have said which of the two is better, "
        "without knowing which one is the aligned model's.",
    )


def is_covered(questions: Sequence[VoteQuestion], waiting: bool) -> bool:
    """Return whether replies are hidden, see :func:`draw_instead_of_replies`."""
    return is_blind() and (waiting or bool(_open_questions(questions)))


def draw_instead_of_replies(questions: Sequence[VoteQuestion], waiting: bool) -> bool:
    """Draw the question in place of the replies, and return whether there is still something to hide.

    Args:
        questions: of what has ended.
        waiting: more is still being written.
    """
    if not is_blind():
        return False
    remaining = _open_questions(questions)
    if remaining:
        total = sum(question.pair is not None for question in questions)
        _draw_question(remaining[0], total, len(remaining))
        return True
    if waiting:
        st.html(markup.note("The replies are covered until they are complete. Then you are asked which one is better."))
        return True
    return False


def _draw_question(question: VoteQuestion, total: int, remaining: int) -> None:
    assert question.pair is not None
    with st.container(key="judge"):
        if total > 1:
            st.html(markup.note(f"Judgement {total - remaining + 1} of {total}"))
            st.text(question.prompt)
        with st.container(horizontal=True, key="judge_replies"):
            for side, reply in ((Side.A, question.pair.a), (Side.B, question.pair.b)):
                with st.container(border=True, key=f"judge_{side.value}"):
                    st.html(markup.name(side.value))
                    draw_reply(question.shown.get(reply, reply))
        with st.container(horizontal=True, key="judge_answers"):
            for side, label in ANSWERS.items():
                st.button(label, key=f"judge_is_{side.value}", on_click=answer, args=(question, side))
        _draw_refusal()


def palette_key(named: bool = False) -> str:
    """Return the key of the judgements on the present palette.

    Args:
        named: of those with the names in sight.
    """
    blind = votes.palette_key(palette_state.history().now, table_key(scenes.load(ALL).table))
    return f"{blind}{_NAMED}" if named else blind


def answer(question: VoteQuestion, side: Side) -> None:
    """Store a vote that was given blind."""
    if question.pair is not None:
        _store(question.name, question.prompt, question.pair.preferred(side), named=False)


def _store(name: str, prompt: str, preferred: Preference, named: bool) -> None:
    """Store a vote on a pair; nothing where this viewer has voted on it already."""
    REFUSED.pop()
    if name in _cast_votes():
        return
    kept_prompt = prompt if len(prompt) <= _MAX_PROMPT_LENGTH else prompt[:_MAX_PROMPT_LENGTH] + "…"
    try:
        saved_vote = votes.vote(database(), palette_key(named), kept_prompt, preferred, viewer_id())
    except PaletteError as error:
        REFUSED.set(page_words.of(error))
        return
    CAST_VOTES.set({**_cast_votes(), name: _CastVote(saved_vote.id, preferred, viewer_id())})


def draw_named_vote(view: ComparisonView) -> None:
    """Ask, below the two replies, which one is better; once answered, draw the answer."""
    picked = view.shown_index(view.choices[0])
    if not view.done or picked is None or is_blind() or not view.columns[0].weights.by_value:
        return
    base, aligned = (view.shown.candidates[k].text for k in (view.base_index, picked))
    if base.split() == aligned.split():
        st.html(markup.note("Both replies are the same, so there is nothing to judge."))
        return
    cast = _cast_votes()
    if f"{view.generation.id} {picked}" in cast:
        return  # judged blind, which is said above
    name = f"{view.generation.id} {view.base_index} {picked} named"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="better_line"):
        if name in cast:
            st.html(f'<div role="status">{markup.note(_OUTCOMES[cast[name].preferred])}</div>', width="content")
            return
        st.html(markup.note("Which reply is better?"), width="content")
        for preferred, label in _NAMED_ANSWERS.items():
            st.button(
                label,
                key=f"better_{preferred.value}",
                on_click=_store,
                args=(name, view.generation.request.prompt, preferred, True),
            )


def _take_back() -> None:
    """Withdraw this viewer's last vote; while the replies are covered, its pair is asked about again."""
    REFUSED.pop()
    if not (cast_votes := dict(_cast_votes())):
        return
    _, last = cast_votes.popitem()
    try:
        votes.withdraw(database(), last.vote, last.viewer)
    except PaletteError as error:
        REFUSED.set(page_words.of(error))
        return
    CAST_VOTES.set(cast_votes)


def _draw_refusal() -> None:
    if refusal := REFUSED.get():
        st.warning("This judgement could not be saved.", icon=":material/error:")
        st.text(refusal)


def draw_outcome(question: VoteQuestion | None) -> None:
    """Draw this viewer's answer on two replies that are now shown with their names, or why nothing was asked."""
    if question is None:
        return
    if (mine := _cast_votes().get(question.name)) is not None:
        st.html(f'<div role="status">{markup.note(_OUTCOMES[mine.preferred])}</div>')
    elif is_blind() and question.pair is None:
        st.html(markup.note("Both replies are the same, so there is nothing to judge."))


def draw_summary() -> None:
    """Draw what all judgements on this palette say, with the download and the button that takes the last one back."""
    with st.container(key="judged"):
        _draw_refusal()
        _draw_tally()


def _draw_tally() -> None:
    """Draw the judgements on this palette by everybody."""
    try:
        saved_votes = votes.list_votes(database(), palette_key())
        named = votes.count_votes(votes.list_votes(database(), palette_key(named=True)))
    except PaletteError as error:
        st.html(markup.note(f"Judgements cannot be saved: {page_words.of(error)}"))
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="judged_line"):
        blind = "Judged blind: " if named.votes and saved_votes else ""
        if saved_votes or not named.votes:
            st.html(
                markup.note(blind + preference_sentence(votes.count_votes(saved_votes), wording.current())),
                width="content",
            )
        if named.votes:
            st.html(
                markup.note("Judged with names in sight: " + preference_sentence(named, wording.current())),
                width="content",
            )
        if saved_votes:
            st.download_button(
                "Judgements (CSV)",
                lambda: votes_csv(saved_votes),
                "judgements.csv",
                "text/csv",
                icon=":material/download:",
                type="tertiary",
                key="judgements_csv",
                on_click="ignore",
            )
        if _cast_votes():
            st.button(
                "Undo my last answer", key="judge_undo", icon=":material/undo:", type="tertiary", on_click=_take_back
            )
    if saved_votes:
        st.html(
            markup.note(
                "All judgements on exactly these targets, with a 90% interval that treats them as independent; ties "
                "are left out of the share."
            )
        )
