"""A palette found by choosing: from "which of these two would you rather send?" to weights and levels.

pairs     pairs of a table's replies that can be read side by side, and the next one to ask about
choices   weights from choices: penalised maximum likelihood, with its covariance
found     what the weights come to: levels with intervals, and what the choices say of each value
records   choices by prompt and candidate, as files and pages keep them

Constraint: numpy and a table; nothing is kept here.

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
