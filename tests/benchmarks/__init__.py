"""Benchmarks, run on demand by ``make bench``: ratios side by side in one run, never an assertion on a clock."""
