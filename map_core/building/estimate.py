"""What a build will take, measured on its own first prompts.

A few prompts, spread over all that are left, are drawn and scored as the build would do it anyway; what the others
will take is extrapolated from them. Nothing is done twice: what is made for the estimate is part of the build.
Constraint: the figures hold for this model, these settings and this machine as they were in that time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from map_core.building.job import BuildRun
from map_core.building.progress import BuildEstimate, Progress, Reporter
from map_core.building.sampling import EQUAL_PROMPTS
from map_core.building.workers import Workers

#: Prompts that are measured, or one a worker where there are more workers: as many as show whether a server draws at
#: all.
MEASURED_PROMPTS = EQUAL_PROMPTS


def measure(run: BuildRun, crew: Workers, skip: bool) -> BuildEstimate | None:
    """Do a part of a build and estimate what the rest will take.

    Args:
        run: the build.
        crew: who draws and scores.
        skip: go on without prompts that the model does not take.

    Returns:
        The estimate; None where no more prompts are left than are measured.

    Raises:
        InputError, ScorerError, EngineError: as :meth:`BuildRun.sample` and :meth:`BuildRun.score`.
    """
    unfinished = run.unfinished()
    count = max(MEASURED_PROMPTS, crew.parallel)
    if len(unfinished) <= count:
        return None
    measured = spread(unfinished, count)
    began = time.perf_counter()
    run.sample(crew, skip, measured)
    drawn = time.perf_counter()
    run.score(crew, measured)
    scored = time.perf_counter()
    left = len(unfinished) - len(measured)
    rest = left / len(measured)
    return BuildEstimate(
        measured=len(measured),
        prompts=left,
        replies=round(run.sampled * rest),
        tokens=round(run.tokens * rest) if run.tokens else None,
        tokens_per_second=run.tokens / (drawn - began) if run.tokens else None,
        sampling_seconds=(drawn - began) * rest,
        scoring_seconds=(scored - drawn) * rest,
        checkpoint_bytes=round(run.checkpoint_bytes(measured) * len(unfinished) / len(measured)),
        table_bytes=round(run.table_bytes(measured) * run.prompts / len(measured)),
    )


def spread(places: Sequence[int], count: int) -> list[int]:
    """Return ``count`` of the places, evenly spread over all of them.

    Example:
        >>> spread(range(10), 3)
        [1, 5, 8]
    """
    return [places[(2 * number + 1) * len(places) // (2 * count)] for number in range(count)]


def report_estimate(run: BuildRun, crew: Workers, skip: bool, report: Reporter) -> None:
    """Measure, and report the estimate beside how far the build is; see :func:`measure`."""
    estimate = measure(run, crew, skip)
    if estimate is not None:
        done = run.prompts - estimate.prompts
        report(Progress("sampling", done, run.prompts, done, 0.0, estimate))
