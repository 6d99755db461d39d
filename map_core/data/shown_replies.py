"""Return the replies of a table as people read them, with a mark on those that were cut by the length limit.

Constraint: a reply counts as cut only if the table's length limit and the reply's tokens prove it; replies of imported
files without either have no marks.
"""

from __future__ import annotations

from map_core.core.cut_replies import with_mark
from map_core.core.types import recorded_length
from map_core.data.reward_table import RewardTable


def is_cut(table: RewardTable, row: int) -> bool:
    """Return whether a reply was cut by the length limit: it has as many tokens as the limit allows.

    Args:
        table: the table.
        row: the reply's row.
    """
    limit = recorded_length(table.metadata)
    return limit is not None and bool(table.tokens) and len(table.tokens[row]) >= limit


def shown_reply(table: RewardTable, row: int) -> str:
    """Return a reply as people read it, with the mark if it was cut."""
    return with_mark(table.replies[row], is_cut(table, row))
