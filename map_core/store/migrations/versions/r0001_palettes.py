"""Saved palettes and their versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of palettes and of their versions."""
    op.create_table(
        "palettes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("colour", sa.String(64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("use_case", sa.String(200), nullable=False),
        sa.Column("table_key", sa.String(64), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_palettes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_palettes_owner_updated", "palettes", ["owner", "updated"])
    op.create_table(
        "versions",
        sa.Column("palette_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["palette_id"], ["palettes.id"], name="fk_versions_palette_id_palettes", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("palette_id", "number", name="pk_versions"),
    )
