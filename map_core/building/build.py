"""Making a reward table: sample replies to prompts, score them, and lose nothing on the way.

Everything that is made goes at once into small files beside the table, ``OUT.parts/``, each written under another
name and then renamed; so a build that is killed at any moment resumes where it stopped and ends in the table that it
would have given undisturbed. The table itself appears by one rename at the end. Constraint: no model library is
imported here; engine and scorers are handed in.
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
    keeping: BuildPolicy | None = None,
    limit: float | None = None,
    report: Reporter | None = None,
) -> BuildResult:
    """Sample and score a table and save it.

    Args:
        prompts: what to reply to.
        out: the Parquet file to write; ``OUT.parts`` beside it holds what is made on the way.
        engine: the base model.
        scorers: the values, in the order of the table's columns.
        candidates: K, replies per prompt.
        settings: how replies are drawn.
        seed: a whole number; the same build with the same seed on the same machine gives the same table.
        system: a system message before every prompt, or None for the model's own default.
        keeping: what to do with files that are there; by default nothing is replaced or thrown away.
        limit: seconds that a scorer may take for all replies to a prompt, in a process of its own that is ended when
            it takes longer; None lets scorers run in this process for as long as they like.
        report: called after each prompt.

    Returns:
        What was built. A reply on which a scorer failed is left out and reported.

    Raises:
        InputError: ``out`` exists and may not be replaced, or ``OUT.parts`` holds another build's replies, or the disc
            is full.
        ScorerError: a scorer failed on everything; what is built so far is kept.
        EngineError: the model stopped or its server stays silent; what is built so far is kept.
    """
    drawing = SamplingSpec(settings, seed, system)
    with closing(LocalWorkers(engine, drawing, scorers, limit)) as crew:
        return build_with_workers(crew, prompts, out, scorers, drawing, candidates, keeping, report)


def build_with_workers(
    crew: Workers,
    prompts: Sequence[Prompt],
    out: Path,
    scorers: Sequence[Scorer],
    drawing: SamplingSpec,
    candidates: int,
    keeping: BuildPolicy | None = None,
    report: Reporter | None = None,
) -> BuildResult:
    """Build as :func:`build` does, with a crew that was hired for this drawing and these scorers."""
    keeping = keeping or BuildPolicy()
    check_values(scorers)
    if candidates < 1:
        raise InputError(f"candidates is {candidates}; expected a whole number from 1.")
    used = crew.usable_prompts(prompts, keeping.skip_unusable)
    probe = crew.probe()
    check_log_probs(probe, [scorer.name for scorer in scorers])
    job, plan = _new_table(used, out, crew.info, scorers, drawing, candidates, probe)
    there = {prompt.id for prompt in used}
    built = run_job(job, plan, keeping, crew, report, tuple(p.id for p in prompts if p.id not in there))
    return replace(built, remarks=(*built.remarks, *probe.notes))


def _new_table(
    prompts: Sequence[Prompt],
    out: Path,
    engine: EngineInfo,
    scorers: Sequence[Scorer],
    drawing: SamplingSpec,
    candidates: int,
    probe: SamplingProbe,
) -> tuple[BuildJob, dict[str, Any]]:
    """Return the job of a table that is made from nothing, and the plan that decides its replies."""
    columns = tuple(ValueColumn((scorer.name, scorer.version), place) for place, scorer in enumerate(scorers))
    metadata: dict[str, Any] = {
        "model": {"name": engine.model, "sha256": engine.model_hash},
        "engine": engine.as_dict(),
        "sampling": recorded_sampling(drawing.settings.as_dict(), probe.unknown),
        "seed": drawing.seed,
        "candidates": candidates,
        "system": drawing.system,
        "prompts_sha256": prompts_fingerprint(prompts),
    }
    if hidden := [prompt.id for prompt in prompts if prompt.hidden]:
        metadata[HIDDEN] = hidden
    if drawing.request_extra:
        metadata["request_extra"] = dict(drawing.request_extra)
    plan = sampling_plan(metadata)
    metadata["build"] = build_digest(plan, prompts, candidates, [column.key for column in columns])
    return BuildJob(out, tuple(prompts), candidates, columns, tuple(scorers), metadata=metadata), plan


def rescore(
    table: RewardTable | Path,
    out: Path,
    scorers: Sequence[Scorer],
    *,
    keeping: BuildPolicy | None = None,
    limit: float | None = None,
    report: Reporter | None = None,
    crew: Workers | None = None,
) -> BuildResult:
    """Score the replies of a table again, on other values or with newer scorers, without sampling.

    A table holds the log-probability of each reply as a sum; it is spread evenly over the reply's tokens, which
    changes no scorer that reads only the sum. ``crew`` scores in place of this process; other arguments and errors as
    in :func:`build`.
    """
    check_values(scorers)
    base = ExistingTable.of(table) if isinstance(table, RewardTable) else ExistingTable.read(table)
    if not base.has_replies:
        raise InputError("This table has no replies to score; give one that was made by build.")
    columns = tuple(ValueColumn((scorer.name, scorer.version), place) for place, scorer in enumerate(scorers))
    plan = {"format": CHECKPOINT_FORMAT, "rescored": base.fingerprint}
    metadata = {key: entry for key, entry in base.metadata.items() if key not in ("scorers", "values")}
    metadata["build"] = build_digest(plan, base.prompts, base.candidates, [column.key for column in columns])
    job = BuildJob(out, base.prompts, base.candidates, columns, tuple(scorers), base, metadata)
    with closing(crew or LocalWorkers(None, SamplingSpec(), scorers, limit)) as hired:
        built = run_job(job, plan, keeping or BuildPolicy(), hired, report)
    return replace(built, reading=base.reading)


def run_job(
    job: BuildJob,
    plan: dict[str, Any],
    keeping: BuildPolicy,
    crew: Workers,
    report: Reporter | None,
    skipped: tuple[str, ...] = (),
    check: Callable[[], None] | None = None,
) -> BuildResult:
    """Do a job, or find that it is done already; ``check`` may refuse it once the table's file is held."""
    if not keeping.force and build_digest_of(job.out) == job.metadata["build"]:
        return existing_result(job.out, keeping)
    refuse_overwrite(job.out, keeping.force)
    parts = BuildCheckpoints(job.out, plan, job.candidates, keeping.fresh)
    with parts.locked():
        if check is not None:
            check()
        work = BuildRun(job, parts, report)
        if report is not None:
            report_estimate(work, crew, keeping.skip_unusable, report)
        work.sample(crew, keeping.skip_unusable)
        work.score(crew)
        built = work.write()
        if not keeping.keep_parts:
            parts.remove()
    unknown = unknown_sampling_note(job.metadata)
    remarks = (*crew.notes, *built.remarks, *((unknown,) if unknown else ()))
    return replace(built, skipped=(*skipped, *built.skipped), remarks=remarks)


def existing_result(out: Path, keeping: BuildPolicy) -> BuildResult:
    """Return a table that is there as it is asked for; nothing is made, and what a kill left beside it is removed."""
    base = ExistingTable.read(out)
    if checkpoint_path(out).is_dir() and not keeping.keep_parts:
        with lock(out):
            CheckpointFolder(checkpoint_path(out)).remove()
    rows = sum(len(base.numbers(place)) for place in range(len(base.prompts)))
    return BuildResult(out, base.values, len(base.prompts), rows)


def check_values(scorers: Sequence[Scorer]) -> None:
    """Check that there are values, each once, and none named like a column of every table.

    Raises:
        InputError: there is no value, one is named twice, or one has the name of such a column.
    """
    names = [scorer.name for scorer in scorers]
    if not names or len(set(names)) < len(names):
        raise InputError(f"The values are {', '.join(names) or 'none'}; expected at least one, and each once.")
    if clash := next((name for name in names if name in REPLY_COLUMNS), None):
        raise InputError(f"A value cannot be called {clash!r}: a table has a column of that name. Rename the value.")
