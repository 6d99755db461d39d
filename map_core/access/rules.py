"""What may be done, by whom and with what; the one place that decides.

Whoever made a thing may do everything with it, and says who else sees it. A thing without an owner, such as all that
was kept before there was a login, belongs to everybody: members may change it. An operator may do everything.

| action | owner | a member, not the owner | a guest |
| --- | --- | --- | --- |
| see | yes | what everybody sees, or with its link | what everybody sees, or with its link |
| create | | what the settings allow; see :data:`CREATES` | votes and generations |
| change, delete, share, stop | yes | only what has no owner | no |

Constraint: pages, store, catalog and service ask here, and nobody compares owners elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from map_core.access.settings import role_setting
from map_core.access.visitor import Role, Visitor
from map_core.errors import AccessError


class Visibility(StrEnum):
    """Who else sees a thing than its owner."""

    PRIVATE = "private"
    LINK = "link"
    EVERYONE = "everyone"


class Action(StrEnum):
    """What is done with a thing; to stop is also to go on with work and to steer it."""

    SEE = "see"
    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    SHARE = "share"
    STOP = "stop"


class Kind(StrEnum):
    """What a thing is, as a sentence has it."""

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
        kind: what it is.
        owner: the id of who made it; "" where it belongs to everybody.
        visibility: who else sees it.
        linked: whoever asks came by its link.
        link: by which it is shared; who came with it sees it (see :class:`Visitor`).
    """

    kind: Kind
    owner: str = ""
    visibility: Visibility = Visibility.EVERYONE
    linked: bool = False
    link: str = ""


#: Environment variables that say from which role on something may be started, and the role without one.
MAY_BUILD, MAY_NAME_MODELS = "VALUE_PALETTE_MAY_BUILD", "VALUE_PALETTE_MAY_NAME_MODELS"
#: From which role on a kind may be made: a role, or the setting that names it with its default.
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
    if action is Action.SHARE:  # what belongs to everybody is seen by everybody
        return False
    return not thing.owner and visitor.role.rank >= role_that_creates(thing.kind).rank


def role_that_creates(kind: Kind) -> Role:
    """Return from which role on a kind may be made."""
    wanted = CREATES[kind]
    return wanted if isinstance(wanted, Role) else role_setting(*wanted)


def require(visitor: Visitor, action: Action, thing: Thing) -> None:
    """Check that a visitor may do something.

    Raises:
        AccessError: they may not; the message says who may.
    """
    if may(visitor, action, thing):
        return
    if action is Action.CREATE:
        wanted = role_that_creates(thing.kind)
        who = "an operator" if wanted is Role.OPERATOR else f"a {wanted.value}"
        whom = "A guest" if visitor.role is Role.GUEST else "A member"
        raise AccessError(f"{whom} of this app cannot add a {thing.kind.value}; that takes {who}. {ASK}")
    if action is Action.SEE:
        raise AccessError(f"There is no such {thing.kind.value}, or it is not shared with you.")
    whose = "somebody else's" if thing.owner else "everybody's, and guests only look at it"
    raise AccessError(f"This {thing.kind.value} is {whose}; you cannot {action.value} it.")


ASK = "Ask whoever runs the app."
