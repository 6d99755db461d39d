"""Trace the frontier of two values, and sweep one target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from map_core.analysis import frontier as frontiers
from map_core.analysis import sensitivity as sensitivities
from map_core.errors import InputError
from map_core.interface.table import Table, Targets, checked_table

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Default budgets of a frontier, in nats.
BUDGETS = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, eq=False)
class Contours:
    """The Pareto frontier of two values, one contour per budget.

    Args:
        table: the one that it was traced on.
        pair: the two values.
        frontier: the contours in standardised units.
    """

    table: Table
    pair: tuple[str, str]
    frontier: frontiers.Frontier

    def points(self, budget: float) -> list[dict[str, float]]:
        """Return the levels of every value along one contour, in reward units.

        Args:
            budget: that of a contour, in nats; infinity for the limit.

        Raises:
            InputError: there is no such contour.
        """
        for contour in self.frontier.contours:
            if contour.budget == budget:
                return [self.table.named(levels) for levels in contour.levels]
        budgets = ", ".join(f"{contour.budget:g}" for contour in self.frontier.contours)
        raise InputError(f"There is no contour of {budget:g} nats; expected one of {budgets}.")

    def figure(self, targets: Targets | None = None) -> go.Figure:
        """Draw the contours over the replies of the base model, with the targets where they are given."""
        from map_core.figures import plane

        palette = plane.PalettePosition(self.table.standardised(targets or {}), realised=None)
        pair = (self.table.position(self.pair[0]), self.table.position(self.pair[1]))
        return plane.plane(self.table.rewards, self.table.units, pair, self.frontier, palette)

    def __repr__(self) -> str:
        budgets = ", ".join(f"{contour.budget:g}" for contour in self.frontier.contours)
        return f"<Contours: {self.pair[0]} against {self.pair[1]} at {budgets} nats>"


@dataclass(frozen=True, eq=False)
class Sweep:
    """The solutions along a sweep of one target, the others held fixed.

    Args:
        table: the one that was swept.
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


def frontier(
    table: Table,
    pair: tuple[str, str],
    *,
    budgets: Sequence[float] | None = None,
    floors: Targets | None = None,
    limit: bool = True,
    beside: Mapping[str, Any] | None = None,
) -> Contours:
    """Trace the Pareto frontier of two values at each budget.

    Args:
        table: from :func:`load_table`.
        pair: two values.
        budgets: in nats, each above 0; None for those of 0.25, 0.5, 1 and 2 that choosing among the candidates can
            spend.
        floors: least levels of other values, and shares or levels of use cases.
        limit: add the contour of unlimited budget, at which the best reply to every prompt is chosen.
        beside: as for :func:`map_core.interface.palettes.solve`; thresholds and mixes are those of the floors alone.

    Raises:
        InputError: an unknown value, a pair of one value, or a budget that is not above 0.

    Example:
        >>> import map_core as vp
        >>> contours = vp.frontier(vp.load_table(), ("helpfulness", "humor"), budgets=[0.5], limit=False)
        >>> len(contours.points(0.5))
        41
    """
    table, levels, _ = checked_table(table).asked(floors or {}, beside)
    if budgets is None:
        budgets = [budget for budget in BUDGETS if budget < table.oracle.log_candidates]
    if len(pair) != 2:
        raise InputError(f"The pair is {pair!r}; expected two values.")
    first, second = (table.position(value) for value in pair)
    floor_levels = levels if floors or beside else None
    traced = frontiers.frontier(table.oracle, (first, second), list(budgets), floors=floor_levels, limit=limit)
    return Contours(table, (pair[0], pair[1]), traced)


def sensitivity(
    table: Table, targets: Targets, value: str, *, points: int = 41, beside: Mapping[str, Any] | None = None
) -> Sweep:
    """Sweep one target from the base level to the highest that can be reached beside the others.

    Args:
        table: from :func:`load_table`.
        targets: one level per value; that of ``value`` is ignored.
        value: the value whose target moves.
        points: of the curve, at least 2.
        beside: as for :func:`map_core.interface.palettes.solve`; thresholds and mixes are those of the targets given.

    Raises:
        InputError: an unknown value, a level that cannot be read, or fewer than 2 points.

    Example:
        >>> import map_core as vp
        >>> sweep = vp.sensitivity(vp.load_table(), {"helpfulness": "p60"}, "humor", points=5)
        >>> bool(np.all(np.diff(sweep.kl) > 0))
        True
    """
    table, levels, _ = checked_table(table).asked(targets, beside)
    curve = sensitivities.sensitivity_curve(table.oracle, levels, table.position(value), points=points)
    return Sweep(table, value, curve)
