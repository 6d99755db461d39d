"""The experiments of the paper, run on any table.

* :mod:`map_core.studies.reproduce.published_solver`: the published solver.
* :mod:`map_core.studies.reproduce.study`: the protocol.
* :mod:`map_core.studies.reproduce.results`: dataclasses of the results.
* :mod:`map_core.studies.reproduce.paper`: the figures that the paper reports.
"""

from map_core.studies.reproduce.paper import PAPER
from map_core.studies.reproduce.published_solver import PublishedSolution, published_solver
from map_core.studies.reproduce.results import ReproductionProtocol, ReproductionStudy, SequentialExample, SizeResult
from map_core.studies.reproduce.study import random_palettes, reproduce

__all__ = [
    "PAPER",
    "PublishedSolution",
    "ReproductionProtocol",
    "ReproductionStudy",
    "SequentialExample",
    "SizeResult",
    "published_solver",
    "random_palettes",
    "reproduce",
]
