"""The links by which values of one's own are shared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column of links; a value that is there has none."""
    op.add_column("own_values", sa.Column("link", sa.String(64), nullable=False, server_default=""))
