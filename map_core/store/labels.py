"""What people said of single replies: yes, no, or that they cannot tell.

Constraint: a label belongs to one value of one table's replies and to whoever gave it, who alone may take it back; all
labels are counted, for whoever looks at the table.
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
    """What somebody said of a reply."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


@dataclass(frozen=True)
class KeptLabel:
    """A label that is kept.

    Args:
        id: by which it can be withdrawn.
        value: of the table, its name.
        reply: the id of its prompt, and its number among that prompt's candidates.
        said: the answer.
        chance: with which the reply was chosen to be judged among its prompt's; None for a simple random sample.
        judge: who said it.
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
    """Keep a label; what the same judge said of the reply before gives way to it.

    Args:
        database: where it is kept.
        table_key: of the table whose reply it is.
        value: of the table, its name.
        reply: which one.
        said: the answer.
        judge: who says it, a text that tells judges apart.
        chance: see :class:`KeptLabel`.

    Raises:
        InputError: the chance is not above 0 and at most 1, or a text is too long.
        AccessError: the visitor may not judge.
    """
    require(database.visitor, Action.CREATE, Thing(Kind.VOTE))
    if chance is not None and not 0 < chance <= 1:
        raise InputError(f"The chance of a label is {chance:g}; expected a number above 0, at most 1.")
    (prompt, candidate), of_table, judge = reply, key("table's key", table_key), label("name of the judge", judge)
    label("name of the value", value)  # looked at, and kept as the table has it
    with database.writing() as session:
        before = select(LabelRow).where(
            LabelRow.table_key == of_table,
            LabelRow.value == value,
            LabelRow.prompt == prompt,
            LabelRow.candidate == candidate,
            LabelRow.judge == judge,
            LabelRow.owner == database.visitor.id,
        )
        for row in session.scalars(before):
            session.delete(row)
        row = LabelRow(
            table_key=of_table,
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
        return _told(row)


def withdraw(database: Database, id: int) -> bool:
    """Take a label back, and return whether it was there.

    Raises:
        AccessError: it is somebody else's.
    """
    return ownership.withdraw(database, LabelRow, id)


def list_labels(database: Database, table_key: str) -> tuple[KeptLabel, ...]:
    """Return everybody's labels of a table's replies, the oldest first."""
    wanted = select(LabelRow).where(LabelRow.table_key == table_key).order_by(LabelRow.judged, LabelRow.id)
    with database.reading() as session:
        return tuple(_told(row) for row in session.scalars(wanted))


def _told(row: LabelRow) -> KeptLabel:
    reply = (row.prompt, row.candidate)
    return KeptLabel(row.id, row.value, reply, Said(row.said), row.chance, row.judge, row.judged)
