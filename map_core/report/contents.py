"""The data of a report, as :func:`map_core.report.compute.compute_report` computes it.

Where the palette is out of reach, weights and levels are those of the nearest reachable palette, and the report says
so. Constraint: no sentence and no markup here; levels are in standard deviations above the base level.
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
    """The table and the software that a report was made with.

    Args:
        table: the table's name or path for display; "" for the embedded table.
        fingerprint: SHA-256 of the whole table's prompts, values and rewards.
        metadata: the table's metadata.
        prompts: number of prompts in the whole table.
        replies: number of replies in the whole table.
        candidates: smallest and largest number of replies to one prompt.
        link: address that opens the palette in the app; "" where there is none.
        versions: version by name, of Value Palette, Python and the libraries.
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
    """The findings of a study of delivery, in words.

    Args:
        done: the method, in a sentence or two.
        facts: label, figure and meaning of each finding.
        header: column names of ``rows``.
        rows: one row per value, with the share of the way from base level to target that was delivered.
    """

    done: str
    facts: tuple[tuple[str, str, str], ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ReportOptions:
    """The options of a report.

    Args:
        draws: bootstrap draws for the error bars; 0 leaves them out, which takes a tenth of the time.
        samples: number of prompts that are shown with replies.
        seed: seed of bootstrap, folds and samples.
        level: probability of the intervals.
        figures: whether the frontier and the sensitivity curve are computed.
    """

    draws: int = 300
    samples: int = 4
    seed: int = 0
    level: float = 0.9
    figures: bool = True


@dataclass(frozen=True, eq=False)
class Report:
    """A palette with its assessment, error bars, figures and sample replies; levels in standard deviations above base.

    Args:
        name: the palette's name as a user gave it; may be empty.
        made: date and time of the report.
        palette: the palette as it was set.
        names: (value,) display names of the columns, as used within a sentence.
        table: the part of the table that belongs to the palette's use case.
        oracle: the moments of ``table``.
        source: the table and the software that the report was made with.
        wanted: the options that the report was computed with.
        locked: (value,) bool, targets that must not be lowered.
        assessment: verdict, weights and nearest palette.
        highest: (value,) highest level of each targeted value while the others keep their targets; NaN where there is
            none.
        conflict: the smallest set of targets that cannot be met together; None where the palette is reachable.
        confidence: error bars and the probability of the verdict; None for a table of one prompt, and without draws.
        aim: (value,) targets that ``solution`` was solved for: the palette's, or the nearest palette's where it is out
            of reach.
        solution: weights and levels for ``aim``; None where no palette near it is reachable.
        levels: interval of the solution's levels; None without a solution or with one prompt.
        local: shadow prices at the solution.
        frontier: frontier of the two values with the highest prices, the others free; None where fewer than two values
            vary.
        curve: sensitivity curve of the value with the highest price; None where no target costs anything.
        samples: sample replies.
        study: the study of delivery of this table, if there is one.
        columns: targets beyond averages (shares, use cases), whose columns follow the values of the table; None where
            the palette has targets for levels only.
        theme: colours of the values.
        wording: wording of the document: with numbers, or in everyday words.
        labels: people's labels of the whole table's replies.
        found: the palette that was found from a user's choices, where the targets come from it.
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
        """Number of values in the table, without derived columns."""
        return len(self.names) if self.columns is None else self.columns.plain

    @property
    def verdict(self) -> Verdict:
        """Whether the palette can be reached."""
        return self.assessment.verdict

    @property
    def stands_in(self) -> bool:
        """Whether weights and levels are those of the nearest palette."""
        return self.verdict is Verdict.OUT_OF_REACH and self.solution is not None

    @property
    def asked(self) -> list[int]:
        """Indices of the values with a target."""
        return [int(j) for j in np.flatnonzero(~np.isnan(self.assessment.targets[: self.plain]))]

    @cached_property
    def beyond(self) -> BeyondAverages:
        """The derived columns described for the wording of sentences."""
        return NOTHING_BEYOND if self.columns is None else beyond_averages(self.columns, self.palette, self.names)

    def level_text(self, value: int, percentile: float, toward: Literal["nearest", "down"] = "nearest") -> str:
        """Format a level: a percentile of the base model's replies, or a number out of 100 for a share."""
        return self.wording.level(percentile, toward=toward, share=value in self.beyond.shares)

    @cached_property
    def units(self) -> Units:
        """Conversion from standard deviations above base to percentiles of the base model's replies."""
        known, shares = percentiles(self.table, self.oracle.form), self.beyond.shares
        return Units(self.oracle, known, "percentile", self.names, self.wording, shares)

    @cached_property
    def evidence(self) -> ReportEvidence | None:
        """The findings of the study of this table; None without one."""
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
        """The certificate of the palette's gain on the table's held-out prompts; None where they are too few."""
        mix = self.palette.beside.any_mix or 0.0
        return certify_held_out(self.table, self.oracle, self.assessment.targets, any_mix=mix)

    @cached_property
    def people(self) -> dict[str, tuple[PeopleLevel, PeopleLevel]]:
        """Levels in people's units of each labelled value: of the base model, and with the solution's weights."""
        weights = np.zeros(len(self.table.values)) if self.solution is None else self.solution.weights
        return people_levels(self.table, self.oracle, self.labels, weights)[0]

    @cached_property
    def reaches(self) -> dict[str, LabelReach]:
        """How much each promised value's level rests on labelled replies; empty without labels or weights."""
        if self.solution is None or not self.labels:
            return {}
        asked = promised_values(self.table, self.assessment.targets)
        return label_reach(self.table, self.oracle, self.labels, self.solution.weights, asked)

    def percentile(self, value: int, standardised: float) -> float:
        """Return the percentile of a level among the base model's replies; NaN of NaN."""
        return float(self.units.of(value, np.array(standardised)))
