"""Save the current palette: the database, and the form that saves under a name or as a new version."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from map_core.access import Action, Kind, Visibility, may
from map_core.errors import PaletteError
from map_core.store import Database, palettes, table_key
from map_core.store.palettes import SavedPalette
from pages.view.compare import pinned as pinning
from pages.view.palettes import markup as marks
from pages.view.session import palette_state
from pages.view.session import scene as scenes
from pages.view.shell import account, markup, page_words
from pages.view.shell.account import database
from pages.view.shell.session_keys import Key

MESSAGE: Key[tuple[str, int]] = Key("palettes_said", ("", -1))
OPENED: Key[OpenedVersion | None] = Key("palettes_opened", None)
NAME: Key[str] = Key("save_name", "")
NOTE: Key[str] = Key("save_note", "")
COLOUR: Key[str | None] = Key("save_colour", None)
WHO_SEES: Key[str] = Key("save_visibility", "")
TAKEN_NAME: Key[str] = Key("save_taken_name", "")


@dataclass(frozen=True)
class OpenedVersion:
    """The saved palette that the current one started from, and its version."""

    id: int
    version: int


def open_store() -> Database | None:
    """Return the database; where it cannot be opened, say so on the page and return None."""
    try:
        return database()
    except PaletteError as error:
        st.warning("Saved palettes cannot be reached now. Everything else still works.", icon=":material/cloud_off:")
        st.text(page_words.of(error))
        return None


def saved_palettes(database: Database) -> tuple[SavedPalette, ...]:
    """Return the saved palettes, the newest first; where the database does not answer, say so on the page."""
    try:
        return palettes.list_palettes(database)
    except PaletteError as error:
        st.warning("Saved palettes cannot be read now.", icon=":material/cloud_off:")
        st.text(page_words.of(error))
        return ()


def draw_save_popover() -> None:
    """Draw the popover with the short form, for the page Set."""
    popover = st.popover("Save", icon=":material/save:", key="desk_save", on_change="rerun")
    if popover.open:
        with popover:
            if (opened := open_store()) is not None:
                draw_save_form(opened, short=True)
                st.page_link("palettes.py", label="Library", icon=":material/palette:")


def draw_save_form(database: Database, short: bool = False) -> None:
    """Draw the form that saves the current palette as a new one, or as a version of the one that it started from.

    Args:
        database: of saved palettes.
        short: without heading, colour and note.
    """
    if not short:
        st.header("Save the current palette")
    if account.draw_refusal(Kind.PALETTE):
        return
    opened = _opened_palette(database)
    if opened is not None and not may(database.visitor, Action.CHANGE, opened.thing):
        opened = None
    changed = opened is not None and opened.palette != palette_state.history().now
    if opened is not None and changed:
        st.button(
            f"Save as version {opened.version + 1} of {markup.plain(opened.name)}",
            key="save_version",
            type="primary",
            icon=":material/history:",
            on_click=_save_version,
            args=(database, opened),
        )
        st.html(markup.note("Or as a new palette:"))
    with st.form("save_form", border=False):
        st.text_input("Name", key=NAME.name, max_chars=80, placeholder=pinning.next_pin_name())
        if not short:
            draw_colour_choice("save_colour")
            st.text_area("Note", key=NOTE.name, max_chars=2000, height=76, placeholder="Who wants it so, and why")
        account.draw_visibility(WHO_SEES)
        st.form_submit_button(
            "Save",
            type="secondary" if changed else "primary",
            icon=":material/save:",
            key="save",
            on_click=_save,
            args=(database,),
        )
    _draw_question(database)
    message, position = MESSAGE.get()
    if message and position == palette_state.history().position:  # until the palette changes
        st.html(markup.note(message))


def draw_colour_choice(key: str, chosen: str | None = None) -> None:
    """Draw the choice of a palette's colour by name."""
    st.pills(
        "Colour",
        marks.COLOURS,
        default=chosen if chosen in marks.COLOURS else None,
        format_func=lambda colour: f":{colour}[●] {colour.capitalize()}",
        key=key,
    )


def set_message(what: str) -> None:
    """Set the message that is shown until the palette changes."""
    MESSAGE.set((what, palette_state.history().position))


def remember_opened(id: int, version: int) -> None:
    """Remember which saved palette the current one started from."""
    OPENED.set(OpenedVersion(id, version))


def _opened_palette(database: Database) -> SavedPalette | None:
    opened = OPENED.get()
    try:
        return None if opened is None else palettes.load(database, opened.id)
    except PaletteError:
        return None


def _draw_question(database: Database) -> None:
    """Ask, where a saved palette already has the name, whether to save a version of that one or another palette."""
    name = TAKEN_NAME.get()
    existing = palettes.named(database, name) if name else None
    if existing is None:
        return
    with st.container(border=True, key="save_question"):
        st.html(markup.note(f"There is already a saved palette called {existing.name}. Nothing is saved yet."))
        with st.container(horizontal=True, gap="small", key="save_answers"):
            st.button(
                f"Save as version {existing.version + 1} of it",
                key="save_over",
                icon=":material/history:",
                on_click=_save_over,
                args=(database, existing),
            )
            st.button(
                f"Save as {markup.plain(palettes.free_name(database, name))}",
                key="save_beside",
                icon=":material/library_add:",
                on_click=_save_new,
                args=(database, name),
            )


def _save(database: Database) -> None:
    """Save a new palette, or ask first where a saved one has its name."""
    TAKEN_NAME.pop()
    name = str(NAME.get() or "").strip()
    try:
        if name and palettes.named(database, name) is not None:
            TAKEN_NAME.set(name)
            set_message("")
            return
    except PaletteError as error:
        set_message(page_words.of(error))
        return
    _save_new(database, name or palettes.free_name(database, pinning.next_pin_name()))


def _save_new(database: Database, name: str) -> None:
    TAKEN_NAME.pop()
    try:
        saved = palettes.save(
            database,
            palette_state.history().now,
            name,
            colour=str(COLOUR.get() or ""),
            note=str(NOTE.get() or ""),
            table_key=table_key(scenes.load().table),
            visibility=account.chosen_visibility(WHO_SEES),
        )
    except PaletteError as error:
        set_message(page_words.of(error))
        return
    remember_opened(saved.id, saved.version)
    set_message(f"{saved.name} is saved.")
    _empty_form()


def _save_over(database: Database, existing: SavedPalette) -> None:
    """Save the current palette as the next version of the one with the typed name."""
    TAKEN_NAME.pop()
    history = palette_state.history()
    try:
        saved = palettes.update(database, existing.id, history.now, history.steps[history.position].what)
        palettes.rename(database, existing.id, existing.name, COLOUR.get() or None, NOTE.get() or None)
    except PaletteError as error:
        set_message(page_words.of(error))
        return
    remember_opened(saved.id, saved.version)
    set_message(f"{saved.name} now has version {saved.version}; the earlier ones are kept.")
    _empty_form()


def _empty_form() -> None:
    NAME.set("")
    NOTE.set("")
    COLOUR.set(None)
    if WHO_SEES.is_set():
        WHO_SEES.set(Visibility.PRIVATE.value)  # sharing is chosen again for each palette


def _save_version(database: Database, opened: SavedPalette) -> None:
    history = palette_state.history()
    based = OPENED.get()
    if based is None:
        return
    try:
        change = history.steps[history.position].what
        saved = palettes.update(database, opened.id, history.now, change, based_on=based.version)
    except PaletteError as error:
        set_message(page_words.of(error))
        return
    message = f"{saved.name} now has version {saved.version}."
    if saved.meanwhile:
        between = ", ".join(map(str, saved.meanwhile))
        message += f" Version {between} was saved after the one that you started from; it is kept as well."
    remember_opened(saved.id, saved.version)
    set_message(message)
