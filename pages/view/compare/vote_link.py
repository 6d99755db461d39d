"""The page of a vote link: pairs of replies from the table, judged blind by anybody with the link.

Votes count with those of Listen on the same palette. The browser remembers how many pairs it has judged, so that a
reload continues there. Constraint: nothing is generated, and which reply is whose is never shown.
"""

from __future__ import annotations

import secrets

import streamlit as st

from map_core.analysis.examples import reply_example
from map_core.text.blind_votes import Side, blind_pair
from pages.view.compare import blind_vote
from pages.view.compare.blind_vote import VoteQuestion
from pages.view.session import share
from pages.view.session.live_answer import LiveAnswer
from pages.view.shell import markup, reach, remember
from pages.view.shell.replies import draw_reply
from pages.view.shell.session_keys import Key

#: Pairs that a colleague is asked about.
PAIRS = 12
#: The cookie that keeps how many pairs were judged, with the palette's key after it, and its lifetime in seconds.
COOKIE, REMEMBERED = "value_palette_votes", 7 * 24 * 3600
VOTER: Key[str] = Key("vote_voter", "")
#: Pairs that this voter has judged; -1 before the cookie is read.
JUDGED: Key[int] = Key("vote_place", -1)


def vote_address(query: str) -> str:
    """Return the link with which others vote on a palette.

    Args:
        query: of the palette, as :func:`share.address_query` writes it.
    """
    return f"{reach.network_address(share.app_address() or '/').rstrip('/')}/vote{query}"


def questions(live: LiveAnswer, voter: str) -> list[VoteQuestion]:
    """Return the pairs to vote on, in the order of the prompts; none where the table has no replies.

    Args:
        live: the palette of the link.
        voter: a random text, on which the order of the two replies depends.
    """
    table = live.scene.table
    if not table.replies or not live.weights.any():
        return []
    vote_questions: list[VoteQuestion] = []
    for prompt in live.scene.examples:
        example = reply_example(table, live.scene.oracle, live.weights, prompt)
        pair = blind_pair(f"{voter} {prompt}", example.base_shown, example.aligned_shown)
        if pair is not None:
            vote_questions.append(VoteQuestion(f"link {prompt}", example.prompt, pair))
        if len(vote_questions) == PAIRS:
            break
    return vote_questions


def draw_votes(live: LiveAnswer) -> None:
    """Draw the next pair, or the thanks after the last one."""
    voter = VOTER.get_or_set(secrets.token_urlsafe(12))
    vote_questions = questions(live, voter)
    name = f"{COOKIE}_{blind_vote.palette_key()[:16]}"
    if JUDGED.get() < 0:
        cookie = remember.remembered(name)
        JUDGED.set(int(cookie[-4:]) if cookie[-4:].isdecimal() else 0)
    judged = JUDGED.get()
    if judged:
        remember.remember(name, f"judged{judged:04d}", REMEMBERED)
    st.title("Which reply is better?", anchor=False)
    if not vote_questions:
        st.html(markup.note("This palette makes no visible difference, so there is nothing to vote on."))
        return
    if judged >= len(vote_questions):
        st.html(markup.lead("Thank you. That was all."))
        st.html(markup.note("Your answers count with those of the others. You can close this page."))
        return
    question = vote_questions[judged]
    assert question.pair is not None
    st.html(
        markup.note(
            f"Pair {judged + 1} of {len(vote_questions)}. Two replies to the same request, in random order. Which "
            "would you rather get? Nobody is told what you answer."
        )
    )
    with st.container(key="vote_prompt"):
        st.text(question.prompt)
    with st.container(horizontal=True, key="judge_replies"):
        for side, reply in ((Side.A, question.pair.a), (Side.B, question.pair.b)):
            with st.container(border=True, key=f"judge_{side.value}"):
                st.html(markup.name(side.value))
                draw_reply(reply)
    with st.container(horizontal=True, key="vote_answers"):
        for side, label in blind_vote.ANSWERS.items():
            st.button(label, key=f"vote_{side.value}_{judged}", on_click=_answer, args=(question, side, judged))
    if refusal := blind_vote.REFUSED.get():
        st.warning("This answer could not be saved. Try again.", icon=":material/error:")
        st.text(refusal)


def _answer(question: VoteQuestion, side: Side, judged: int) -> None:
    blind_vote.answer(question, side)
    if not blind_vote.REFUSED.get():
        JUDGED.set(judged + 1)


def draw_link(query: str) -> None:
    """Draw the link to share, and what it does."""
    st.header("Link for a blind vote")
    st.code(vote_address(query), language=None, wrap_lines=True)
    st.html(
        markup.note(
            f"Colleagues see {PAIRS} pairs of replies without names, and nothing else of the app. Their answers "
            "count on the page Listen, with the votes on exactly these targets."
        )
    )
