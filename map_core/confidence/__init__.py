"""Error bars of a palette's weights, cost, levels and verdict: the table is a sample of prompts.

interval         confidence intervals: Student's t, and bias-corrected percentiles
sandwich         standard errors from each prompt's score at the solution
bootstrap        the palette solved on bootstrap samples of the prompts
margins          the margins of bootstrap samples
bands            intervals along a sensitivity curve
cross_fit        levels on prompts that the weights were not solved on
holdout_levels   levels on the prompts that the table holds out
verdict          the probability of a verdict, and the number of prompts needed for it
summary          all of these for one palette
betting          evidence for a mean by betting on it
certify          the smallest weights at which new prompts show every target
certificate      the result, as data
ray_evidence     the evidence of prompts along a ray of weights
running_promise  a promise that is tested while requests come in
prompt_samples   the levels of prompts at any weights, for promises
table_quality    whether more candidates or more prompts help a palette more
"""

from map_core.confidence.bands import Bands, bands
from map_core.confidence.bootstrap import Draws, bootstrap
from map_core.confidence.cross_fit import CrossFit, cross_fit
from map_core.confidence.holdout_levels import HoldoutLevels, holdout_levels
from map_core.confidence.interval import Interval
from map_core.confidence.sandwich import Sandwich, sandwich
from map_core.confidence.summary import Confidence, confidence

__all__ = [
    "Bands",
    "Confidence",
    "CrossFit",
    "Draws",
    "HoldoutLevels",
    "Interval",
    "Sandwich",
    "bands",
    "bootstrap",
    "confidence",
    "cross_fit",
    "holdout_levels",
    "sandwich",
]
