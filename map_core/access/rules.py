"""Decide what a visitor may do with a thing.

The owner of a thing may do everything with it, and decides who else sees it. A thing without an owner, such as those
made before there was a login, belongs to everybody: members may change it. An operator may do everything.

| action | owner | a member, not the owner | a guest |
| --- | --- | --- | --- |
| see | yes | what everybody sees, or with its link | what everybody sees, or with its link |
| create | | what the settings allow; see :data:`CREATES` | votes and generations |
| change, delete, share, stop | yes | only what has no owner | no |

Constraint: pages, store, catalog and service use these functions; owners are compared nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from map_core.access.settings import role_setting
from map_core.access.visitor import Role, Visitor
from map_core.errors import AccessError


class Visibility(StrEnum):
    """Who sees a thing besides its owner."""

    PRIVATE = "private"
    LINK = "link"
    EVERYONE = "everyone"


class Action(StrEnum):
    """What is done with a thing; STOP includes resuming and answering questions of work."""

    SEE = "see"
    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    SHARE = "share"
    STOP = "stop"


class Kind(StrEnum):
    """The kind of a thing; the value is its noun in sentences."""

    PALETTE = "palette"
    VALUE = "value"
    TABLE = "table"
    BUILD = "build"
    VOTE = "vote"
    GENERATION = "generation"
    MEETING = "meeting"
    MODEL = "model"


@dataclass(frozen=True)
class Thing:
    """Something that can belong to somebody.

    Args:
        kind: its kind.
        owner: the id of its owner; "" if it belongs to everybody.
        visibility: who else sees it.
        linked: whether the visitor came by its link.
        link: the secret of its link; visitors who have it see the thing (see :class:`Visitor`).
    """

    kind: Kind
    owner: str = ""
    visibility: Visibility = Visibility.EVERYONE
    linked: bool = False
    link: str = ""


#: Environment variables with the lowest role that may start builds and name models.
MAY_BUILD, MAY_NAME_MODELS = "VALUE_PALETTE_MAY_BUILD", "VALUE_PALETTE_MAY_NAME_MODELS"
#: The lowest role that may create a kind: a role, or an environment variable and its default.
CREATES: dict[Kind, Role | tuple[str, Role]] = {
    Kind.PALETTE: Role.MEMBER,
    Kind.VALUE: Role.MEMBER,
    Kind.TABLE: Role.MEMBER,
    Kind.BUILD: (MAY_BUILD, Role.MEMBER),
    Kind.VOTE: Role.GUEST,
    Kind.GENERATION: Role.GUEST,
    Kind.MEETING: Role.MEMBER,
    Kind.MODEL: (MAY_NAME_MODELS, Role.OPERATOR),
}
#: What creating a kind is called in sentences.
CREATING: dict[Kind, str] = {
    Kind.PALETTE: "save palettes",
    Kind.VALUE: "define values",
    Kind.TABLE: "add tables",
    Kind.BUILD: "build tables or tune models",
    Kind.VOTE: "vote",
    Kind.GENERATION: "have replies written",
    Kind.MEETING: "open meetings",
    Kind.MODEL: "name models",
}


def may(visitor: Visitor, action: Action, thing: Thing) -> bool:
    """Return whether a visitor may do something with a thing.

    Example:
        >>> ann, ben = Visitor("ann", "Ann", Role.MEMBER), Visitor("ben", "Ben", Role.MEMBER)
        >>> hers = Thing(Kind.PALETTE, "ann", Visibility.EVERYONE)
        >>> may(ann, Action.DELETE, hers), may(ben, Action.SEE, hers), may(ben, Action.DELETE, hers)
        (True, True, False)
    """
    if action is Action.CREATE:
        return visitor.role.rank >= role_that_creates(thing.kind).rank
    if visitor.role is Role.OPERATOR or (visitor.is_known and visitor.id == thing.owner):
        return True
    if action is Action.SEE:
        return (
            not thing.owner
            or thing.visibility is Visibility.EVERYONE
            or (thing.visibility is Visibility.LINK and (thing.linked or thing.link in visitor.links))
        )
    if action is Action.SHARE:  # a thing without an owner is visible to everybody
        return False
    return not thing.owner and visitor.role.rank >= role_that_creates(thing.kind).rank


def role_that_creates(kind: Kind) -> Role:
    """Return the lowest role that may create a kind."""
    rule = CREATES[kind]
    return rule if isinstance(rule, Role) else role_setting(*rule)


def require(visitor: Visitor, action: Action, thing: Thing) -> None:
    """Check that a visitor may do something.

    Raises:
        AccessError: they may not; the message says who may.
    """
    if may(visitor, action, thing):
        return
    if action is Action.CREATE:
        required = role_that_creates(thing.kind)
        required_role = "an operator" if required is Role.OPERATOR else f"a {required.value}"
        own_role = "A guest" if visitor.role is Role.GUEST else "A member"
        raise AccessError(f"{own_role} of this app cannot {CREATING[thing.kind]}; that takes {required_role}. {ASK}")
    if action is Action.SEE:
        raise AccessError(f"There is no such {thing.kind.value}, or it is not shared with you.")
    whose = "somebody else's" if thing.owner else "everybody's, and guests only look at it"
    raise AccessError(f"This {thing.kind.value} is {whose}; you cannot {action.value} it.")


ASK = "Ask whoever runs the app."
