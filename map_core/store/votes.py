"""Votes: which of two replies to a prompt somebody preferred, without knowing which one was the aligned model's.

Constraint: a vote is kept under what the palette asks for, so that votes of many people and days on the same palette
come together, and a palette that was changed starts anew. Whose vote it is stays with the vote: all votes are counted,
and the prompt of somebody else's is not told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import select

from map_core.access import Action, Kind, Thing, may, require
from map_core.store import ownership
from map_core.store.database import Database
from map_core.store.keys import palette_key
from map_core.store.models import VoteRow
from map_core.store.text_limits import key, note

__all__ = ["Preference", "Tally", "Vote", "count_votes", "list_votes", "palette_key", "tally", "vote", "withdraw"]


class Preference(StrEnum):
    """Whose reply was preferred."""

    BASE = "base"
    ALIGNED = "aligned"
    TIE = "tie"


@dataclass(frozen=True)
class Vote:
    """One vote.

    Args:
        id: by which it can be withdrawn.
        palette_key: see :func:`map_core.store.keys.palette_key`.
        prompt: that both replies answer; "" of a vote that is somebody else's.
        preferred: whose reply.
        viewer: who voted; "" where nobody says.
        when: in UTC.
    """

    id: int
    palette_key: str
    prompt: str
    preferred: Preference
    viewer: str
    when: datetime


@dataclass(frozen=True)
class Tally:
    """How many preferred whose replies."""

    base: int = 0
    aligned: int = 0
    tie: int = 0

    @property
    def votes(self) -> int:
        """All of them."""
        return self.base + self.aligned + self.tie


def vote(database: Database, palette_key: str, prompt: str, preferred: Preference, viewer: str = "") -> Vote:
    """Keep a vote.

    Raises:
        InputError: a text is too long.
    """
    now, chosen = datetime.now(UTC), Preference(preferred)
    require(database.visitor, Action.CREATE, Thing(Kind.VOTE))
    with database.writing() as session:
        row = VoteRow(
            palette_key=key("key of the palette", palette_key),
            prompt=note("prompt", prompt),
            preferred=chosen.value,
            viewer=key("viewer", viewer) if viewer else "",
            owner=database.visitor.id,
            voted=now,
        )
        session.add(row)
        session.flush()
        return Vote(row.id, row.palette_key, row.prompt, chosen, row.viewer, now)


def withdraw(database: Database, vote: int, viewer: str | None = None) -> bool:
    """Take a vote back, and return whether it was there.

    Args:
        database: where it is kept.
        vote: its id.
        viewer: who voted, a text that nobody else knows; a vote of another one is as if it were not there. None for
            whoever it was.

    Raises:
        AccessError: it is somebody else's.
    """
    return ownership.withdraw(database, VoteRow, vote, viewer)


def list_votes(database: Database, palette_key: str) -> tuple[Vote, ...]:
    """Return the votes on a palette, the oldest first."""
    wanted = select(VoteRow).where(VoteRow.palette_key == palette_key).order_by(VoteRow.voted, VoteRow.id)
    with database.reading() as session:
        return tuple(
            Vote(
                row.id,
                row.palette_key,
                row.prompt if may(database.visitor, Action.SEE, ownership.thing(Kind.VOTE, row)) else "",
                Preference(row.preferred),
                row.viewer,
                row.voted,
            )
            for row in session.scalars(wanted)
        )


def tally(database: Database, palette_key: str) -> Tally:
    """Count how many votes on a palette went to whom."""
    return count_votes(list_votes(database, palette_key))


def count_votes(votes: Iterable[Vote]) -> Tally:
    """Count how many of some votes went to whom."""
    kinds = [vote.preferred for vote in votes]
    return Tally(*(kinds.count(kind) for kind in (Preference.BASE, Preference.ALIGNED, Preference.TIE)))
