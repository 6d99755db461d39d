"""The published experiments, run on any table: contents.

* :mod:`map_core.studies.reproduce.published_solver`: the published solver, as it behaves.
* :mod:`map_core.studies.reproduce.study`: the protocol.
* :mod:`map_core.studies.reproduce.results`: what comes out of it.
* :mod:`map_core.studies.reproduce.paper`: what the paper reports.
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
