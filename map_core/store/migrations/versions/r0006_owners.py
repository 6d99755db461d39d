"""Who made what, and who else sees it; all that was kept before belongs to everybody."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def _text(name: str, length: int, filled: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False, server_default=filled)


def upgrade() -> None:
    """Add the columns of owners, of who sees a thing, and of the links by which palettes are shared."""
    for table in ("palettes", "own_values"):
        op.add_column(table, _text("owner_name", 200, ""))
        op.add_column(table, _text("visibility", 64, "everyone"))
    op.add_column("palettes", _text("link", 64, ""))
    op.create_index("ix_palettes_link", "palettes", ["link"])
    for table in ("votes", "judgements"):
        op.add_column(table, _text("owner", 200, ""))
