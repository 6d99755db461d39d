"""The plain words of *How it works*, and its example: how weights choose among the replies to one prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import streamlit as st

from map_core.core import amounts
from map_core.core.softmax import Softmax, softmax
from map_core.core.types import Form
from map_core.data.shown_replies import shown_reply
from map_core.figures import softmax_choice as figures
from map_core.figures import theme
from map_core.text import sentences
from pages.view.session.live_answer import LiveAnswer
from pages.view.session.scene import Scene
from pages.view.shell import markup
from pages.view.shell import wording as wordings
from pages.view.shell.download import draw_download
from pages.view.shell.replies import draw_reply

#: How hard the weights push in the example, at the most, as a multiple of the palette's own.
MAX_PUSH = 2.0
#: Replies that are read beside the figure.
SHOWN_REPLIES = 2


def method_steps(scene: Scene) -> list[tuple[str, str]]:
    """Return the method in five steps, with the numbers of the table that is open."""
    table, oracle = scene.table, scene.oracle
    rows, prompts, model = len(table.rewards), len(table.prompts), table.metadata.get("model") or {}
    name = model.get("name") if isinstance(model, dict) else None
    by = f" by {name}" if name else ""
    per_prompt = oracle.form is Form.PER_PROMPT
    each = f", {amounts.fixed(math.exp(oracle.log_candidates))} times each" if per_prompt else ""
    several = sentences.listed(scene.names)
    return [
        (
            "Many replies",
            f"{prompts:,} prompts were answered{by}{each}: {rows:,} replies that show what this model can say already.",
        ),
        (
            "Scored",
            "Every reply has a number for "
            f"{'the one value' if len(scene.names) == 1 else f'each of {len(scene.names)} values'}"
            f": {several}. What a scorer hears and misses is under Limits.",
        ),
        (
            "Your levels",
            "You say how much of each value you want, or have no preference. Nobody picks weights: they follow from "
            "the levels.",
        ),
        (
            "A verdict",
            "Replies are made likelier or less likely, as little as possible, until the averages meet your levels. "
            "There is one smallest change that does this, or a proof that none does.",
        ),
        (
            "The reply",
            "The model writes several candidates and one is drawn by its weight: what the forecast was computed for."
            if per_prompt
            else "The model writes several candidates and one is drawn by its weight. This table's form also prefers "
            "prompts, so expect a little less.",
        ),
    ]


def draw_walkthrough(live: LiveAnswer) -> None:
    """Draw the example: a prompt, how hard the weights push, the probabilities, and the likeliest replies."""
    scene, table = live.scene, live.scene.table
    several = [i for i in scene.examples if table.candidates[i] > 1]
    if not several:
        st.html(markup.note("This table has one reply per prompt, so there is nothing to choose from within a prompt."))
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="how_controls"):
        prompt = st.selectbox(
            "Prompt",
            several,
            format_func=lambda i: table.prompts[i],
            key="how_prompt",
            persist_state="session",
        )
        push = st.slider(
            "How hard the weights push",
            0.0,
            MAX_PUSH,
            1.0,
            0.05,
            format="%.2f times",
            key="how_push",
            persist_state="session",
            help="1: your palette's weights, or the nearest palette's where yours is not possible. 0: the base model.",
        )
    rows = slice(int(table.offsets[prompt]), int(table.offsets[prompt + 1]))
    distribution = softmax(scene.oracle.standardise(table.rewards[rows]) @ (push * live.weights))
    if not np.any(live.weights):
        st.html(markup.note("Your palette asks for nothing that the base model lacks, so its weights are 0."))
    left, right = st.columns([1.3, 1], gap="large")
    with left:
        st.plotly_chart(figures.bars(distribution), key="how_bars", config=theme.CONFIG, alt=_sentence(distribution))
        st.text(_sentence(distribution))
        draw_download(figures.choice_csv(distribution), "choice", "how_csv")
    with right:
        shown = range(rows.start, rows.stop) if table.replies else ()
        _draw_replies(distribution, [shown_reply(table, row) for row in shown])


def _sentence(distribution: Softmax) -> str:
    replies, top = len(distribution.probabilities), float(distribution.probabilities.max())
    chances = f"{sentences.chance(top)}, against {sentences.chance(1 / replies)} under the base model"
    carry, most = amounts.fixed(distribution.effective_sample_size, 1), amounts.fixed(math.log(replies), 2)
    return (
        f"Of {replies} replies the likeliest has a probability of {chances}. {carry} replies carry the choice"
        + wordings.current().pick(
            f", and it spends {amounts.nats(distribution.kl)} of the {most} that {replies} replies allow.",
            f", with {wordings.current().price(distribution.kl)}.",
        )
    )


def _draw_replies(distribution: Softmax, replies: Sequence[str]) -> None:
    """Draw the likeliest replies."""
    if not replies:
        st.html(markup.note("This table has rewards but no reply texts."))
        return
    for k in distribution.order[:SHOWN_REPLIES]:
        with st.container(border=True, key=f"how_reply_{k}"):
            st.html(
                markup.name(f"Drawn with a probability of {sentences.chance(float(distribution.probabilities[k]))}")
            )
            draw_reply(replies[int(k)])
