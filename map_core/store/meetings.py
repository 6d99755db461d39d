"""Meetings: people join with a code, each with a palette of their own, and all of them are seen together.

Constraint: the code is all that is needed to join, so it is drawn at random and long enough not to be guessed. Names
and palettes of members are deleted when the meeting is closed; what it came to stays for some weeks, for their phones.
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

#: Letters and digits that nobody takes for one another, read from a wall or typed on a phone.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
CODE_LENGTH = 10
#: Members of one meeting.
MAX_MEMBERS = 60
#: Hours after the last change at which a meeting that nobody has closed is closed by itself.
OPEN_HOURS = 24
#: For how long the result of a closed meeting stays.
RESULT_DAYS = 30
#: How much work it is to try one key against a code.
_ROUNDS = 100_000


@dataclass(frozen=True)
class Meeting:
    """A meeting.

    Args:
        code: what its link holds.
        name: as people read it.
        use_case: whose prompts count.
        table_key: of the table that it is about.
        created: in UTC.
        budget: nats that the common palette may spend; None until the host's screen has said so.
    """

    code: str
    name: str
    use_case: str
    table_key: str
    created: datetime
    budget: float | None = None


@dataclass(frozen=True)
class MeetingResult:
    """What a meeting came to; nobody's name or wish is in it.

    Args:
        members: how many palettes there were.
        headline: what they came to, in a sentence; "" where that was not known.
        levels: of each common palette, by the name of its rule: level by value, in standard deviations above base.
        asked: values that somebody asked for.
    """

    members: int
    headline: str = ""
    levels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    asked: Sequence[str] = ()


@dataclass(frozen=True)
class ClosedMeeting:
    """A meeting that is over, and what it came to.

    Args:
        meeting: as it was.
        closed: in UTC.
        result: what it came to.
    """

    meeting: Meeting
    closed: datetime
    result: MeetingResult


@dataclass(frozen=True)
class MeetingEntry:
    """One member's palette.

    Args:
        member: who; a text that the member's browser keeps.
        name: of the group or person, as people read it.
        palette: what it asks for now.
        joined, updated: in UTC.
    """

    member: str
    name: str
    palette: Palette
    joined: datetime
    updated: datetime


def open_meeting(database: Database, name: str, use_case: str, table_key: str, host: str | None = None) -> Meeting:
    """Begin a meeting.

    Args:
        database: where it is kept.
        name: as people read it, 1 to 200 characters.
        use_case: whose prompts count, 1 to 200 characters.
        table_key: of the table that it is about, see :func:`map_core.store.table_key`.
        host: a random text that the host keeps; :func:`code_of` makes the code from it, so that whoever has it can show
            that the meeting is theirs, and nobody can find it from the code. None for a code that belongs to nobody.

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
        _forget_old_results(session)
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
    """Return the code of the meeting whose host keeps this text."""
    number = int.from_bytes(hashlib.pbkdf2_hmac("sha256", host.encode(), b"value-palette meeting", _ROUNDS))
    letters = []
    for _ in range(CODE_LENGTH):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    return "".join(letters)


def meeting(database: Database, code: str) -> Meeting | None:
    """Return the open meeting of a code, however it was typed; None when there is none."""
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
    """Return the closed meeting of a code, however it was typed, as long as its result is kept; None otherwise."""
    with database.reading() as session:
        row = session.get(MeetingRow, read_code(code))
        if row is None or row.closed is None:
            return None
        return ClosedMeeting(_meeting(row), row.closed, MeetingResult(**(row.result or {"members": 0})))


def close(database: Database, code: str, result: MeetingResult, counted: Sequence[MeetingEntry] | None = None) -> bool:
    """Close a meeting: delete names and palettes of its members, and keep what it came to for some weeks.

    Args:
        database: where it is kept.
        code: of the meeting, however it was typed.
        result: what it came to.
        counted: the palettes that it came to that with; the meeting stays open where somebody has joined, changed
            something or left since. None for whatever there is.

    Returns:
        Whether it was open and is closed now.
    """
    with database.writing() as session:
        _forget_old_results(session)
        row = session.get(MeetingRow, read_code(code), with_for_update=True)
        if row is None or row.closed is not None:
            return False
        if counted is not None and _entries(session, row.code) != tuple(counted):
            return False
        session.execute(delete(EntryRow).where(EntryRow.meeting_code == row.code))
        row.closed, row.result = datetime.now(UTC), asdict(result)
        return True


def close_abandoned(database: Database) -> None:
    """Close the meetings in which nothing has changed for :data:`OPEN_HOURS`: names never stay for longer."""
    with database.writing() as session:
        _close_abandoned(session)


def _close_abandoned(session: Session) -> None:
    before = _abandoned_before()
    open_ones = select(MeetingRow).where(MeetingRow.closed.is_(None), MeetingRow.created <= before)
    # Held, as in join(): nobody takes a seat between the look at the entries and the end.
    for row in session.scalars(open_ones.with_for_update()).all():
        inside = EntryRow.meeting_code == row.code
        last = session.scalar(select(func.max(EntryRow.updated)).where(inside))
        if last is None or last <= before:
            members = session.scalar(select(func.count()).select_from(EntryRow).where(inside)) or 0
            session.execute(delete(EntryRow).where(inside))
            row.closed, row.result = datetime.now(UTC), asdict(MeetingResult(members))


def _abandoned_before() -> datetime:
    return datetime.now(UTC) - timedelta(hours=OPEN_HOURS)


def _meeting(row: MeetingRow) -> Meeting:
    return Meeting(row.code, row.name, row.use_case, row.table_key, row.created, row.budget)


def _forget_old_results(session: Session) -> None:
    before = datetime.now(UTC) - timedelta(days=RESULT_DAYS)
    session.execute(delete(MeetingRow).where(MeetingRow.closed < before))


def set_budget(database: Database, code: str, budget: float) -> None:
    """Set what the common palette of a meeting may spend, in nats; do nothing where the meeting is over.

    Raises:
        InputError: the budget is no number from 0.
    """
    if not 0 <= budget < math.inf:
        raise InputError(f"The budget of a meeting is {budget} nats; expected a number from 0.")
    with database.writing() as session:
        open_one = (MeetingRow.code == read_code(code)) & MeetingRow.closed.is_(None)
        session.execute(update(MeetingRow).where(open_one).values(budget=float(budget)))


def read_code(text: str) -> str:
    """Return the code in what was typed: capitals, spaces and hyphens make no difference."""
    return "".join(letter for letter in str(text).lower() if letter in ALPHABET)


def join(database: Database, code: str, member: str, name: str, palette: Palette) -> MeetingEntry:
    """Join a meeting, or change what one asks for in it.

    Args:
        database: where the meeting is kept.
        code: of the meeting, however it was typed.
        member: who; joining again replaces name and palette.
        name: of the group or person, as people read it, 1 to 200 characters.
        palette: what the member asks for.

    Raises:
        InputError: there is no such meeting, it is full, or a text is too long.
    """
    code, member, name = read_code(code), key("member", member), label("name", name)
    now = datetime.now(UTC)
    with database.writing() as session:
        # The meeting's row is held, so that two who join at once are counted one after the other.
        held = session.get(MeetingRow, code, with_for_update=True)
        if held is None:
            raise InputError(f"There is no meeting with the code {code!r}. Ask for its link again.")
        if held.closed is not None:
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
    """Take a member's palette out of a meeting, and return whether it was in it."""
    wanted = (EntryRow.meeting_code == read_code(code)) & (EntryRow.member_id == member)
    with database.writing() as session:
        return bool(session.scalars(delete(EntryRow).where(wanted).returning(EntryRow.member_id)).all())


def entries(database: Database, code: str) -> tuple[MeetingEntry, ...]:
    """Return the palettes of a meeting, in the order in which their members joined."""
    with database.reading() as session:
        return _entries(session, read_code(code))


def _entries(session: Session, code: str) -> tuple[MeetingEntry, ...]:
    wanted = select(EntryRow).where(EntryRow.meeting_code == code).order_by(EntryRow.joined, EntryRow.member_id)
    return tuple(
        MeetingEntry(row.member_id, row.name, Palette.from_dict(row.palette), row.joined, row.updated)
        for row in session.scalars(wanted)
    )


def end(database: Database, code: str) -> bool:
    """Delete a meeting with all that was in it, and return whether there was one."""
    with database.writing() as session:
        row = session.get(MeetingRow, read_code(code))
        if row is not None:
            session.delete(row)
        return row is not None
