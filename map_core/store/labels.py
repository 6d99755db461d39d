"""Labels of single replies by people: yes, no, or unsure.

Constraint: a label belongs to one value of one table's replies and to the person who gave it, who alone may withdraw
it; everybody who sees the table sees the counts of all labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import select

from map_core.access import Action, Kind, Thing, require
from map_core.errors import InputError
from map_core.store import ownership
from map_core.store.custom_values import ReplyId
from map_core.store.database import Database
from map_core.store.models import LabelRow
from map_core.store.text_limits import key, label


class Said(StrEnum):
    """The answer of a label: whether a reply has the value."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


@dataclass(frozen=True)
class KeptLabel:
    """A stored label.

    Args:
        id: its key in the database.
        value: the name of the table's value.
        reply: the id of its prompt, and its index among that prompt's candidates.
        said: the answer.
        chance: probability with which the reply was sampled among those of its prompt; None for a simple random sample.
        judge: who gave it.
        when: in UTC.
    """

    id: int
    value: str
    reply: ReplyId
    said: Said
    chance: float | None
    judge: str
    when: datetime


def keep(
    database: Database, table_key: str, value: str, reply: ReplyId, said: Said, judge: str, chance: float | None = None
) -> KeptLabel:
    """Store a label; it replaces an earlier one of the same reply by the same judge.

    Args:
        database: the database.
        table_key: of the table whose reply it is.
        value: the name of the table's value.
        reply: the reply.
        said: the answer.
        judge: a text that identifies the judge.
        chance: see :class:`KeptLabel`.

    Raises:
        InputError: the chance is not above 0 and at most 1, or a text is too long.
        AccessError: the visitor may not judge.
    """
    require(database.visitor, Action.CREATE, Thing(Kind.VOTE))
    if chance is not None and not 0 < chance <= 1:
        raise InputError(f"The chance of a label is {chance:g}; expected a number above 0, at most 1.")
    prompt, candidate = reply
    table_key = key("table's key", table_key)
    judge = label("name of the judge", judge)
    label("name of the value", value)  # only checked: the value is stored with the name that the table has
    with database.writing() as session:
        earlier = select(LabelRow).where(
            LabelRow.table_key == table_key,
            LabelRow.value == value,
            LabelRow.prompt == prompt,
            LabelRow.candidate == candidate,
            LabelRow.judge == judge,
            LabelRow.owner == database.visitor.id,
        )
        for row in session.scalars(earlier):
            session.delete(row)
        row = LabelRow(
            table_key=table_key,
            value=value,
            prompt=prompt,
            candidate=candidate,
            said=Said(said).value,
            chance=chance,
            judge=judge,
            owner=database.visitor.id,
            judged=datetime.now(UTC),
        )
        session.add(row)
        session.flush()
        return _kept_label(row)


def withdraw(database: Database, id: int) -> bool:
    """Delete a label, and return whether it existed.

    Raises:
        AccessError: it is somebody else's.
    """
    return ownership.withdraw(database, LabelRow, id)


def list_labels(database: Database, table_key: str) -> tuple[KeptLabel, ...]:
    """Return everybody's labels of a table's replies, the oldest first."""
    query = select(LabelRow).where(LabelRow.table_key == table_key).order_by(LabelRow.judged, LabelRow.id)
    with database.reading() as session:
        return tuple(_kept_label(row) for row in session.scalars(query))


def _kept_label(row: LabelRow) -> KeptLabel:
    reply = (row.prompt, row.candidate)
    return KeptLabel(row.id, row.value, reply, Said(row.said), row.chance, row.judge, row.judged)
