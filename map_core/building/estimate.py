"""Estimate the duration and size of a build, measured on its own first prompts.

A few prompts, spread over all unfinished ones, are drawn and scored as in the build itself, and the rest is
extrapolated from them. Nothing is done twice: the measured prompts are part of the build. Constraint: the estimate
holds for this model, these settings and this machine under the load during the measurement.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from map_core.building.job import BuildRun
from map_core.building.progress import BuildEstimate, Progress, Reporter
from map_core.building.sampling import EQUAL_PROMPTS
from map_core.building.workers import Workers

#: Prompts that are measured, or one per worker where there are more workers: enough for the test of greedy decoding.
MEASURED_PROMPTS = EQUAL_PROMPTS


def measure(run: BuildRun, workers: Workers, skip: bool) -> BuildEstimate | None:
    """Do a part of a build and estimate the rest.

    Args:
        run: the build.
        workers: draw and score.
        skip: leave out prompts that the model does not accept.

    Returns:
        The estimate; None where no more prompts are unfinished than would be measured.

    Raises:
        InputError, ScorerError, EngineError: as :meth:`BuildRun.sample` and :meth:`BuildRun.score`.
    """
    unfinished = run.unfinished()
    count = max(MEASURED_PROMPTS, workers.parallel)
    if len(unfinished) <= count:
        return None
    measured = spread(unfinished, count)
    began = time.perf_counter()
    run.sample(workers, skip, measured)
    drawn = time.perf_counter()
    run.score(workers, measured)
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


def spread(indices: Sequence[int], count: int) -> list[int]:
    """Return ``count`` of the indices, evenly spread over all of them.

    Example:
        >>> spread(range(10), 3)
        [1, 5, 8]
    """
    return [indices[(2 * k + 1) * len(indices) // (2 * count)] for k in range(count)]


def report_estimate(run: BuildRun, workers: Workers, skip: bool, report: Reporter) -> None:
    """Measure, and report the estimate together with the progress; see :func:`measure`."""
    estimate = measure(run, workers, skip)
    if estimate is not None:
        done = run.prompts - estimate.prompts
        report(Progress("sampling", done, run.prompts, done, 0.0, estimate))
