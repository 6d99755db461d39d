"""The library for programs and notebooks: targets and levels in reward units go in and come out.

The packages below work in standard deviations above the base level; here nothing does. Targets may also be written as
``"p70"`` (a percentile of the base model's replies) or ``"+0.5sd"``. Results show as a small table in a notebook.
Constraint: what is exported is listed in ``map_core.__all__``, and no model library loads before a model is needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from map_core.analysis import frontier as frontiers
from map_core.analysis import sensitivity as sensitivities
from map_core.confidence import Confidence
from map_core.confidence import confidence as confidence_of
from map_core.core import amounts
from map_core.core.types import Form, SamplingSettings, Verdict
from map_core.data import reward_table
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility import Assessment
from map_core.feasibility import assess as assess_levels
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.targets import Percentiles, resolve
from map_core.solver.newton import Solution
from map_core.solver.newton import solve as solve_weights
from map_core.text.units import Units

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from map_core.scoring.base import Scorer

Targets = Mapping[str, float | str]
"""A level a value's name: a number in reward units, ``"p70"`` or ``"+0.5sd"``. Values left out are free."""

#: Budgets of a frontier unless others are asked for, in nats.
BUDGETS = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, eq=False)
class Table:
    """A reward table, as the functions of this module take it.

    Args:
        rewards: the replies, their rewards and what is recorded with them.
        oracle: its moments.
    """

    rewards: RewardTable
    oracle: Oracle

    @property
    def values(self) -> tuple[str, ...]:
        """The names of the values."""
        return self.rewards.values

    @cached_property
    def base(self) -> dict[str, float]:
        """The level of each value under the base model, in reward units."""
        return self.named(np.zeros(len(self.values)))

    def named(self, levels: np.ndarray) -> dict[str, float]:
        """Name levels in reward units, given (value,) standard deviations above base; NaN is left out."""
        rewards = self.oracle.rewards_at(levels)
        return {name: float(reward) for name, reward in zip(self.values, rewards, strict=True) if math.isfinite(reward)}

    def standardised(self, targets: Targets) -> np.ndarray:
        """Return targets as (value,) standard deviations above base, NaN for free values.

        Raises:
            InputError: an unknown value, or a level that cannot be read.
        """
        return self.oracle.standardise(resolve(targets, self.rewards, self.oracle))

    def position(self, value: str) -> int:
        """Return the position of a value.

        Raises:
            InputError: the table has no such value.
        """
        return self.rewards.index(value)

    @cached_property
    def units(self) -> Units:
        """Reward units, for figures."""
        names = [name.replace("_", " ") for name in self.values]
        return Units(self.oracle, Percentiles(self.rewards), "reward", names)

    def __repr__(self) -> str:
        prompts, replies = len(self.rewards.prompts), len(self.rewards.rewards)
        return f"<Table: {prompts:,} prompts, {replies:,} replies; {', '.join(self.values)}>"

    def _repr_html_(self) -> str:
        rows = [(name, _shown(level)) for name, level in self.base.items()]
        return _html(escape(repr(self)[1:-1]), ("value", "base level"), rows)


@dataclass(frozen=True, eq=False)
class Solved:
    """The weights for some targets, without a verdict.

    Args:
        table: what they were solved on.
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
        rows = [
            tuple(_shown(column.get(name)) for column in (self.table.base, self.targets, self.levels, self.weights))
            for name in self.table.values
        ]
        named = [(name, *row) for name, row in zip(self.table.values, rows, strict=True)]
        return _html(self._title, ("value", "base level", "target", "level", "weight"), named)


@dataclass(frozen=True, eq=False, repr=False)
class Assessed(Solved):
    """A palette with its verdict.

    Args:
        table, targets, solution: as in :class:`Solved`.
        assessment: the verdict with its proof, in standardised units.
    """

    assessment: Assessment

    @property
    def verdict(self) -> Verdict:
        """Reachable, reachable on paper (it rests on too few replies to be trusted), or out of reach."""
        return self.assessment.verdict

    @property
    def margin(self) -> float:
        """How far inside (above 0) or outside what is attainable the targets are, in standard deviations at once."""
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
        """The closest targets that can be trusted, in reward units; empty where these can, or nothing can."""
        nearest = self.assessment.nearest
        return self.table.named(nearest.targets) if nearest else {}

    @property
    def _title(self) -> str:
        words = {Verdict.REACHABLE: "reachable", Verdict.ON_PAPER: "reachable on paper"}
        if self.solution is None:
            return f"out of reach by {amounts.significant(-self.margin, 2)} standard deviations"
        return f"{words[self.verdict]}, {super()._title}"


@dataclass(frozen=True, eq=False)
class Contours:
    """The Pareto frontier of two values, a contour a budget.

    Args:
        table: what it was traced on.
        pair: both values.
        frontier: the contours in standardised units.
    """

    table: Table
    pair: tuple[str, str]
    frontier: frontiers.Frontier

    def points(self, budget: float) -> list[dict[str, float]]:
        """Return the levels of every value along one contour, in reward units.

        Args:
            budget: one of those that were asked for, in nats; infinity for the limit.

        Raises:
            InputError: there is no such contour.
        """
        for contour in self.frontier.contours:
            if contour.budget == budget:
                return [self.table.named(levels) for levels in contour.levels]
        known = ", ".join(f"{contour.budget:g}" for contour in self.frontier.contours)
        raise InputError(f"There is no contour of {budget:g} nats; there are {known}.")

    def figure(self, targets: Targets | None = None) -> go.Figure:
        """Draw the contours over the replies of the base model, with the targets where there are some."""
        from map_core.figures import plane

        wanted = self.table.standardised(targets or {})
        pair = (self.table.position(self.pair[0]), self.table.position(self.pair[1]))
        return plane.plane(
            self.table.rewards, self.table.units, pair, self.frontier, plane.PalettePosition(wanted, realised=None)
        )

    def __repr__(self) -> str:
        budgets = ", ".join(f"{contour.budget:g}" for contour in self.frontier.contours)
        return f"<Contours: {self.pair[0]} against {self.pair[1]} at {budgets} nats>"


@dataclass(frozen=True, eq=False)
class Sweep:
    """What happens as one target moves and the others stay.

    Args:
        table: what was swept.
        value: the value that moves.
        curve: the sweep in standardised units.
    """

    table: Table
    value: str
    curve: sensitivities.SensitivityCurve

    @property
    def targets(self) -> np.ndarray:
        """(point,) the moved target, in reward units, ascending."""
        j = self.curve.value
        return self.table.oracle.base[j] + self.curve.targets * self.table.oracle.scale[j]

    @property
    def kl(self) -> np.ndarray:
        """(point,) the distance from the base model, in nats."""
        return self.curve.kl

    @property
    def levels(self) -> dict[str, np.ndarray]:
        """(point,) the level of each value, in reward units."""
        levels = self.table.oracle.base + self.curve.levels * self.table.oracle.scale
        return dict(zip(self.table.values, levels.T, strict=True))

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """(point,) the weight of each value, in 1/reward."""
        return dict(zip(self.table.values, (self.curve.weights / self.table.oracle.scale).T, strict=True))

    def figure(self) -> go.Figure:
        """Draw the level of every value against the target that moves."""
        from map_core.figures import sweep

        return sweep.levels(sweep.SweepData(self.curve, self.table.units, math.nan))

    def __repr__(self) -> str:
        return f"<Sweep: {self.value} in {len(self.curve.targets)} steps>"


@dataclass(frozen=True, eq=False)
class AlignedSample:
    """One prompt answered by the base model and by the aligned model, chosen from the same candidates.

    Args:
        prompt: what was asked.
        base, aligned: both replies.
        replies: (candidate,) all of them.
        probabilities: (candidate,) of being the aligned reply, softmax(lambda . r).
        rewards: (candidate,) by value.
        ess: effective sample size of the choice.
        kl: nats that the choice spent, log K at most.
    """

    prompt: str
    base: str
    aligned: str
    replies: tuple[str, ...]
    probabilities: tuple[float, ...]
    rewards: dict[str, tuple[float, ...]]
    ess: float
    kl: float

    def _repr_html_(self) -> str:
        return _html(self.prompt, ("base model", "aligned model"), [(self.base, self.aligned)])


def load_table(path: str | Path | None = None, *, use_case: str | None = None, form: str | None = None) -> Table:
    """Load a reward table.

    Args:
        path: a Parquet file that ``value-palette build`` or ``import`` wrote; None for the embedded table.
        use_case: only its prompts; None for all.
        form: "per prompt" or "pooled"; None for what the table allows.

    Raises:
        InputError: the file cannot be read, or has no such use case or form.

    Example:
        >>> load_table().values[:3]
        ('helpfulness', 'kindness', 'humor')
    """
    table = reward_table.load(reward_table.DEFAULT_TABLE if path is None else path).select(use_case)
    return Table(table, MemoryOracle.of(table, Form(form) if form else None))


def solve(table: Table, targets: Targets) -> Solved:
    """Find the weights that reach some targets at the least distance from the base model.

    It gives no verdict: ``solution`` is None where the targets are out of reach, and :func:`assess` says why.

    Args:
        table: from :func:`load_table`.
        targets: a level a value; values left out are free.

    Raises:
        InputError: an unknown value, or a level that cannot be read.

    Example:
        >>> solved = solve(load_table(), {"helpfulness": "p70", "humor": "+0.3sd"})
        >>> round(solved.kl, 2), solved.weights["kindness"]
        (0.58, 0.0)
    """
    levels = table.standardised(targets)
    solution = solve_weights(table.oracle, levels)
    return Solved(table, table.named(levels), solution if solution.status.value == "converged" else None)


def assess(table: Table, targets: Targets, *, budget: float | None = None) -> Assessed:
    """Say whether targets can be reached: the verdict with its proof, the weights, or the nearest targets that can.

    Args:
        table: from :func:`load_table`.
        targets: a level a value; values left out are free.
        budget: the most nats that it may cost; None for as many as it takes.

    Raises:
        InputError: an unknown value, a level that cannot be read, or a budget that is not above 0.

    Example:
        >>> palette = assess(load_table(), {"kindness": "p99", "humor": "p99"})
        >>> palette.verdict.value, sorted(palette.certificate)
        ('out_of_reach', ['humor', 'kindness'])
    """
    levels = table.standardised(targets)
    assessment = assess_levels(table.oracle, levels, budget=budget)
    return Assessed(table, table.named(levels), assessment.solution, assessment)


def frontier(
    table: Table,
    pair: tuple[str, str],
    *,
    budgets: Sequence[float] | None = None,
    floors: Targets | None = None,
    limit: bool = True,
) -> Contours:
    """Trace how far two values go together within each budget.

    Args:
        table: from :func:`load_table`.
        pair: two values.
        budgets: in nats, each above 0; None for 0.25, 0.5, 1 and 2 as far as choosing among the candidates reaches.
        floors: levels that other values keep.
        limit: add what the best reply to every prompt gives.

    Raises:
        InputError: an unknown value, a pair of one value, or a budget that is not above 0.

    Example:
        >>> contours = frontier(load_table(), ("helpfulness", "humor"), budgets=[0.5], limit=False)
        >>> len(contours.points(0.5))
        41
    """
    nats = [b for b in BUDGETS if b < table.oracle.log_candidates] if budgets is None else list(budgets)
    first, second = (table.position(value) for value in pair)
    kept = table.standardised(floors) if floors else None
    traced = frontiers.frontier(table.oracle, (first, second), nats, floors=kept, limit=limit)
    return Contours(table, (pair[0], pair[1]), traced)


def sensitivity(table: Table, targets: Targets, value: str, *, points: int = 41) -> Sweep:
    """Sweep one target from the base level to the highest that can be reached beside the others.

    Args:
        table: from :func:`load_table`.
        targets: a level a value; that of ``value`` is ignored.
        value: the value whose target moves.
        points: of the curve, at least 2.

    Raises:
        InputError: an unknown value, a level that cannot be read, or fewer than 2 points.

    Example:
        >>> sweep = sensitivity(load_table(), {"helpfulness": "p60"}, "humor", points=5)
        >>> bool(np.all(np.diff(sweep.kl) > 0))
        True
    """
    curve = sensitivities.sensitivity_curve(
        table.oracle, table.standardised(targets), table.position(value), points=points
    )
    return Sweep(table, value, curve)


def error_bars(table: Table, targets: Targets, *, level: float = 0.9, seed: int = 0) -> Confidence:
    """Put error bars on the weights, the levels and the verdict of a palette, and check it on held-out prompts.

    Args:
        table: from :func:`load_table`.
        targets: a level a value; values left out are free.
        level: the probability that each interval holds the truth, between 0 and 1.
        seed: of the bootstrap.

    Returns:
        The result in reward units, weights in 1/reward.

    Raises:
        InputError: an unknown value, a level that cannot be read, or a table with a single prompt.

    Example:
        >>> checked = error_bars(load_table(), {"helpfulness": "p60"})
        >>> checked.probability[checked.verdict] > 0.9
        True
    """
    standardised = confidence_of(table.oracle, table.standardised(targets), level=level, seed=seed)
    return standardised.in_reward_units(table.oracle)


def sample_aligned(
    prompt: str,
    weights: Mapping[str, float],
    *,
    candidates: int = 16,
    model: str | None = None,
    seed: int = 0,
    settings: SamplingSettings | None = None,
) -> AlignedSample:
    """Answer a prompt as the base model and as the aligned model, from the same candidates.

    Args:
        prompt: what is asked.
        weights: lambda by value, in 1/reward, as :attr:`Solved.weights`; built-in values.
        candidates: K, the replies to choose among.
        model: a name from ``value-palette models list`` or a folder; None for the default one.
        seed: the same seed gives the same replies and the same choice.
        settings: how the model is sampled; None for those of the embedded table.

    Raises:
        InputError: an empty prompt, an unknown value, or a number out of its range.
        MissingModelError: the model is not on this machine; the message has the command that brings it.

    Example:
        >>> sample = sample_aligned("How do I calm a crying child?", {"kindness": 2.0})  # doctest: +SKIP
        >>> print(sample.aligned)  # doctest: +SKIP
    """
    from map_core.engines.factory import open_engine
    from map_core.generation.events import Finished
    from map_core.generation.request import GenerationRequest
    from map_core.generation.sampler import generation_events
    from map_core.models.files import DEFAULT_MODEL

    if settings is None:
        settings = SamplingSettings.from_metadata(reward_table.load_metadata(reward_table.DEFAULT_TABLE))
    request = GenerationRequest(
        prompt, dict(weights), candidates=candidates, settings=settings, seed=seed, provisional=False
    )
    made = {scorer.name: scorer for scorer in scorers(request.scored)} if request.scored else {}
    engine = open_engine(model or DEFAULT_MODEL)
    *_, finished = generation_events(engine, made, request)
    assert isinstance(finished, Finished), "generation_events() ends with Finished"
    choice, texts = finished.choice, tuple(reply.text for reply in finished.replies)
    return AlignedSample(
        prompt,
        texts[choice.base],
        texts[choice.picked],
        texts,
        tuple(float(share) for share in choice.probabilities),
        {name: tuple(map(float, rewards)) for name, rewards in finished.rewards.items()},
        float(choice.ess),
        float(choice.kl),
    )


def scorers(names: Sequence[str] | None = None) -> list[Scorer]:
    """Return built-in scorers by name, all of them when None.

    A scorer's ``score(prompt, replies)`` gives one reward a reply; a model that it needs loads then.

    Raises:
        InputError: an unknown value, or one that is named twice.

    Example:
        >>> [scorer.name for scorer in scorers(["diversity", "humor"])]
        ['diversity', 'humor']
    """
    from map_core.scoring import scorers as built_in

    return built_in(names)


def _shown(number: float | None) -> str:
    return "" if number is None else amounts.fixed(number, 3)


def _html(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table for a notebook; every text is escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
