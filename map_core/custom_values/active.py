"""The custom values that a table offers as targets: in use, scored on its replies, and with a unique name.

The list is needed at every interaction, so it is cached for :data:`REMEMBERED_SECONDS`; code that changes custom values
in this process calls :func:`clear_cache`, and changes of other processes are seen when the cache expires.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from map_core.access import LOCAL, Visitor
from map_core.custom_values import agreement, score_cache
from map_core.data.reward_table import RewardTable
from map_core.errors import PaletteError
from map_core.scoring import Definition, cards
from map_core.scoring.pairwise import TrustLevel
from map_core.store import custom_values, database

REMEMBERED_SECONDS = 1.0
log = logging.getLogger("value_palette")

_lock = threading.Lock()
#: By table and visitor: the time of the lookup and its result.
_cache: WeakKeyDictionary[RewardTable, dict[Visitor, tuple[float, tuple[OfferedValue, ...]]]] = WeakKeyDictionary()
#: Maximum number of cached visitors per table.
_MAX_VISITORS = 256


@dataclass(frozen=True)
class OfferedValue:
    """A value that can have a target.

    Args:
        definition: its definition.
        trust: a sentence about the reliability of its scorer.
        unusable: whether the judgements show that it should not be used.
        link: the secret of the link by which it is shared; "" if it is not shared by link.
    """

    definition: Definition
    trust: str
    unusable: bool = False
    link: str = ""


def offered_values(table: RewardTable, visitor: Visitor = LOCAL) -> tuple[OfferedValue, ...]:
    """Return the custom values that are offered in addition to a table's values, in the order of their definition.

    Args:
        table: the whole table as in its file; tables are distinguished by identity.
        visitor: the visitor, who is offered their own values, those that everybody sees, and those whose link they came
            by. Of two values with the same name it is their own.
    """
    with _lock:
        by_visitor = _cache.setdefault(table, {})
        cached = by_visitor.get(visitor)
        if cached is None or time.monotonic() - cached[0] >= REMEMBERED_SECONDS:
            if len(by_visitor) >= _MAX_VISITORS:
                by_visitor.clear()
            cached = by_visitor[visitor] = (time.monotonic(), _look_up(table, visitor))
        return cached[1]


def _look_up(table: RewardTable, visitor: Visitor) -> tuple[OfferedValue, ...]:
    used_names, offered = {*table.values, *cards()}, []
    try:
        opened = database().as_visitor(visitor)
        for stored in custom_values.list_values(opened):
            definition = stored.used
            if definition is None or definition.name in used_names:
                continue
            scores = score_cache.read_scores(score_cache.replies_key(table), definition)
            if scores is not None:
                judgements = agreement.kept_judgements(opened, table, stored.id, stored.in_use)
                measured = agreement.value_agreement(table, scores.rewards, judgements, definition)
                unusable = measured is not None and measured.trust_level is TrustLevel.UNUSABLE
                used_names.add(definition.name)
                trust = agreement.trust_sentence(measured, numbers=False)
                offered.append(OfferedValue(definition, trust, unusable, stored.link))
    except PaletteError as error:
        log.warning("Custom values are left out: %s", error)
    return tuple(offered)


def clear_cache() -> None:
    """Clear the cache, so that the database is read again at the next call."""
    with _lock:
        _cache.clear()
