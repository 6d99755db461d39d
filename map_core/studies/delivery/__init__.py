"""Forecast against delivery: what palettes were promised, and what fresh replies to other prompts give. Contents.

* :mod:`map_core.studies.delivery.split`: one half of the prompts is solved on, the other is answered anew.
* :mod:`map_core.studies.delivery.cross_fit`: the same fresh replies serve many splits, in both directions.
* :mod:`map_core.studies.delivery.palettes`: which palettes a study asks for.
* :mod:`map_core.studies.delivery.study`: what a study found, in a file.
"""

from map_core.studies.delivery.cross_fit import Crossed, cross, resampled
from map_core.studies.delivery.palettes import Asked, graded_palettes, reachable_palettes
from map_core.studies.delivery.split import Delivery, deliver, halves, share_of_way
from map_core.studies.delivery.study import Study, fingerprint, run_study

__all__ = [
    "Asked",
    "Crossed",
    "Delivery",
    "Study",
    "cross",
    "deliver",
    "fingerprint",
    "graded_palettes",
    "halves",
    "reachable_palettes",
    "resampled",
    "run_study",
    "share_of_way",
]
