"""The form that defines a value in words: more like this, less like this, a name and a colour.

Constraint: what is typed is kept as it is and shown only as text; after an error nothing that was typed is lost.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import streamlit as st

from map_core.custom_values import jobs, replies_key
from map_core.custom_values.active import clear_cache
from map_core.errors import PaletteError
from map_core.scoring import Definition, DefinitionKind, name_from
from map_core.store import custom_values
from pages.view.session import scene as scenes
from pages.view.shell import account, markup, page_words
from pages.view.shell.session_keys import Key
from pages.view.values import markup as marks
from pages.view.values.state import SHOWN, TINTS, CustomValue, ValuesView, first_tint, taken_names

FORM: Key[int | None] = Key("values_form", None)
TITLE: Key[str] = Key("values_title", "")
KIND: Key[DefinitionKind | None] = Key("values_kind", None)
MORE: Key[str] = Key("values_more", "")
LESS: Key[str] = Key("values_less", "")
COLOUR: Key[str | None] = Key("values_colour", None)
WHO_SEES: Key[str] = Key("values_visibility", "")
REFUSED: Key[str] = Key("values_refused", "")

_KINDS = {DefinitionKind.DESCRIPTION: "Describe it", DefinitionKind.EXAMPLES: "Give example replies"}
_PLACEHOLDERS = {
    DefinitionKind.DESCRIPTION: ("One description per line.", "sounds like a calm nurse", "sounds like a salesman"),
    DefinitionKind.EXAMPLES: (
        "An empty line between two replies; three or more on each side do best.",
        "Let's go through this slowly. You are doing fine, and we have time.",
        "Act now! This offer will not last, and you will love every bit of it!",
    ),
}
#: The fields of the form.
_FIELDS: tuple[Key[Any], ...] = (TITLE, KIND, MORE, LESS, COLOUR)


def begin(own: CustomValue | None = None) -> None:
    """Open the form, empty or with an existing value."""
    for field in _FIELDS:
        field.pop()
    FORM.set(own.value.id if own else 0)
    if own is not None:
        definition = own.value.definition
        between = "\n" if definition.kind is DefinitionKind.DESCRIPTION else "\n\n"
        tints = {tint: name for name, tint in TINTS.items()}
        filled = (
            definition.title,
            definition.kind,
            between.join(definition.more),
            between.join(definition.less),
            tints.get(definition.colour or ""),
        )
        for field, value in zip(_FIELDS, filled, strict=True):
            field.set(value)


def is_open() -> bool:
    """Return whether the form is open."""
    return FORM.is_set()


def draw_form(view: ValuesView) -> None:
    """Draw the form for a new value, or to change the one that it was opened with."""
    own = next((custom for custom in view.own if custom.value.id == FORM.get()), None)
    with st.container(border=True, key="values_define"):
        st.header(f"Change {markup.plain(own.value.definition.title)}" if own else "Define a value", anchor=False)
        st.html(
            markup.note(
                "Say what has more of it and what has less. A small model that understands the meaning of sentences "
                "then finds out for every reply which side it is closer to."
                + (" Changed words make a new version, which is scored and judged again." if own else "")
            )
        )
        kind = st.segmented_control(
            "How do you want to say it?",
            list(_KINDS),
            format_func=_KINDS.__getitem__,
            default=None if KIND.is_set() else DefinitionKind.DESCRIPTION,
            required=True,
            key=KIND.name,
        )
        with st.form("values_form_fields", border=False):
            _draw_fields(view, kind or DefinitionKind.DESCRIPTION)
            if own is None:
                account.draw_visibility(WHO_SEES)
            with st.container(horizontal=True, gap="small"):
                st.form_submit_button(
                    "Save the change" if own else "Define and score it",
                    type="primary",
                    icon=":material/check:",
                    key="values_define_submit",
                    on_click=_define,
                    args=(view, own),
                )
                st.form_submit_button("Cancel", key="values_define_cancel", on_click=_close)
        if refusal := REFUSED.get():
            st.warning("This cannot be saved yet.", icon=":material/error:")
            st.text(refusal)


def _draw_fields(view: ValuesView, kind: DefinitionKind) -> None:
    how, more, less = _PLACEHOLDERS[kind]
    st.text_input("Name", key=TITLE.name, max_chars=60, placeholder="Calm nurse")
    left, right = st.columns(2, gap="medium")
    with left:
        st.text_area("More like this", key=MORE.name, height=130, placeholder=more, help=how)
    with right:
        st.text_area("Less like this", key=LESS.name, height=130, placeholder=less, help=how)
    st.html(markup.note(how))
    if COLOUR.get() is None:
        COLOUR.set(next(name for name, tint in TINTS.items() if tint == first_tint(view)))
    st.selectbox("Colour", list(TINTS), key=COLOUR.name)
    st.html(marks.tints(TINTS))


def _define(view: ValuesView, own: CustomValue | None) -> None:
    """Save the value and score the table on it."""
    REFUSED.pop()
    kind = DefinitionKind(KIND.get() or DefinitionKind.DESCRIPTION)
    title = str(TITLE.get() or "")
    name = own.key if own else name_from(title, taken_names(view))
    try:
        definition = Definition(
            name,
            title,
            _texts(str(MORE.get() or ""), kind),
            _texts(str(LESS.get() or ""), kind),
            kind,
            TINTS.get(str(COLOUR.get())),
        )
        if own is not None and own.value.definition.words.key == definition.key:
            definition = replace(definition, head=own.value.definition.head)  # a new title or colour alone
        if own is None:
            stored = custom_values.define(view.database, definition, account.chosen_visibility(WHO_SEES))
        else:
            stored = custom_values.revise(view.database, own.value.id, definition)
    except PaletteError as error:
        REFUSED.set(page_words.of(error))
        return
    clear_cache()
    _close()
    SHOWN.set(name)
    if view.table.replies:
        jobs.start(scenes.table_path(), replies_key(view.table), definition, stored.id)


def _texts(typed: str, kind: DefinitionKind) -> tuple[str, ...]:
    """Return the entries of a field: one per line, or one per paragraph for example replies."""
    parts = (
        typed.splitlines()
        if kind is DefinitionKind.DESCRIPTION
        else re.split(r"\n[ \t]*\n", typed.replace("\r\n", "\n"))
    )
    return tuple(part.strip() for part in parts if part.strip())


def _close() -> None:
    """Close the form."""
    FORM.pop()
    REFUSED.pop()
    for field in _FIELDS:
        field.pop()
