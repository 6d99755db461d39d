"""Build a reward table: sample replies to prompts and score them, with checkpoints.

Replies and rewards are written at once to small files in ``OUT.parts/`` beside the table, each under a temporary name
and then renamed. A build that is killed at any moment therefore resumes where it stopped, and gives the table that an
uninterrupted build would have given. The table itself is renamed into place at the end. Constraint: no model library
is imported here; the caller passes engine and scorers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from map_core.building.checkpoints import BuildCheckpoints, checkpoint_path
from map_core.building.estimate import report_estimate
from map_core.building.existing_table import ExistingTable
from map_core.building.job import BuildJob, BuildRun, ValueColumn
from map_core.building.plan import (
    CHECKPOINT_FORMAT,
    BuildPolicy,
    BuildResult,
    SamplingSpec,
    build_digest,
    build_digest_of,
    prompts_fingerprint,
    refuse_overwrite,
    sampling_plan,
)
from map_core.building.progress import Reporter
from map_core.building.sampling import check_log_probs
from map_core.building.workers import LocalWorkers, Workers
from map_core.core.checkpoint_folder import CheckpointFolder
from map_core.core.file_lock import lock
from map_core.core.types import SamplingSettings
from map_core.core.unknown_sampling import recorded_sampling, unknown_sampling_note
from map_core.data.prompts import Prompt
from map_core.data.reward_table import HIDDEN, RewardTable
from map_core.data.table_columns import REPLY_COLUMNS
from map_core.engines.base import Engine, EngineInfo
from map_core.engines.sampling_probe import SamplingProbe
from map_core.errors import InputError
from map_core.scoring.base import Scorer


def build(
    prompts: Sequence[Prompt],
    out: Path,
    engine: Engine,
    scorers: Sequence[Scorer],
    *,
    candidates: int,
    settings: SamplingSettings,
    seed: int,
    system: str | None = None,
    policy: BuildPolicy | None = None,
    limit: float | None = None,
    report: Reporter | None = None,
) -> BuildResult:
    """Sample and score a table and save it.

    Args:
        prompts: the prompts.
        out: the Parquet file to write; ``OUT.parts`` beside it holds the checkpoints.
        engine: the base model.
        scorers: the values, in the order of the table's columns.
        candidates: K, replies per prompt.
        settings: sampling settings.
        seed: a whole number; the same build with the same seed on the same machine gives the same table.
        system: a system message before every prompt, or None for the model's own default.
        policy: what to do with existing files; by default nothing is replaced or discarded.
        limit: seconds that a scorer may take for all replies to a prompt, in a child process that is killed when it
            takes longer; None runs scorers in this process without a time limit.
        report: called after each prompt.

    Returns:
        The result. A reply on which a scorer failed is left out and reported.

    Raises:
        InputError: ``out`` exists and may not be replaced, or ``OUT.parts`` holds another build's replies, or the disc
            is full.
        ScorerError: a scorer failed on everything; the checkpoints are kept.
        EngineError: the model stopped or its server does not respond; the checkpoints are kept.
    """
    sampling = SamplingSpec(settings, seed, system)
    with closing(LocalWorkers(engine, sampling, scorers, limit)) as workers:
        return build_with_workers(workers, prompts, out, scorers, sampling, candidates, policy, report)


def build_with_workers(
    workers: Workers,
    prompts: Sequence[Prompt],
    out: Path,
    scorers: Sequence[Scorer],
    sampling: SamplingSpec,
    candidates: int,
    policy: BuildPolicy | None = None,
    report: Reporter | None = None,
) -> BuildResult:
    """Build as :func:`build` does, with workers that were made for this sampling and these scorers."""
    policy = policy or BuildPolicy()
    check_values(scorers)
    if candidates < 1:
        raise InputError(f"candidates is {candidates}; expected a whole number from 1.")
    usable = workers.usable_prompts(prompts, policy.skip_unusable)
    probe = workers.probe()
    check_log_probs(probe, [scorer.name for scorer in scorers])
    job, plan = _new_table(usable, out, workers.info, scorers, sampling, candidates, probe)
    usable_ids = {prompt.id for prompt in usable}
    skipped = tuple(prompt.id for prompt in prompts if prompt.id not in usable_ids)
    built = run_job(job, plan, policy, workers, report, skipped)
    return replace(built, remarks=(*built.remarks, *probe.notes))


def _new_table(
    prompts: Sequence[Prompt],
    out: Path,
    engine: EngineInfo,
    scorers: Sequence[Scorer],
    sampling: SamplingSpec,
    candidates: int,
    probe: SamplingProbe,
) -> tuple[BuildJob, dict[str, Any]]:
    """Return the job of a new table, and the plan that determines its replies."""
    columns = tuple(ValueColumn((scorer.name, scorer.version), index) for index, scorer in enumerate(scorers))
    metadata: dict[str, Any] = {
        "model": {"name": engine.model, "sha256": engine.model_hash},
        "engine": engine.as_dict(),
        "sampling": recorded_sampling(sampling.settings.as_dict(), probe.unknown),
        "seed": sampling.seed,
        "candidates": candidates,
        "system": sampling.system,
        "prompts_sha256": prompts_fingerprint(prompts),
    }
    if hidden := [prompt.id for prompt in prompts if prompt.hidden]:
        metadata[HIDDEN] = hidden
    if sampling.request_extra:
        metadata["request_extra"] = dict(sampling.request_extra)
    plan = sampling_plan(metadata)
    metadata["build"] = build_digest(plan, prompts, candidates, [column.key for column in columns])
    return BuildJob(out, tuple(prompts), candidates, columns, tuple(scorers), metadata=metadata), plan


def rescore(
    table: RewardTable | Path,
    out: Path,
    scorers: Sequence[Scorer],
    *,
    policy: BuildPolicy | None = None,
    limit: float | None = None,
    report: Reporter | None = None,
    workers: Workers | None = None,
) -> BuildResult:
    """Score the replies of a table again, on other values or with newer scorers, without sampling.

    A table holds the log-probability of each reply as a sum; it is spread evenly over the reply's tokens, which does
    not affect scorers that read only the sum. With ``workers`` these score instead of this process; other arguments
    and errors are those of :func:`build`.
    """
    check_values(scorers)
    base = ExistingTable.of(table) if isinstance(table, RewardTable) else ExistingTable.read(table)
    if not base.has_replies:
        raise InputError("This table has no replies to score; give one that was made by build.")
    columns = tuple(ValueColumn((scorer.name, scorer.version), index) for index, scorer in enumerate(scorers))
    plan = {"format": CHECKPOINT_FORMAT, "rescored": base.fingerprint}
    metadata = {key: entry for key, entry in base.metadata.items() if key not in ("scorers", "values")}
    metadata["build"] = build_digest(plan, base.prompts, base.candidates, [column.key for column in columns])
    job = BuildJob(out, base.prompts, base.candidates, columns, tuple(scorers), base, metadata)
    with closing(workers or LocalWorkers(None, SamplingSpec(), scorers, limit)) as opened:
        built = run_job(job, plan, policy or BuildPolicy(), opened, report)
    return replace(built, reading=base.reading)


def run_job(
    job: BuildJob,
    plan: dict[str, Any],
    policy: BuildPolicy,
    workers: Workers,
    report: Reporter | None,
    skipped: tuple[str, ...] = (),
    check: Callable[[], None] | None = None,
) -> BuildResult:
    """Run a job unless its table already exists; ``check`` is called once the table's file is locked, and may raise."""
    if not policy.force and build_digest_of(job.out) == job.metadata["build"]:
        return existing_result(job.out, policy)
    refuse_overwrite(job.out, policy.force)
    parts = BuildCheckpoints(job.out, plan, job.candidates, policy.fresh)
    with parts.locked():
        if check is not None:
            check()
        run = BuildRun(job, parts, report)
        if report is not None:
            report_estimate(run, workers, policy.skip_unusable, report)
        run.sample(workers, policy.skip_unusable)
        run.score(workers)
        built = run.write()
        if not policy.keep_parts:
            parts.remove()
    unknown = unknown_sampling_note(job.metadata)
    remarks = (*workers.notes, *built.remarks, *((unknown,) if unknown else ()))
    return replace(built, skipped=(*skipped, *built.skipped), remarks=remarks)


def existing_result(out: Path, policy: BuildPolicy) -> BuildResult:
    """Return the result for an existing table that needs no work, and remove checkpoints that a killed run left."""
    base = ExistingTable.read(out)
    if checkpoint_path(out).is_dir() and not policy.keep_parts:
        with lock(out):
            CheckpointFolder(checkpoint_path(out)).remove()
    rows = sum(len(base.numbers(prompt)) for prompt in range(len(base.prompts)))
    return BuildResult(out, base.values, len(base.prompts), rows)


def check_values(scorers: Sequence[Scorer]) -> None:
    """Check that there is at least one value, that names are unique, and that none is the name of a standard column.

    Raises:
        InputError: they are not.
    """
    names = [scorer.name for scorer in scorers]
    if not names or len(set(names)) < len(names):
        raise InputError(f"The values are {', '.join(names) or 'none'}; expected at least one, and each once.")
    if clash := next((name for name in names if name in REPLY_COLUMNS), None):
        raise InputError(f"A value cannot be called {clash!r}: a table has a column of that name. Rename the value.")
