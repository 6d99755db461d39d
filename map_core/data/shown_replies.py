"""The replies of a table as people read them: those that the length limit has cut bear a mark.

Constraint: a reply is called cut only where the table says so, by the length limit that it was drawn with and its
tokens; files that were imported without either bear no marks.
"""

from __future__ import annotations

from map_core.core.cut_replies import with_mark
from map_core.core.types import recorded_length
from map_core.data.reward_table import RewardTable


def is_cut(table: RewardTable, row: int) -> bool:
    """Return whether the length limit has cut a reply: it has as many tokens as were allowed, and so no end of its own.

    Args:
        table: the replies.
        row: of the reply.
    """
    limit = recorded_length(table.metadata)
    return limit is not None and bool(table.tokens) and len(table.tokens[row]) >= limit


def shown_reply(table: RewardTable, row: int) -> str:
    """Return a reply as people read it."""
    return with_mark(table.replies[row], is_cut(table, row))
