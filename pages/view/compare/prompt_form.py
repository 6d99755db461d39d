"""The form of Listen: the prompt, Generate and Stop, the number and length of candidates, and the method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from map_core.analysis.headroom import headroom_for
from map_core.core.types import recorded_length
from map_core.data.derived_columns import Cohort
from map_core.errors import PaletteError
from map_core.feasibility import Assessment
from map_core.generation.request import GenerationRequest, Method
from map_core.service.generation import Generation
from pages.view.compare import chat, generator, prompt_cohort, reply_feed, reply_floor, writer
from pages.view.session.scene import Scene
from pages.view.shell import markup, page_words
from pages.view.shell import wording as wordings
from pages.view.shell.session_keys import Key

CANDIDATES, MAX_CANDIDATES, MAX_DRAWN, MAX_TOKENS = 16, 64, 256, 256
#: Adaptive drawing: candidates drawn at a time, and the share of replies that may differ from those of a full draw.
RACE_BATCH, RACE_WITHIN = 4, 0.02
METHODS = {
    Method.RESAMPLE: (
        "Whole replies (what the forecast is for)",
        "Each candidate is written to its end; one is drawn by its probability. Levels are as forecast.",
    ),
    Method.BEST: (
        "Always the highest score",
        "The candidate with the highest weighted reward is always taken: this pushes harder than the forecast, and "
        "moves further from the base model.",
    ),
    Method.PRUNE: (
        "Stop unpromising ones early",
        "After some 25 words a quarter of the candidates continue, after some 50 an eighth. Which ones is drawn by "
        "how promising their beginnings are. Useful when you ask for a lot: more candidates in the same time.",
    ),
    Method.BLOCKS: (
        "Block by block",
        "After every dozen words the promising beginnings are copied and the others dropped, so more of the candidates "
        "are promising, but they resemble each other. Judging beginnings is a guess, and the forecast is not for this.",
    ),
}

SEED: Key[int] = Key("seed", 0)
CANDIDATE_COUNT: Key[int] = Key("candidates_k", CANDIDATES)
METHOD: Key[Method] = Key("method", Method.RESAMPLE)
ADAPTIVE: Key[bool] = Key("adaptive", False)
LENGTH: Key[int | None] = Key("max_new_tokens", None)
ADAPTIVE_LIMIT: Key[int] = Key("most_candidates", MAX_CANDIDATES)
REFUSED: Key[str] = Key("prompt_refused", "")
PICKED_PROMPT: Key[int | None] = Key("prompt_pick", None)


def candidate_count() -> int:
    """Return K for the next generation."""
    return int(CANDIDATE_COUNT.get())


def build_request(
    scene: Scene, assessment: Assessment, prompt: str, seed: int, cohorts: tuple[Cohort, ...] = ()
) -> GenerationRequest:
    """Return the request for a prompt with the current settings.

    Args:
        scene: the table.
        assessment: of the palette.
        prompt: that the model answers.
        seed: of the replies.
        cohorts: that the prompt belongs to; none where that is not known.

    Raises:
        InputError: a field of the request is not valid.
    """
    candidates, method = candidate_count(), Method(METHOD.get())
    tuned, settings = writer.chosen(scene), scene.sampling
    if tuned:  # whole replies, drawn at once over the whole vocabulary
        method = method if method is Method.BEST else Method.RESAMPLE
        settings = replace(settings, top_p=1.0, top_k=0)
    race = ADAPTIVE.get() and method is Method.RESAMPLE and not tuned
    most = max(int(ADAPTIVE_LIMIT.get()), candidates) if race else None
    count = generator.weights_count(scene, tuned, most or candidates)
    weights = dict(generator.steering_weights(scene, assessment, count, cohorts).by_value)
    tokens = int(LENGTH.get() or scene.reply_length)
    return GenerationRequest(
        prompt=prompt,
        weights=weights,
        floors=reply_floor.floors(scene),
        values=generator.scored_values(scene),
        own=generator.custom_specifications(scene),
        candidates=candidates if most is None else min(candidates, RACE_BATCH),
        settings=replace(settings, max_new_tokens=min(tokens, MAX_TOKENS)),
        seed=seed,
        method=method,
        most_candidates=most,
        headroom=None if most is None else headroom_for(scene.table, weights, RACE_WITHIN).nats,
    )


def remember_refusal(error: PaletteError | None) -> None:
    """Remember why a request could not be submitted, for :func:`draw_refusal`; None where it was."""
    if error is None:
        REFUSED.pop()
    else:
        REFUSED.set(page_words.of(error))


def draw_refusal() -> None:
    """Draw why the last request could not be submitted."""
    if refusal := REFUSED.get():
        with st.container(key="refused"):
            st.warning("This could not be generated.", icon=":material/edit:")
            st.text(refusal)


def pick_prompt(scene: Scene) -> None:
    """Put a prompt of the table into the prompt box, where it can be edited."""
    chosen = PICKED_PROMPT.get()
    if chosen is not None:
        chat.PROMPT.set(scene.table.prompts[chosen])


def generate(scene: Scene, assessment: Assessment) -> None:
    """Submit a request with the current settings, or remember why it is refused."""
    remember_refusal(None)
    seed = int(SEED.get())
    try:
        prompt = chat.PROMPT.get()
        request = build_request(scene, assessment, prompt, seed, prompt_cohort.in_force(scene, prompt))
        request = replace(request, history=chat.TURNS.get())
        reply_feed.follow(generator.submit(scene, request, writer.chosen(scene)))
        SEED.set(seed + 1)
    except PaletteError as error:
        remember_refusal(error)


def draw_more(scene: Scene, generation: Generation, weights: Mapping[str, float]) -> None:
    """Submit a request for the same candidates, which the same seed gives again, and as many more."""
    remember_refusal(None)
    drawn = len(generation.snapshot().candidates)
    request = generation.request
    try:
        more = generator.submit(
            scene,
            replace(
                request,
                weights=generator.of_scored(weights, request.scored),
                values=request.scored,
                most_candidates=min(2 * drawn, MAX_DRAWN),
                least_ess=2.0 * MAX_DRAWN,  # never reached, so that all of them are drawn
            ),
        )
        reply_feed.follow(more)
    except PaletteError as error:
        remember_refusal(error)


def restore(generation: Generation | None) -> None:
    """Set the controls to the prompt and settings of a generation that the address names, at the start of a visit."""
    if generation is None or chat.PROMPT.is_set():
        return
    request = generation.request
    chat.PROMPT.get_or_set(request.prompt)
    take_settings(request)
    SEED.set(request.seed + 1)


def take_settings(request: GenerationRequest) -> None:
    """Set the controls to the settings of a request, before they are drawn; the seed stays as it is."""
    CANDIDATE_COUNT.set(min(max(request.candidates, 2), MAX_CANDIDATES))
    LENGTH.set(min(max(request.settings.max_new_tokens, 8), MAX_TOKENS))
    METHOD.set(request.method)


def draw_prompt_form(scene: Scene, assessment: Assessment, generation: Generation | None, ready: bool) -> None:
    """Draw the prompt box with its buttons."""
    may_stop = generation is not None and not generation.ended and generator.is_owner(generation)
    chat.PROMPT.get_or_set(scene.table.prompts[scene.examples[0]])
    with st.container(key="ask"):
        chat.draw_transcript(scene, generation)
        st.text_area(
            "Prompt" if not chat.TURNS.get() else "Next prompt",
            key=chat.PROMPT.name,
            height=68,
            persist_state="session",
            placeholder="What should the model answer?",
        )
        with st.container(horizontal=True, vertical_alignment="bottom", key="ask_controls"):
            st.selectbox(
                "Prompts of this use case",
                range(len(scene.table.prompts)),
                format_func=scene.table.prompts.__getitem__,
                index=None,
                placeholder="Pick a prompt, or write your own above",
                key=PICKED_PROMPT.name,
                on_change=pick_prompt,
                args=(scene,),
                label_visibility="collapsed",
            )
            st.button(
                "Generate",
                key="generate",
                type="primary",
                icon=":material/play_arrow:",
                shortcut="Ctrl+Enter",
                on_click=generate,
                args=(scene, assessment),
                disabled=not ready,
            )
            st.button(
                "Stop",
                key="stop",
                icon=":material/stop:",
                on_click=generator.stop,
                args=(scene,),
                disabled=not may_stop,
            )
        prompt_cohort.draw_choice(scene, chat.PROMPT.get())
        draw_refusal()


def draw_settings(scene: Scene) -> None:
    """Draw the expander with the number of candidates, their length, and the method."""
    with st.expander("How replies are drawn", icon=":material/settings:", key="how"):
        writer.draw_writer(scene, CANDIDATE_COUNT, CANDIDATES)
        with st.container(horizontal=True, vertical_alignment="bottom", key="numbers"):
            draw_number_inputs(scene)
        if note := length_note(scene):
            st.html(markup.note(note))
        reply_floor.draw_control(scene)
        if writer.chosen(scene):
            st.html(markup.note("The tuned model writes whole replies, and one of them is drawn by its probability."))
        else:
            _draw_method()


def length_note(scene: Scene) -> str:
    """Return what the reply length means for the forecast; "" where it is the table's."""
    length, recorded = int(LENGTH.get() or scene.reply_length), recorded_length(scene.table.metadata)
    if recorded is None:
        return (
            "The table does not say how long its replies were. The forecast is for replies as long as those; with "
            "another length, levels can differ."
        )
    if length == recorded:
        return ""
    return (
        f"The table's replies were up to {recorded} tokens long. The forecast is for replies like those; with another "
        "length, levels can differ."
    )


def draw_number_inputs(scene: Scene) -> None:
    """Draw the fields for candidates, longest reply and seed."""
    SEED.get_or_set(1)
    CANDIDATE_COUNT.get_or_set(CANDIDATES)
    LENGTH.get_or_set(min(scene.reply_length, MAX_TOKENS))
    st.number_input(
        "Candidates",
        2,
        MAX_CANDIDATES,
        key=CANDIDATE_COUNT.name,
        persist_state="session",
        width=130,
        help="Replies drawn from the base model to choose from. More of them make more possible and take longer.",
    )
    st.number_input(
        "Longest reply (tokens)",
        8,
        MAX_TOKENS,
        key=LENGTH.name,
        persist_state="session",
        width=160,
        help="A token is a piece of a word; 64 of them are about 48 English words.",
    )
    st.number_input(
        "Seed",
        0,
        None,
        key=SEED.name,
        persist_state="session",
        width=110,
        help="The same seed gives the same replies; it goes up by one each time.",
    )


def _method_caption(method: Method) -> str:
    best = method is Method.BEST and wordings.current().numbers
    return METHODS[method][1] + (" This is best of K." if best else "")


def draw_method() -> None:
    """Draw the expander with the method."""
    with st.expander("How replies are drawn", key="how"):
        _draw_method()


def _draw_method() -> None:
    """Draw the choice of the method, and the switch for adaptive drawing."""
    method = st.radio(
        "Method",
        list(METHODS),
        # Labels stay as they are with numbers: a choice whose label changes is none any more.
        format_func=lambda method: METHODS[method][0],
        captions=[_method_caption(method) for method in METHODS],
        key=METHOD.name,
        persist_state="session",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="adaptive_controls"):
        st.toggle(
            "Draw only as many as it takes",
            key=ADAPTIVE.name,
            persist_state="session",
            disabled=method is not Method.RESAMPLE,
            help=f"Candidates are drawn {RACE_BATCH} at a time until a further one could hardly be picked. A palette "
            "near the base model takes a few, one that asks for much takes many.",
        )
        st.number_input(
            "Up to",
            2,
            MAX_DRAWN,
            MAX_CANDIDATES,
            key=ADAPTIVE_LIMIT.name,
            persist_state="session",
            width=120,
            disabled=method is not Method.RESAMPLE or not ADAPTIVE.get(),
        )
