"""The database's tables as SQLAlchemy's typed declarative models; :mod:`map_core.store.migrations` creates them.

Constraint: a change here needs a migration, and a test checks that the two agree. Nothing outside this package uses
these classes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, Index, MetaData, String, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

#: Names of constraints, so that a later migration can refer to them on every database.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
#: Lengths of short texts and of keys, in characters.
SHORT, KEY = 200, 64


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC; SQLite does not store the zone, so it is added when reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a time to UTC for writing."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time that was read with UTC as its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base class of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {datetime: UtcDateTime, dict[str, Any]: JSON, str: Text}


class PaletteRow(Base):
    """A saved palette; its targets are in its versions."""

    __tablename__ = "palettes"
    __table_args__ = (Index(None, "owner", "updated"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(SHORT))
    owner_name: Mapped[str] = mapped_column(String(SHORT), server_default="")
    visibility: Mapped[str] = mapped_column(String(KEY), server_default="everyone")
    link: Mapped[str] = mapped_column(String(KEY), server_default="", index=True)
    name: Mapped[str] = mapped_column(String(SHORT))
    colour: Mapped[str] = mapped_column(String(KEY))
    note: Mapped[str]
    use_case: Mapped[str] = mapped_column(String(SHORT))
    table_key: Mapped[str] = mapped_column(String(KEY))
    created: Mapped[datetime]
    updated: Mapped[datetime]
    versions: Mapped[list[VersionRow]] = relationship(
        order_by="VersionRow.number", cascade="all, delete-orphan", passive_deletes=True
    )


class VersionRow(Base):
    """One version of a saved palette."""

    __tablename__ = "versions"

    palette_id: Mapped[int] = mapped_column(ForeignKey("palettes.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[dict[str, Any]]
    what: Mapped[str]
    created: Mapped[datetime]


class MeetingRow(Base):
    """A meeting that people join with a code."""

    __tablename__ = "meetings"

    code: Mapped[str] = mapped_column(String(KEY), primary_key=True)
    name: Mapped[str] = mapped_column(String(SHORT))
    use_case: Mapped[str] = mapped_column(String(SHORT))
    table_key: Mapped[str] = mapped_column(String(KEY))
    created: Mapped[datetime]
    budget: Mapped[float | None]
    closed: Mapped[datetime | None]
    result: Mapped[dict[str, Any] | None]


class EntryRow(Base):
    """One member's palette in a meeting."""

    __tablename__ = "entries"

    meeting_code: Mapped[str] = mapped_column(ForeignKey("meetings.code", ondelete="CASCADE"), primary_key=True)
    member_id: Mapped[str] = mapped_column(String(KEY), primary_key=True)
    name: Mapped[str] = mapped_column(String(SHORT))
    palette: Mapped[dict[str, Any]]
    joined: Mapped[datetime]
    updated: Mapped[datetime]


class VoteRow(Base):
    """A blind vote: which of two replies somebody preferred."""

    __tablename__ = "votes"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    palette_key: Mapped[str] = mapped_column(String(KEY), index=True)
    prompt: Mapped[str]
    preferred: Mapped[str] = mapped_column(String(KEY))
    viewer: Mapped[str] = mapped_column(String(SHORT))
    owner: Mapped[str] = mapped_column(String(SHORT), server_default="")
    voted: Mapped[datetime]


class OwnValueRow(Base):
    """A custom value; its definitions are in its versions."""

    __tablename__ = "own_values"
    __table_args__ = (Index(None, "owner", "name", unique=True), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(SHORT))
    owner_name: Mapped[str] = mapped_column(String(SHORT), server_default="")
    visibility: Mapped[str] = mapped_column(String(KEY), server_default="everyone")
    link: Mapped[str] = mapped_column(String(KEY), server_default="")
    name: Mapped[str] = mapped_column(String(KEY))
    in_use: Mapped[int]
    created: Mapped[datetime]
    updated: Mapped[datetime]
    versions: Mapped[list[OwnVersionRow]] = relationship(
        order_by="OwnVersionRow.number", cascade="all, delete-orphan", passive_deletes=True
    )


class OwnVersionRow(Base):
    """One version of a custom value's definition."""

    __tablename__ = "own_versions"

    own_value_id: Mapped[int] = mapped_column(ForeignKey("own_values.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    definition: Mapped[dict[str, Any]]
    created: Mapped[datetime]


class JudgementRow(Base):
    """A judgement: which of two replies has more of a custom value."""

    __tablename__ = "judgements"
    __table_args__ = (Index(None, "own_value_id", "version", "table_key"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    own_value_id: Mapped[int] = mapped_column(ForeignKey("own_values.id", ondelete="CASCADE"))
    version: Mapped[int]
    table_key: Mapped[str] = mapped_column(String(KEY))
    first_prompt: Mapped[str]
    first_candidate: Mapped[int]
    second_prompt: Mapped[str]
    second_candidate: Mapped[int]
    answer: Mapped[str] = mapped_column(String(KEY))
    viewer: Mapped[str] = mapped_column(String(SHORT))
    owner: Mapped[str] = mapped_column(String(SHORT), server_default="")
    judged: Mapped[datetime]


class LabelRow(Base):
    """A label: whether a reply has a value of a table."""

    __tablename__ = "labels"
    __table_args__ = (Index(None, "table_key", "value"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    table_key: Mapped[str] = mapped_column(String(KEY))
    value: Mapped[str] = mapped_column(String(SHORT))
    prompt: Mapped[str]
    candidate: Mapped[int]
    said: Mapped[str] = mapped_column(String(KEY))
    chance: Mapped[float | None]
    judge: Mapped[str] = mapped_column(String(SHORT))
    owner: Mapped[str] = mapped_column(String(SHORT), server_default="")
    judged: Mapped[datetime]
