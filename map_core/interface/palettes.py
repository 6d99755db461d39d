"""Solve and assess palettes: weights, verdicts and error bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from map_core.analysis.generation_weights import reply_weights
from map_core.calibration.described import described as people_described
from map_core.calibration.labels import labels_of_prompts, labels_path
from map_core.confidence import Confidence, confidence
from map_core.confidence.certify import certify_targets
from map_core.confidence.prompt_samples import table_samples
from map_core.core import amounts
from map_core.core.reward_levels import RewardLevels
from map_core.core.types import Verdict
from map_core.data.table_format import DEFAULT_TABLE
from map_core.errors import InputError
from map_core.feasibility import Assessment
from map_core.feasibility import assess as assess_levels
from map_core.feasibility.scorer_columns import tied
from map_core.interface.notebook import html_table, level_text
from map_core.interface.table import Table, Targets, checked_table
from map_core.palettes.column_names import parse_cohort, parse_name
from map_core.palettes.target_columns import checked_cohort
from map_core.scoring.validation import read_labels
from map_core.solver.newton import Solution, Status
from map_core.solver.newton import solve as solve_weights


@dataclass(frozen=True, eq=False)
class Solved:
    """The weights for some targets, without a verdict.

    Args:
        table: the one that they were solved on.
        targets: in reward units; free values are left out.
        solution: the solver's own result, in standardised units; None where no weights reach the targets.
    """

    table: Table
    targets: dict[str, float]
    solution: Solution | None

    @property
    def weights(self) -> dict[str, float]:
        """Lambda by value, in 1/reward; empty where no weights reach the targets."""
        if self.solution is None:
            return {}
        weights = self.solution.weights / self.table.oracle.scale
        return {name: float(weight) for name, weight in zip(self.table.values, weights, strict=True)}

    @property
    def levels(self) -> dict[str, float]:
        """The levels that the weights give, in reward units; empty where there are none."""
        return self.table.named(self.solution.levels) if self.solution else {}

    def weights_for(self, *cohorts: str) -> dict[str, float]:
        """Return the weights for one prompt's replies, as :func:`sample_aligned` takes them.

        Args:
            cohorts: of the prompt, each a use case or ``COLUMN=ENTRY``; without any, only the overall weights count.

        Raises:
            InputError: the table has no such prompts.

        Example:
            >>> import map_core as vp
            >>> solved = vp.solve(vp.load_table(), {"kindness>=p20@Workplace writing": 0.95})
            >>> len(solved.weights_for()), [name[:10] for name in solved.weights_for("Workplace writing")]
            (0, ['kindness>='])
        """
        rewards = self.table.rewards
        checked = [checked_cohort(parse_cohort(text), rewards) for text in cohorts]
        positive = {name: weight for name, weight in self.weights.items() if weight > 0}
        return reply_weights(rewards.derived, positive, checked)

    def people(self, labels: str | Path | None = None) -> dict[str, dict[str, Any]]:
        """Return how many replies people would say yes to, today and with these weights, by labelled value.

        Args:
            labels: JSON lines of people's judgements of this table's replies; those of the embedded table by default.

        Returns:
            By value the content of ``people --json``: ``base`` and ``palette``, each with ``share``, ``low`` and
            ``high`` from 0 to 1.

        Raises:
            InputError: no weights reach the targets, or there is no label of this table.

        Example:
            >>> import map_core as vp
            >>> kind = vp.solve(vp.load_table(), {"kindness": "p70"}).people()["kindness"]
            >>> kind["base"]["share"] < kind["palette"]["share"], kind["palette"]["low"] > 0.5
            (True, True)
        """
        path = labels_path(DEFAULT_TABLE) if labels is None else Path(labels)
        rewards = self.table.rewards
        prompt_labels = labels_of_prompts(rewards, read_labels(path))
        if self.solution is None:
            raise InputError("No weights reach these targets. Take those of `nearest`.")
        if not prompt_labels:
            raise InputError(f"None of the labels in {path} is of a prompt of this table. Give those of this table.")
        return people_described(rewards, self.table.oracle, prompt_labels, self.solution.weights)

    def certify(self, *, over_base: bool = True, any_mix: float = 0.0) -> dict[str, Any]:
        """Test the targets on the prompts that the table holds out, at a confidence of 95%.

        Args:
            over_base: test what the palette adds to the base model, for which few prompts are enough; False to test
                the levels.
            any_mix: nats; also test under other mixes of prompts within this distance, as with ``beside``.

        Returns:
            The content of ``certify --json``: ``outcome``, ``promised`` and ``factor`` of the weights.

        Raises:
            InputError: no target, too few prompts held out, or nothing near the targets is possible.

        Example:
            >>> import map_core as vp
            >>> certificate = vp.solve(vp.load_table(), {"kindness": "p60"}).certify()
            >>> certificate["outcome"], certificate["prompts"]
            ('certified', 40)
        """
        oracle, seen, new = table_samples(self.table.rewards)
        targets = RewardLevels.of(np.array([self.targets.get(name, math.nan) for name in self.table.values]))
        certificate = certify_targets(oracle, seen, new, targets, over_base=over_base, any_mix=any_mix)
        return certificate.described(oracle)

    @property
    def kl(self) -> float:
        """The distance from the base model in nats; NaN where no weights reach the targets."""
        return self.solution.kl if self.solution else math.nan

    @property
    def _title(self) -> str:
        return f"{amounts.significant(self.kl, 3)} nats from the base model" if self.solution else "no weights"

    def __repr__(self) -> str:
        weights = ", ".join(
            f"{name} {amounts.significant(weight, 3)}" for name, weight in self.weights.items() if weight > 0
        )
        return f"<{type(self).__name__}: {self._title}{'; ' if weights else ''}{weights}>"

    def _repr_html_(self) -> str:
        columns = (self.table.base, self.targets, self.levels, self.weights)
        rows = [(name, *(level_text(column.get(name)) for column in columns)) for name in self.table.values]
        return html_table(self._title, ("value", "base level", "target", "level", "weight"), rows)


@dataclass(frozen=True, eq=False, repr=False)
class Assessed(Solved):
    """A palette with its verdict.

    Args:
        table: as in :class:`Solved`.
        targets: as in :class:`Solved`.
        solution: as in :class:`Solved`.
        assessment: the verdict with its proof, in standardised units.
    """

    assessment: Assessment

    @property
    def verdict(self) -> Verdict:
        """Whether the targets are reachable, possible but not reliable (carried by few replies), or out of reach."""
        return self.assessment.verdict

    @property
    def margin(self) -> float:
        """By how many standard deviations all targets together could be raised (above 0) or are missed (below 0)."""
        return self.assessment.margin.value

    @property
    def certificate(self) -> dict[str, float]:
        """The mix of values, in 1/reward, of which even the best replies fall short; empty unless out of reach."""
        if self.verdict is not Verdict.OUT_OF_REACH:
            return {}
        mix = self.assessment.margin.certificate / self.table.oracle.scale
        return {name: float(share) for name, share in zip(self.table.values, mix, strict=True) if share > 0}

    @property
    def nearest(self) -> dict[str, float]:
        """The closest reliable targets, in reward units; empty where these are reliable, or none is.

        They can be passed to :func:`solve` again, with the same ``beside``.
        """
        nearest = self.assessment.nearest
        if nearest is None:
            return {}
        rewards = self.table.rewards
        plain = rewards.without_columns().values
        cuts = {column.name for column in rewards.derived if column.mix or column.follows}
        cuts |= {column.name for column in rewards.derived if parse_name(column.name, plain) is None}
        return {name: level for name, level in self.table.named(nearest.targets).items() if name not in cuts}

    @property
    def _title(self) -> str:
        words = {Verdict.REACHABLE: "reachable", Verdict.ON_PAPER: "possible, but not reliable"}
        if self.solution is None:
            return f"not possible, short by {amounts.significant(-self.margin, 2)} standard deviations"
        return f"{words[self.verdict]}, {super()._title}"


def solve(table: Table, targets: Targets, *, beside: Mapping[str, Any] | None = None) -> Solved:
    """Find the weights that reach targets at the least distance from the base model.

    There is no verdict: ``solution`` is None where the targets are out of reach, and :func:`assess` explains why.

    Args:
        table: from :func:`load_table`.
        targets: one level per value, or a share of replies or a level over some prompts, as in
            ``{"kindness>=p20": 0.95}``; values left out are free.
        beside: demands beside targets, by the names of the options of ``solve``, such as
            ``{"no_worse_tail": ["kindness"], "any_mix": 0.1}``.

    Raises:
        InputError: an unknown value, or a level that cannot be read.

    Example:
        >>> import map_core as vp
        >>> solved = vp.solve(vp.load_table(), {"helpfulness": "p70", "humor": "+0.3sd"})
        >>> round(solved.kl, 2), solved.weights["kindness"]
        (0.45, 0.0)
    """
    table, levels, _ = checked_table(table).asked(targets, beside)
    solution = solve_weights(table.oracle, levels)
    return Solved(table, table.named(levels), solution if solution.status is Status.CONVERGED else None)


def assess(
    table: Table, targets: Targets, *, budget: float | None = None, beside: Mapping[str, Any] | None = None
) -> Assessed:
    """Decide whether targets can be reached: the verdict with its proof, and the weights or the nearest targets.

    Args:
        table: from :func:`load_table`.
        targets: one level per value; values left out are free.
        budget: the most nats that it may cost; None for no limit.
        beside: as for :func:`solve`; the nearest targets never relax tails and worst means.

    Raises:
        InputError: an unknown value, a level that cannot be read, or a budget that is not above 0.

    Example:
        >>> import map_core as vp
        >>> palette = vp.assess(vp.load_table(), {"kindness": "p99", "humor": "p99"})
        >>> palette.verdict.value, sorted(palette.certificate)
        ('out_of_reach', ['humor', 'kindness'])
        >>> everywhere = vp.assess(vp.load_table(), {"kindness>=p20@*": 0.95}, beside={"no_worse_tail": ["humor"]})
        >>> everywhere.verdict.value, round(everywhere.levels["kindness>=p20@Workplace writing"], 2)
        ('reachable', 0.95)
    """
    table, levels, locked = checked_table(table).asked(targets, beside)
    assessment = assess_levels(table.oracle, levels, budget=budget, locked=locked)
    if assessment.nearest is not None:
        assessment = replace(assessment, nearest=tied(table.rewards, table.oracle, assessment.nearest))
    return Assessed(table, table.named(levels), assessment.solution, assessment)


def error_bars(
    table: Table,
    targets: Targets,
    *,
    level: float = 0.9,
    seed: int = 0,
    beside: Mapping[str, Any] | None = None,
) -> Confidence:
    """Compute error bars of the weights, the levels and the verdict of a palette, and check it on held-out prompts.

    Args:
        table: from :func:`load_table`.
        targets: one level per value; values left out are free.
        level: the probability that each interval holds the truth, between 0 and 1.
        seed: of the bootstrap.
        beside: as for :func:`solve`; its thresholds and mixes are computed once and then held fixed.

    Returns:
        The result in reward units, weights in 1/reward.

    Raises:
        InputError: an unknown value, a level that cannot be read, or a table with a single prompt.

    Example:
        >>> import map_core as vp
        >>> bars = vp.error_bars(vp.load_table(), {"helpfulness": "p60"})
        >>> bars.probability[bars.verdict] > 0.9
        True
    """
    table, levels, _ = checked_table(table).asked(targets, beside)
    bars = confidence(table.oracle, levels, level=level, seed=seed)
    return bars.in_reward_units(table.oracle)
