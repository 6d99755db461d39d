"""The link to the current palette, and export and import of saved palettes as JSON lines."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from map_core.access import Kind
from map_core.data.text_files.encoding import decode_text
from map_core.errors import PaletteError
from map_core.palettes.palette import ALL
from map_core.store import Database, palettes, table_key
from map_core.store.jsonl import NamedPalette, palette_line, parse_palettes, unique_names
from map_core.store.palettes import SavedPalette
from map_core.text import sentences
from pages.view.session import palette_cache, palette_state, share
from pages.view.session import scene as scenes
from pages.view.shell import account, markup, page_words, reach, wording
from pages.view.shell.session_keys import Key
from pages.view.shell.uploads import text_content

IMPORTED_FILE: Key[UploadedFile | None] = Key("import", None)
IMPORT_MESSAGE: Key[str] = Key("import_said", "")


def draw_link() -> None:
    """Draw the current palette as a link to copy."""
    st.header("Link to the current palette")
    link = f"{share.app_address() or '/'}{share.address_query(palette_state.history().now)}"
    st.code(link, language=None, wrap_lines=True)
    if problem := reach.problem(link):
        st.html(markup.alarm(problem))
    st.html(markup.note("Anyone who opens it in this app on the same table sees this palette. Nothing else is sent."))


def draw_files(opened: Database, saved: tuple[SavedPalette, ...]) -> None:
    """Draw the export of all saved palettes, and the import of a file for those who may save palettes."""
    st.header("Files")
    fitting = [palette for palette in saved if palette_cache.fits_table(palette.palette)]
    st.html(
        markup.note(
            wording.current().pick(
                "One palette per line, as JSON. Another copy of the app reads them here, and so does every command "
                "that takes --targets-file, and serve --palettes.",
                "All your palettes in one file, for another copy of this app or for an engineer.",
            )
        )
    )
    with st.container(horizontal=True, key="files"):
        st.download_button(
            "Export saved palettes",
            saved_jsonl(fitting),
            "palettes.jsonl",
            "application/x-ndjson",
            icon=":material/download:",
            key="export",
            disabled=not fitting,
        )
    if not account.may_create(Kind.PALETTE):
        return
    st.file_uploader(
        "Import palettes (JSON lines)",
        type=["jsonl", "json", "txt"],
        key=IMPORTED_FILE.name,
        on_change=_import,
        args=(opened,),
        max_upload_size=2,
    )
    if IMPORTED_FILE.get() is not None:
        st.text(IMPORT_MESSAGE.get())


def saved_jsonl(saved: list[SavedPalette]) -> str:
    """Return saved palettes as JSON lines; a duplicate name gets a number."""
    lines = []
    for palette, name in zip(saved, unique_names(palette.name for palette in saved), strict=True):
        scene = scenes.load(palette.palette.use_case)
        lines.append(
            palette_line(NamedPalette(name, palette.palette, palette.colour, palette.note), scene.table, scene.oracle)
        )
    return "".join(f"{text}\n" for text in lines)


def _import(opened: Database) -> None:
    """Save all palettes of the file, or none of them."""
    file = IMPORTED_FILE.get()
    if file is None:
        return
    whole = scenes.load(ALL)
    try:
        imported = parse_palettes(decode_text(text_content(file, 2), file.name), whole.table, whole.oracle)
        numbered = []
        for named in imported:
            saved = palettes.save(
                opened,
                named.palette,
                named.name,
                colour=named.colour,
                note=named.note,
                table_key=table_key(whole.table),
                what=f"Imported from {file.name}.",
            )
            if saved.name != " ".join(named.name.split()):
                numbered.append(saved.name)
        message = f"{len(imported)} imported."
        if numbered:
            message += f" Names that were already taken got a number: {sentences.listed(numbered)}."
        IMPORT_MESSAGE.set(message)
    except PaletteError as error:
        IMPORT_MESSAGE.set(f"Nothing was imported. {page_words.of(error)}")
