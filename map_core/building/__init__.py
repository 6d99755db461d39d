"""Making reward tables: sampled, scored, kept on the way, gone on with, and added to."""

from __future__ import annotations

from map_core.building.workers import Crew, Local
from map_core.building.extend import extend
from map_core.building.build import build, build_with, rescore
from map_core.building.model_spec import Opening
from map_core.building.plan import DEFAULT_SETTINGS, Built, Drawing, Keeping, Mark, finished, prompt_seed, refuse_overwrite
from map_core.building.progress import Progress, ProgressFile, Reporter, is_running

__all__ = [
    "DEFAULT_SETTINGS",
    "Built",
    "Crew",
    "Drawing",
    "Keeping",
    "Local",
    "Mark",
    "Opening",
    "Progress",
    "ProgressFile",
    "Reporter",
    "build",
    "build_with",
    "extend",
    "finished",
    "is_running",
    "prompt_seed",
    "refuse_overwrite",
    "rescore",
]
