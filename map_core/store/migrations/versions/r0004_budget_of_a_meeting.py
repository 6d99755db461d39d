"""What the common palette of a meeting may spend."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column of the budget to the table of meetings."""
    op.add_column("meetings", sa.Column("budget", sa.Double(), nullable=True))
