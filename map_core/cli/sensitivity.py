"""``python -m map_core sensitivity``: the cost of each target of a palette, and the effects of moving it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.analysis.sensitivity import LocalSensitivity, SensitivityCurve, local_sensitivity, sensitivity_curve
from map_core.cli.demands import demand_options
from map_core.cli.inputs import PaletteTargets, open_table, read_palettes, value_positions
from map_core.cli.options import table_options, target_options
from map_core.cli.output import by_name, columns, print_json
from map_core.core import amounts
from map_core.feasibility import AttainableLevels
from map_core.oracle import Oracle
from map_core.palettes.beside import Beside
from map_core.solver.newton import Solution, solve


@click.command()
@table_options
@target_options
@demand_options
@click.option("--sweep", "swept", multiple=True, metavar="NAME", help="Move the target of this value; the others stay.")
@click.option("--points", type=click.IntRange(min=2), default=41, show_default=True, help="Points of a sweep.")
def sensitivity(
    table: Path,
    form: str | None,
    use_case: str | None,
    as_json: bool,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    beside: Beside,
    swept: tuple[str, ...],
    points: int,
) -> None:
    """Show what each target of a palette costs, what moves when it is moved, and where that changes.

    TABLE is a reward table (Parquet); the embedded one when left out. A LEVEL is a number in reward units,
    p70 (that percentile of the base model's replies) or +0.5sd (standard deviations above the base level).

    \b
    Examples:
      python -m map_core sensitivity --target helpfulness=p70 --target humor=+0.3sd
      python -m map_core sensitivity --target humor=p70 --target kindness=p60 --sweep humor --json
    """  # noqa: D301
    opened, palettes = read_palettes(open_table(table, use_case, form), pairs, targets_file, beside)
    oracle = opened.oracle
    values = value_positions(opened, "--sweep", swept)
    attainable = AttainableLevels(oracle)
    for palette in palettes:
        solution = None
        if attainable.margin(palette.targets).attainable:
            solution = solve(oracle, palette.targets)
        curves = [
            sensitivity_curve(oracle, palette.targets, value, points=points, attainable=attainable) for value in values
        ]
        result = describe(palette, solution, oracle)
        if as_json:
            print_json(result | {"curves": [describe_curve(curve, oracle) for curve in curves]})
        else:
            click.echo(
                "\n".join([*_as_text(result, oracle), *(line for c in curves for line in _curve_text(c, oracle))])
            )


def describe(palette: PaletteTargets, solution: Solution | None, oracle: Oracle) -> dict[str, Any]:
    """Return a palette's prices and derivatives as plain JSON values in reward units; null where it is not possible.

    Args:
        palette: the targets.
        solution: its solution; None where the targets are not possible.
        oracle: its oracle.
    """
    local = local_sensitivity(solution) if solution is not None else None
    return {
        "targets": by_name(oracle, palette.levels),
        "form": oracle.form.value,
        "attainable": solution is not None,
        "kl": solution.kl if solution is not None else None,
        "levels": by_name(oracle, oracle.rewards_at(solution.levels)) if solution is not None else None,
        "redundant": solution.redundant if solution is not None else None,
    } | _prices(local, oracle)


def _prices(local: LocalSensitivity | None, oracle: Oracle) -> dict[str, Any]:
    keys = ("active", "price", "price_per_deviation", "share", "elasticity", "bottleneck", "weights_by_target")
    if local is None:
        return dict.fromkeys((*keys, "levels_by_target"))
    scale, active = oracle.scale, local.active
    moves = {"weights_by_target": local.weights / np.outer(scale, scale)}
    moves["levels_by_target"] = local.levels * scale[:, None] / scale
    return {
        "active": [name for name, binds in zip(oracle.values, active, strict=True) if binds],
        "price": by_name(oracle, local.price / scale),
        "price_per_deviation": by_name(oracle, local.price),
        "share": by_name(oracle, local.share),
        "elasticity": by_name(oracle, local.elasticity),
        "bottleneck": None if local.bottleneck is None else oracle.values[local.bottleneck],
    } | {
        # Keyed by the moved target, then by the value that responds, in reward units (weights in 1 / reward).
        key: {oracle.values[j]: by_name(oracle, matrix[:, j]) for j in np.flatnonzero(active)}
        for key, matrix in moves.items()
    }


def describe_curve(curve: SensitivityCurve, oracle: Oracle) -> dict[str, Any]:
    """Return a curve as plain JSON values in reward units; no points where the other targets cannot be met.

    Args:
        curve: the curve.
        oracle: its oracle.
    """
    rows = zip(curve.targets, curve.weights, curve.levels, curve.kl, strict=True)
    return {
        "value": oracle.values[curve.value],
        "highest": None if math.isnan(curve.highest) else _reward(oracle, curve.value, curve.highest),
        "points": [
            {
                "target": _reward(oracle, curve.value, target),
                "weights": by_name(oracle, x / oracle.scale),
                "levels": by_name(oracle, oracle.rewards_at(levels)),
                "kl": float(kl),
            }
            for target, x, levels, kl in rows
        ],
        "switches": [
            {
                "target": _reward(oracle, curve.value, switch.target),
                "value": oracle.values[switch.value],
                "active_above": switch.active,
            }
            for switch in curve.switches
        ],
    }


def _reward(oracle: Oracle, value: int, level: float) -> float:
    return float(oracle.base[value] + level * oracle.scale[value])


def _as_text(result: dict[str, Any], oracle: Oracle) -> Iterator[str]:
    if not result["attainable"]:
        yield (
            "Not possible together: no mix of this model's replies gives these levels together, so they have no "
            "price.\n"
        )
        return
    yield f"Distance from the base model {amounts.nats(result['kl'], 3)}."
    if result["bottleneck"] is not None:
        share = amounts.percent(result["share"][result["bottleneck"]])
        yield f"The bottleneck is {result['bottleneck']}: {share} of the price of one more standard deviation."
    if result["redundant"]:
        yield "Some targets ask for the same thing, so weights and prices are not unique; these are the smallest."
    yield from columns(
        oracle.values,
        {
            "target": result["targets"],
            "realised": result["levels"],
            "nats/reward": result["price"],
            "nats/sd": result["price_per_deviation"],
            "share": result["share"],
            "KL share/sd": result["elasticity"],
        },
    )
    if result["active"]:
        yield "\nLevel of the row when the target of the column is raised by one reward unit:"
        yield from columns(oracle.values, {name[:13]: column for name, column in result["levels_by_target"].items()})
    yield ""


def _curve_text(curve: SensitivityCurve, oracle: Oracle) -> Iterator[str]:
    name = oracle.values[curve.value]
    if math.isnan(curve.highest):
        yield f"The targets beside {name} cannot be met by themselves, so nothing can be swept.\n"
        return
    yield f"The target of {name}, up to {amounts.significant(_reward(oracle, curve.value, curve.highest), 4)}:"
    for switch in curve.switches:
        verb = "begins" if switch.active else "stops"
        target = amounts.significant(_reward(oracle, curve.value, switch.target))
        yield f"  from {target} {oracle.values[switch.value]} {verb} to cost"
    points = len(curve.targets)
    rows = [int(row) for row in np.unique(np.linspace(0, points - 1, min(9, points)).round())]
    titles = [amounts.significant(_reward(oracle, curve.value, curve.targets[row]), 4) for row in rows]
    series = {"nats": curve.kl}
    series |= {name[:13]: levels for name, levels in zip(oracle.values, oracle.rewards_at(curve.levels).T, strict=True)}
    table = {
        heading: {title: float(numbers[row]) for title, row in zip(titles, rows, strict=True)}
        for heading, numbers in series.items()
    }
    yield from columns(titles, table)
    yield ""
