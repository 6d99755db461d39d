"""Sentences on how much the order of sequential alignment matters."""

from __future__ import annotations

import math

from map_core.analysis.order_effects import OrderComparison
from map_core.core import amounts
from map_core.figures.sequence import NEAR, SequenceFigureData
from map_core.figures.sequence_text import missed_targets
from map_core.text.units import Units


def shortfall_sentence(comparison: OrderComparison, order: int, units: Units) -> str:
    """Word where one order, by its position, ends: the value that is furthest below its target, or that all are met."""
    misses = missed_targets(SequenceFigureData(comparison.paths[order], comparison.simultaneous, units))
    return f"{misses[0]} at the end" if misses else "every target is met at the end"


def orders_agree(comparison: OrderComparison) -> bool:
    """Return whether the largest shortfalls of all orders differ by less than a noticeable amount."""
    ends = [loss.worst for loss in comparison.losses]
    return max(ends) - min(ends) < NEAR


def order_summary(comparison: OrderComparison) -> str:
    """Word whether the order makes a difference, and which orders were compared."""
    size, count = len(comparison.paths[0].order), len(comparison.paths)
    possible = math.factorial(size)
    compared = f"All {count} orders" if count == possible else f"{count} orders, drawn at random from {possible:,},"
    rounds = max(path.rounds for path in comparison.paths)
    text = f"{compared} were tried, for {amounts.counted(rounds, 'round')}."
    if orders_agree(comparison):
        return f"{text} They end alike: here the order makes no difference that can be noticed."
    return f"{text} All at once has no order, and loses nothing."
