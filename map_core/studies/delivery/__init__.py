"""Forecast against delivery: what palettes were promised, and what fresh replies to other prompts give. Contents.

* :mod:`map_core.studies.delivery.split`: one half of the prompts is solved on, the other is answered anew.
* :mod:`map_core.studies.delivery.cross_fit`: the same fresh replies serve many splits, in both directions.
* :mod:`map_core.studies.delivery.palettes`: which palettes a study asks for.
* :mod:`map_core.studies.delivery.study`: what a study found, in a file.
"""

from map_core.studies.delivery.cross_fit import CrossFitDelivery, bootstrap_mean, cross_fit_delivery
from map_core.studies.delivery.palettes import StudyPalette, graded_palettes, reachable_palettes
from map_core.studies.delivery.split import Delivery, deliver, share_of_way, split_halves
from map_core.studies.delivery.study import DeliveryStudy, fingerprint, run_study

__all__ = [
    "CrossFitDelivery",
    "Delivery",
    "DeliveryStudy",
    "StudyPalette",
    "bootstrap_mean",
    "cross_fit_delivery",
    "deliver",
    "fingerprint",
    "graded_palettes",
    "reachable_palettes",
    "run_study",
    "share_of_way",
    "split_halves",
]
