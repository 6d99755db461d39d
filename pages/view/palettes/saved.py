"""The list of saved palettes: each with its verdict and versions, taken out again, renamed, deleted with a way back."""

from __future__ import annotations

import streamlit as st

from map_core.core import amounts
from map_core.errors import PaletteError
from map_core.palettes.palette import Palette
from map_core.store import Database, palettes, table_key
from map_core.store.palettes import Deleted, Saved, Version
from pages.view.compare import pinned as pinning
from pages.view.palettes import markup as marks
from pages.view.palettes import save_form as keep
from pages.view.palettes import shared as today
from pages.view.session import header, palette_cache
from pages.view.session import scene as scenes
from pages.view.session.palette_cache import AssessedPalette
from pages.view.shell import markup
from pages.view.shell.session_keys import Key, KeyFamily

DELETED: Key[Deleted | None] = Key("palettes_deleted", None)
NEW_NAME: KeyFamily[str] = KeyFamily("rename_name_{}", "")
NEW_COLOUR: KeyFamily[str | None] = KeyFamily("rename_colour_{}", None)
NEW_NOTE: KeyFamily[str] = KeyFamily("rename_note_{}", "")

NOTHING = (
    "Nothing is saved yet. Set a palette on the page Palette, or begin from one of the presets, then give it a name "
    "here. It stays in this app's database until you delete it."
)
#: Palettes that are listed at first; the others follow on request.
FIRST_LISTED = 12
FOREIGN = (
    "It speaks of values or a use case that this table does not have; a value of your own must be in use on the page "
    "Values"
)


def draw_saved(kept: Database, found: tuple[Saved, ...]) -> None:
    """Draw the list, the one saved last first."""
    st.header("Saved palettes")
    _draw_deleted(kept)
    if not found:
        st.html(markup.note(NOTHING))
    if len(found) > FIRST_LISTED and not st.toggle(
        f"All {len(found)} palettes", key="saved_all", persist_state="session"
    ):
        found = found[:FIRST_LISTED]
    here = [one for one in found if palette_cache.fits_table(one.palette)]
    known = dict(
        zip((one.id for one in here), palette_cache.known_palettes("shelf", [one.palette for one in here]), strict=True)
    )
    for one in found:
        with st.container(border=True, key=f"saved_{one.id}"):
            _draw_row(kept, one, known.get(one.id), one in here)


def _draw_row(kept: Database, one: Saved, stand: AssessedPalette | None, fits: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"saved_head_{one.id}"):
        st.html(marks.name(one.name, one.colour), width="content")
        if stand is not None:
            header.draw_verdict_badge(stand.assessment.verdict)
        elif not fits:
            st.badge("Of another table", icon=":material/table:", color="gray")
    facts = [today.moment_text(one.updated), one.palette.use_case]
    facts.append("1 version" if one.version == 1 else f"{one.version} versions")
    facts += [] if stand is None or stand.solution is None else [amounts.nats(stand.kl)]
    if fits and one.table_key not in ("", table_key(scenes.load().table)):
        facts.append("saved on another table, where its levels were others")
    st.html(markup.note(" · ".join(facts)))
    if stand is not None:
        st.html(markup.chips(today.target_chips(stand), stand.scene.theme) or markup.note("Every value is free."))
    if one.note:
        st.text(one.note)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"saved_buttons_{one.id}"):
        _draw_buttons(kept, one, fits)


def _draw_buttons(kept: Database, one: Saved, fits: bool) -> None:
    full = len(pinning.pinned_palettes()) >= pinning.MAX_PINNED
    st.button(
        "Use",
        key=f"saved_use_{one.id}",
        icon=":material/input:",
        type="tertiary",
        on_click=_use,
        args=(one,),
        disabled=not fits,
        help=None if fits else FOREIGN,
    )
    st.button(
        "Pin",
        key=f"saved_pin_{one.id}",
        icon=":material/keep:",
        type="tertiary",
        on_click=pinning.pin,
        args=(one.name, today.completed(one.palette)),
        disabled=full or not fits,
        help=today.PIN_FULL if full else "Look at it side by side",
    )
    with st.popover("Rename", icon=":material/edit:", type="tertiary", key=f"saved_rename_{one.id}"):
        _rename_form(kept, one)
    with st.popover("Versions", icon=":material/history:", type="tertiary", key=f"saved_versions_{one.id}"):
        _draw_versions(kept, one)
    st.button(
        "Delete",
        key=f"saved_delete_{one.id}",
        icon=":material/delete:",
        type="tertiary",
        on_click=_delete,
        args=(kept, one),
    )


def _rename_form(kept: Database, one: Saved) -> None:
    with st.form(f"rename_form_{one.id}", border=False):
        st.text_input("Name", one.name, max_chars=80, key=NEW_NAME.of(one.id).name)
        keep.draw_colour_choice(NEW_COLOUR.of(one.id).name, one.colour)
        st.text_area("Note", one.note, max_chars=2000, height=76, key=NEW_NOTE.of(one.id).name)
        st.form_submit_button("Keep", key=f"rename_{one.id}", on_click=_rename, args=(kept, one))


def _draw_versions(kept: Database, one: Saved) -> None:
    """Draw what it asked for from the first time on, the newest first."""
    for version in reversed(palettes.versions(kept, one.id)):
        fits = palette_cache.fits_table(version.palette)
        with st.container(key=f"version_{one.id}_{version.number}"):
            st.html(marks.name(f"Version {version.number}", tag="now" if version.number == one.version else ""))
            st.html(markup.note(f"{today.moment_text(version.created)}. {version.what}"))
            st.html(_targets(version.palette) if fits else markup.note(f"{FOREIGN}."))
            st.button(
                "Use this version",
                key=f"version_use_{one.id}_{version.number}",
                type="tertiary",
                on_click=_use_version,
                args=(one, version),
                disabled=not fits,
            )


def _targets(palette: Palette) -> str:
    scene = scenes.load(palette.use_case)
    asked = [palette.targets.get(name) for name in scene.table.values]
    said = [
        (j, f"{scene.names[j]} {'as it is' if one.keep else amounts.percentile(one.percentile)}")
        for j, one in enumerate(asked)
        if one is not None and not one.free
    ]
    return markup.chips(said, scene.theme) or markup.note("Every value is free.")


def _draw_deleted(kept: Database) -> None:
    gone = DELETED.get()
    if gone is not None:
        with st.container(horizontal=True, vertical_alignment="center", key="deleted"):
            st.html(markup.note(f"{gone.saved.name} was deleted."), width="content")
            icon = ":material/undo:"
            st.button("Undo", key="undelete", icon=icon, type="tertiary", on_click=_put_back, args=(kept, gone))


def _rename(kept: Database, one: Saved) -> None:
    name, colour, note = (str(key.of(one.id).get() or "") for key in (NEW_NAME, NEW_COLOUR, NEW_NOTE))
    try:
        palettes.rename(kept, one.id, name, colour=colour, note=note)
    except PaletteError as error:
        keep.set_message(str(error))


def _use(one: Saved) -> None:
    today.use_palette(one.palette, f"{one.name} was taken.")
    keep.remember_opened(one.id, one.version)


def _use_version(one: Saved, version: Version) -> None:
    today.use_palette(version.palette, f"Version {version.number} of {one.name} was taken.")
    keep.remember_opened(one.id, version.number)


def _delete(kept: Database, one: Saved) -> None:
    try:
        DELETED.set(palettes.delete(kept, one.id))
    except PaletteError as error:  # somebody else deleted it meanwhile, or the database does not answer
        keep.set_message(str(error))


def _put_back(kept: Database, gone: Deleted) -> None:
    try:
        palettes.put_back(kept, gone)
    except PaletteError as error:
        keep.set_message(str(error))
    else:
        DELETED.pop()
