"""Build reward tables so that an interrupted build resumes where it stopped: contents.

plan                    settings and results of a build
build                   a new table: sample, score, write
extend                  more values, prompts or candidates for a finished table
existing_table          a finished table that a build continues from
job                     one build: what exists, what is missing, and the finished table
sampling                replies to one prompt
fault_tolerant_scoring  scores of replies, with the replies marked on which a scorer fails
scorer_host             scorers in this process or in a child process
scorer_process          the child process of a scorer host
workers, ray_workers    drawing and scoring on this machine, or on a Ray cluster
model_spec              how a worker opens its model
retry                   repeated requests to a busy server
checkpoints             replies and rewards on disk, by prompt
writer                  writing the finished table
reply_counts            what the user should know about its replies
progress                progress reports and the progress file
estimate                duration and size of a build, measured on its first prompts
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
