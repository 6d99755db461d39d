"""Studies of delivery: forecast levels of palettes compared with fresh replies to other prompts.

* :mod:`map_core.studies.delivery.split`: solve on one half of the prompts, measure on fresh replies to the other.
* :mod:`map_core.studies.delivery.cross_fit`: many random halvings with the same fresh replies, in both directions.
* :mod:`map_core.studies.delivery.palettes`: the palettes of a study.
* :mod:`map_core.studies.delivery.study`: a whole study, and its file.
"""

from map_core.studies.delivery.cross_fit import CrossFitDelivery, bootstrap_mean, cross_fit_delivery
from map_core.studies.delivery.palettes import StudyPalette, graded_palettes, reachable_palettes
from map_core.studies.delivery.split import Delivery, deliver, share_of_way, split_halves, with_weights_of
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
    "with_weights_of",
]
