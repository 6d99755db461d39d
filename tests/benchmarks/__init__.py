"""Benchmarks, run on demand by ``make bench``: ratios side by side in one run, never an assertion on a clock.

They run on the table of ``tests/defaults``, so that their times stay comparable when the shipped table is made again;
what is delivered of a forecast is measured on the shipped one (:mod:`tests.benchmarks.bench_delivery`).
"""

import os
from pathlib import Path

# Read when map_core is imported, which is later than this package.
os.environ.setdefault("VALUE_PALETTE_DEFAULTS", str(Path(__file__).parents[1] / "defaults"))
