"""The list of tables: what each holds, opening, sharing and deleting them."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlencode

import streamlit as st

from map_core import catalog
from map_core.access import Action, Kind, Visibility
from map_core.catalog import TableEntry
from map_core.errors import InputError
from map_core.text import sentences
from pages.view.session import scene as scenes
from pages.view.session import share
from pages.view.shell import account, markup, page_words
from pages.view.tables import markup as table_markup

#: What the app's own table is called in the list.
DEFAULT_TITLE = "The app's own table"


def draw_catalog() -> None:
    """Draw the list: the app's own table, then the others, the newest first."""
    table_markup.draw_message()
    looked_at = scenes.chosen_table()
    tables = account.tables().list_tables()
    _draw_row(catalog.describe(scenes.default_table_path()), "", looked_at == "")
    for table in tables:
        _draw_row(table, table.name, looked_at == table.name)
    if not tables:
        st.html(markup.note(_no_table_sentence()))


def _no_table_sentence() -> str:
    """Return what this visitor can do where there is no table beside the app's own."""
    offers = [
        sentence
        for kind, sentence in (
            (Kind.TABLE, "bring replies of your own with their scores under From a file"),
            (Kind.BUILD, "have a model reply to your prompts under Build"),
        )
        if account.may_create(kind)
    ]
    if not offers:
        return "No other table is shared with you yet."
    return f"No other table is here yet. {sentences.capitalised(', or '.join(offers))}."


def _draw_row(table: TableEntry, name: str, looked_at: bool) -> None:
    key = name or "first"
    with st.container(border=True, key=f"table_{key}"):
        st.html(table_markup.title(name or DEFAULT_TITLE, "in use" if looked_at else ""))
        if table.fault:
            st.text(table.fault)
        else:
            st.html(markup.note(table_markup.table_facts(table)))
            described = scenes.value_cards(table.metadata)
            titles = [scenes.value_name(value, described.get(value, {})) for value in table.values]
            st.html(markup.note(f"Values: {', '.join(titles)}."))
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"table_buttons_{key}"):
            if looked_at:
                st.page_link("palette.py", label="Set targets", icon=":material/tune:")
                st.page_link("tradeoffs.py", label="Explore", icon=":material/balance:")
            else:
                st.button(
                    "Look at it",
                    key=f"table_look_{key}",
                    icon=":material/visibility:",
                    type="tertiary",
                    on_click=show_table,
                    args=(name,),
                    disabled=bool(table.fault),
                )
            if name:
                _draw_access(name)
            if name and account.tables().may(Action.DELETE, name):
                with st.popover("Delete", icon=":material/delete:", type="tertiary", key=f"table_delete_{key}"):
                    st.html(markup.note("It is deleted for everybody who uses this app, and cannot be restored."))
                    st.button(
                        "Delete it for good", key=f"table_gone_{key}", type="primary", on_click=_delete, args=(name,)
                    )


def _draw_access(name: str) -> None:
    """Draw the owner of a table, or for the owner the choice of who else sees it."""
    access = catalog.access_of(name)
    if access.owner and account.tables().may(Action.SHARE, name):
        query = urlencode({"table": name, "table_link": access.link})
        link = f"{share.app_address()}?{query}" if access.link else ""
        account.draw_sharing(f"table_{name}", access.visibility, partial(_share, name), link=link)
    elif access.owner:
        st.html(markup.note(f"Of {access.owner_name}."), width="content")


def _share(name: str, visibility: Visibility) -> None:
    try:
        account.tables().share(name, visibility)
    except InputError as error:
        table_markup.set_message(page_words.of(error))
        return
    table_markup.set_message(f"“{name}” can now be seen by {account.SEEN_BY[visibility]}.")


def show_table(name: str) -> None:
    """Open another table, "" for the app's own, with a message."""
    scenes.open_table(name)
    what = f"“{name}”" if name else DEFAULT_TITLE.lower()
    table_markup.set_message(f"Every page now shows {what}. A link from here opens the same table.")


def _delete(name: str) -> None:
    try:
        account.tables().delete(name)
    except InputError as error:
        table_markup.set_message(page_words.of(error))
        return
    if scenes.chosen_table() == name:
        scenes.open_table("")
    table_markup.set_message(f"“{name}” was deleted.")
