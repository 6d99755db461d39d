"""Values that people defined in words, every version of each, and the judgements of pairs that go with a version.

Constraint: a judgement belongs to one version of a value and to one table's replies, so that a definition that was
changed is judged anew and never on the pairs that it was changed for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete as delete_rows
from sqlalchemy import select
from sqlalchemy.orm import Session

from map_core.errors import InputError
from map_core.scoring.definition import Definition
from map_core.scoring.pairwise import PairAnswer
from map_core.store.database import Database
from map_core.store.models import JudgementRow, OwnValueRow, OwnVersionRow
from map_core.store.text_limits import key, label

#: Names a reply on every machine: the id of its prompt, and its number among that prompt's candidates.
ReplyId = tuple[str, int]


@dataclass(frozen=True)
class StoredValueVersion:
    """What a value meant at one time."""

    number: int
    definition: Definition
    created: datetime


@dataclass(frozen=True)
class StoredValue:
    """A value of one's own.

    Args:
        id: by which it is asked for.
        versions: the first one first, at least one.
        in_use: number of the version that is offered as a target; 0 for none.
        owner: "" where there are no accounts.
        created, updated: in UTC.
    """

    id: int
    versions: tuple[StoredValueVersion, ...]
    in_use: int
    owner: str
    created: datetime
    updated: datetime

    @property
    def version(self) -> int:
        """The number of the newest version."""
        return self.versions[-1].number

    @property
    def definition(self) -> Definition:
        """The newest definition."""
        return self.versions[-1].definition

    @property
    def used(self) -> Definition | None:
        """The definition that is offered as a target; None for none."""
        return next((version.definition for version in self.versions if version.number == self.in_use), None)


@dataclass(frozen=True)
class KeptJudgement:
    """A judgement that is kept: its id, the two replies in the order shown, the answer, who and when (UTC)."""

    id: int
    first: ReplyId
    second: ReplyId
    answer: PairAnswer
    viewer: str
    when: datetime


def define(database: Database, definition: Definition, owner: str = "") -> StoredValue:
    """Keep a new value.

    Raises:
        InputError: the owner has a value of that name.
    """
    now = datetime.now(UTC)
    with database.writing() as session:
        held = select(OwnValueRow.id).where(OwnValueRow.owner == owner, OwnValueRow.name == definition.name)
        if session.scalar(held) is not None:
            raise InputError(f"There is a value named {definition.name!r} already. Give another name, or change that.")
        row = OwnValueRow(
            owner=label("owner", owner) if owner else "", name=definition.name, in_use=0, created=now, updated=now
        )
        row.versions = [OwnVersionRow(number=1, definition=definition.as_dict(), created=now)]
        session.add(row)
        session.flush()
        return _told(row)


def revise(database: Database, id: int, definition: Definition) -> StoredValue:
    """Change a value: what would score otherwise becomes a new version, a title or colour changes the newest one.

    Raises:
        InputError: there is no such value, or the definition has another name.
    """
    now = datetime.now(UTC)
    with database.writing() as session:
        row = _held(session, id)
        if definition.name != row.name:
            raise InputError(f"The value is named {row.name!r} and keeps that name; got {definition.name!r}.")
        newest = row.versions[-1]
        if Definition.from_dict(newest.definition).key == definition.key:
            newest.definition = definition.as_dict()
        else:
            row.versions.append(OwnVersionRow(number=newest.number + 1, definition=definition.as_dict(), created=now))
        row.updated = now
        session.flush()
        return _told(row)


def use(database: Database, id: int, version: int) -> StoredValue:
    """Offer a version of a value as a target, in place of any other; 0 offers none.

    Raises:
        InputError: there is no such value, or no such version of it.
    """
    with database.writing() as session:
        row = _held(session, id)
        numbers = [stored_version.number for stored_version in row.versions]
        if version not in (0, *numbers):
            raise InputError(f"Version {version} of {row.name!r} is not there; it has 1 to {numbers[-1]}.")
        row.in_use, row.updated = version, datetime.now(UTC)
        return _told(row)


def list_values(database: Database, owner: str = "") -> tuple[StoredValue, ...]:
    """Return the values of an owner, the oldest first, so that their order stays."""
    wanted = select(OwnValueRow).where(OwnValueRow.owner == owner).order_by(OwnValueRow.created, OwnValueRow.id)
    with database.reading() as session:
        return tuple(_told(row) for row in session.scalars(wanted))


def load(database: Database, id: int) -> StoredValue | None:
    """Return one value; None when there is none."""
    with database.reading() as session:
        row = session.get(OwnValueRow, id)
        return None if row is None else _told(row)


def delete(database: Database, id: int) -> None:
    """Delete a value with its versions and judgements.

    Raises:
        InputError: there is no such value.
    """
    with database.writing() as session:
        session.delete(_held(session, id))


def judge(
    database: Database,
    id: int,
    version: int,
    table_key: str,
    pair: tuple[ReplyId, ReplyId],
    answer: PairAnswer,
    viewer: str = "",
) -> KeptJudgement:
    """Keep a judgement.

    Args:
        database: where it is kept.
        id: of the value.
        version: of the value, the number that was judged.
        table_key: of the table whose replies they are, see :func:`map_core.store.table_key`.
        pair: the two replies in the order in which they were shown.
        answer: which of them has more of the value.
        viewer: who judged; "" where nobody says.

    Raises:
        InputError: there is no such value.
    """
    (first, first_candidate), (second, second_candidate) = pair
    with database.writing() as session:
        _held(session, id)
        row = JudgementRow(
            own_value_id=id,
            version=version,
            table_key=key("table's key", table_key),
            first_prompt=first,
            first_candidate=first_candidate,
            second_prompt=second,
            second_candidate=second_candidate,
            answer=PairAnswer(answer).value,
            viewer=key("viewer", viewer) if viewer else "",
            judged=datetime.now(UTC),
        )
        session.add(row)
        session.flush()
        return _judged(row)


def withdraw(database: Database, judgement: int) -> bool:
    """Take a judgement back, and return whether it was there."""
    deletion = delete_rows(JudgementRow).where(JudgementRow.id == judgement).returning(JudgementRow.id)
    with database.writing() as session:
        return bool(session.scalars(deletion).all())


def judgements(database: Database, id: int, version: int, table_key: str) -> tuple[KeptJudgement, ...]:
    """Return the judgements of a version on a table's replies, the oldest first."""
    wanted = (
        select(JudgementRow)
        .where(JudgementRow.own_value_id == id, JudgementRow.version == version, JudgementRow.table_key == table_key)
        .order_by(JudgementRow.judged, JudgementRow.id)
    )
    with database.reading() as session:
        return tuple(_judged(row) for row in session.scalars(wanted))


def _held(session: Session, id: int) -> OwnValueRow:
    row = session.get(OwnValueRow, id, with_for_update=True)
    if row is None:
        raise InputError(f"There is no value of one's own with the number {id}; it may have been deleted meanwhile.")
    return row


def _told(row: OwnValueRow) -> StoredValue:
    versions = tuple(
        StoredValueVersion(version.number, Definition.from_dict(version.definition), version.created)
        for version in row.versions
    )
    return StoredValue(row.id, versions, row.in_use, row.owner, row.created, row.updated)


def _judged(row: JudgementRow) -> KeptJudgement:
    first, second = (row.first_prompt, row.first_candidate), (row.second_prompt, row.second_candidate)
    return KeptJudgement(row.id, first, second, PairAnswer(row.answer), row.viewer, row.judged)
