"""Blind votes: which of two replies to a prompt somebody preferred, without knowing which is the aligned model's.

Constraint: a vote is stored under the palette's targets, so that the votes of many people on the same palette are
counted together, and a changed palette starts without votes. A vote records its owner: all votes are counted, but
another visitor's prompt is not shown.
"""

from __future__ import annotations

from collections import Counter
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
    """The model whose reply was preferred."""

    BASE = "base"
    ALIGNED = "aligned"
    TIE = "tie"


@dataclass(frozen=True)
class Vote:
    """One vote.

    Args:
        id: its key in the database.
        palette_key: see :func:`map_core.store.keys.palette_key`.
        prompt: the prompt of both replies; "" for another visitor's vote.
        preferred: the model whose reply was preferred.
        viewer: who voted; "" where it is not known.
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
    """Numbers of votes by the preferred model."""

    base: int = 0
    aligned: int = 0
    tie: int = 0

    @property
    def votes(self) -> int:
        """The number of all votes."""
        return self.base + self.aligned + self.tie


def vote(database: Database, palette_key: str, prompt: str, preferred: Preference, viewer: str = "") -> Vote:
    """Store a vote.

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
    """Delete a vote, and return whether it existed.

    Args:
        database: the database.
        vote: its id.
        viewer: identifies the voter, a text that nobody else knows; another voter's vote counts as missing. None to
            skip this check.

    Raises:
        AccessError: it is somebody else's.
    """
    return ownership.withdraw(database, VoteRow, vote, viewer)


def list_votes(database: Database, palette_key: str) -> tuple[Vote, ...]:
    """Return the votes on a palette, the oldest first."""
    query = select(VoteRow).where(VoteRow.palette_key == palette_key).order_by(VoteRow.voted, VoteRow.id)
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
            for row in session.scalars(query)
        )


def tally(database: Database, palette_key: str) -> Tally:
    """Count the votes on a palette by the preferred model."""
    return count_votes(list_votes(database, palette_key))


def count_votes(votes: Iterable[Vote]) -> Tally:
    """Count votes by the preferred model."""
    counts = Counter(vote.preferred for vote in votes)
    return Tally(base=counts[Preference.BASE], aligned=counts[Preference.ALIGNED], tie=counts[Preference.TIE])
