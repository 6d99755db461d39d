"""Build reward tables, so that nothing made is lost: contents.

plan                    what is asked of a build, and what came of it
build                   a new table: sample, score, write
extend                  more values, prompts or candidates for a finished table
existing_table          a finished table as what a build continues from
job                     one build at work
sampling                replies to one prompt
fault_tolerant_scoring  scores of replies, those on which a scorer fails marked
scorer_host             scorers in this process or in one of their own
scorer_process          that other process
workers, ray_workers    who draws and scores: this machine, or a Ray cluster
model_spec              how a worker opens its model
retry                   waits between requests to a busy server
checkpoints             replies and rewards on disk, by prompt
writer                  the finished table
progress                how far a build is
estimate                what a build will take, from its first prompts
batch_answers           many prompts answered into one file of JSON lines
"""

from __future__ import annotations

from map_core.building.build import build, build_with_workers, rescore
from map_core.building.extend import extend
from map_core.building.model_spec import ModelSpec
from map_core.building.plan import (
    DEFAULT_SETTINGS,
    BuildPolicy,
    BuildResult,
    FailedScore,
    SamplingSpec,
    build_digest_of,
    prompt_seed,
    refuse_overwrite,
)
from map_core.building.progress import BuildEstimate, Progress, ProgressFile, Reporter
from map_core.building.workers import LocalWorkers, Workers

__all__ = [
    "DEFAULT_SETTINGS",
    "BuildEstimate",
    "BuildPolicy",
    "BuildResult",
    "FailedScore",
    "LocalWorkers",
    "ModelSpec",
    "Progress",
    "ProgressFile",
    "Reporter",
    "SamplingSpec",
    "Workers",
    "build",
    "build_digest_of",
    "build_with_workers",
    "extend",
    "prompt_seed",
    "refuse_overwrite",
    "rescore",
]
