"""``python -m map_core frontier``: the Pareto frontier of pairs and triples of values at each budget."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.analysis.frontier import Contour, Frontier, Surface, frontiers
from map_core.analysis.frontier import surface as surface_of
from map_core.cli.inputs import LoadedTable, open_table, read_pairs, split_known, value_positions, with_columns
from map_core.cli.options import table_options
from map_core.cli.output import by_name, columns, print_json
from map_core.core import amounts
from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.palettes.column_names import parse_name

#: Budgets in nats where none is given.
BUDGETS = (0.25, 0.5, 1.0, 2.0)
#: Largest number of pairs that are traced where none is named.
MAX_PAIRS = 120


@click.command()
@table_options
@click.option("--pair", "pairs", multiple=True, metavar="A,B", help="Two values; all pairs unless some are named.")
@click.option("--triple", "triples", multiple=True, metavar="A,B,C", help="Three values: a surface in place of lines.")
@click.option(
    "--budget",
    "budgets",
    type=float,
    multiple=True,
    metavar="NATS",
    help="Distance from the base model; 0.25, 0.5, 1 and 2 unless given.",
)
@click.option("--floor", "floors", multiple=True, metavar="NAME=LEVEL", help="A level that another value must keep.")
@click.option(
    "--directions",
    type=click.IntRange(min=2),
    help="Points a line (41), or along each edge of a surface (16).",
)
@click.option("--limit/--no-limit", default=True, help="Add what the best reply to every prompt gives.")
def frontier(
    table: Path,
    form: str | None,
    use_case: str | None,
    as_json: bool,
    pairs: tuple[str, ...],
    triples: tuple[str, ...],
    budgets: tuple[float, ...],
    floors: tuple[str, ...],
    directions: int | None,
    limit: bool,
) -> None:
    """Trace the Pareto frontier of pairs and triples of values: no reply mix within the budget gives more of both.

    TABLE is a reward table (Parquet); the embedded one when left out. A LEVEL is a number in reward units,
    p70 (that percentile of the base model's replies) or +0.5sd (standard deviations above the base level).

    \b
    Examples:
      python -m map_core frontier --pair helpfulness,humor --budget 0.5 --budget 1
      python -m map_core frontier --pair humor,kindness --floor coherence=+0.2sd --json
      python -m map_core frontier --triple helpfulness,humor,kindness --json
    """  # noqa: D301
    plain = open_table(table, use_case, form)
    opened, floor_levels = _with_floors(plain, floors, (*pairs, *triples))
    pair_members = [_members(opened, "--pair", pair, 2) for pair in pairs]
    triple_members = [_members(opened, "--triple", triple, 3) for triple in triples]
    if not pair_members and not triple_members:
        count = len(plain.table.values)
        pair_members = list(combinations(range(count), 2))
        if not pair_members:
            raise click.UsageError("This table has one value; a frontier needs two.")
        if len(pair_members) > MAX_PAIRS:
            raise click.UsageError(
                f"This table has {count} values, which are {len(pair_members):,} pairs; up to {MAX_PAIRS} are drawn "
                "unasked. Name those that you want with --pair A,B, as often as you like."
            )
    # Default budgets beyond the KL divergence of picking one candidate are dropped; given ones are used as they are.
    nats = list(budgets) or [budget for budget in BUDGETS if budget < opened.oracle.log_candidates]
    resolution = {"directions": directions} if directions else {}
    try:
        results: list[Frontier | Surface] = []
        if pair_members:
            results += frontiers(
                opened.oracle, nats, pairs=pair_members, floors=floor_levels, limit=limit, **resolution
            )
        for triple in triple_members:
            results.append(surface_of(opened.oracle, triple, nats, floors=floor_levels, limit=limit, **resolution))
    except InputError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        described = [describe(result, opened.oracle) for result in results]
        print_json({"form": opened.oracle.form.value, "frontiers": described})
    else:
        click.echo("\n".join(line for result in results for line in _as_text(result, opened.oracle)))


def _members(opened: LoadedTable, option: str, text: str, count: int) -> tuple[Any, ...]:
    """Return the positions of the values of one --pair or --triple."""
    names = split_known(text, opened.table.values)
    if len(names) != count or len(set(names)) < count:
        letters = ",".join("ABC"[:count])
        raise click.UsageError(f"{option} {text!r} is no {letters}; expected {count} different values.")
    return tuple(value_positions(opened, option, names))


def _with_floors(opened: LoadedTable, floors: Sequence[str], members: Sequence[str]) -> tuple[LoadedTable, np.ndarray]:
    """Add the columns of shares and cohorts that floors and members name.

    Returns:
        The table with these columns, and (value,) floors in standard deviations above base, NaN for free values.
    """
    derived_members = {
        name: "+0sd"
        for text in members
        for name in split_known(text, opened.table.values)
        if name not in opened.table.values and parse_name(name, opened.table.values) is not None
    }
    try:
        named = read_pairs("--floor", floors)
        unfloored = {name: level for name, level in derived_members.items() if name not in named}
        wider, (levels, _) = with_columns(opened, [named, unfloored])
    except InputError as error:
        raise click.UsageError(f"--floor: {error}" if floors else str(error)) from error
    return wider, wider.oracle.standardise(levels)


def describe(result: Frontier | Surface, oracle: Oracle) -> dict[str, Any]:
    """Return a frontier as plain JSON values: levels and weights in reward units, KL in nats, null at the limit.

    Args:
        result: the frontier of a pair, or the surface of a triple.
        oracle: its table.
    """
    return {
        "values": [oracle.values[j] for j in _positions(result)],
        "floors": by_name(oracle, oracle.rewards_at(result.floors)),
        "contours": [_contour(contour, oracle) for contour in result.contours],
    } | ({"triangles": result.triangles.tolist()} if isinstance(result, Surface) else {})


def _positions(result: Frontier | Surface) -> tuple[int, ...]:
    return result.triple if isinstance(result, Surface) else result.pair


def _contour(contour: Contour, oracle: Oracle) -> dict[str, Any]:
    limit = math.isinf(contour.budget)
    rows = zip(contour.weights, contour.levels, contour.kl, contour.saturated, strict=True)
    return {
        "budget": None if limit else contour.budget,
        "limit": limit,
        "points": [
            {
                "levels": by_name(oracle, oracle.rewards_at(levels)),
                # At the limit the weights are infinite, so only their proportions are meaningful.
                "weights": None if limit else by_name(oracle, x / oracle.scale),
                "direction": by_name(oracle, x / oracle.scale) if limit else None,
                "kl": None if math.isnan(kl) else float(kl),
                "saturated": bool(saturated),
            }
            for x, levels, kl, saturated in rows
        ],
    }


def _as_text(result: Frontier | Surface, oracle: Oracle) -> Iterator[str]:
    """Yield a few points of every contour as text, one table per frontier."""
    members = _positions(result)
    names = [oracle.values[j] for j in members]
    yield f"Frontier of {', '.join(names)}"
    table: dict[str, dict[str, float]] = {name: {} for name in names}
    rows = []
    for contour in result.contours:
        budget = "the limit" if math.isinf(contour.budget) else f"{amounts.significant(contour.budget)} nats"
        if not math.isinf(contour.budget) and len(contour.levels) and contour.saturated.all():
            budget += " (beyond the limit)"
        if not len(contour.levels):
            yield f"  {budget}: the floors alone cost more, or cannot be met"
            continue
        rewards = oracle.rewards_at(contour.levels)[:, list(members)]
        ends = [int(np.argmax(contour.levels[:, j])) for j in members]
        # The point between them maximises the smallest share of a value's largest level.
        gained = contour.levels[:, list(members)] / np.maximum(contour.levels[ends, list(members)], 1e-12)
        for title, row in [
            *((f"{budget}, most {name}", end) for name, end in zip(names, ends, strict=True)),
            (f"{budget}, between", int(np.argmax(gained.min(axis=1)))),
        ]:
            rows.append(title)
            for name, level in zip(names, rewards[row], strict=True):
                table[name][title] = float(level)
    yield from columns(rows, table)
    yield ""
