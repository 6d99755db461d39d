"""What people keep: palettes with their versions, meetings with an entry a member, votes on replies.

Kept through SQLAlchemy: in SQLite in this person's data folder, or in the database that ``VALUE_PALETTE_DATABASE``
names (a PostgreSQL address). The schema is brought up to date on first use. What is kept belongs to
the visitor in whose name the database is used (:meth:`Database.as_visitor`); to everybody, where nobody logs in.

How it is called; ``database`` is always first, and everything that goes in or comes out is a frozen dataclass::

    from map_core.store import database, meetings, palettes, table_key, votes

    opened = database()                       # of the setting, opened once a process; any thread may use it
    key = table_key(table)                    # of the whole table, the same on every machine

    saved = palettes.save(opened, palette, "Warm", colour="teal", table_key=key)
    saved = palettes.update(opened, saved.id, palette, "Less humor", based_on=saved.version)
    palettes.list_palettes(opened), palettes.load(opened, saved.id), palettes.versions(opened, saved.id)

    meeting = meetings.open_meeting(opened, "Launch", use_case, key)      # meeting.code goes into the link
    meetings.join(opened, meeting.code, member, "Support", palette)       # again with the same member: it is replaced
    meetings.entries(opened, meeting.code), meetings.meeting(opened, meeting.code), meetings.leave(...)

    votes.vote(opened, votes.palette_key(palette, key), prompt, Preference.ALIGNED, viewer)
    votes.list_votes(opened, votes.palette_key(palette, key)), votes.tally(...)

:mod:`map_core.store.jsonl` writes palettes as JSON lines, for files, and reads them.

Constraint: no browser here; a call takes a few milliseconds and nothing is remembered between calls, so what another
process writes is seen by the next one. Raises :class:`~map_core.errors.InputError` for what is not there or cannot be
kept, and :class:`~map_core.errors.StoreError` where the database does not answer.
"""

from map_core.store.database import SETTING, Database, database, open_database, setting
from map_core.store.keys import table_key

__all__ = ["SETTING", "Database", "database", "open_database", "setting", "table_key"]
