"""Saved palettes: a name, a colour, a note, and every version of the targets.

Constraint: saving never loses an earlier version. Saving on top of a version that is no longer the newest adds a
version too, and returns the numbers of those in between. The names of an owner's palettes differ in more than capitals,
so that a name identifies one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, select, text, true
from sqlalchemy.orm import Session

from map_core.access import Action, Kind, Thing, Visibility, may, require
from map_core.core.unused_name import unused_name
from map_core.errors import InputError
from map_core.palettes.palette import Palette
from map_core.store import ownership
from map_core.store.database import Database
from map_core.store.models import KEY, SHORT, PaletteRow, VersionRow
from map_core.store.text_limits import key, label, note

#: The key of PostgreSQL's advisory lock on names; any constant.
_NAMES_LOCK = 7_046_029_255


@dataclass(frozen=True)
class PaletteVersion:
    """One version of a saved palette.

    Args:
        number: from 1.
        palette: its targets.
        what: a description of the change.
        created: in UTC.
    """

    number: int
    palette: Palette
    what: str
    created: datetime


@dataclass(frozen=True)
class SavedPalette:
    """A saved palette with its newest version.

    Args:
        id: its key in the database.
        name: as people gave it.
        colour: the name of a colour.
        note: as people gave it.
        table_key: of the table that it was set on, see :func:`map_core.store.keys.table_key`.
        owner: the id of the visitor who saved it; "" where it belongs to everybody.
        created: in UTC.
        updated: in UTC.
        version: number of the newest version.
        palette: the newest version's.
        meanwhile: numbers of versions that others saved after the one that this save was based on.
        owner_name: the owner's name, as people read it.
        visibility: who else sees it.
        link: the token of a link to it; "" where there is none.
    """

    id: int
    name: str
    colour: str
    note: str
    table_key: str
    owner: str
    created: datetime
    updated: datetime
    version: int
    palette: Palette
    meanwhile: tuple[int, ...] = ()
    owner_name: str = ""
    visibility: Visibility = Visibility.EVERYONE
    link: str = ""

    @property
    def thing(self) -> Thing:
        """The palette as the object of access checks."""
        return Thing(Kind.PALETTE, self.owner, self.visibility)


@dataclass(frozen=True)
class DeletedPalette:
    """A deleted palette, with all that :func:`restore` needs."""

    saved: SavedPalette
    versions: tuple[PaletteVersion, ...]


def save(
    database: Database,
    palette: Palette,
    name: str,
    *,
    colour: str = "",
    note: str = "",
    table_key: str = "",
    what: str = "Saved.",
    visibility: Visibility = Visibility.PRIVATE,
) -> SavedPalette:
    """Save a new palette under an unused name.

    Args:
        database: the database.
        palette: the first version.
        name: as people read it, 1 to 200 characters; a number is added where another palette of the owner has it.
        colour: the name of a colour; "" for none.
        note: a text of any number of lines, at most 20,000 characters.
        table_key: of the table that it was set on, see :func:`map_core.store.table_key`; "" where it is not known.
        what: a description of the first version.
        visibility: who else sees it; it belongs to the visitor, or to everybody where they are not known by name.

    Raises:
        InputError: the name is empty, or a text is too long.
        AccessError: the visitor may not save palettes.
    """
    now = datetime.now(UTC)
    require(database.visitor, Action.CREATE, Thing(Kind.PALETTE))
    row = PaletteRow(created=now, updated=now, **ownership.columns(database.visitor, visibility))
    row.link = ownership.link(row.visibility)
    for column, content in _described(palette, name, colour, note, table_key).items():
        setattr(row, column, content)
    row.versions = [_version(1, palette, what, now)]
    with database.writing() as session:
        row.name = _unused(session, row)
        session.add(row)
        session.flush()
        ownership.record(session, "save", Kind.PALETTE, row.id)
        return _saved(row, row.versions[-1])


def update(
    database: Database, id: int, palette: Palette, what: str = "Saved again.", *, based_on: int | None = None
) -> SavedPalette:
    """Add a version to a saved palette.

    Args:
        database: the database.
        id: of the palette.
        palette: the new version.
        what: a description of the new version.
        based_on: number of the version from which the new one was made; the result lists the versions that were saved
            after it. None for the newest.

    Raises:
        InputError: there is no such palette.
    """
    now = datetime.now(UTC)
    with database.writing() as session:
        row = ownership.locked_row(session, PaletteRow, id, database.visitor, Action.CHANGE)
        newest = _newest(session, id)
        row.updated, row.use_case = now, label("use case", palette.use_case)
        added = _version(newest.number + 1, palette, what, now)
        row.versions.append(added)
        session.flush()
        ownership.record(session, "save a version", Kind.PALETTE, id)
        base = newest.number if based_on is None else based_on
        return replace(_saved(row, added), meanwhile=tuple(range(base + 1, added.number)))


def rename(database: Database, id: int, name: str, colour: str | None = None, note: str | None = None) -> SavedPalette:
    """Rename a palette, and change its colour and note where they are given.

    Raises:
        InputError: there is no such palette, the name is empty or that of another one, or a text is too long.
    """
    with database.writing() as session:
        row = ownership.locked_row(session, PaletteRow, id, database.visitor, Action.CHANGE)
        newest = _newest(session, id)
        details = _described(
            Palette(row.use_case),
            name,
            row.colour if colour is None else colour,
            row.note if note is None else note,
            row.table_key,
        )
        if details["name"].casefold() in _names(session, row) - {row.name.casefold()}:
            raise InputError(f"Another palette is called {details['name']!r}. Choose another name.")
        row.name, row.colour, row.note = details["name"], details["colour"], details["note"]
        ownership.record(session, "rename", Kind.PALETTE, id)
        return _saved(row, newest)


def share(database: Database, id: int, visibility: Visibility) -> SavedPalette:
    """Set who else sees a palette; one that is shared by link gets a link.

    Raises:
        InputError: there is no such palette.
        AccessError: it is not the visitor's.
    """
    with database.writing() as session:
        row = ownership.locked_row(session, PaletteRow, id, database.visitor, Action.SHARE)
        ownership.share(session, row, visibility, id)
        return _saved(row, _newest(session, id))


def linked(database: Database, link: str) -> SavedPalette | None:
    """Return the palette of a link; None where there is none, or it is no longer shared."""
    if not link:
        return None
    with database.reading() as session:
        matches = _saved_palettes(session, PaletteRow.link == str(link)[:KEY])
    return next(
        (saved for saved in matches if may(database.visitor, Action.SEE, replace(saved.thing, linked=True))), None
    )


def named(database: Database, name: str) -> SavedPalette | None:
    """Return the palette of this name that the visitor may change, ignoring case and extra spaces; None for none."""
    wanted = " ".join(name.split()).casefold()
    return next(
        (
            saved
            for saved in list_palettes(database)
            if saved.name.casefold() == wanted and may(database.visitor, Action.CHANGE, saved.thing)
        ),
        None,
    )


def free_name(database: Database, name: str) -> str:
    """Return the name that :func:`save` would give to a new palette of the visitor now."""
    own = [saved for saved in list_palettes(database) if saved.owner == database.visitor.id]
    taken = {saved.name.casefold() for saved in own}
    return unused_name(" ".join(name.split()), lambda wanted: wanted.casefold() in taken, SHORT)


def list_palettes(database: Database) -> tuple[SavedPalette, ...]:
    """Return the palettes that the visitor may see, the one saved last first."""
    with database.reading() as session:
        everything = _saved_palettes(session, true())
        return tuple(saved for saved in everything if may(database.visitor, Action.SEE, saved.thing))


def load(database: Database, id: int) -> SavedPalette | None:
    """Return one palette with its newest version; None when there is none that the visitor may see."""
    with database.reading() as session:
        saved = next(iter(_saved_palettes(session, PaletteRow.id == id)), None)
        return saved if saved is not None and may(database.visitor, Action.SEE, saved.thing) else None


def versions(database: Database, id: int) -> tuple[PaletteVersion, ...]:
    """Return the versions of a palette, the oldest first; none when the visitor may see no such palette."""
    if load(database, id) is None:
        return ()
    query = select(VersionRow).where(VersionRow.palette_id == id).order_by(VersionRow.number)
    with database.reading() as session:
        return tuple(_palette_version(row) for row in session.scalars(query))


def delete(database: Database, id: int) -> DeletedPalette:
    """Delete a palette with its versions.

    Returns:
        All that was deleted; :func:`restore` undoes it.

    Raises:
        InputError: there is no such palette.
    """
    with database.writing() as session:
        row = ownership.locked_row(session, PaletteRow, id, database.visitor, Action.DELETE)
        ownership.record(session, "delete", Kind.PALETTE, id)
        deleted = DeletedPalette(_saved(row, row.versions[-1]), tuple(map(_palette_version, row.versions)))
        session.delete(row)
        return deleted


def restore(database: Database, deleted: DeletedPalette) -> SavedPalette:
    """Undo a deletion: restore the palette under its former id; a second call has no effect.

    A number is added to its name where another palette has it by now.
    """
    saved = deleted.saved
    require(database.visitor, Action.CHANGE, saved.thing)
    with database.writing() as session:
        if session.get(PaletteRow, saved.id) is None:
            row = PaletteRow(
                id=saved.id,
                created=saved.created,
                updated=saved.updated,
                link=saved.link,
                owner=saved.owner,
                owner_name=saved.owner_name,
                visibility=saved.visibility.value,
                **_described(saved.palette, saved.name, saved.colour, saved.note, saved.table_key),
            )
            ownership.record(session, "restore", Kind.PALETTE, saved.id)
            row.versions = [
                _version(version.number, version.palette, version.what, version.created) for version in deleted.versions
            ]
            row.name = _unused(session, row)
            session.add(row)
            saved = replace(saved, name=row.name)
    return saved


def _described(palette: Palette, name: str, colour: str, note_text: str, table_key: str) -> dict[str, str]:
    """Return the columns that describe a palette, checked for length and characters."""
    return {
        "name": label("name of the palette", name),
        "colour": key("colour", colour) if colour else "",
        "note": note("note", note_text),
        "use_case": label("use case", palette.use_case),
        "table_key": key("table's key", table_key) if table_key else "",
    }


def _names(session: Session, row: PaletteRow) -> set[str]:
    """Return the names of an owner's palettes in lower case, locked until this transaction ends."""
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _NAMES_LOCK})
    with session.no_autoflush:
        return {
            name.casefold() for name in session.scalars(select(PaletteRow.name).where(PaletteRow.owner == row.owner))
        }


def _unused(session: Session, row: PaletteRow) -> str:
    taken = _names(session, row)
    return unused_name(row.name, lambda wanted: wanted.casefold() in taken, SHORT)


def _version(number: int, palette: Palette, what: str, created: datetime) -> VersionRow:
    return VersionRow(number=number, data=palette.as_dict(), what=note("change in words", what), created=created)


def _newest(session: Session, id: int) -> VersionRow:
    query = select(VersionRow).where(VersionRow.palette_id == id).order_by(VersionRow.number.desc()).limit(1)
    return session.scalars(query).one()


def _saved_palettes(session: Session, condition: ColumnElement[bool]) -> tuple[SavedPalette, ...]:
    """Return the palettes that meet a condition with their newest versions, in one query."""
    later = select(VersionRow.number).where(VersionRow.palette_id == PaletteRow.id).order_by(VersionRow.number.desc())
    newest = later.limit(1).correlate(PaletteRow).scalar_subquery()
    query = (
        select(PaletteRow, VersionRow)
        .join(VersionRow, (VersionRow.palette_id == PaletteRow.id) & (VersionRow.number == newest))
        .where(condition)
        .order_by(PaletteRow.updated.desc(), PaletteRow.id.desc())
    )
    return tuple(_saved(row, version) for row, version in session.execute(query))


def _palette_version(row: VersionRow) -> PaletteVersion:
    return PaletteVersion(row.number, Palette.from_dict(row.data), row.what, row.created)


def _saved(row: PaletteRow, newest: VersionRow) -> SavedPalette:
    return SavedPalette(
        id=row.id,
        name=row.name,
        colour=row.colour,
        note=row.note,
        table_key=row.table_key,
        owner=row.owner,
        created=row.created,
        updated=row.updated,
        version=newest.number,
        palette=Palette.from_dict(newest.data),
        owner_name=row.owner_name,
        visibility=Visibility(row.visibility),
        link=row.link,
    )
