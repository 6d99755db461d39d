"""``python -m map_core nearest``: find the possible palette closest to the one asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.cli.demands import demand_options
from map_core.cli.inputs import LoadedTable, PaletteTargets, open_table, read_pairs, read_palettes, value_positions
from map_core.cli.options import budget_option, lock_option, table_options, target_options
from map_core.cli.output import by_name, columns, describe_columns, print_json
from map_core.core import amounts
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels
from map_core.feasibility.nearest import NearestPalette
from map_core.feasibility.nearest import nearest as find_nearest
from map_core.feasibility.scorer_columns import followers, tied, with_followers
from map_core.oracle import Oracle
from map_core.palettes.beside import Beside


@click.command()
@table_options
@target_options
@demand_options
@lock_option("A value whose target must not be lowered.")
@click.option(
    "--importance",
    "importances",
    multiple=True,
    metavar="NAME=NUMBER",
    help="How much lowering a value weighs, against 1 for the others.",
)
@budget_option("Most nats to spend; by default all that rests on enough replies to be trusted.")
def nearest(
    table: Path,
    form: str | None,
    use_case: str | None,
    as_json: bool,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    beside: Beside,
    locked: tuple[str, ...],
    importances: tuple[str, ...],
    budget: float | None,
) -> None:
    """Find the possible palette closest to the one asked for within a budget.

    TABLE is a reward table (Parquet); the embedded one when left out. Closest is by the sum over values of
    importance times the square of what is given up, in standard deviations.

    \b
    Examples:
      python -m map_core nearest --target helpfulness=p99 --target humor=p95
      python -m map_core nearest --target helpfulness=p99 --target humor=p80 --lock humor --budget 1 --json
    """  # noqa: D301
    opened, palettes = read_palettes(open_table(table, use_case, form), pairs, targets_file, beside)
    kept = np.zeros(len(opened.oracle.values), dtype=bool)
    kept[value_positions(opened, "--lock", locked)] = True
    importance = _importances(opened, importances)
    for follower, target in followers(opened.table):
        importance[follower] = importance[target]
    attainable = AttainableLevels(opened.oracle)
    for palette in palettes:
        for j in np.flatnonzero(kept & np.isnan(palette.targets)):
            raise click.UsageError(f"--lock {opened.oracle.values[j]}: that value has no target to keep.")
        locked_targets = with_followers(opened.table, kept) | palette.locked
        try:
            nearest_palette = find_nearest(
                opened.oracle,
                palette.targets,
                budget=budget,
                locked=locked_targets,
                importance=importance,
                attainable=attainable,
            )
        except InputError as error:
            raise click.UsageError(str(error)) from error
        if nearest_palette is not None:
            nearest_palette = tied(opened.table, opened.oracle, nearest_palette, importance)
        result = _describe(nearest_palette, opened, palette) | {"status": "found"}
        if nearest_palette is None:
            locked_margin = attainable.margin(np.where(locked_targets, palette.targets, np.nan))
            result["status"] = "locked_over_budget" if locked_margin.attainable else "locked_out_of_reach"
        print_json(result) if as_json else click.echo(_as_text(result, opened))


def _importances(opened: LoadedTable, pairs: tuple[str, ...]) -> np.ndarray:
    """Return the importance of each value, (value,), 1 where none is given."""
    importance = np.ones(len(opened.oracle.values))
    for name, written in read_pairs("--importance", pairs).items():
        (j,) = value_positions(opened, "--importance", [name])
        try:
            importance[j] = float(written)
        except ValueError:
            importance[j] = np.nan
        if not 0 < importance[j] < np.inf:
            raise click.UsageError(f"--importance {name}={written}: expected a number above 0.")
    return importance


def _describe(nearest_palette: NearestPalette | None, opened: LoadedTable, palette: PaletteTargets) -> dict[str, Any]:
    """Return the nearest palette as plain JSON values, in reward units and full precision; null when there is none."""
    oracle = opened.oracle
    return {
        "targets": by_name(oracle, palette.levels),
        "form": oracle.form.value,
        "base": by_name(oracle, oracle.base),
        "nearest": describe_nearest(nearest_palette, oracle) if nearest_palette else None,
        "columns": describe_columns(opened.table.derived),
    }


def describe_nearest(nearest_palette: NearestPalette, oracle: Oracle) -> dict[str, Any]:
    """Return the nearest palette alone as plain JSON values."""
    return {
        "targets": by_name(oracle, oracle.rewards_at(nearest_palette.targets)),
        "given_up": by_name(
            oracle, np.where(np.isnan(nearest_palette.targets), np.nan, nearest_palette.given_up * oracle.scale)
        ),
        "weights": by_name(oracle, nearest_palette.solution.weights / oracle.scale),
        "levels": by_name(oracle, oracle.rewards_at(nearest_palette.solution.levels)),
        "kl": nearest_palette.solution.kl,
        "budget": nearest_palette.budget,
        "distance": nearest_palette.distance,
    }


_NONE = {
    "locked_out_of_reach": "There is none: the locked targets alone are not possible together. Lock fewer, or lower "
    "one.",
    "locked_over_budget": "There is none: the locked targets alone cost more than the budget or, without one, rest on "
    "too few replies to be trusted. Lock fewer, or give a larger --budget.",
}


def _as_text(result: Mapping[str, Any], opened: LoadedTable) -> str:
    nearest_palette = result["nearest"]
    table = {"base": result["base"], "target": result["targets"]}
    if nearest_palette is None:
        lines = [_NONE[result["status"]]]
    else:
        lines = [
            f"Nearest palette, {amounts.fixed(nearest_palette['distance'], 3)} standard deviations away, for "
            f"{amounts.nats(nearest_palette['kl'], 3)} of {amounts.fixed(nearest_palette['budget'], 3)}."
        ]
        table |= {
            "nearest": nearest_palette["targets"],
            "given up": nearest_palette["given_up"],
            "weight": nearest_palette["weights"],
        }
    return "\n".join([*lines, *columns(opened.table.values, table)]) + "\n"
