"""What the tables of things with an owner have in common: whose they are, who sees them, and the audit log."""

from __future__ import annotations

import secrets
from typing import Protocol

from sqlalchemy.orm import Session

from map_core.access import Kind, Thing, Visibility, Visitor
from map_core.store.database import AUDITED
from map_core.store.models import SHORT


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


def link(visibility: str, held: str = "") -> str:
    """Return the link of what is shared by link, the one that it has or a new one; "" for what is not."""
    return (held or secrets.token_urlsafe(16)) if visibility == Visibility.LINK else ""


def record(session: Session, action: str, kind: Kind, what: object) -> None:
    """Write into the audit log what the visitor does, once it is done: see :meth:`Database.writing`."""
    session.info.setdefault(AUDITED, []).append((action, kind.value, what))
