"""The choice of the model for a build: one on this machine, one that the operator lists, or any other where allowed.

A typed folder or address makes the server read the folder, or call the address with the operator's key. Constraint:
only somebody who has entered the operator's token may type one, and nobody once VALUE_PALETTE_MODELS lists models; what
a browser sends is checked again before it is used.
"""

from __future__ import annotations

import streamlit as st

from map_core.access import Kind
from map_core.engines.probe import ProbedModel, probe_model
from map_core.errors import PaletteError
from map_core.models import endpoint
from map_core.models import files as model_files
from map_core.models.packaged import DEFAULT_EMBEDDER
from map_core.scoring import READ_LIKELIHOOD, cards
from pages.view.shell import account, markup, operator, page_words
from pages.view.shell.session_keys import Key

VALUES: Key[list[str]] = Key("build_values", [])
MODEL: Key[str] = Key("build_model", "")
OTHER_MODEL: Key[str] = Key("build_model_other", "")
CHECKED: Key[tuple[str, ProbedModel | str] | None] = Key("build_model_looked", None)

#: The choice that opens the field.
OTHER = ""
MAX_LENGTH = 500


def offered_models() -> list[str]:
    """Return the models on offer: those on this machine, those that the operator lists, and visible tuned ones."""
    installed = [files.name for files in model_files.installed() if files.name != DEFAULT_EMBEDDER]
    return list(dict.fromkeys([*installed, *(endpoint.listed_models() or ()), *account.tables().list_tuned()]))


def may_name_any() -> bool:
    """Return whether this visitor may name any model."""
    return endpoint.listed_models() is None and account.may_create(Kind.MODEL)


def draw_select() -> None:
    """Draw the select box."""
    st.selectbox(
        "Model",
        [*offered_models(), *([OTHER] if may_name_any() else [])],
        key=MODEL.name,
        format_func=_option,
        help="Those on this machine, those that whoever runs the app has listed, and tuned ones.",
    )


def _option(name: str) -> str:
    tuned = name in account.tables().list_tuned()
    return "Another model…" if name == OTHER else f"{name}, a tuned model" if tuned else name


def draw_details() -> None:
    """Draw the field for another model, and the result of checking the chosen one."""
    if MODEL.get() == OTHER:
        st.text_input(
            "Folder of a model, or NAME@URL",
            key=OTHER_MODEL.name,
            max_chars=MAX_LENGTH,
            placeholder="/models/my-model or Qwen/Qwen3-8B@http://gpu-box:8000/v1",
            help="A folder on this machine with config.json and safetensors weights, or a model on a server of "
            f"OpenAI's protocol. A key that the server wants comes from {endpoint.MODEL_KEY} or "
            f"{endpoint.KEYS_BY_HOST}, in the app's environment or in .streamlit/secrets.toml; it is not written here.",
        )
    elif not may_name_any():
        draw_offer_hint()
    name = wanted_model()
    checked = _checked_model(name) if name and name not in _installed() else None
    if isinstance(checked, ProbedModel):
        st.html(markup.note(checked.description))
        if clash := likelihood_problem(checked):
            st.text(clash)
    elif checked:
        st.text(checked)
        st.button("Check again", key="build_model_again", icon=":material/refresh:", type="tertiary", on_click=_forget)


def draw_offer_hint() -> None:
    """Draw how other models can be offered, with the field for the token where it would allow to name one."""
    st.html(
        markup.note(
            "Whoever runs this app can offer other models, in folders or on servers; the documentation says how (Help, "
            "Documents, Configuration)."
        )
    )
    if endpoint.listed_models() is None:
        operator.draw_token_field()


def wanted_model() -> str:
    """Return the chosen model; "" where there is none yet, or this visitor may not name it."""
    name = str(MODEL.get() or "")
    if name == OTHER and may_name_any():
        return str(OTHER_MODEL.get() or "").strip()
    return name if name in offered_models() else ""


def usable_model() -> str:
    """Return the model as a command takes it; "" where it was not found, or lacks what the chosen values need."""
    name = wanted_model()
    if not name or name in _installed():
        return name
    checked = _checked_model(name)
    return checked.model if isinstance(checked, ProbedModel) and not likelihood_problem(checked) else ""


def likelihood_problem(check: ProbedModel) -> str:
    """Return which chosen values need log-probabilities that this model lacks, in words; "" for none."""
    chosen = [name for name in VALUES.get() or () if name in READ_LIKELIHOOD]
    if check.log_probs or not chosen:
        return ""
    titles = " and ".join(cards()[name].title for name in chosen)
    need, them = ("needs", "it") if len(chosen) == 1 else ("need", "them")
    return (
        f"{titles} {need} the log-probabilities of a reply's words, which this server does not return. Leave {them} "
        "out below, or choose another model."
    )


def _installed() -> list[str]:
    """Return the models that need no check: those on this machine, and those that were tuned here."""
    return [*(files.name for files in model_files.installed()), *account.tables().list_tuned()]


def _checked_model(name: str) -> ProbedModel | str:
    """Return the result of checking a model, or the problem; from the session until it is checked again."""
    known = CHECKED.get()
    if known is None or known[0] != name:
        with st.spinner("Checking the model"):
            known = (name, _check_model(name))
            CHECKED.set(known)
    checked: ProbedModel | str = known[1]
    return checked


def _check_model(name: str) -> ProbedModel | str:
    try:
        return probe_model(name)
    except PaletteError as error:
        return page_words.of(error)


def _forget() -> None:
    """Forget the result, so that the model is checked again."""
    CHECKED.pop()
