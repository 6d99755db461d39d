"""Compute the report of a palette: verdict, error bars, frontier, sensitivity and sample replies, in this order.

Constraint: no sentence and no markup here; the results are the dataclasses of :mod:`map_core.report.contents`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from map_core import __version__
from map_core.analysis.frontier import frontier
from map_core.analysis.sensitivity import LocalSensitivity, local_sensitivity, sensitivity_curve
from map_core.confidence import Confidence, confidence, sandwich
from map_core.confidence.interval import Interval, t_interval
from map_core.core.types import Form, Verdict
from map_core.data.reward_table import RewardTable
from map_core.feasibility import Assessment, AttainableLevels, assess, smallest_conflict
from map_core.feasibility.aim import aim as columns_of
from map_core.figures.theme import DEFAULT_THEME, Theme
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.palette import ALL, Palette
from map_core.preference import known_choices
from map_core.preference.found import palette_behind
from map_core.report.contents import Report, ReportOptions, ReportSource
from map_core.report.sample_replies import draw_samples
from map_core.scoring.validation import Label
from map_core.solver.newton import Solution, Status, solve
from map_core.studies.delivery import DeliveryStudy, fingerprint
from map_core.text.protections import with_column_names

#: Budgets of the frontier's contours, in nats; those above log K are left out.
BUDGETS = (0.25, 0.5, 1.0, 2.0)
#: Directions of the frontier and points of the sensitivity curve: enough for a chart as wide as a page.
DIRECTIONS, POINTS = 25, 25
LIBRARIES = ("numpy", "scipy", "highspy", "pyarrow", "pandas", "Jinja2", "streamlit")


def compute_report(
    table: RewardTable,
    palette: Palette,
    *,
    date: datetime,
    name: str = "",
    names: Sequence[str] | None = None,
    shown_table: str = "",
    link: str = "",
    study: DeliveryStudy | None = None,
    form: Form | None = None,
    wanted: ReportOptions | None = None,
    theme: Theme = DEFAULT_THEME,
    tell: Callable[[str], None] | None = None,
    labels: Sequence[Label] = (),
    choices: Sequence[Mapping[str, Any]] = (),
) -> Report:
    """Compute the data of a report.

    Args:
        table: the whole table; its prompts of the palette's use case are used.
        palette: targets by name; values that the table lacks are left out.
        date: the date of the report.
        name: the palette's name; may be empty.
        names: the values' display names; derived from the names in the table by default.
        shown_table: the table's name or path in the report's commands; "" for the embedded table.
        link: address of the palette in the app.
        study: a study of delivery; ignored unless its fingerprint is that of ``table``.
        form: per prompt or pooled; the table's own by default.
        wanted: the options: error bars, samples and figures.
        theme: colours of the values.
        tell: called with the name of each step before it begins; an exception that it raises ends the computation.
        labels: people's labels of the table's replies.
        choices: records of choices between two replies, as in :mod:`map_core.preference.records`; the report names
            them where the targets were found from them.

    Raises:
        InputError: the table has no such use case, or too few draws were asked for.
    """
    report_stage, wanted = tell or (lambda stage: None), wanted or ReportOptions()
    report_stage("Solving")
    part = table.select(None if palette.use_case == ALL else palette.use_case)
    # Only the names of the table's values: derived columns get theirs below.
    names = tuple(names or (value.replace("_", " ") for value in part.values))[: len(part.values)]
    plain, of_values = part, MemoryOracle.of(part, form)
    aimed = columns_of(plain, of_values, palette)
    part, oracle = aimed.table, aimed.oracle
    if part.derived:
        names = with_column_names(aimed, names)
        colours = {j: theme.colour(part.index(column.value)) for j, column in enumerate(part.derived, aimed.plain)}
        theme = Theme({**theme.chosen, **colours})
    attainable = AttainableLevels(oracle)
    targets = aimed.standardised(palette)
    locked_values = aimed.locked(palette)
    assessment = assess(oracle, targets, attainable=attainable, locked=locked_values)
    aim, solution = _in_force(oracle, assessment)
    targeted = np.flatnonzero(~np.isnan(targets))
    highest = np.full(len(targets), np.nan)
    for j in targeted:
        highest[j] = attainable.highest(targets, int(j))
    conflict = smallest_conflict(attainable, targets) if assessment.verdict is Verdict.OUT_OF_REACH else None
    report_stage("Error bars")
    error_bars = _confidence(oracle, targets, part, attainable, wanted)
    report_stage("Frontier")
    prices = local_sensitivity(solution) if solution is not None else None
    pair = _pair(aimed.plain, oracle, prices, targeted) if wanted.figures else None
    budgets = [budget for budget in BUDGETS if budget < oracle.log_candidates]
    contours = frontier(oracle, pair, budgets, directions=DIRECTIONS) if pair else None
    report_stage("Sensitivity")
    costliest = _costliest(aimed.plain, prices) if prices and wanted.figures else None
    curve = None
    if costliest is not None:
        curve = sensitivity_curve(oracle, aim, costliest, points=POINTS, attainable=attainable)
    report_stage("Replies")
    weights = solution.weights if solution is not None else None
    table_fingerprint = fingerprint(table)
    return Report(
        name=name.strip(),
        made=date,
        palette=palette,
        names=names,
        table=part,
        oracle=oracle,
        source=ReportSource(
            table=shown_table,
            fingerprint=table_fingerprint,
            metadata=table.metadata,
            prompts=len(table.prompts),
            replies=len(table.rewards),
            candidates=(int(table.candidates.min()), int(table.candidates.max())),
            link=link,
            versions=_versions(),
        ),
        wanted=wanted,
        locked=locked_values,
        assessment=assessment,
        highest=highest,
        conflict=conflict,
        confidence=error_bars,
        aim=aim,
        solution=solution,
        levels=_levels(oracle, solution, error_bars, wanted),
        local=prices,
        frontier=contours,
        curve=curve if curve is not None and len(curve.targets) > 1 else None,
        samples=() if weights is None else draw_samples(part, oracle, weights, wanted.samples, wanted.seed),
        study=study if study is not None and study.made.get("table") == table_fingerprint else None,
        columns=aimed if part.derived or palette.asks_beyond_averages else None,
        theme=theme,
        labels=tuple(labels),
        found=palette_behind(plain, of_values, known_choices(plain, choices), targets[: aimed.plain]),
    )


def _costliest(plain: int, prices: LocalSensitivity) -> int | None:
    """Return the index of the value with the highest shadow price; None where no target is active."""
    costly = [j for j in range(plain) if prices.active[j]]
    return max(costly, key=lambda j: float(prices.price[j]), default=None)


def _in_force(oracle: Oracle, assessment: Assessment) -> tuple[np.ndarray, Solution | None]:
    """Return the targets that the weights were solved for, and the solution: of the palette, or of the nearest one."""
    if assessment.verdict is not Verdict.OUT_OF_REACH:
        return assessment.targets, assessment.solution
    if assessment.nearest is None:
        return assessment.targets, None
    # The nearest palette was found with a ridge; prices and error bars are those of the solution without it.
    unregularised = solve(oracle, assessment.nearest.targets, start=assessment.nearest.solution.weights)
    converged = unregularised.status is Status.CONVERGED
    return assessment.nearest.targets, unregularised if converged else assessment.nearest.solution


def _confidence(
    oracle: Oracle, targets: np.ndarray, table: RewardTable, attainable: AttainableLevels, wanted: ReportOptions
) -> Confidence | None:
    if oracle.counted_prompts < 2 or not wanted.draws:
        return None
    return confidence(
        oracle,
        targets,
        level=wanted.level,
        draws=wanted.draws,
        seed=wanted.seed,
        strata=table.use_cases,
        attainable=attainable,
    )


def _levels(
    oracle: Oracle, solution: Solution | None, error_bars: Confidence | None, wanted: ReportOptions
) -> Interval | None:
    """Return the interval of the solution's levels: from the bootstrap, else from the sandwich covariance."""
    if solution is None or oracle.counted_prompts < 2:
        return None
    if error_bars is not None and error_bars.levels is not None:
        return error_bars.levels
    return t_interval(solution.levels, sandwich(oracle, solution).levels, oracle.counted_prompts - 1, wanted.level)


def _pair(plain: int, oracle: Oracle, prices: LocalSensitivity | None, targeted: np.ndarray) -> tuple[int, int] | None:
    """Return the two values of the frontier: by shadow price, then those with a target, then any that vary."""
    costly = [] if prices is None else [int(j) for j in np.argsort(-prices.price, kind="stable") if prices.active[j]]
    order = list(dict.fromkeys([*costly, *(int(j) for j in targeted), *range(len(oracle.values))]))
    varying = [j for j in order if j < plain and not oracle.constant[j]]
    return (varying[0], varying[1]) if len(varying) > 1 else None


def _versions() -> dict[str, str]:
    versions = {"Value Palette": __version__, "Python": platform.python_version()}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return versions
