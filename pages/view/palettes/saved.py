"""The list of saved palettes: verdict, versions, sharing, renaming, and deleting with undo."""

from __future__ import annotations

from functools import partial

import streamlit as st

from map_core.access import Action, Kind, Visibility, may
from map_core.errors import PaletteError
from map_core.palettes.palette import Palette
from map_core.store import Database, palettes, table_key
from map_core.store.palettes import DeletedPalette, PaletteVersion, SavedPalette
from pages.view.palettes import markup as marks
from pages.view.palettes import save_form, shared
from pages.view.session import header, level_words, palette_cache, palette_state, share
from pages.view.session import scene as scenes
from pages.view.session.palette_cache import AssessedPalette
from pages.view.shell import account, confirmation, markup, page_words, wording
from pages.view.shell.session_keys import Key, KeyFamily

REFUSED: Key[str] = Key("palettes_refused", "")
DELETED: Key[DeletedPalette | None] = Key("palettes_deleted", None)
NEW_NAME: KeyFamily[str] = KeyFamily("rename_name_{}", "")
NEW_COLOUR: KeyFamily[str | None] = KeyFamily("rename_colour_{}", None)
NEW_NOTE: KeyFamily[str] = KeyFamily("rename_note_{}", "")

NOTHING = (
    "Nothing is saved yet. Set a palette on the page Set, or start from one of the presets, then give it a name "
    "here. It stays in this app's database until you delete it."
)
#: What is said in its place to those who may not save palettes.
NOTHING_SHARED = "No saved palette is shared with you yet. The presets are open to everybody."
#: Palettes that are listed at first.
FIRST_LISTED = 12
FOREIGN = (
    "It names values or a use case that this table does not have; a value of your own must be in use on the page Values"
)


def draw_saved(database: Database, all_saved: tuple[SavedPalette, ...]) -> None:
    """Draw the list, the newest first."""
    st.header("Saved palettes")
    if refusal := REFUSED.pop():
        with st.container(key="palettes_refused"):
            st.html(markup.alarm(refusal))
    _draw_deleted(database)
    _draw_linked(database)
    if not all_saved:
        st.html(markup.note(NOTHING if account.may_create(Kind.PALETTE) else NOTHING_SHARED))
    all_saved = _filtered(database, all_saved)
    if len(all_saved) > FIRST_LISTED and not st.toggle(
        f"All {len(all_saved)} palettes", key="saved_all", persist_state="session"
    ):
        all_saved = all_saved[:FIRST_LISTED]
    fitting = [saved for saved in all_saved if palette_cache.fits_table(saved.palette)]
    assessed = dict(
        zip(
            (saved.id for saved in fitting),
            palette_cache.known_palettes("shelf", [saved.palette for saved in fitting]),
            strict=True,
        )
    )
    for saved in all_saved:
        with st.container(border=True, key=f"saved_{saved.id}"):
            _draw_row(database, saved, assessed.get(saved.id), saved in fitting)


def _filtered(database: Database, all_saved: tuple[SavedPalette, ...]) -> tuple[SavedPalette, ...]:
    """Draw the choice between the viewer's own palettes and all, where there are both, and return the chosen ones."""
    own = tuple(saved for saved in all_saved if saved.owner == database.visitor.id)
    if not database.visitor.is_known or not own or len(own) == len(all_saved):
        return all_saved
    titles = {"mine": f"Mine ({len(own)})", "all": f"Everyone's ({len(all_saved)})"}
    chosen = st.segmented_control(
        "Whose palettes",
        list(titles),
        format_func=titles.__getitem__,
        default="all",
        required=True,
        key="saved_whose",
        label_visibility="collapsed",
        persist_state="session",
    )
    return own if chosen == "mine" else all_saved


def _draw_linked(database: Database) -> None:
    """Draw the palette whose link the address holds."""
    link = st.query_params.get("saved", "")
    if not link:
        return
    saved = palettes.linked(database, link)
    if saved is None:
        st.html(markup.note("The palette of this link does not exist or is no longer shared."))
        return
    fits = palette_cache.fits_table(saved.palette)
    with st.container(border=True, key="saved_linked"):
        st.html(marks.name(saved.name, saved.colour, tag=f"of {saved.owner_name}" if saved.owner_name else ""))
        st.html(_targets(saved.palette) if fits else markup.note(f"{FOREIGN}."))
        if saved.note:
            st.text(saved.note)
        st.button(
            "Use", key="saved_linked_use", icon=":material/input:", on_click=_use, args=(saved,), disabled=not fits
        )


def _share(database: Database, saved: SavedPalette, visibility: Visibility) -> None:
    try:
        shared_palette = palettes.share(database, saved.id, visibility)
    except PaletteError as error:
        REFUSED.set(page_words.of(error))
        return
    if shared_palette.link:
        confirmation.confirm(f"saved_{saved.id}", f"{account.CHOICES[visibility]} can see it now; the link is there.")
    else:
        confirmation.confirm(f"saved_{saved.id}", f"It can be seen by {account.SEEN_BY[visibility]} now.")


def _draw_row(database: Database, saved: SavedPalette, assessed: AssessedPalette | None, fits: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"saved_head_{saved.id}"):
        st.html(marks.name(saved.name, saved.colour), width="content")
        if assessed is not None:
            header.draw_verdict_badge(assessed.assessment.verdict)
        elif not fits:
            st.badge("Of another table", icon=":material/table:", color="gray")
    facts = [shared.moment_text(saved.updated), saved.palette.use_case]
    facts.append("1 version" if saved.version == 1 else f"{saved.version} versions")
    if saved.owner and saved.owner != database.visitor.id:
        facts.append(f"of {saved.owner_name}")
    facts += [] if assessed is None or assessed.solution is None else [wording.current().distance(assessed.kl)]
    if fits and saved.table_key not in ("", table_key(scenes.load().table)):
        facts.append("saved on another table, where its levels were different")
    st.html(markup.note(" · ".join(facts)))
    if assessed is not None:
        st.html(
            markup.chips(shared.target_chips(assessed), assessed.scene.theme) or markup.note("No value has a target.")
        )
        if demands := palette_state.asked_beyond_averages(saved.palette):
            st.html(markup.note(" ".join(demands)))
    if saved.note:
        st.text(saved.note)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"saved_buttons_{saved.id}"):
        _draw_buttons(database, saved, fits)
    confirmation.draw(f"saved_{saved.id}")


def _draw_buttons(database: Database, saved: SavedPalette, fits: bool) -> None:
    st.button(
        "Use",
        key=f"saved_use_{saved.id}",
        icon=":material/input:",
        type="tertiary",
        on_click=_use,
        args=(saved,),
        disabled=not fits,
        help=None if fits else FOREIGN,
    )
    palette = shared.completed(saved.palette)
    shared.draw_pin(f"saved_pin_{saved.id}", f"saved_{saved.id}", saved.name, palette, disabled=not fits)
    mine = may(database.visitor, Action.CHANGE, saved.thing)
    if saved.owner and may(database.visitor, Action.SHARE, saved.thing):
        link = f"{share.app_address()}palettes?saved={saved.link}" if saved.link else ""
        account.draw_sharing(f"palette_{saved.id}", saved.visibility, partial(_share, database, saved), link=link)
    with st.popover("Versions", icon=":material/history:", type="tertiary", key=f"saved_versions_{saved.id}"):
        _draw_versions(database, saved)
    if not mine:
        return
    with st.popover("Rename", icon=":material/edit:", type="tertiary", key=f"saved_rename_{saved.id}"):
        _rename_form(database, saved)
    st.button(
        "Delete",
        key=f"saved_delete_{saved.id}",
        icon=":material/delete:",
        type="tertiary",
        on_click=_delete,
        args=(database, saved),
    )


def _rename_form(database: Database, saved: SavedPalette) -> None:
    with st.form(f"rename_form_{saved.id}", border=False):
        st.text_input("Name", saved.name, max_chars=80, key=NEW_NAME.of(saved.id).name)
        save_form.draw_colour_choice(NEW_COLOUR.of(saved.id).name, saved.colour)
        st.text_area("Note", saved.note, max_chars=2000, height=76, key=NEW_NOTE.of(saved.id).name)
        st.form_submit_button("Save", key=f"rename_{saved.id}", on_click=_rename, args=(database, saved))


def _draw_versions(database: Database, saved: SavedPalette) -> None:
    """Draw what each version asked for, the newest first."""
    for version in reversed(palettes.versions(database, saved.id)):
        fits = palette_cache.fits_table(version.palette)
        with st.container(key=f"version_{saved.id}_{version.number}"):
            st.html(marks.name(f"Version {version.number}", tag="now" if version.number == saved.version else ""))
            st.html(markup.note(f"{shared.moment_text(version.created)}. {wording.current().reworded(version.what)}"))
            st.html(_targets(version.palette) if fits else markup.note(f"{FOREIGN}."))
            st.button(
                "Use this version",
                key=f"version_use_{saved.id}_{version.number}",
                type="tertiary",
                on_click=_use_version,
                args=(saved, version),
                disabled=not fits,
            )


def _targets(palette: Palette) -> str:
    scene = scenes.load(palette.use_case)
    return markup.chips(level_words.target_chips(scene, palette), scene.theme) or markup.note("No value has a target.")


def _draw_deleted(database: Database) -> None:
    deleted = DELETED.get()
    if deleted is not None:
        with st.container(horizontal=True, vertical_alignment="center", key="deleted"):
            st.html(markup.note(f"{deleted.saved.name} was deleted."), width="content")
            icon = ":material/undo:"
            st.button("Undo", key="undelete", icon=icon, type="tertiary", on_click=_put_back, args=(database, deleted))


def _rename(database: Database, saved: SavedPalette) -> None:
    name, colour, note = (str(key.of(saved.id).get() or "") for key in (NEW_NAME, NEW_COLOUR, NEW_NOTE))
    try:
        renamed = palettes.rename(database, saved.id, name, colour=colour, note=note)
    except PaletteError as error:
        REFUSED.set(page_words.of(error))
    else:
        confirmation.confirm(f"saved_{saved.id}", f"{renamed.name} is saved with these changes.")


def _use(saved: SavedPalette) -> None:
    shared.use_palette(saved.palette, f"Switched to {saved.name}.")
    save_form.remember_opened(saved.id, saved.version)


def _use_version(saved: SavedPalette, version: PaletteVersion) -> None:
    shared.use_palette(version.palette, f"Switched to version {version.number} of {saved.name}.")
    save_form.remember_opened(saved.id, version.number)


def _delete(database: Database, saved: SavedPalette) -> None:
    try:
        DELETED.set(palettes.delete(database, saved.id))
    except PaletteError as error:  # deleted by somebody else meanwhile, or the database does not answer
        REFUSED.set(page_words.of(error))


def _put_back(database: Database, deleted: DeletedPalette) -> None:
    try:
        palettes.restore(database, deleted)
    except PaletteError as error:
        REFUSED.set(page_words.of(error))
    else:
        DELETED.pop()
