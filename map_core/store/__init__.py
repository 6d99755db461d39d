"""The database: palettes with their versions, meetings with an entry per member, votes on replies.

It is accessed through SQLAlchemy: SQLite in the user's data folder, or the database that ``VALUE_PALETTE_DATABASE``
names (a PostgreSQL address). The schema is migrated on first use. Entries belong to the visitor in whose name the
database is used (:meth:`Database.as_visitor`), or to everybody where nobody logs in.

Every function takes the ``database`` first, and all arguments and results are frozen dataclasses or plain values::

    from map_core.store import database, meetings, palettes, table_key, votes

    opened = database()                       # of the setting, opened once a process; any thread may use it
    key = table_key(table)                    # of the whole table, the same on every machine

    saved = palettes.save(opened, palette, "Warm", colour="teal", table_key=key)
    saved = palettes.update(opened, saved.id, palette, "Less humor", based_on=saved.version)
    palettes.list_palettes(opened), palettes.load(opened, saved.id), palettes.versions(opened, saved.id)

    meeting = meetings.open_meeting(opened, "Launch", use_case, key)      # meeting.code goes into the link
    meetings.join(opened, meeting.code, member, "Support", palette)       # a second call replaces the entry
    meetings.entries(opened, meeting.code), meetings.meeting(opened, meeting.code), meetings.leave(...)

    votes.vote(opened, votes.palette_key(palette, key), prompt, Preference.ALIGNED, viewer)
    votes.list_votes(opened, votes.palette_key(palette, key)), votes.tally(...)

:mod:`map_core.store.jsonl` reads and writes palettes as JSON lines, for files.

Constraint: no browser here; a call takes a few milliseconds and nothing is cached between calls, so each call sees what
other processes wrote. Raises :class:`~map_core.errors.InputError` for entries that are missing or invalid, and
:class:`~map_core.errors.StoreError` where the database fails.
"""

from map_core.store.database import SETTING, Database, database, open_database, setting
from map_core.store.keys import table_key

__all__ = ["SETTING", "Database", "database", "open_database", "setting", "table_key"]
