"""A visitor: an id that stays the same, a name for people, and a role.

Constraint: independent of how visitors are authenticated, which is up to the app (``pages/view/shell/identity.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The role of a visitor; each role has the permissions of the previous ones."""

    GUEST = "guest"
    MEMBER = "member"
    OPERATOR = "operator"

    @property
    def rank(self) -> int:
        """The position in this order, from 0."""
        return list(Role).index(self)


@dataclass(frozen=True)
class Visitor:
    """Somebody who uses the app.

    Args:
        id: the id that their things are stored with, at most 200 characters; "" for an anonymous visitor.
        name: the displayed name; "" likewise.
        role: see :class:`Role`.
        links: the secrets of the links by which they came.
    """

    id: str
    name: str
    role: Role
    links: frozenset[str] = frozenset()

    @property
    def is_known(self) -> bool:
        """Whether the visitor is identified, so that things can belong to them."""
        return bool(self.id)


#: The visitor of an app without a login; what they make belongs to everybody who has access to the app.
LOCAL = Visitor("", "", Role.MEMBER)
#: Whoever it may be: what this visitor sees, everybody sees.
EVERYBODY = Visitor("", "", Role.GUEST)
