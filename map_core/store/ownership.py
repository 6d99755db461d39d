"""What the tables of things with an owner have in common: whose they are, who sees them, and the audit log."""

from __future__ import annotations

import secrets
from typing import Protocol, TypeVar

from sqlalchemy.orm import Session

from map_core.access import Action, Kind, Thing, Visibility, Visitor, require
from map_core.store.database import AUDITED, Database
from map_core.store.models import SHORT, JudgementRow, LabelRow, VoteRow

#: What somebody said of replies.
_Judged = TypeVar("_Judged", VoteRow, JudgementRow, LabelRow)


class _Owned(Protocol):
    """A row with an owner; a vote has no say of who sees it."""

    @property
    def owner(self) -> str:
        """The id of who made it."""


def columns(visitor: Visitor, visibility: Visibility) -> dict[str, str]:
    """Return the columns of something that a visitor makes; that of who is not known by name is everybody's."""
    return {
        "owner": visitor.id,
        "owner_name": visitor.name[:SHORT],
        "visibility": (visibility if visitor.is_known else Visibility.EVERYONE).value,
    }


def thing(kind: Kind, row: _Owned) -> Thing:
    """Return what is asked about a row where it is decided who may do what."""
    visibility = Visibility(getattr(row, "visibility", Visibility.PRIVATE))
    return Thing(kind, row.owner, visibility, link=getattr(row, "link", ""))


def withdraw(database: Database, rows: type[_Judged], id: int, viewer: str | None = None) -> bool:
    """Take back what somebody said of replies, and return whether it was there.

    Args:
        database: where it is kept.
        rows: the table of it.
        id: of the row.
        viewer: who said it, a text that nobody else knows; what another one said is as if it were not there. None for
            whoever it was.

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


def link(visibility: str, held: str = "") -> str:
    """Return the link of what is shared by link, the one that it has or a new one; "" for what is not."""
    return (held or secrets.token_urlsafe(16)) if visibility == Visibility.LINK else ""


def record(session: Session, action: str, kind: Kind, what: object) -> None:
    """Write into the audit log what the visitor does, once it is done: see :meth:`Database.writing`."""
    session.info.setdefault(AUDITED, []).append((action, kind.value, what))
