"""Meetings: members join with a code, each with a palette of their own, and the host sees all of them.

Constraint: the code is all that is needed to join, so it is random and long enough not to be guessed. Names and
palettes of members are deleted when the meeting is closed; its result stays for some weeks, for the members' phones.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from map_core.access import Action, Kind, Thing, require
from map_core.errors import InputError
from map_core.palettes.palette import Palette
from map_core.store import ownership
from map_core.store.database import Database
from map_core.store.models import EntryRow, MeetingRow
from map_core.store.text_limits import key, label

#: Letters and digits that are not mistaken for one another.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
CODE_LENGTH = 10
#: Most members of one meeting.
MAX_MEMBERS = 60
#: Hours after the last change at which an open meeting is closed automatically.
OPEN_HOURS = 24
#: Days for which the result of a closed meeting is kept.
RESULT_DAYS = 30
#: Rounds of the key derivation, which make it slow to guess a host's text from a code.
_ROUNDS = 100_000


@dataclass(frozen=True)
class Meeting:
    """A meeting.

    Args:
        code: the token in its link.
        name: as people read it.
        use_case: whose prompts count.
        table_key: of the table that it is about.
        created: in UTC.
        budget: nats that the common palette may spend; None until the host's screen sets it.
    """

    code: str
    name: str
    use_case: str
    table_key: str
    created: datetime
    budget: float | None = None


@dataclass(frozen=True)
class MeetingResult:
    """The result of a meeting, without any member's name or palette.

    Args:
        members: number of palettes.
        headline: the agreement in a sentence; "" where it was not known.
        levels: of each common palette, by the name of its rule: level by value, in standard deviations above base.
        asked: values for which somebody set a target.
    """

    members: int
    headline: str = ""
    levels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    asked: Sequence[str] = ()


@dataclass(frozen=True)
class ClosedMeeting:
    """A closed meeting and its result.

    Args:
        meeting: the meeting.
        closed: in UTC.
        result: its result.
    """

    meeting: Meeting
    closed: datetime
    result: MeetingResult


@dataclass(frozen=True)
class MeetingEntry:
    """One member's palette.

    Args:
        member: identifies the member; a text that their browser keeps.
        name: of the group or person, as people read it.
        palette: the member's current palette.
        joined: in UTC.
        updated: in UTC.
    """

    member: str
    name: str
    palette: Palette
    joined: datetime
    updated: datetime


def open_meeting(database: Database, name: str, use_case: str, table_key: str, host: str | None = None) -> Meeting:
    """Open a meeting.

    Args:
        database: the database.
        name: as people read it, 1 to 200 characters.
        use_case: whose prompts count, 1 to 200 characters.
        table_key: of the table that it is about, see :func:`map_core.store.table_key`.
        host: a random text that the host keeps; :func:`code_of` derives the code from it, so that the text proves who
            hosts the meeting, and cannot be found from the code. None for a meeting without a host.

    Raises:
        InputError: it has no name, or a text is too long.
    """
    opened = Meeting(
        code_of(secrets.token_urlsafe(24) if host is None else host),
        label("name of the meeting", name),
        label("use case", use_case),
        table_key,
        datetime.now(UTC),
    )
    require(database.visitor, Action.CREATE, Thing(Kind.MEETING))
    with database.writing() as session:
        ownership.record(session, "open", Kind.MEETING, "")
        _delete_old_results(session)
        _close_abandoned(session)
        session.add(
            MeetingRow(
                code=opened.code,
                name=opened.name,
                use_case=opened.use_case,
                table_key=opened.table_key,
                created=opened.created,
            )
        )
    return opened


@lru_cache(maxsize=256)
def code_of(host: str) -> str:
    """Derive the code of a meeting from the text that its host keeps."""
    number = int.from_bytes(hashlib.pbkdf2_hmac("sha256", host.encode(), b"value-palette meeting", _ROUNDS))
    letters = []
    for _ in range(CODE_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[digit])
    return "".join(letters)


def meeting(database: Database, code: str) -> Meeting | None:
    """Return the open meeting of a code, in any spelling that :func:`read_code` reads; None when there is none."""
    with database.reading() as session:
        row = session.get(MeetingRow, read_code(code))
        if row is None or row.closed is not None:
            return None
        meeting = _meeting(row)
    if meeting.created > _abandoned_before():
        return meeting
    close_abandoned(database)
    with database.reading() as session:
        row = session.get(MeetingRow, meeting.code)
        return None if row is None or row.closed is not None else meeting


def closed_meeting(database: Database, code: str) -> ClosedMeeting | None:
    """Return the closed meeting of a code while its result is kept; None otherwise."""
    with database.reading() as session:
        row = session.get(MeetingRow, read_code(code))
        if row is None or row.closed is None:
            return None
        return ClosedMeeting(_meeting(row), row.closed, MeetingResult(**(row.result or {"members": 0})))


def close(database: Database, code: str, result: MeetingResult, counted: Sequence[MeetingEntry] | None = None) -> bool:
    """Close a meeting: delete names and palettes of its members, and store its result for some weeks.

    Args:
        database: the database.
        code: of the meeting, as typed.
        result: its result.
        counted: the entries that the result was computed from; the meeting stays open where a member has joined,
            changed something or left since. None closes it whatever its entries are.

    Returns:
        Whether the meeting was open and is closed now.
    """
    with database.writing() as session:
        _delete_old_results(session)
        row = session.get(MeetingRow, read_code(code), with_for_update=True)
        if row is None or row.closed is not None:
            return False
        if counted is not None and _entries(session, row.code) != tuple(counted):
            return False
        session.execute(delete(EntryRow).where(EntryRow.meeting_code == row.code))
        row.closed, row.result = datetime.now(UTC), asdict(result)
        return True


def close_abandoned(database: Database) -> None:
    """Close the meetings in which nothing has changed for :data:`OPEN_HOURS`, so that no name is kept for longer."""
    with database.writing() as session:
        _close_abandoned(session)


def _close_abandoned(session: Session) -> None:
    before = _abandoned_before()
    abandoned = select(MeetingRow).where(MeetingRow.closed.is_(None), MeetingRow.created <= before)
    # Locked, as in join(): nobody joins between the query of the entries and the end.
    for row in session.scalars(abandoned.with_for_update()).all():
        of_meeting = EntryRow.meeting_code == row.code
        last_change = session.scalar(select(func.max(EntryRow.updated)).where(of_meeting))
        if last_change is None or last_change <= before:
            members = session.scalar(select(func.count()).select_from(EntryRow).where(of_meeting)) or 0
            session.execute(delete(EntryRow).where(of_meeting))
            row.closed, row.result = datetime.now(UTC), asdict(MeetingResult(members))


def _abandoned_before() -> datetime:
    return datetime.now(UTC) - timedelta(hours=OPEN_HOURS)


def _meeting(row: MeetingRow) -> Meeting:
    return Meeting(row.code, row.name, row.use_case, row.table_key, row.created, row.budget)


def _delete_old_results(session: Session) -> None:
    before = datetime.now(UTC) - timedelta(days=RESULT_DAYS)
    session.execute(delete(MeetingRow).where(MeetingRow.closed < before))


def set_budget(database: Database, code: str, budget: float) -> None:
    """Set what the common palette of a meeting may spend, in nats; without effect where there is no such meeting.

    Raises:
        InputError: the budget is not a finite number from 0.
    """
    if not 0 <= budget < math.inf:
        raise InputError(f"The budget of a meeting is {budget} nats; expected a finite number from 0.")
    with database.writing() as session:
        open_one = (MeetingRow.code == read_code(code)) & MeetingRow.closed.is_(None)
        session.execute(update(MeetingRow).where(open_one).values(budget=float(budget)))


def read_code(text: str) -> str:
    """Return the code in a typed text; capitals, spaces and hyphens make no difference."""
    return "".join(letter for letter in str(text).lower() if letter in ALPHABET)


def join(database: Database, code: str, member: str, name: str, palette: Palette) -> MeetingEntry:
    """Join a meeting, or replace the member's entry in it.

    Args:
        database: the database.
        code: of the meeting, as typed.
        member: identifies the member; joining again replaces name and palette.
        name: of the group or person, as people read it, 1 to 200 characters.
        palette: the member's.

    Raises:
        InputError: there is no such meeting, it is full, or a text is too long.
    """
    code, member, name = read_code(code), key("member", member), label("name", name)
    now = datetime.now(UTC)
    with database.writing() as session:
        # The meeting's row is locked, so that members who join at the same time are counted one after the other.
        meeting_row = session.get(MeetingRow, code, with_for_update=True)
        if meeting_row is None:
            raise InputError(f"There is no meeting with the code {code!r}. Ask for its link again.")
        if meeting_row.closed is not None:
            raise InputError("This meeting was closed meanwhile, so nothing was sent.")
        row = session.get(EntryRow, (code, member))
        if row is None:
            members = select(func.count()).select_from(EntryRow).where(EntryRow.meeting_code == code)
            if (session.scalar(members) or 0) >= MAX_MEMBERS:
                raise InputError(f"The meeting is full: it has {MAX_MEMBERS} members.")
            row = EntryRow(meeting_code=code, member_id=member, joined=now)
            session.add(row)
        row.name, row.palette, row.updated = name, palette.as_dict(), now
        return MeetingEntry(member, name, palette, row.joined, now)


def leave(database: Database, code: str, member: str) -> bool:
    """Delete a member's entry in a meeting, and return whether there was one."""
    of_member = (EntryRow.meeting_code == read_code(code)) & (EntryRow.member_id == member)
    with database.writing() as session:
        return bool(session.scalars(delete(EntryRow).where(of_member).returning(EntryRow.member_id)).all())


def entries(database: Database, code: str) -> tuple[MeetingEntry, ...]:
    """Return the palettes of a meeting, in the order in which their members joined."""
    with database.reading() as session:
        return _entries(session, read_code(code))


def _entries(session: Session, code: str) -> tuple[MeetingEntry, ...]:
    query = select(EntryRow).where(EntryRow.meeting_code == code).order_by(EntryRow.joined, EntryRow.member_id)
    return tuple(
        MeetingEntry(row.member_id, row.name, Palette.from_dict(row.palette), row.joined, row.updated)
        for row in session.scalars(query)
    )
