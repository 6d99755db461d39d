"""Add values, prompts or candidates to a finished table without redoing what it has.

The additions are those that a build of the whole table would have made: a prompt's seed depends only on its text, and
a candidate's random stream on its number. Constraint: replies of two models are never mixed in one table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from map_core.building.build import check_values, existing_result, run_job
from map_core.building.existing_table import ExistingTable
from map_core.building.job import BuildJob, ValueColumn
from map_core.building.plan import (
    CHECKPOINT_FORMAT,
    BuildPolicy,
    BuildResult,
    SamplingSpec,
    build_digest,
    prompts_fingerprint,
    sampling_plan,
)
from map_core.building.progress import Reporter
from map_core.building.sampling import check_log_probs
from map_core.building.workers import LocalWorkers, OpenWorkers, Workers
from map_core.core import remedies
from map_core.core.types import SamplingSettings
from map_core.data.prompts import Prompt
from map_core.data.reward_table import HIDDEN
from map_core.engines.base import EngineInfo
from map_core.errors import InputError
from map_core.models.request_extra import recorded_request_extra
from map_core.scoring.base import Scorer

ResolveScorers = Callable[[Sequence[str]], list[Scorer]]
"""Maps names of values to their scorers."""


def open_scoring_workers(model: str | None, sampling: SamplingSpec, scorers: Sequence[Scorer]) -> Workers:
    """Return workers that only score, in this process.

    Raises:
        InputError: a model is given, as replies are to be drawn.
    """
    if model is not None:
        raise InputError(f"To add prompts or candidates the model {model!r} is needed, and none was opened.")
    return LocalWorkers(None, sampling, scorers)


def extend(
    table: Path,
    out: Path,
    resolve: ResolveScorers,
    *,
    values: Sequence[str] = (),
    prompts: Sequence[Prompt] = (),
    candidates: int | None = None,
    open_workers: OpenWorkers = open_scoring_workers,
    policy: BuildPolicy | None = None,
    report: Reporter | None = None,
) -> BuildResult:
    """Add to a table, and save it in its place or elsewhere.

    Args:
        table: a table that :func:`build` made; only values can be added to others.
        out: where the result goes; the same file is replaced once the new one is complete.
        resolve: returns scorers by name; called with the new values, and with all values when replies are drawn.
        values: names of values to add; those that the table already has are ignored.
        prompts: prompts to add; those whose text the table already has are ignored.
        candidates: the new K; the table's own by default.
        open_workers: returns the workers; its first argument is the table's model when replies are to be drawn, else
            None. By default workers that only score, in this process.
        policy: as in :func:`build`.
        report: as in :func:`build`.

    Returns:
        The result. Where nothing is missing the table is left unchanged.

    Raises:
        InputError: fewer candidates than the table has, or the table does not record how its replies were drawn, or
            another model than the table's would be used.
        ScorerError, EngineError: as in :func:`build`.
    """
    policy = policy or BuildPolicy()
    base = ExistingTable.read(table)
    wanted = base.candidates if candidates is None else candidates
    if wanted < base.candidates:
        raise InputError(
            f"{table} has {base.candidates} candidates a prompt and {wanted} are asked for; nothing is taken out of a "
            "table. Ask for more, or build another one."
        )
    known_texts = {prompt.text for prompt in base.prompts}
    fresh = [prompt for prompt in prompts if prompt.text not in known_texts]
    added = [name for name in dict.fromkeys(values) if name not in base.values]
    draws = bool(fresh) or wanted > base.candidates
    same = out.resolve() == table.resolve()
    if same and not draws and not added:
        return existing_result(out, policy)
    if not base.has_replies:
        raise InputError(f"{table} holds no texts of replies to score; give a table that was made by build.")
    sampling = _recorded_sampling(base, table) if draws else SamplingSpec()
    names = [*base.values, *added] if draws else added
    scorers = resolve(names) if names else []
    if scorers:
        check_values(scorers)
    model = str(base.metadata["model"]["name"]) if draws else None
    with closing(open_workers(model, sampling, scorers)) as workers:
        engine: dict[str, str] = {}
        if draws:
            _check_same_model(workers.info, base, table)
            fresh, engine = workers.usable_prompts(fresh, policy.skip_unusable), workers.info.as_dict()
            check_log_probs(workers.probe(), names)
        job, plan = _job(base, out, scorers, added, fresh, wanted, engine)
        if same:
            # Nothing is lost when a table is replaced by an extension of itself, so this needs no --force.
            policy = replace(policy, force=True)
        built = run_job(job, plan, policy, workers, report, check=lambda: _check_unchanged(base, table))
    return replace(built, reading=base.reading)


def _check_unchanged(base: ExistingTable, table: Path) -> None:
    """Refuse to extend a table that another build has changed since it was read."""
    if ExistingTable.read(table).fingerprint != base.fingerprint:
        raise InputError(f"{table} was changed by another build in the meantime; {remedies.SAME_COMMAND}.")


def _job(
    base: ExistingTable,
    out: Path,
    scorers: Sequence[Scorer],
    added: Sequence[str],
    fresh: Sequence[Prompt],
    candidates: int,
    engine: dict[str, str],
) -> tuple[BuildJob, dict[str, Any]]:
    """Return the job, and the plan that its parts belong to; ``engine`` is empty where nothing is drawn."""
    scorer_indices = {scorer.name: index for index, scorer in enumerate(scorers)}
    versions = {str(entry.get("name")): str(entry.get("version")) for entry in base.metadata.get("scorers") or ()}
    columns = []
    for name in (*base.values, *added):
        index = scorer_indices.get(name)
        version = versions.get(name, "") if index is None else scorers[index].version
        # Rewards of two versions of a scorer cannot be compared, so a changed scorer scores the whole column again.
        kept = name in base.values and (index is None or versions.get(name) == version)
        columns.append(ValueColumn((name, version), index, kept))
    ids = {prompt.id for prompt in base.prompts}
    prompts = [*base.prompts]
    for prompt in fresh:
        unique, suffix = prompt.id, 2
        while unique in ids:
            unique, suffix = f"{prompt.id}-{suffix}", suffix + 1
        ids.add(unique)
        prompts.append(replace(prompt, id=unique))
    plan = {"format": CHECKPOINT_FORMAT, "base": base.fingerprint, "engine": engine}
    metadata = {key: entry for key, entry in base.metadata.items() if key != "values"}
    metadata["build"] = build_digest(
        sampling_plan(base.metadata), prompts, candidates, [column.key for column in columns]
    )
    if hidden := [prompt.id for prompt in prompts if prompt.hidden]:
        metadata[HIDDEN] = hidden
    if engine:
        metadata |= {"candidates": candidates, "prompts_sha256": prompts_fingerprint(prompts)}
        if engine != base.metadata.get("engine"):
            metadata["also_drawn_by"] = [*(base.metadata.get("also_drawn_by") or ()), engine]
    return BuildJob(out, tuple(prompts), candidates, tuple(columns), tuple(scorers), base, metadata), plan


def _recorded_sampling(base: ExistingTable, table: Path) -> SamplingSpec:
    """Return how the table's replies were drawn, from its metadata.

    Raises:
        InputError: its metadata does not record it.
    """
    metadata = base.metadata
    if (
        not metadata.get("sampling")
        or not isinstance(metadata.get("seed"), int)
        or not (metadata.get("model") or {}).get("name")
    ):
        raise InputError(
            f"{table} does not record how its replies were drawn, so no replies like them can be added. Add values "
            "alone, or build a table."
        )
    return SamplingSpec(
        SamplingSettings.from_metadata(metadata),
        metadata["seed"],
        metadata.get("system"),
        recorded_request_extra(metadata),
    )


def _check_same_model(engine: EngineInfo, base: ExistingTable, table: Path) -> None:
    """Refuse another model than the table's, or another preamble before its prompts."""
    expected, recorded = base.metadata["model"], base.metadata.get("engine") or {}
    name, weights = str(expected.get("name")), str(expected.get("sha256"))
    same = weights == engine.model_hash and (weights != "unknown" or name == engine.model)
    if same and recorded.get("preamble", engine.preamble) == engine.preamble:
        return
    raise InputError(
        f"The replies of {table} are of the model {name!r} (weights {weights[:12]}), and this is {engine.model!r} "
        f"(weights {engine.model_hash[:12]}). Replies of two models do not go into one table; build another one."
    )
