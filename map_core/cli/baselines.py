"""``python -m map_core baselines``: a solved palette beside weights that are picked without solving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from map_core.analysis.baselines import Baseline, compare_baselines
from map_core.cli.inputs import LoadedTable, open_table, read_palettes
from map_core.cli.options import budget_option, seed_option, table_options, target_options
from map_core.cli.output import by_name, columns, print_json


@click.command()
@table_options
@target_options
@click.option(
    "--count", type=click.IntRange(min=1), default=1000, show_default=True, help="How many random weights to draw."
)
@budget_option("Distance that the other weights may cost; the palette's by default.")
@seed_option("Seed of the random weights.")
def baselines(
    table: Path,
    form: str | None,
    use_case: str | None,
    as_json: bool,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    count: int,
    budget: float | None,
    seed: int,
) -> None:
    """Compare a solved palette with random, equal and single weights: targets met, values improved, win rates.

    A win rate is how often an aligned reply beats one of the base model to the same prompt, ties half. Random weights
    have a Dirichlet direction and a uniform scale; all others cost as many nats as the palette.

    \b
    Examples:
      python -m map_core baselines --target helpfulness=p60 --target kindness=p55 --target humor=p60
      python -m map_core baselines --target helpfulness=p60 --target humor=p60 --count 5000 --json
    """  # noqa: D301
    opened, palettes = read_palettes(open_table(table, use_case, form), pairs, targets_file)
    for palette in palettes:
        comparison = compare_baselines(
            opened.table, palette.targets, form=opened.oracle.form, count=count, budget=budget, seed=seed
        )
        result = {
            "targets": by_name(opened.oracle, palette.levels),
            "form": opened.oracle.form.value,
            "ways": {way.name: describe(way, opened) for way in comparison},
        }
        print_json(result) if as_json else click.echo("\n".join(_as_text(result)))


def describe(way: Baseline, opened: LoadedTable) -> dict[str, Any]:
    """Return one way to pick weights as plain JSON values: shares over its rows, means by value in reward units."""
    levels = opened.oracle.rewards_at(way.judged.levels)
    return {
        "rows": len(levels),
        "meets_all": way.judged.meets_all,
        "improves_all": way.judged.improves_all,
        "kl": float(way.judged.kl.mean()),
        "ess": float(way.judged.ess.mean()),
        "levels": by_name(opened.oracle, levels.mean(axis=0)),
        "win_rates": by_name(opened.oracle, way.wins.mean(axis=0)),
    }


def _as_text(result: dict[str, Any]) -> list[str]:
    ways = result["ways"]
    shares = {
        "meets all": {name: way["meets_all"] for name, way in ways.items()},
        "improves all": {name: way["improves_all"] for name, way in ways.items()},
        "nats": {name: way["kl"] for name, way in ways.items()},
    }
    rates = {value: {name: way["win_rates"][value] for name, way in ways.items()} for value in result["targets"]}
    lines = [] if "solved" in ways else ["The palette is not possible; the others stand alone."]
    lines += ["Share that meets every target, and that improves every targeted value:", *columns(ways, shares)]
    return [*lines, "Win rate against the base model:", *columns(ways, rates), ""]
