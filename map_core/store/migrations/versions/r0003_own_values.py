"""Values defined in words with their versions, and judgements of pairs of replies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables of values defined in words, of their versions and of judgements."""
    op.create_table(
        "own_values",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("in_use", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_own_values"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_own_values_owner_name", "own_values", ["owner", "name"], unique=True)
    op.create_table(
        "own_versions",
        sa.Column("own_value_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["own_value_id"], ["own_values.id"], name="fk_own_versions_own_value_id_own_values", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("own_value_id", "number", name="pk_own_versions"),
    )
    op.create_table(
        "judgements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("own_value_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("table_key", sa.String(64), nullable=False),
        sa.Column("first_prompt", sa.Text(), nullable=False),
        sa.Column("first_candidate", sa.Integer(), nullable=False),
        sa.Column("second_prompt", sa.Text(), nullable=False),
        sa.Column("second_candidate", sa.Integer(), nullable=False),
        sa.Column("answer", sa.String(64), nullable=False),
        sa.Column("viewer", sa.String(200), nullable=False),
        sa.Column("judged", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["own_value_id"], ["own_values.id"], name="fk_judgements_own_value_id_own_values", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_judgements"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_judgements_own_value_id_version_table_key", "judgements", ["own_value_id", "version", "table_key"]
    )
