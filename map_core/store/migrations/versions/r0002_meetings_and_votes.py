"""Meetings with an entry a member, and votes on replies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables of meetings, of their entries and of votes."""
    op.create_table(
        "meetings",
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("use_case", sa.String(200), nullable=False),
        sa.Column("table_key", sa.String(64), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_meetings"),
    )
    op.create_table(
        "entries",
        sa.Column("meeting_code", sa.String(64), nullable=False),
        sa.Column("member_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("palette", sa.JSON(), nullable=False),
        sa.Column("joined", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["meeting_code"], ["meetings.code"], name="fk_entries_meeting_code_meetings", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("meeting_code", "member_id", name="pk_entries"),
    )
    op.create_table(
        "votes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("palette_key", sa.String(64), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("preferred", sa.String(64), nullable=False),
        sa.Column("viewer", sa.String(200), nullable=False),
        sa.Column("voted", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_votes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_votes_palette_key", "votes", ["palette_key"])
