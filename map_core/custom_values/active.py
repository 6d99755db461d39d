"""The values of one's own that a table offers as targets: in use, scored on its replies, and with a name of their own.

Asked for at every move of a hand, so what the database says is remembered for a moment; whoever changes it here says
so with :func:`clear_cache`, and what another process changes is seen a moment later.
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
#: By table and visitor: when it was looked up, and what was found.
_known: WeakKeyDictionary[RewardTable, dict[Visitor, tuple[float, tuple[OfferedValue, ...]]]] = WeakKeyDictionary()
#: Visitors that are remembered for a table.
_MAX_VISITORS = 256


@dataclass(frozen=True)
class OfferedValue:
    """A value that can have a target.

    Args:
        definition: what it means.
        trust: how far its scorer is to be trusted, in a sentence.
        unusable: the judgements say that it is not to be used.
        link: by which it is shared; "" where it is not shared by link.
    """

    definition: Definition
    trust: str
    unusable: bool = False
    link: str = ""


def offered_values(table: RewardTable, visitor: Visitor = LOCAL) -> tuple[OfferedValue, ...]:
    """Return what is offered beside the values of a table, in the order in which it was defined.

    Args:
        table: the whole table as its file has it; tables are distinguished by identity.
        visitor: to whom: their own values, those that everybody sees, and those whose link they came by. Of two values
            of a name it is their own.
    """
    with _lock:
        of_table = _known.setdefault(table, {})
        cached = of_table.get(visitor)
        if cached is None or time.monotonic() - cached[0] >= REMEMBERED_SECONDS:
            if len(of_table) >= _MAX_VISITORS:
                of_table.clear()
            cached = of_table[visitor] = (time.monotonic(), _look(table, visitor))
        return cached[1]


def _look(table: RewardTable, visitor: Visitor) -> tuple[OfferedValue, ...]:
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
        log.warning("Values of one's own are left out: %s", error)
    return tuple(offered)


def clear_cache() -> None:
    """Forget what was read, so that the database is looked at again the next time."""
    with _lock:
        _known.clear()
