"""Custom values in the database: every version of each definition, and judgements of pairs for each version.

Constraint: a judgement belongs to one version of a value and to one table's replies, so that a changed definition is
judged again and never on the pairs for which it was changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select

from map_core.access import Action, Kind, Thing, Visibility, may, require
from map_core.errors import InputError
from map_core.scoring.definition import Definition
from map_core.scoring.pairwise import PairAnswer
from map_core.store import ownership
from map_core.store.database import Database
from map_core.store.models import JudgementRow, OwnValueRow, OwnVersionRow
from map_core.store.text_limits import key

#: Identifies a reply on every machine: the id of its prompt, and its index among that prompt's candidates.
ReplyId = tuple[str, int]


@dataclass(frozen=True)
class StoredValueVersion:
    """One version of a value's definition."""

    number: int
    definition: Definition
    created: datetime


@dataclass(frozen=True)
class StoredValue:
    """A custom value.

    Args:
        id: its key in the database.
        versions: the oldest first, at least one.
        in_use: number of the version that is offered as a target; 0 for none.
        owner: the id of the visitor who defined it; "" where it belongs to everybody.
        created: in UTC.
        updated: in UTC.
        owner_name: the owner's name, as people read it.
        visibility: who else sees it, and may use it as a target.
        link: the token of the link that shares it; "" where it is not shared by link.
    """

    id: int
    versions: tuple[StoredValueVersion, ...]
    in_use: int
    owner: str
    created: datetime
    updated: datetime
    owner_name: str = ""
    visibility: Visibility = Visibility.EVERYONE
    link: str = ""

    @property
    def thing(self) -> Thing:
        """The value as the object of access checks."""
        return Thing(Kind.VALUE, self.owner, self.visibility, link=self.link)

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
    """A stored judgement: its id, the two replies in the order shown, the answer, the judge and the time (UTC)."""

    id: int
    first: ReplyId
    second: ReplyId
    answer: PairAnswer
    viewer: str
    when: datetime


def define(database: Database, definition: Definition, visibility: Visibility = Visibility.PRIVATE) -> StoredValue:
    """Store a new value of the visitor; it belongs to everybody where the visitor is not known by name.

    Raises:
        InputError: the visitor has a value of that name.
        AccessError: the visitor may not define values.
    """
    now, visitor = datetime.now(UTC), database.visitor
    require(visitor, Action.CREATE, Thing(Kind.VALUE))
    with database.writing() as session:
        same_name = select(OwnValueRow.id).where(OwnValueRow.owner == visitor.id, OwnValueRow.name == definition.name)
        if session.scalar(same_name) is not None:
            raise InputError(f"There is a value named {definition.name!r} already. Give another name, or change that.")
        owner = ownership.columns(visitor, visibility)
        row = OwnValueRow(name=definition.name, in_use=0, created=now, updated=now, **owner)
        row.link = ownership.link(row.visibility)
        row.versions = [OwnVersionRow(number=1, definition=definition.as_dict(), created=now)]
        session.add(row)
        session.flush()
        ownership.record(session, "define", Kind.VALUE, definition.name)
        return _stored_value(row)


def revise(database: Database, id: int, definition: Definition) -> StoredValue:
    """Change a value: a change that affects scores makes a new version, a title or colour changes the newest one.

    Raises:
        InputError: there is no such value, or the definition has another name.
    """
    now = datetime.now(UTC)
    with database.writing() as session:
        row = ownership.locked_row(session, OwnValueRow, id, database.visitor, Action.CHANGE)
        if definition.name != row.name:
            raise InputError(f"The value is named {row.name!r} and keeps that name; got {definition.name!r}.")
        newest = row.versions[-1]
        if Definition.from_dict(newest.definition).key == definition.key:
            newest.definition = definition.as_dict()
        else:
            row.versions.append(OwnVersionRow(number=newest.number + 1, definition=definition.as_dict(), created=now))
        row.updated = now
        session.flush()
        ownership.record(session, "change", Kind.VALUE, row.name)
        return _stored_value(row)


def use(database: Database, id: int, version: int) -> StoredValue:
    """Offer a version of a value as a target, instead of any other; 0 offers none.

    Raises:
        InputError: there is no such value, or no such version of it.
    """
    with database.writing() as session:
        row = ownership.locked_row(session, OwnValueRow, id, database.visitor, Action.CHANGE)
        numbers = [stored_version.number for stored_version in row.versions]
        if version not in (0, *numbers):
            raise InputError(f"There is no version {version} of {row.name!r}; it has 1 to {numbers[-1]}.")
        row.in_use, row.updated = version, datetime.now(UTC)
        ownership.record(session, "use as a target" if version else "use no longer", Kind.VALUE, row.name)
        return _stored_value(row)


def share(database: Database, id: int, visibility: Visibility) -> StoredValue:
    """Set who else sees a value; one that is shared by link gets a link.

    Raises:
        InputError: there is no such value.
        AccessError: it is not the visitor's.
    """
    with database.writing() as session:
        row = ownership.locked_row(session, OwnValueRow, id, database.visitor, Action.SHARE)
        ownership.share(session, row, visibility, row.name)
        return _stored_value(row)


def list_values(database: Database) -> tuple[StoredValue, ...]:
    """Return the values that the visitor may see, their own first, the oldest first, so that their order is stable."""
    query = select(OwnValueRow).order_by(OwnValueRow.created, OwnValueRow.id)
    with database.reading() as session:
        values = [_stored_value(row) for row in session.scalars(query)]
    visible = [value for value in values if may(database.visitor, Action.SEE, value.thing)]
    return tuple(sorted(visible, key=lambda value: value.owner != database.visitor.id))


def load(database: Database, id: int) -> StoredValue | None:
    """Return one value; None when there is none that the visitor may see."""
    with database.reading() as session:
        row = session.get(OwnValueRow, id)
        stored = None if row is None else _stored_value(row)
    return stored if stored is not None and may(database.visitor, Action.SEE, stored.thing) else None


def delete(database: Database, id: int) -> None:
    """Delete a value with its versions and judgements.

    Raises:
        InputError: there is no such value.
    """
    with database.writing() as session:
        row = ownership.locked_row(session, OwnValueRow, id, database.visitor, Action.DELETE)
        ownership.record(session, "delete", Kind.VALUE, row.name)
        session.delete(row)


def judge(
    database: Database,
    id: int,
    version: int,
    table_key: str,
    pair: tuple[ReplyId, ReplyId],
    answer: PairAnswer,
    viewer: str = "",
) -> KeptJudgement:
    """Store a judgement.

    Args:
        database: the database.
        id: of the value.
        version: number of the version that was judged.
        table_key: of the table whose replies they are, see :func:`map_core.store.table_key`.
        pair: the two replies in the order in which they were shown.
        answer: which of them has more of the value.
        viewer: who judged; "" where it is not known.

    Raises:
        InputError: there is no such value.
    """
    (first, first_candidate), (second, second_candidate) = pair
    with database.writing() as session:
        ownership.locked_row(session, OwnValueRow, id, database.visitor, Action.SEE)
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
            owner=database.visitor.id,
            judged=datetime.now(UTC),
        )
        session.add(row)
        session.flush()
        return _kept_judgement(row)


def withdraw(database: Database, judgement: int) -> bool:
    """Delete a judgement, and return whether it existed.

    Raises:
        AccessError: it is somebody else's.
    """
    return ownership.withdraw(database, JudgementRow, judgement)


def judgements(database: Database, id: int, version: int, table_key: str) -> tuple[KeptJudgement, ...]:
    """Return the judgements of a version on a table's replies, the oldest first; none of a value that is hidden."""
    if load(database, id) is None:
        return ()
    query = (
        select(JudgementRow)
        .where(JudgementRow.own_value_id == id, JudgementRow.version == version, JudgementRow.table_key == table_key)
        .order_by(JudgementRow.judged, JudgementRow.id)
    )
    with database.reading() as session:
        return tuple(_kept_judgement(row) for row in session.scalars(query))


def _stored_value(row: OwnValueRow) -> StoredValue:
    versions = tuple(
        StoredValueVersion(version.number, Definition.from_dict(version.definition), version.created)
        for version in row.versions
    )
    return StoredValue(
        id=row.id,
        versions=versions,
        in_use=row.in_use,
        owner=row.owner,
        created=row.created,
        updated=row.updated,
        owner_name=row.owner_name,
        visibility=Visibility(row.visibility),
        link=row.link,
    )


def _kept_judgement(row: JudgementRow) -> KeptJudgement:
    first, second = (row.first_prompt, row.first_candidate), (row.second_prompt, row.second_candidate)
    return KeptJudgement(row.id, first, second, PairAnswer(row.answer), row.viewer, row.judged)
