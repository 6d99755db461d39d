"""The public library for programs and notebooks; targets and levels are in reward units.

The packages below this one work in standard deviations above the base level. Targets may also be written as ``"p70"``
(a percentile of the base model's replies) or ``"+0.5sd"``. Results show as a small table in a notebook. Constraint: the
exports are listed in ``map_core.__all__``, and no model library loads before a model is needed.

table      load a table; targets in reward units
palettes   solve, assess, error bars
tradeoffs  frontier and sensitivity, with Plotly figures
sampling   aligned replies, scorers
training   rewards for a trainer
notebook   HTML tables of results
"""

from map_core.interface.palettes import assess, error_bars, solve
from map_core.interface.sampling import sample_aligned, scorers
from map_core.interface.table import Table, load_table
from map_core.interface.tradeoffs import frontier, sensitivity
from map_core.interface.training import reward_functions

__all__ = [
    "Table",
    "assess",
    "error_bars",
    "frontier",
    "load_table",
    "reward_functions",
    "sample_aligned",
    "scorers",
    "sensitivity",
    "solve",
]
