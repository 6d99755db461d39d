"""The base model and the aligned model answer the same prompt, side by side, from the same candidates."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import streamlit as st

from map_core import words
from map_core.errors import PaletteError
from map_core.generate.generation import Generation, Phase, Snapshot
from map_core.generate.request import GenerationRequest
from map_core.values import cards
from pages.view import generator, state, style, summary

POLL_SECONDS = 0.15
CANDIDATES, MOST_CANDIDATES, MOST_TOKENS = 16, 64, 256

scene, palette = state.current()
assessment = state.assessed(scene, palette)
candidates = int(st.session_state.get("candidates_k", CANDIDATES))
steering = generator.weights(scene, assessment, candidates)
missing = generator.missing(generator.model_name(scene))

summary.head(
    "Compare",
    "One prompt, one set of candidate replies from the base model. The left reply is any one of them; the right one is "
    "chosen among them by the weights of your palette.",
)
summary.palette_line(scene, assessment, steering.by_value, candidates)
if steering.note:
    st.html(style.note(steering.note))


def pick_prompt() -> None:
    """Callback: a prompt of the table is put into the box, where it can be changed."""
    chosen = st.session_state.get("prompt_pick")
    if chosen is not None:
        st.session_state["prompt"] = scene.table.prompts[chosen]


def generate() -> None:
    """Callback of the button: the request in words when it cannot be made, else it is on its way."""
    st.session_state.pop("prompt_refused", None)
    seed, number = int(st.session_state.get("seed", 0)), int(st.session_state["candidates_k"])
    try:
        generator.submit(
            scene,
            GenerationRequest(
                prompt=st.session_state.get("prompt", ""),
                weights=dict(generator.weights(scene, assessment, number).by_value),
                values=generator.scored_values(scene),
                candidates=number,
                settings=replace(scene.sampling, max_new_tokens=int(st.session_state["max_new_tokens"])),
                seed=seed,
            ),
        )
        st.session_state["seed"] = seed + 1
    except PaletteError as error:
        st.session_state["prompt_refused"] = str(error)


if missing is None:
    generator.prepare(scene)
running = (generation := generator.current(scene)) is not None and not generation.ended

st.session_state.setdefault("prompt", scene.table.prompts[0])
st.session_state.setdefault("seed", 1)
with st.container(key="ask"):
    st.selectbox(
        "Prompts of this use case",
        range(len(scene.table.prompts)),
        format_func=scene.table.prompts.__getitem__,
        index=None,
        placeholder="Pick a prompt, or write your own below",
        key="prompt_pick",
        on_change=pick_prompt,
    )
    st.text_area(
        "Prompt", key="prompt", height=96, persist_state="session", placeholder="What should the model answer?"
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="ask_controls"):
        st.number_input(
            "Candidates",
            2,
            MOST_CANDIDATES,
            CANDIDATES,
            key="candidates_k",
            persist_state="session",
            width=140,
            help="Replies drawn from the base model to choose among. More reach further and take longer.",
        )
        st.number_input(
            "Longest reply (tokens)",
            8,
            MOST_TOKENS,
            min(scene.sampling.max_new_tokens, MOST_TOKENS),
            key="max_new_tokens",
            persist_state="session",
            width=170,
        )
        st.number_input(
            "Seed",
            0,
            None,
            key="seed",
            persist_state="session",
            width=120,
            help="The same seed gives the same replies; it moves on by one each time.",
        )
        st.button(
            "Generate",
            key="generate",
            type="primary",
            icon=":material/play_arrow:",
            on_click=generate,
            disabled=missing is not None,
        )
        st.button(
            "Stop", key="stop", icon=":material/stop:", on_click=generator.stop, args=(scene,), disabled=not running
        )
if missing is not None:
    st.warning(
        "The models that generate are not on this machine. Everything else works without them.",
        icon=":material/download:",
    )
    st.text(missing.reason)
    if missing.command:
        st.code(missing.command, language=None)
if refused := st.session_state.get("prompt_refused"):
    st.warning(refused, icon=":material/edit:")


def replies() -> None:
    """Both columns, the state of the work, and the candidates; drawn again while there is more to come."""
    shown = generation.snapshot() if generation is not None else None
    _progress(shown)
    left, right = st.columns(2)
    with left, st.container(border=True, key="base_reply"):
        st.markdown("**Base model**")
        if shown is None:
            st.html(style.note("A reply as the model gives it today."))
        else:
            st.caption(f"Candidate {shown.base + 1}, any one of the {len(shown.candidates)}")
            st.text(shown.base_reply)
    with right, st.container(border=True, key="aligned_reply"):
        st.markdown("**Aligned model**")
        if shown is None:
            st.html(style.note("The reply that your palette would choose."))
        else:
            _aligned(shown)
    with st.container(key="candidates"):
        if shown is not None and generation is not None:
            _candidates(shown, generation)
    if running and shown is not None and shown.phase.ended:
        st.rerun()


def _progress(shown: Snapshot | None) -> None:
    if shown is None:
        return
    many = f"{len(shown.candidates)} candidates, {shown.tokens:,} tokens, {shown.seconds:.1f} s"
    match shown.phase:
        case Phase.WAITING:
            said = shown.note or "Waiting for the model."
        case Phase.SAMPLING:
            said = f"Writing: {many}"
        case Phase.SCORING:
            said = f"Scoring the complete replies: {many}"
        case Phase.CANCELLED:
            said = f"Stopped: {many}. What was written stays; nothing was picked."
        case _:
            said = f"Done: {many}"
    if shown.error:
        st.error("This did not work.", icon=":material/error:")
        st.text(shown.error)
    else:
        st.html(f'<div role="status">{style.note(said)}</div>')
    if shown.command:
        st.code(shown.command, language=None)


def _aligned(shown: Snapshot) -> None:
    if shown.picked is not None:
        st.caption(f"Candidate {shown.picked + 1}, picked by your palette")
        st.text(shown.candidates[shown.picked].text)
        if shown.picked == shown.base:
            st.html(style.note("This time both draws fell on the same candidate. Generate again for other replies."))
        return
    ended = shown.phase.ended
    if shown.leader is not None:
        what = "leading when it was stopped" if ended else "provisional leader: it may change until all are complete"
        st.caption(f"Candidate {shown.leader + 1}, {what}")
        st.text(shown.candidates[shown.leader].text)
        return
    other = (shown.base + 1) % len(shown.candidates)
    st.caption(f"Candidate {other + 1}, provisional: nothing is scored yet")
    st.text(shown.candidates[other].text)


def _candidates(shown: Snapshot, generation: Generation) -> None:
    done = shown.phase is Phase.DONE
    st.subheader("Candidates")
    if done and shown.picked is not None and shown.choice is not None:
        rewards, weights, names = generator.rewards_of(generation)
        order = [shown.picked, *(k for k in range(len(rewards)) if k != shown.picked)]
        probability = shown.candidates[shown.picked].probability or 0.0
        likeliest = all((c.probability or 0.0) <= probability + 1e-12 for c in shown.candidates)
        st.text(
            f"Candidate {shown.picked + 1} was picked. "
            + words.why_picked(rewards[order], weights, probability, likeliest, [_title(name) for name in names])
        )
        st.html(
            style.facts(
                [
                    (
                        "Effective sample size",
                        f"{shown.choice.ess:.1f} of {len(shown.candidates)}",
                        "candidates carry the weight here.",
                    ),
                    (
                        "Spent",
                        f"{shown.choice.kl:.2f} nats",
                        words.distance(shown.choice.kl, math.log(len(shown.candidates))),
                    ),
                    (
                        "Speed",
                        f"{shown.tokens / max(shown.sampling_seconds or shown.seconds, 1e-9):,.0f} tokens/s",
                        f"{shown.seconds:.1f} s in all, seed {generation.request.seed}.",
                    ),
                ]
            )
        )
    elif shown.provisional and shown.leader is not None:
        st.html(style.note("Rewards and probabilities are of partial replies: a guide, not the outcome."))
    rows: list[dict[str, Any]] = []
    for k, candidate in enumerate(shown.candidates):
        role = [word for word, is_it in (("picked", shown.picked == k), ("base", shown.base == k)) if is_it]
        if shown.picked is None and shown.leader == k:
            role.append("leads")
        rows.append(
            {
                "Candidate": k + 1,
                "Role": ", ".join(role),
                "Probability": candidate.probability,
                "Reply": candidate.text,
                **{words.capitalised(_title(name)): candidate.rewards.get(name) for name in generation.request.scored},
            }
        )
    if done:
        rows.sort(key=lambda row: -(row["Probability"] or 0.0))
    column = st.column_config
    titles = [words.capitalised(_title(name)) for name in generation.request.scored]
    st.dataframe(
        rows,
        hide_index=True,
        key="candidates_table",
        placeholder="–",
        height=min(36 * (len(rows) + 1), 620),
        column_config={
            "Candidate": column.NumberColumn("No.", width=44),
            "Role": column.TextColumn(width=90),
            "Probability": column.ProgressColumn(format="percent", min_value=0.0, max_value=1.0, width=110),
            "Reply": column.TextColumn(width=420),
            **{title: column.NumberColumn(format="%.3g", width=95) for title in titles},
        },
    )


def _title(name: str) -> str:
    if name in scene.table.values:
        return scene.names[scene.table.values.index(name)]
    card = cards().get(name)
    return card.title.lower() if card else name


st.fragment(replies, run_every=POLL_SECONDS if running else None)()
