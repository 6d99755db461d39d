"""Infer a palette from choices between two replies, which of them one would rather send.

pairs     pairs of a table's replies that can be compared, and the next one to ask about
choices   weights from choices: penalised maximum likelihood, with its covariance
found     the palette of the weights: levels with intervals, and the evidence on each value
records   choices by prompt and candidate, as files and pages store them

Constraint: numpy and a table; nothing is stored here.

Source: docs/judgement.md.
"""

from map_core.preference.choices import PairChoice, PreferenceFit, fit_choices
from map_core.preference.found import Evidence, FoundPalette, found_palette
from map_core.preference.pairs import FIRST_CHOICES, MAX_CHOICES, MIN_CHOICES, PairPool, next_pair, pair_pool
from map_core.preference.records import known_choices, numbered_choices, read_choices, reply_ids, rows_of_choices

__all__ = [
    "FIRST_CHOICES",
    "MAX_CHOICES",
    "MIN_CHOICES",
    "Evidence",
    "FoundPalette",
    "PairChoice",
    "PairPool",
    "PreferenceFit",
    "fit_choices",
    "found_palette",
    "known_choices",
    "next_pair",
    "numbered_choices",
    "pair_pool",
    "read_choices",
    "reply_ids",
    "rows_of_choices",
]
