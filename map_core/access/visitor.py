"""A visitor: an id that stays the same, a name for people, and a role.

Constraint: nothing here knows how somebody was recognised; the app does (``pages/view/shell/identity.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody is to this app; each may do what the one before may."""

    GUEST = "guest"
    MEMBER = "member"
    OPERATOR = "operator"

    @property
    def rank(self) -> int:
        """The place in that order, from 0."""
        return list(Role).index(self)


@dataclass(frozen=True)
class Visitor:
    """Somebody who uses the app.

    Args:
        id: by which what is theirs is found again, at most 200 characters; "" for who is not known by name.
        name: as people read it; "" likewise.
        role: see :class:`Role`.
        links: of what is shared by link, those that they came with.
    """

    id: str
    name: str
    role: Role
    links: frozenset[str] = frozenset()

    @property
    def is_known(self) -> bool:
        """Whether it is known who this is, so that something can belong to them."""
        return bool(self.id)


#: Whoever uses an app without a login: it belongs to them, and what is kept belongs to everybody who has it.
LOCAL = Visitor("", "", Role.MEMBER)
