"""Making reward tables: sampled, scored, kept on the way, gone on with, and added to."""

from __future__ import annotations

from map_core.build.making import DEFAULT_SETTINGS, Keeping, build, prompt_seed, refuse_overwrite, rescore
from map_core.build.progress import Progress, ProgressFile, Reporter, is_running

__all__ = [
    "DEFAULT_SETTINGS",
    "Keeping",
    "Progress",
    "ProgressFile",
    "Reporter",
    "build",
    "is_running",
    "prompt_seed",
    "refuse_overwrite",
    "rescore",
]
