"""``python -m map_core sequence``: align one value after another, and compare with all at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.analysis.order_effects import MAX_ORDERS, OrderComparison, PathLoss, compare_orders
from map_core.analysis.sequential import SequentialPath
from map_core.cli.inputs import LoadedTable, open_table, read_palettes, value_positions
from map_core.cli.options import split_names, table_options, target_options
from map_core.cli.output import by_name, columns, print_json
from map_core.core import amounts
from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.solver.newton import Status


@click.command()
@table_options
@target_options
@click.option("--order", metavar="NAME,NAME", help="The values in their order; the table's order by default.")
@click.option("--all-orders", is_flag=True, help=f"Compare every order, or {MAX_ORDERS} random ones.")
@click.option("--rounds", type=click.IntRange(min=1), default=1, show_default=True, help="Rounds, at most.")
@click.option("--grow-only", is_flag=True, help="Steps only add weight: each starts from the last model as it is.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random orders.")
def sequence(
    table: Path,
    form: str | None,
    use_case: str | None,
    as_json: bool,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    order: str | None,
    all_orders: bool,
    rounds: int,
    grow_only: bool,
    seed: int,
) -> None:
    """Align one value after another, and show what that loses against all at once.

    TABLE is a reward table (Parquet); the embedded one when left out. A LEVEL is a number in reward units,
    p70 (that percentile of the base model's replies) or +0.5sd (standard deviations above the base level).

    \b
    Examples:
      python -m map_core sequence --target helpfulness=+0.3sd --target humor=+0.3sd --order humor,helpfulness
      python -m map_core sequence --target kindness=p60 --target humor=p60 --rounds 5 --json
      python -m map_core sequence --target kindness=p60 --target humor=p60 --all-orders
    """  # noqa: D301
    if order is not None and all_orders:
        raise click.UsageError("Give either --order or --all-orders.")
    opened, palettes = read_palettes(open_table(table, use_case, form), pairs, targets_file)
    orders = None
    if order is not None:
        orders = [value_positions(opened, "--order", split_names(order))]
    for palette in palettes:
        chosen_orders = orders
        if chosen_orders is None and not all_orders:
            chosen_orders = [np.flatnonzero(~np.isnan(palette.targets)).tolist()]
        try:
            comparison = compare_orders(
                opened.oracle, palette.targets, chosen_orders, rounds=rounds, grow_only=grow_only, seed=seed
            )
        except InputError as error:
            raise click.UsageError(str(error)) from error
        result = {"targets": by_name(opened.oracle, palette.levels)} | describe(comparison, opened.oracle)
        print_json(result) if as_json else click.echo(_as_text(result, opened))


def describe(comparison: OrderComparison, oracle: Oracle) -> dict[str, Any]:
    """Return a comparison as plain JSON values, in reward units and full precision."""
    together = comparison.simultaneous
    return {
        "form": oracle.form.value,
        "base": by_name(oracle, oracle.base),
        "simultaneous": {
            "weights": by_name(oracle, together.weights / oracle.scale),
            "levels": by_name(oracle, oracle.rewards_at(together.levels)),
            "kl": together.kl,
        }
        if comparison.losses or together.status is Status.CONVERGED
        else None,
        "orders": [
            _path(path, comparison.losses[i] if comparison.losses else None, oracle)
            for i, path in enumerate(comparison.paths)
        ],
        "best": comparison.best,
        "worst": comparison.worst,
    }


def _path(path: SequentialPath, lost: PathLoss | None, oracle: Oracle) -> dict[str, Any]:
    return {
        "order": [oracle.values[j] for j in path.order],
        "status": path.status.value,
        "rounds": path.rounds,
        "residual": path.residual,
        "weights": by_name(oracle, path.weights[-1] / oracle.scale),
        "levels": by_name(oracle, oracle.rewards_at(path.levels[-1])),
        "kl": float(path.kl[-1]),
        "loss": {
            "levels": by_name(oracle, lost.levels * oracle.scale),
            "levels_sd": by_name(oracle, lost.levels),
            "worst_sd": lost.worst,
            "dual": lost.dual,
            "kl": lost.kl,
        }
        if lost
        else None,
        "steps": [
            {
                "round": step // len(path.order) + 1,
                "value": oracle.values[j],
                "weights": by_name(oracle, path.weights[step + 1] / oracle.scale),
                "levels": by_name(oracle, oracle.rewards_at(path.levels[step + 1])),
                "kl": float(path.kl[step + 1]),
                "dual": float(path.dual[step + 1]),
                "undone_sd": {oracle.values[i]: float(path.undone[step, i]) for i in np.flatnonzero(path.undone[step])},
            }
            for step, j in enumerate(path.aligned)
        ],
    }


_ENDS = {
    Status.CONVERGED: "the same as all at once",
    Status.UNBOUNDED: "not possible together, no mix of this model's replies gives these levels together",
    Status.STEP_LIMIT: "not yet the same as all at once",
}


def _as_text(result: Mapping[str, Any], opened: LoadedTable) -> str:
    together, paths = result["simultaneous"], result["orders"]
    table = {"base": result["base"], "target": result["targets"]}
    lines = []
    if len(paths) > 1:
        lines.append(f"{len(paths)} orders, by what they lose against all at once:")
        ranked = sorted(paths, key=lambda path: path["loss"]["dual"]) if together and paths[0]["loss"] else paths
        ranking = [f"  {', '.join(path['order'])}: {_lost(path)}" for path in ranked]
        lines += ranking if len(ranking) <= 8 else [*ranking[:5], "...", *ranking[-3:]]
        lines.append("")
        titles = {"best order": ranked[0], "worst order": ranked[-1]}
    else:
        path = paths[0]
        lines.append(
            f"After {path['rounds']} round{'s' * (path['rounds'] != 1)}: {_ENDS[Status(path['status'])]}. {_lost(path)}"
        )
        lines += _steps(path)
        titles = {"in sequence": path}
    table |= {title: path["levels"] for title, path in titles.items()}
    if together:
        table |= {"all at once": together["levels"]}
    lines += columns(opened.table.values, table)
    return "\n".join(lines) + "\n"


def _lost(path: Mapping[str, Any]) -> str:
    """Word by how much the end of a path falls short of all at once."""
    if path["loss"] is None:
        return f"{amounts.nats(path['kl'], 3)} spent."
    return (
        f"{amounts.fixed(path['loss']['worst_sd'], 3)} standard deviations short on the worst value, "
        f"{amounts.nats(path['loss']['dual'], 4)} of the dual left."
    )


def _steps(path: Mapping[str, Any], most: int = 24) -> list[str]:
    """Return one line per step: its value, the distance so far, and by how much it lowered earlier values."""
    lines = []
    for step in path["steps"][:most]:
        undone = ", ".join(
            f"{name} -{amounts.fixed(size, 3)} sd" for name, size in step["undone_sd"].items() if size >= 5e-4
        )
        undoes = f"  undoes {undone}" if undone else ""
        lines.append(f"  round {step['round']:>3}  {step['value']:<16} {amounts.fixed(step['kl'], 4):>8} nats{undoes}")
    if len(path["steps"]) > most:
        lines.append(f"  ... {len(path['steps']) - most} more steps; --json has them all")
    return lines
