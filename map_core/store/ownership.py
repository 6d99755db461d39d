"""Functions for all tables with an owner: ownership, visibility, and the audit log."""

from __future__ import annotations

import secrets
from typing import Protocol, TypeVar

from sqlalchemy.orm import Session

from map_core.access import Action, Kind, Thing, Visibility, Visitor, may, require
from map_core.errors import InputError
from map_core.store.database import AUDITED, Database
from map_core.store.models import SHORT, JudgementRow, LabelRow, OwnValueRow, PaletteRow, VoteRow

#: A row with a person's judgement of replies.
_Judged = TypeVar("_Judged", VoteRow, JudgementRow, LabelRow)
#: A row that its owner shares.
_Shared = TypeVar("_Shared", PaletteRow, OwnValueRow)
_KINDS = {PaletteRow: Kind.PALETTE, OwnValueRow: Kind.VALUE}
_NOUNS = {Kind.PALETTE: "saved palette", Kind.VALUE: "custom value"}


class _Owned(Protocol):
    """A row with an owner; votes have no column of visibility."""

    @property
    def owner(self) -> str:
        """The id of its owner."""


def columns(visitor: Visitor, visibility: Visibility) -> dict[str, str]:
    """Return the ownership columns of a visitor's new row; everybody sees that of a visitor not known by name."""
    return {
        "owner": visitor.id,
        "owner_name": visitor.name[:SHORT],
        "visibility": (visibility if visitor.is_known else Visibility.EVERYONE).value,
    }


def thing(kind: Kind, row: _Owned) -> Thing:
    """Return a row as the object of access checks."""
    visibility = Visibility(getattr(row, "visibility", Visibility.PRIVATE))
    return Thing(kind, row.owner, visibility, link=getattr(row, "link", ""))


def locked_row(session: Session, rows: type[_Shared], id: int, visitor: Visitor, action: Action) -> _Shared:
    """Return a row, locked until the transaction ends, so that concurrent changes come one after the other.

    Raises:
        InputError: there is none that the visitor may see.
        AccessError: they may see it, but not do this.
    """
    kind, row = _KINDS[rows], session.get(rows, id, with_for_update=True)
    if row is None or not may(visitor, Action.SEE, thing(kind, row)):
        raise InputError(f"There is no {_NOUNS[kind]} with the number {id}; it may have been deleted meanwhile.")
    require(visitor, action, thing(kind, row))
    return row


def share(session: Session, row: PaletteRow | OwnValueRow, visibility: Visibility, subject: object) -> None:
    """Set who else sees a row, and record that; one that is shared by link gets a link."""
    row.visibility = Visibility(visibility).value
    row.link = link(visibility, row.link)
    record(session, f"share with {visibility.value}", _KINDS[type(row)], subject)


def withdraw(database: Database, rows: type[_Judged], id: int, viewer: str | None = None) -> bool:
    """Delete a judgement of replies, and return whether it existed.

    Args:
        database: the database.
        rows: its table.
        id: of the row.
        viewer: identifies the person who gave it, a text that nobody else knows; another person's judgement counts as
            missing. None to skip this check.

    Raises:
        AccessError: it is somebody else's.
    """
    with database.writing() as session:
        row = session.get(rows, id)
        if row is None or (viewer is not None and getattr(row, "viewer", None) != viewer):
            return False
        require(database.visitor, Action.DELETE, thing(Kind.VOTE, row))
        session.delete(row)
        return True


def link(visibility: str, existing: str = "") -> str:
    """Return the link of a row that is shared by link, the existing or a new one; "" for other visibilities."""
    return (existing or secrets.token_urlsafe(16)) if visibility == Visibility.LINK else ""


def record(session: Session, action: str, kind: Kind, subject: object) -> None:
    """Record a visitor's action in the audit log after the commit, see :meth:`Database.writing`."""
    session.info.setdefault(AUDITED, []).append((action, kind.value, subject))
