"""The form that tunes a model: a palette, the method, how long, and a name; an estimate comes before the tuning.

Constraint: no model library is loaded here; a separate process does the work, and continues when the app has ended.
"""

from __future__ import annotations

import importlib.util

import streamlit as st

from map_core import catalog
from map_core.access import Kind
from map_core.catalog import jobs, processes
from map_core.core.types import Verdict
from map_core.errors import InputError, PaletteError
from map_core.models.endpoint import address_of
from map_core.palettes.palette import ALL
from map_core.scoring import unscorable_values
from map_core.text.sentences import scored_elsewhere
from map_core.text.tuning import ROUTES
from map_core.tuning.examples import check_table
from map_core.tuning.settings import DEFAULT_METHOD, TuningMethod, TuningSettings
from pages.view.compare import generator
from pages.view.palettes import save_form, shared
from pages.view.session import header, palette_cache, palette_state
from pages.view.session import scene as scenes
from pages.view.session.palette_cache import AssessedPalette
from pages.view.session.scene import Scene
from pages.view.shell import account, markup, page_words, wording
from pages.view.shell.session_keys import Key
from pages.view.shell.viewer import viewer_id
from pages.view.tune import command

#: What `make run` does not install, and the command that does.
LIBRARIES = ("torch", "transformers", "peft", "trl")
INSTALL = "python -m pip install -r requirements-tune.txt"
FIRST_NAME = "My tuned model"
DEFAULTS = TuningSettings()
REPEATING = (
    "After learning, the model answers some of the prompts that it learned from. Where it misses a target, it learns "
    f"again with another weight on that value, up to {command.ROUNDS} times. This takes longer, and moves the model "
    "further from the original where it falls short."
)
#: How long it learns, as a multiple of the usual steps.
LENGTHS = {"A first try": 0.25, "As usual": 1.0, "Thoroughly": 2.0}

PALETTE: Key[int] = Key("tune_palette", 0)
ROUTE: Key[str] = Key("tune_route", DEFAULT_METHOD.value)
LENGTH: Key[str] = Key("tune_length", "As usual")
REPEATED: Key[bool] = Key("tune_repeated", False)
NAME: Key[str] = Key("tune_name", "")
WHO_SEES: Key[str] = Key("tune_visibility", "")
STEPS: Key[int] = Key("tune_steps", DEFAULTS.steps)
PROMPTS: Key[int] = Key("tune_prompts", DEFAULTS.prompts)
REPLIES: Key[int] = Key("tune_replies", DEFAULTS.replies)
READ: Key[int] = Key("tune_read_replies", DEFAULTS.value_replies)
MESSAGE: Key[str] = Key("tune_said", "")


def draw_message() -> None:
    """Draw the last message once."""
    if text := MESSAGE.pop():
        with st.container(key="tune_said_line"):
            st.text(text)


def draw_form(own: AssessedPalette) -> None:
    """Draw the form.

    Args:
        own: this viewer's palette.
    """
    st.header("Tune a model to a palette")
    if account.draw_refusal(Kind.BUILD) or _draw_missing(own.scene):
        return
    model = generator.table_model(own.scene)
    assessed, title = _draw_palette(own)
    routes = _routes(assessed.scene)
    left, right = st.columns([1.5, 1], gap="large")
    with left:
        _draw_route(routes)
    with right:
        _draw_length()
        if command.asked_levels(assessed):
            st.toggle("Repeat until the targets hold", key=REPEATED.name, help=REPEATING)
        st.text_input(
            "Name of the model", processes.free_name(FIRST_NAME), max_chars=catalog.MAX_TABLE_NAME, key=NAME.name
        )
        account.draw_visibility(WHO_SEES, linkable=False)
        st.html(
            markup.note(
                f"The model is {model}, which wrote the replies in this table. To tune another one, have a table made "
                "with it first, under Tables."
            )
        )
    possible = bool(routes) and not command.refusal(assessed)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tune_start"):
        st.button(
            "See what it takes",
            key="tune_go",
            type="primary",
            icon=":material/timer:",
            on_click=_start,
            args=(assessed, title, model),
            disabled=not possible,
        )
        st.html(
            markup.note("This measures a small part of the work, in a minute or so. Nothing is tuned until you say so.")
        )


def _draw_missing(scene: Scene) -> bool:
    """Draw what is missing for tuning; return whether something is."""
    model = generator.table_model(scene)
    if address_of(model):
        st.html(
            markup.note(
                f"{model} is on a server. It can be tuned where its weights are: the page Report has a program for a "
                "trainer."
            )
        )
        return True
    if missing := generator.missing_model(scene):
        st.text(page_words.of(missing.reason))
        if missing.command:
            st.code(missing.command, language=None, wrap_lines=True)
        return True
    if any(importlib.util.find_spec(name) is None for name in LIBRARIES):
        st.html(markup.note("Tuning needs libraries that are not there yet. Whoever runs this app installs them by:"))
        st.code(INSTALL, language=None, wrap_lines=True)
        return True
    whole = scenes.load(ALL).table
    if unscorable := unscorable_values(whole.values, whole.metadata):
        st.text(scored_elsewhere(unscorable, "no model can be tuned on this table"))
        st.page_link("tables.py", label="Have a table built", icon=":material/table_chart:")
        return True
    return False


def _draw_palette(own: AssessedPalette) -> tuple[AssessedPalette, str]:
    """Draw the choice of the palette; return it and its title."""
    try:
        kept = save_form.saved_palettes(account.database())
    except PaletteError:  # the database does not answer; the current palette can be tuned all the same
        kept = ()
    saved = {palette.id: palette for palette in kept if palette_cache.fits_table(palette.palette)}
    chosen = st.selectbox(
        "Palette",
        [0, *saved],
        format_func=lambda number: "What you have set now" if number == 0 else markup.plain(saved[number].name),
        key=PALETTE.name,
        width=420,
    )
    assessed = own
    if chosen in saved:
        palette = shared.completed(saved[chosen].palette)
        assessed = palette_cache.assessed_palette(scenes.load(palette.use_case), palette)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tune_asked"):
        header.draw_verdict_badge(assessed.assessment.verdict)
        if chips := shared.target_chips(assessed):
            st.html(markup.chips(chips, assessed.scene.theme), width="content")
        if assessed.scene.use_case != ALL:
            st.html(markup.note(f"Prompts of {assessed.scene.use_case}"), width="content")
        if chosen == 0:
            st.page_link("palette.py", label="Change", icon=":material/tune:")
    for sentence in palette_state.asked_beyond_averages(assessed.palette):
        st.html(markup.note(sentence))
    if reason := command.refusal(assessed):
        st.html(markup.note(reason))
    elif assessed.assessment.verdict is Verdict.OUT_OF_REACH:
        st.html(markup.note("These targets are not possible together, so the nearest possible ones are used."))
    return assessed, "what was set" if chosen == 0 else saved[chosen].name


def _routes(scene: Scene) -> list[str]:
    """Return the routes that this table allows, drawing why the others are not there."""
    try:
        check_table(scene.table)
    except InputError as error:
        st.text(page_words.of(error))
        return [method.value for method in TuningMethod if method.online]
    return [method.value for method in TuningMethod]


def _draw_route(routes: list[str]) -> None:
    numbers = wording.current().numbers
    if ROUTE.get() not in routes:
        ROUTE.set(DEFAULT_METHOD.value if DEFAULT_METHOD.value in routes else routes[0])
    order = sorted(routes, key=lambda name: name != DEFAULT_METHOD.value)
    st.radio(
        "How it learns",
        order,
        # Labels stay as they are with numbers: a choice whose label changes is none any more.
        format_func=lambda name: ROUTES[name][0],
        captions=[ROUTES[name][1] + (f" {ROUTES[name][2]} ({name})." if numbers else "") for name in order],
        key=ROUTE.name,
    )


def _draw_length() -> None:
    if not wording.current().numbers:
        st.select_slider("How long it learns", list(LENGTHS), LENGTH.default, key=LENGTH.name)
        return
    if ROUTE.get() == TuningMethod.NATURAL.value:
        st.number_input("Replies read per prompt", 2, 100_000, READ.default, key=READ.name, width=200)
        return
    with st.container(horizontal=True, gap="small", key="tune_numbers"):
        for label, key, least in (
            ("Steps", STEPS, 1),
            ("Prompts per step", PROMPTS, 1),
            ("Replies per prompt", REPLIES, 2),
        ):
            st.number_input(label, least, 100_000, key.default, key=key.name, width=130)


def chosen_settings() -> TuningSettings:
    """Return the settings as the form has them."""
    method = TuningMethod(str(ROUTE.get()))
    if method is TuningMethod.NATURAL:
        share = LENGTHS[LENGTH.get()]
        read = int(READ.get()) if wording.current().numbers else max(2, round(share * DEFAULTS.value_replies))
        return TuningSettings(method, value_replies=read, rank=method.rank, bfloat16=True)
    if wording.current().numbers:
        return TuningSettings(method, int(STEPS.get()), int(PROMPTS.get()), int(REPLIES.get()))
    return TuningSettings(method, max(1, round(LENGTHS[LENGTH.get()] * DEFAULTS.steps)))


def _start(assessed: AssessedPalette, title: str, model: str) -> None:
    """Start the process that estimates the tuning."""
    try:
        path, whole = scenes.table_path(), scenes.load(ALL).table
        wanted = command.tune_command(assessed, title, path, whole, chosen_settings(), model, REPEATED.get())
        account.tables().start(
            str(NAME.get()),
            jobs.TUNE,
            wanted.arguments,
            wanted.about,
            wanted.inputs,
            visit=viewer_id(),
            visibility=account.chosen_visibility(WHO_SEES),
        )
    except InputError as error:
        MESSAGE.set(page_words.of(error))
        return
    NAME.set(processes.free_name(FIRST_NAME))
