"""When a meeting was closed, and its result."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns of the end and of the result to the table of meetings."""
    op.add_column("meetings", sa.Column("closed", sa.DateTime(timezone=True), nullable=True))
    op.add_column("meetings", sa.Column("result", sa.JSON(), nullable=True))
