"""The form that builds a table: prompts, a model, values, and the number of replies.

Constraint: nothing is sampled here; a separate process does that, and continues when the app has ended.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from map_core import catalog
from map_core.access import Kind
from map_core.catalog import processes
from map_core.core import amounts
from map_core.core.limits import TEXT_FILE
from map_core.data.prompts import DEFAULT_USE_CASE, Prompt
from map_core.errors import InputError, PaletteError
from map_core.scoring import DEFAULT_VALUES, Definition, cards, values_file
from map_core.store import custom_values
from pages.view.shell import account, markup, page_words, uploads
from pages.view.shell.account import database
from pages.view.shell.session_keys import Key
from pages.view.shell.viewer import viewer_id
from pages.view.tables import markup as table_markup
from pages.view.tables import model_choice

#: Choices of candidates; and the usual number of candidates and longest reply.
CANDIDATES = (2, 4, 8, 16, 32, 64, 128)
FIRST_CANDIDATES, FIRST_LENGTH = 16, 64
#: Characters that can be pasted; more come as a file.
LONGEST_PASTE = 1_000_000

CANDIDATE_COUNT: Key[int] = Key("build_candidates", FIRST_CANDIDATES)
SEED: Key[int] = Key("build_seed", 0)
LENGTH: Key[int] = Key("build_length", FIRST_LENGTH)
WHO_SEES: Key[str] = Key("build_visibility", "")
NAME: Key[str] = Key("build_name", "")


def draw_build_form() -> None:
    """Draw the form."""
    table_markup.draw_message()
    st.header("Have a model reply to your prompts")
    if account.draw_refusal(Kind.BUILD):
        return
    if not model_choice.offered_models():
        st.html(markup.note("No model is on this machine yet. This brings the one of the app's own table:"))
        st.code("python -m map_core models get", language=None)
        if not model_choice.may_name_any():
            model_choice.draw_offer_hint()
            return
    prompts = draw_prompts_input()
    with st.container(horizontal=True, gap="medium", key="build_how"):
        model_choice.draw_select()
        st.select_slider(
            "Replies to each prompt",
            CANDIDATES,
            FIRST_CANDIDATES,
            key=CANDIDATE_COUNT.name,
            help="The candidates that the app chooses from. More of them make more possible and take longer.",
        )
        st.number_input(
            "Longest reply, in tokens",
            8,
            1024,
            FIRST_LENGTH,
            8,
            key=LENGTH.name,
            help="A token is a piece of a word; 64 of them are about 48 English words.",
        )
        st.number_input("Seed", 0, 2**31 - 1, 0, key=SEED.name, help="The same number gives the same table.")
    below = st.container(key="build_model_found")
    titles = {name: cards()[name].title for name in DEFAULT_VALUES} | {own.name: own.title for own in own_definitions()}
    st.multiselect(
        "Values",
        list(titles),
        list(DEFAULT_VALUES),
        format_func=lambda name: markup.plain(titles[name]),
        key=model_choice.VALUES.name,
        help="Those of your own that are in use on the page Values are at the end.",
    )
    with below:
        model_choice.draw_details()
    st.text_input(
        "Name of the table", processes.free_name("My prompts"), max_chars=catalog.MAX_TABLE_NAME, key=NAME.name
    )
    account.draw_visibility(WHO_SEES)
    count = CANDIDATE_COUNT.get() * len(prompts)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="build_start"):
        st.button(
            "Build the table",
            key="build_go",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_start,
            args=(prompts,),
            disabled=not prompts or not model_choice.VALUES.get() or not model_choice.usable_model(),
        )
        if prompts:
            replies = amounts.counted(count, "reply", "replies", grouped=True)
            size = f"{replies} to {amounts.counted(len(prompts), 'prompt', grouped=True)}."
            st.html(markup.note(f"{size} It continues when you close this page, and can be stopped and resumed."))


def own_definitions() -> tuple[Definition, ...]:
    """Return the custom values that are in use; none where the database does not answer."""
    try:
        definitions = [value.used for value in custom_values.list_values(database())]
    except PaletteError:
        return ()
    return tuple(own for own in definitions if own is not None and own.name not in DEFAULT_VALUES)


def draw_prompts_input(key: str = "build") -> tuple[Prompt, ...]:
    """Draw the fields for prompts and return the prompts; none where they are not valid, which is said.

    Args:
        key: prefix of the keys of the widgets.
    """
    left, right = st.columns([1.5, 1], gap="large")
    with left:
        pasted = st.text_area(
            "Prompts, one per line",
            key=f"{key}_pasted",
            height=150,
            placeholder="How do I calm a crying child?",
            max_chars=LONGEST_PASTE,
        )
    with right:
        file = st.file_uploader(
            "Or a file of prompts",
            type=uploads.PROMPT_FILES,
            key=f"{key}_file",
            max_upload_size=TEXT_FILE.value,
            help="One prompt per line; or Excel, CSV or JSON lines with prompt, and if you like use_case, weight and "
            "held_out.",
        )
        repeats = st.checkbox("A repeated prompt counts as often as it comes", key=f"{key}_repeats")
    if file is None and not str(pasted or "").strip():
        return ()
    try:
        prompts = (
            uploads.prompts_of(file, repeats) if file else uploads.parse_prompts(str(pasted).encode(), ".txt", repeats)
        )
    except InputError as error:
        st.text(page_words.of(error))
        return ()
    st.html(markup.note(prompts_sentence(prompts)))
    return prompts


def prompts_sentence(prompts: Sequence[Prompt]) -> str:
    """Return the number of prompts, their use cases, weights, and how many are held out."""
    cases = list(dict.fromkeys(prompt.use_case for prompt in prompts))
    sentence = amounts.counted(len(prompts), "prompt", grouped=True)
    if cases != [DEFAULT_USE_CASE]:
        sentence += f" of {amounts.counted(len(cases), 'use case', grouped=True)}: {', '.join(cases[:6])}" + (
            "…" if cases[6:] else ""
        )
    if len(times := {prompt.weight for prompt in prompts}) > 1:
        sentence += f"; they count {amounts.significant(min(times))} to {amounts.significant(max(times))} times"
    if held_out := sum(prompt.held_out for prompt in prompts):
        sentence += f"; {held_out} held out for checking"
    return f"{sentence}."


def prompts_jsonl(prompts: Sequence[Prompt]) -> bytes:
    """Return prompts as JSON lines, as builds read them."""
    rows = []
    for prompt in prompts:
        row: dict[str, object] = {"id": prompt.id, "use_case": prompt.use_case, "prompt": prompt.text}
        row |= {"weight": prompt.weight} if prompt.weight != 1.0 else {}
        row |= {"held_out": True} if prompt.held_out else {}
        rows.append(json.dumps(row))
    return "".join(f"{row}\n" for row in rows).encode()


def _start(prompts: Sequence[Prompt]) -> None:
    """Start the build."""
    values, model = [str(name) for name in model_choice.VALUES.get()], model_choice.usable_model()
    if not model:
        table_markup.set_message("This model cannot be used for a build here. Choose another one.")
        return
    arguments = ["build", "--prompts", "{folder}/prompts.jsonl", "--out", "{out}", "--progress-file", "{progress}"]
    arguments += [f"--model={model}", f"--values={','.join(values)}", "--quiet"]
    arguments += [f"--candidates={CANDIDATE_COUNT.get()}", f"--seed={SEED.get()}"]
    arguments += [f"--max-new-tokens={LENGTH.get()}"]
    about = {
        "prompts": len(prompts),
        "candidates": CANDIDATE_COUNT.get(),
        "values": values,
        "model": model,
    }
    inputs: dict[str, bytes | Path] = {"prompts.jsonl": prompts_jsonl(prompts)}
    if defined := [own for own in own_definitions() if own.name in values]:
        inputs["values.json"] = values_file(defined).encode()
        arguments += ["--values-file", "{folder}/values.json"]
    try:
        account.tables().start(
            str(NAME.get()),
            "build",
            arguments,
            about,
            inputs,
            visit=viewer_id(),
            visibility=account.chosen_visibility(WHO_SEES),
        )
    except InputError as error:
        table_markup.set_message(page_words.of(error))
        return
    NAME.pop()
