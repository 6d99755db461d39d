"""Adding to a finished table: more values, more prompts, more candidates; only what is new is made.

What is added is what a build of the whole would have made: a prompt's seed depends on its text alone, and a
candidate's random stream on its number. Constraint: replies of two models never get into one table.
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
from map_core.core.types import SamplingSettings
from map_core.data.prompts import Prompt
from map_core.data.reward_table import HIDDEN
from map_core.engines.base import EngineInfo
from map_core.errors import InputError
from map_core.models.request_extra import recorded_request_extra
from map_core.scoring.base import Scorer

ResolveScorers = Callable[[Sequence[str]], list[Scorer]]
"""Names of values to their scorers."""


def open_scoring_workers(model: str | None, drawing: SamplingSpec, scorers: Sequence[Scorer]) -> Workers:
    """Return a crew that only scores, in this process.

    Raises:
        InputError: replies are to be drawn.
    """
    if model is not None:
        raise InputError(f"To add prompts or candidates the model {model!r} is needed, and none was opened.")
    return LocalWorkers(None, drawing, scorers)


def extend(
    table: Path,
    out: Path,
    resolve: ResolveScorers,
    *,
    values: Sequence[str] = (),
    prompts: Sequence[Prompt] = (),
    candidates: int | None = None,
    hire: OpenWorkers = open_scoring_workers,
    keeping: BuildPolicy | None = None,
    report: Reporter | None = None,
) -> BuildResult:
    """Add to a table, and save it in its place or elsewhere.

    Args:
        table: a table that :func:`build` made; to one from elsewhere only values can be added.
        out: where the result goes; the same file is replaced once the new one is complete.
        resolve: gives scorers by name; asked for the new values, and for those of the table when replies are drawn.
        values: names of values to add; those that the table has already are left as they are.
        prompts: prompts to add; those whose text the table has already are left as they are.
        candidates: K from now on; the table's own by default.
        hire: gives the crew; it is given the model that the table names when replies are missing. By default scorers
            alone, in this process.
        keeping: as in :func:`build`.
        report: as in :func:`build`.

    Returns:
        What was built. Where nothing is missing the table is left as it is.

    Raises:
        InputError: fewer candidates than there are, or the table does not record how its replies were drawn, or
            another model than the table's would be used.
        ScorerError, EngineError: as in :func:`build`.
    """
    keeping = keeping or BuildPolicy()
    base = ExistingTable.read(table)
    wanted = base.candidates if candidates is None else candidates
    if wanted < base.candidates:
        raise InputError(
            f"{table} has {base.candidates} candidates a prompt and {wanted} are asked for; nothing is taken out of a "
            "table. Ask for more, or build another one."
        )
    there = {prompt.text for prompt in base.prompts}
    fresh = [prompt for prompt in prompts if prompt.text not in there]
    added = [name for name in dict.fromkeys(values) if name not in base.values]
    draws = bool(fresh) or wanted > base.candidates
    same = out.resolve() == table.resolve()
    if same and not draws and not added:
        return existing_result(out, keeping)
    if not base.has_replies:
        raise InputError(f"{table} holds no texts of replies to score; give a table that was made by build.")
    drawing = _drawing(base, table) if draws else SamplingSpec()
    names = [*base.values, *added] if draws else added
    scorers = resolve(names) if names else []
    if scorers:
        check_values(scorers)
    model = str(base.metadata["model"]["name"]) if draws else None
    with closing(hire(model, drawing, scorers)) as crew:
        engine: dict[str, str] = {}
        if draws:
            _same_model(crew.info, base, table)
            fresh, engine = crew.usable_prompts(fresh, keeping.skip_unusable), crew.info.as_dict()
            check_log_probs(crew.probe(), names)
        job, plan = _job(base, out, scorers, added, fresh, wanted, engine)
        if same:
            # A table that is added to in its place is replaced by itself and more, which needs no leave.
            keeping = replace(keeping, force=True)
        built = run_job(job, plan, keeping, crew, report, check=lambda: _unchanged(base, table))
    return replace(built, reading=base.reading)


def _unchanged(base: ExistingTable, table: Path) -> None:
    """Refuse to go on from what another build has added to in the meantime."""
    if ExistingTable.read(table).fingerprint != base.fingerprint:
        raise InputError(f"{table} was changed by another build just now. Start the same again.")


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
    place = {scorer.name: number for number, scorer in enumerate(scorers)}
    versions = {str(entry.get("name")): str(entry.get("version")) for entry in base.metadata.get("scorers") or ()}
    columns = []
    for name in (*base.values, *added):
        number = place.get(name)
        version = versions.get(name, "") if number is None else scorers[number].version
        # A scorer that has changed since scores the whole column again: two of its versions cannot be compared.
        kept = name in base.values and (number is None or versions.get(name) == version)
        columns.append(ValueColumn((name, version), number, kept))
    ids = {prompt.id for prompt in base.prompts}
    prompts = [*base.prompts]
    for prompt in fresh:
        free = next(n for n in (prompt.id, *(f"{prompt.id}-{k}" for k in range(2, len(ids) + 3))) if n not in ids)
        ids.add(free)
        prompts.append(replace(prompt, id=free))
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


def _drawing(base: ExistingTable, table: Path) -> SamplingSpec:
    """Return how the table's replies were drawn, from its metadata."""
    metadata = base.metadata
    if (
        not metadata.get("sampling")
        or not isinstance(metadata.get("seed"), int)
        or not (metadata.get("model") or {}).get("name")
    ):
        raise InputError(
            f"{table} does not tell how its replies were drawn, so no replies like them can be added. Add values "
            "alone, or build a table."
        )
    return SamplingSpec(
        SamplingSettings.from_metadata(metadata),
        metadata["seed"],
        metadata.get("system"),
        recorded_request_extra(metadata),
    )


def _same_model(engine: EngineInfo, base: ExistingTable, table: Path) -> None:
    """Refuse another model than the table's, or another way to put a prompt to it."""
    expected, recorded = base.metadata["model"], base.metadata.get("engine") or {}
    name, weights = str(expected.get("name")), str(expected.get("sha256"))
    same = weights == engine.model_hash and (weights != "unknown" or name == engine.model)
    if same and recorded.get("preamble", engine.preamble) == engine.preamble:
        return
    raise InputError(
        f"The replies of {table} are of the model {name!r} (weights {weights[:12]}), and this is {engine.model!r} "
        f"(weights {engine.model_hash[:12]}). Replies of two models do not go into one table; build another one."
    )
