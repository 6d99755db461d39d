"""Everything that a report says, computed once from a table and a palette.

Where the palette is out of reach, the nearest one that can be reached replaces it where weights and levels are shown,
and the report says so. Constraint: no sentence and no markup here; units are those of the mathematics, standard
deviations above base, as in the results that this one holds.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np

from map_core import __version__
from map_core.analysis.frontier import Frontier, frontier
from map_core.analysis.sensitivity import LocalSensitivity, SensitivityCurve, local_sensitivity, sensitivity_curve
from map_core.calibration import LabelReach, PeopleLevel, label_reach, people_levels, promised_values
from map_core.confidence import Confidence, confidence, sandwich
from map_core.confidence.certify import Certificate, certify_held_out
from map_core.confidence.interval import Interval, t_interval
from map_core.core.types import Form, Verdict
from map_core.data.reward_table import RewardTable
from map_core.feasibility import Assessment, AttainableLevels, Conflict, assess, smallest_conflict
from map_core.feasibility.aim import Aim
from map_core.feasibility.aim import aim as columns_of
from map_core.figures import delivery
from map_core.figures.theme import DEFAULT_THEME, Theme
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.palette import ALL, Palette
from map_core.palettes.targets import percentiles
from map_core.preference import FoundPalette, known_choices
from map_core.preference.found import palette_behind
from map_core.report.sample_replies import SampleReply, draw_samples
from map_core.scoring.validation import Label
from map_core.solver.newton import Solution, Status, solve
from map_core.studies.delivery import DeliveryStudy, fingerprint
from map_core.text.protections import NOTHING_BEYOND, BeyondAverages, beyond_averages, with_column_names
from map_core.text.units import Units
from map_core.text.wording import NUMBERS, Wording

#: Nats of the frontier's contours, as far as re-weighting can spend them.
BUDGETS = (0.25, 0.5, 1.0, 2.0)
#: Directions of the frontier and points of the sweep: enough for a figure of the size that a page has.
DIRECTIONS, POINTS = 25, 25
LIBRARIES = ("numpy", "scipy", "highspy", "pyarrow", "pandas", "Jinja2", "streamlit")


@dataclass(frozen=True, eq=False)
class ReportSource:
    """Where a report comes from.

    Args:
        table: the table's name or path as it is to be shown; "" for the embedded one.
        fingerprint: hash of the whole table's prompts, values and rewards.
        metadata: as the whole table records it.
        prompts, replies: of the whole table.
        candidates: least and most replies to a prompt.
        link: address that opens the palette in the app; "" where there is none.
        versions: of Value Palette, Python and the libraries.
    """

    table: str
    fingerprint: str
    metadata: Mapping[str, Any]
    prompts: int
    replies: int
    candidates: tuple[int, int]
    link: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class ReportEvidence:
    """What a study of delivery found, in words.

    Args:
        done: what was done, in a sentence or two.
        facts: label, figure and meaning of each finding.
        header, rows: how much of the way each value came, a row a value.
    """

    done: str
    facts: tuple[tuple[str, str, str], ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ReportOptions:
    """What a report is to hold.

    Args:
        draws: of the bootstrap behind the error bars; 0 for none, which takes a tenth of the time.
        samples: prompts with replies.
        seed: of draws, folds and samples.
        level: probability of the intervals.
        figures: the frontier and the sweep.
    """

    draws: int = 300
    samples: int = 4
    seed: int = 0
    level: float = 0.9
    figures: bool = True


@dataclass(frozen=True, eq=False)
class Report:
    """A palette and all that is known about it.

    Args:
        name: of the palette, as a person gave it; may be empty.
        made: when.
        palette: as it was set.
        names: of the values, as people read them within a sentence.
        table: the part of the table that belongs to the palette's use case.
        oracle: its moments.
        source: where it comes from.
        wanted: what was asked for.
        locked: (value,) bool, targets that must not be lowered.
        assessment: verdict, weights, nearest palette.
        highest: (value,) the most of each targeted value while the others keep their targets; NaN where there is none.
        conflict: the smallest set of targets that cannot be met together; None when the palette can be reached.
        confidence: error bars and the probability of the verdict; None for a table of one prompt, and without draws.
        aim: (value,) targets in force: the palette's, or those of the nearest one where it is out of reach.
        solution: weights and levels in force; None where nothing near can be reached.
        levels: their interval; None without a solution or with one prompt.
        local: prices at the solution in force.
        frontier: of the two values that cost most, the others free; None where fewer than two values vary.
        curve: the target in force of the value that costs most, swept; None where nothing costs.
        samples: replies.
        study: of delivery, where there is one of this very table.
        columns: what the palette asks for beyond averages, whose columns stand behind the values of the table; None
            where it asks for levels alone.
        theme: colours of the values.
        wording: of its document: with numbers, or in everyday words.
        labels: what people said of the whole table's replies.
        found: the palette that somebody's choices come to, where targets are of it.
    """

    name: str
    made: datetime
    palette: Palette
    names: tuple[str, ...]
    table: RewardTable
    oracle: Oracle
    source: ReportSource
    wanted: ReportOptions
    locked: np.ndarray
    assessment: Assessment
    highest: np.ndarray
    conflict: Conflict | None
    confidence: Confidence | None
    aim: np.ndarray
    solution: Solution | None
    levels: Interval | None
    local: LocalSensitivity | None
    frontier: Frontier | None
    curve: SensitivityCurve | None
    samples: tuple[SampleReply, ...]
    study: DeliveryStudy | None
    columns: Aim | None = None
    theme: Theme = DEFAULT_THEME
    wording: Wording = NUMBERS
    labels: tuple[Label, ...] = ()
    found: FoundPalette | None = None

    @property
    def plain(self) -> int:
        """How many values the table itself has."""
        return len(self.names) if self.columns is None else self.columns.plain

    @property
    def verdict(self) -> Verdict:
        """Whether the palette can be reached."""
        return self.assessment.verdict

    @property
    def stands_in(self) -> bool:
        """Weights and levels are those of the nearest palette."""
        return self.verdict is Verdict.OUT_OF_REACH and self.solution is not None

    @property
    def asked(self) -> list[int]:
        """Positions of the values with a target."""
        return [int(j) for j in np.flatnonzero(~np.isnan(self.assessment.targets[: self.plain]))]

    @cached_property
    def beyond(self) -> BeyondAverages:
        """What the columns behind the table's values are, for its words."""
        return NOTHING_BEYOND if self.columns is None else beyond_averages(self.columns, self.palette, self.names)

    def said(self, value: int, percentile: float, toward: Literal["nearest", "down"] = "nearest") -> str:
        """Word a level: a place among the base model's replies, or so many of 100 for a share."""
        return self.wording.level(percentile, toward=toward, share=value in self.beyond.shares)

    @cached_property
    def units(self) -> Units:
        """From standard deviations above base to percentiles of the base model's replies."""
        known, shares = percentiles(self.table, self.oracle.form), self.beyond.shares
        return Units(self.oracle, known, "percentile", self.names, self.wording, shares)

    @cached_property
    def evidence(self) -> ReportEvidence | None:
        """What the study of this table found; None without one."""
        if self.study is None:
            return None
        graded = self.study.graded
        names = [
            self.names[self.table.index(name)] if name in self.table.values else name.replace("_", " ")
            for name in graded.values
        ]
        data = delivery.DeliveryFigureData(
            graded, self.study.percentiles, names, range(len(names)), wording=self.wording
        )
        header, rows = delivery.by_value(data)
        return ReportEvidence(
            delivery.method_sentence(self.study),
            tuple(delivery.facts(self.study, self.wording)),
            tuple(header),
            tuple(tuple(cells) for _, cells in rows),
        )

    @cached_property
    def certificate(self) -> Certificate | None:
        """What the table's held-out prompts show about what the palette adds; None where they are too few."""
        mix = self.palette.beside.any_mix or 0.0
        return certify_held_out(self.table, self.oracle, self.assessment.targets, any_mix=mix)

    @cached_property
    def people(self) -> dict[str, tuple[PeopleLevel, PeopleLevel]]:
        """Levels in people's units by value, of the base model and with the weights in force; of what is labelled."""
        weights = np.zeros(len(self.table.values)) if self.solution is None else self.solution.weights
        return people_levels(self.table, self.oracle, self.labels, weights)[0]

    @cached_property
    def reaches(self) -> dict[str, LabelReach]:
        """How far the labels reach of each value that is promised; empty without labels or weights."""
        if self.solution is None or not self.labels:
            return {}
        asked = promised_values(self.table, self.assessment.targets)
        return label_reach(self.table, self.oracle, self.labels, self.solution.weights, asked)

    def percentile(self, value: int, standardised: float) -> float:
        """Return the percentile of a level among the base model's replies; NaN of NaN."""
        return float(self.units.of(value, np.array(standardised)))


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
    """Compute all that a report says.

    Args:
        table: the whole table; the palette's use case is taken from it.
        palette: targets by name; values that the table lacks are left out.
        date: the date of the report.
        name: of the palette.
        names: of the values as people read them; made of the names in the table by default.
        shown_table: the table's name as the report's commands name it; "" for the embedded one.
        link: address of the palette in the app.
        study: of delivery; kept only when it is of this very table.
        form: per prompt or pooled; the table's own by default.
        wanted: error bars and samples.
        theme: colours of the values.
        tell: called with a few words before each step; what it raises stops the work.
        labels: what people said of the table's replies.
        choices: between two replies, as :mod:`map_core.preference.records` has them; told where targets come from them.

    Raises:
        InputError: the table has no such use case, or too few draws were asked for.
    """
    say, wanted = tell or (lambda stage: None), wanted or ReportOptions()
    say("Solving")
    part = table.select(None if palette.use_case == ALL else palette.use_case)
    # Of the values alone: columns of what is asked beyond averages are named here.
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
    say("Error bars")
    sure = _confidence(oracle, targets, part, attainable, wanted)
    say("Frontier")
    prices = local_sensitivity(solution) if solution is not None else None
    pair = _pair(aimed.plain, oracle, prices, targeted) if wanted.figures else None
    budgets = [budget for budget in BUDGETS if budget < oracle.log_candidates]
    contours = frontier(oracle, pair, budgets, directions=DIRECTIONS) if pair else None
    say("Sensitivity")
    worst = _costliest(aimed.plain, prices) if prices and wanted.figures else None
    swept = sensitivity_curve(oracle, aim, worst, points=POINTS, attainable=attainable) if worst is not None else None
    say("Replies")
    weights = solution.weights if solution is not None else None
    mark = fingerprint(table)
    return Report(
        name=name.strip(),
        made=date,
        palette=palette,
        names=names,
        table=part,
        oracle=oracle,
        source=ReportSource(
            table=shown_table,
            fingerprint=mark,
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
        confidence=sure,
        aim=aim,
        solution=solution,
        levels=_levels(oracle, solution, sure, wanted),
        local=prices,
        frontier=contours,
        curve=swept if swept is not None and len(swept.targets) > 1 else None,
        samples=() if weights is None else draw_samples(part, oracle, weights, wanted.samples, wanted.seed),
        study=study if study is not None and study.made.get("table") == mark else None,
        columns=aimed if part.derived or palette.asks_beyond_averages else None,
        theme=theme,
        labels=tuple(labels),
        found=palette_behind(plain, of_values, known_choices(plain, choices), targets[: aimed.plain]),
    )


def _costliest(plain: int, prices: LocalSensitivity) -> int | None:
    """Return the value of the table whose target costs the most; None where none of them costs."""
    costly = [j for j in range(plain) if prices.active[j]]
    return max(costly, key=lambda j: float(prices.price[j]), default=None)


def _in_force(oracle: Oracle, assessment: Assessment) -> tuple[np.ndarray, Solution | None]:
    """Return the targets that weights were solved for, and the solution: the palette's own, or the nearest one's."""
    if assessment.verdict is not Verdict.OUT_OF_REACH:
        return assessment.targets, assessment.solution
    if assessment.nearest is None:
        return assessment.targets, None
    # Without the ridge that found it, so that prices and error bars are those of the palette itself.
    plain = solve(oracle, assessment.nearest.targets, start=assessment.nearest.solution.weights)
    return assessment.nearest.targets, plain if plain.status is Status.CONVERGED else assessment.nearest.solution


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
    oracle: Oracle, solution: Solution | None, sure: Confidence | None, wanted: ReportOptions
) -> Interval | None:
    """Return the interval of the levels in force."""
    if solution is None or oracle.counted_prompts < 2:
        return None
    if sure is not None and sure.levels is not None:
        return sure.levels
    return t_interval(solution.levels, sandwich(oracle, solution).levels, oracle.counted_prompts - 1, wanted.level)


def _pair(plain: int, oracle: Oracle, prices: LocalSensitivity | None, targeted: np.ndarray) -> tuple[int, int] | None:
    """Return the two values that cost most; those with a target, then the others, where fewer cost anything."""
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
