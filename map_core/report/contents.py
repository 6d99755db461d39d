"""Everything that a report says, as :func:`map_core.report.compute.compute_report` computes it once.

Where the palette is out of reach, the nearest one that can be reached replaces it where weights and levels are shown,
and the report says so. Constraint: no sentence and no markup here; units are those of the mathematics, standard
deviations above base, as in the results that this one holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np

from map_core.analysis.frontier import Frontier
from map_core.analysis.sensitivity import LocalSensitivity, SensitivityCurve
from map_core.calibration import LabelReach, PeopleLevel, label_reach, people_levels, promised_values
from map_core.confidence import Confidence
from map_core.confidence.certificate import Certificate
from map_core.confidence.certify import certify_held_out
from map_core.confidence.interval import Interval
from map_core.core.types import Verdict
from map_core.data.reward_table import RewardTable
from map_core.feasibility import Assessment, Conflict
from map_core.feasibility.aim import Aim
from map_core.figures import delivery
from map_core.figures.theme import DEFAULT_THEME, Theme
from map_core.oracle import Oracle
from map_core.palettes.palette import Palette
from map_core.palettes.targets import percentiles
from map_core.preference import FoundPalette
from map_core.report.sample_replies import SampleReply
from map_core.scoring.validation import Label
from map_core.solver.newton import Solution
from map_core.studies.delivery import DeliveryStudy
from map_core.text.protections import NOTHING_BEYOND, BeyondAverages, beyond_averages
from map_core.text.units import Units
from map_core.text.wording import NUMBERS, Wording


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
        header, rows: how much of the way each value came, one row per value.
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

    def level_text(self, value: int, percentile: float, toward: Literal["nearest", "down"] = "nearest") -> str:
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
