"""``python -m map_core solve``: find the weights of palettes, or certificates that there are none."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.calibration import LabelReach, label_reach, promised_values
from map_core.calibration.labels import labels_beside
from map_core.cli.demands import demand_options
from map_core.cli.inputs import LoadedTable, open_table, read_palettes
from map_core.cli.nearest import describe_nearest
from map_core.cli.options import budget_option, table_options, target_options
from map_core.cli.output import by_name, columns, describe_columns, print_json
from map_core.core import amounts
from map_core.core.types import Form, Verdict
from map_core.data.reward_table import RewardTable
from map_core.data.subsample import subsample_candidates
from map_core.errors import InputError
from map_core.feasibility import MARGIN_TOLERANCE, Assessment, AttainableLevels, Conflict, assess, smallest_conflict
from map_core.feasibility.cuts import measured
from map_core.feasibility.scorer_columns import tied
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.beside import Beside
from map_core.solver.newton import Solution
from map_core.solver.newton import solve as solve_weights
from map_core.text.people import few_labels_sentence


@click.command()
@table_options
@target_options
@demand_options
@click.option(
    "--ranges",
    "with_ranges",
    is_flag=True,
    help="Add the range of levels that each value can have with the others' targets.",
)
@budget_option("Most nats that the palette may cost.")
@click.option(
    "--candidates",
    type=click.IntRange(min=2),
    metavar="K",
    help="Solve for a generator that draws K candidates; as many as the table holds by default.",
)
def solve(
    table: Path,
    form: str | None,
    use_case: str | None,
    as_json: bool,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    beside: Beside,
    with_ranges: bool,
    budget: float | None,
    candidates: int | None,
) -> None:
    """Find the weights that reach a palette at the least distance from the base model, or why nothing does.

    TABLE is a reward table (Parquet); the embedded one when left out. A LEVEL is a number in reward units,
    p70 (that percentile of the base model's replies) or +0.5sd (standard deviations above the base level).

    Beyond averages, --target takes a share, NAME>=LEVEL:SHARE (at least this share of the replies reach the level) or
    NAME<LEVEL:SHARE (at most this share is below), and a use case, NAME@USE CASE=LEVEL, or both; NAME@COLUMN=ENTRY for
    another column of text of the table.

    \b
    Examples:
      python -m map_core solve --target helpfulness=p70 --target humor=+0.3sd
      python -m map_core solve --use-case "Customer support" --target kindness=p80 --json
      python -m map_core solve --target kindness=p60 --target "kindness>=p20:0.95"
      python -m map_core solve --target kindness=p60 --target "humor@Workplace writing=+0sd"
      python -m map_core solve --target humor=p70 --candidates 16 --budget 1
      python -m map_core solve my-table.parquet --targets-file palettes.jsonl --json
    """  # noqa: D301
    opened, palettes = read_palettes(open_table(table, use_case, form), pairs, targets_file, beside)
    oracle = (
        opened.oracle
        if candidates is None
        else MemoryOracle.of(subsample_candidates(opened.table, candidates), opened.oracle.form)
    )
    attainable = AttainableLevels(oracle)
    for palette in palettes:
        targets = oracle.standardise(palette.levels)
        began = time.perf_counter()
        solution = solve_weights(oracle, targets)
        solve_ms = 1e3 * (time.perf_counter() - began)
        assessment = assess(
            oracle, targets, solution=solution, attainable=attainable, budget=budget, locked=palette.locked
        )
        if assessment.nearest is not None:
            closest = tied(opened.table, oracle, assessment.nearest, units=opened.oracle)
            assessment = replace(assessment, nearest=closest)
        conflict = smallest_conflict(attainable, targets) if assessment.verdict is Verdict.OUT_OF_REACH else None
        result = describe(assessment, conflict, oracle, palette.levels)
        if with_ranges:
            result["ranges"] = _ranges(attainable, targets)
        reached = assessment.solution or (assessment.nearest.solution if assessment.nearest else None)
        result["beside"] = (
            measured(palette.demands, opened.table, oracle, palette.levels, reached.weights)
            if palette.demands and reached and candidates is None
            else None
        )
        reaches = _reaches(table, opened, palette.targets, reached) if candidates is None else {}
        result["labels"] = {name: asdict(reach) | {"few": reach.few} for name, reach in reaches.items()} or None
        result["columns"] = describe_columns(opened.table.derived)
        result |= {"budget": budget, "candidates": candidates, "steps": solution.steps, "solve_ms": solve_ms}
        print_json(result) if as_json else click.echo(_as_text(result, opened.table, reaches))


def _reaches(table: Path, opened: LoadedTable, targets: np.ndarray, reached: Solution | None) -> dict[str, LabelReach]:
    """Return how well the labels beside a table cover a solution, by promised value; empty without either."""
    if reached is None:
        return {}
    try:
        labels = labels_beside(table)
        if not labels:
            return {}
        return label_reach(opened.table, opened.oracle, labels, reached.weights, promised_values(opened.table, targets))
    except InputError as error:  # the palette is solved anyway, as labels are optional
        click.echo(f"The labels beside the table cannot be used: {error}", err=True)
        return {}


def _ranges(attainable: AttainableLevels, targets: np.ndarray) -> dict[str, list[float]]:
    """Return each value's lowest and highest level, in reward units, where the others' targets alone can be reached."""
    oracle = attainable.oracle
    ends = oracle.rewards_at(attainable.ranges(targets).T).T
    return {
        name: [float(low), float(high)]
        for name, (low, high) in zip(oracle.values, ends, strict=True)
        if not math.isnan(high)
    }


def describe(assessment: Assessment, conflict: Conflict | None, oracle: Oracle, levels: np.ndarray) -> dict[str, Any]:
    """Return an assessment as plain JSON values, in reward units and full precision.

    Args:
        assessment: the assessment.
        conflict: the smallest set of targets that cannot be met together; None for a possible palette.
        oracle: its oracle.
        levels: (value,) the targets in reward units, NaN for free values.
    """
    solution, closest = assessment.solution, assessment.nearest
    out_of_reach = assessment.verdict is Verdict.OUT_OF_REACH
    return {
        "targets": by_name(oracle, levels),
        "form": oracle.form.value,
        "verdict": assessment.verdict.value,
        "margin": amounts.finite(assessment.margin.value),
        "weights": by_name(oracle, solution.weights / oracle.scale) if solution else None,
        "levels": by_name(oracle, oracle.rewards_at(solution.levels)) if solution else None,
        "base": by_name(oracle, oracle.base),
        "kl": solution.kl if solution else None,
        "over_budget": assessment.over_budget,
        "ess": assessment.ess.per_prompt if assessment.ess else None,
        "ess_pooled": assessment.ess.pooled if assessment.ess else None,
        "residual": solution.residual if solution else None,
        "redundant": solution.redundant if solution else None,
        "certificate": by_name(oracle, assessment.margin.certificate / oracle.scale) if out_of_reach else None,
        "conflict": {
            "highest": by_name(oracle, oracle.rewards_at(conflict.highest)),
            "resolves": [oracle.values[j] for j in conflict.members if conflict.resolves[j]],
            "smallest": conflict.smallest,
        }
        if conflict
        else None,
        "nearest": describe_nearest(closest, oracle) if closest else None,
    }


_VERDICTS = {
    Verdict.REACHABLE: "Reachable",
    Verdict.ON_PAPER: "Possible, but not reliable: too few replies carry these weights to trust the forecast",
    Verdict.OUT_OF_REACH: "Not possible together: no mix of this model's replies gives these levels together",
}


#: For levels on the boundary of the attainable set, which more replies would not make more reliable.
_AT_EDGE = "Possible, but not reliable: the targets are on the very edge of what this model's replies give"


def _as_text(result: Mapping[str, Any], table: RewardTable, reaches: Mapping[str, LabelReach]) -> str:
    verdict = Verdict(result["verdict"])
    at_edge = verdict is Verdict.ON_PAPER and result["margin"] is not None and result["margin"] <= MARGIN_TOLERANCE
    lines = [f"{_AT_EDGE if at_edge else _VERDICTS[verdict]}."]
    if result["margin"] is not None:
        lines[0] += f" Margin {amounts.fixed(result['margin'], 3, signed=True)} standard deviations."
    if result["kl"] is not None:
        lines.append(
            f"Distance from the base model {amounts.nats(result['kl'], 3)}; {amounts.fixed(result['ess'], 1)} replies "
            f"carry the weight ({'per prompt' if result['form'] == Form.PER_PROMPT else 'of the whole table'})."
        )
    if result["over_budget"]:
        lines.append(f"That is more than the budget of {amounts.significant(result['budget'])} nats.")
    lines += [text for name, reach in reaches.items() if (text := few_labels_sentence(reach, name))]
    if result["conflict"] is not None:
        lines += _conflict_as_text(result["conflict"])
    rows = {"base": result["base"], "target": result["targets"]}
    if result["weights"] is not None:
        rows |= {"realised": result["levels"], "weight": result["weights"]}
    if result["certificate"] is not None:
        rows |= {"certificate": result["certificate"]}
    if result["nearest"] is not None:
        rows |= {"nearest": result["nearest"]["targets"]}
    if "ranges" in result:
        rows |= {"lowest": {name: low for name, (low, _) in result["ranges"].items()}}
        rows |= {"highest": {name: high for name, (_, high) in result["ranges"].items()}}
    lines += _beside_as_text(result["beside"] or {})
    lines += columns(table.values, rows)
    return "\n".join(lines) + "\n"


def _beside_as_text(beside: Mapping[str, Mapping[str, float]]) -> list[str]:
    lines = [
        f"The tail of {value} is no worse than the base model's anywhere."
        if excess <= 1e-5
        else f"The tail of {value} is worse than the base model's, by {amounts.fixed(excess, 4)} at most."
        for value, excess in beside.get("tails", {}).items()
    ]
    for name, level in beside.get("worst", {}).items():
        value, _, share = name.rpartition(":")
        lines.append(
            f"The mean of the worst {amounts.significant(100 * float(share))} of 100 replies on {value}: "
            f"{amounts.fixed(level, 4)}."
        )
    if mix := beside.get("mix"):
        lowest = ", ".join(f"{name} {amounts.fixed(level, 4)}" for name, level in mix.items())
        lines.append(f"Under the worst mix of prompts: {lowest}.")
    return lines


def _conflict_as_text(conflict: Mapping[str, Any]) -> list[str]:
    highest, resolves = conflict["highest"], conflict["resolves"]
    most = ", ".join(f"{name} {amounts.fixed(level, 4)}" for name, level in highest.items())
    if len(highest) == 1:
        lines = [f"One target alone is set above what any mix of replies gives; the most there is: {most}."]
    else:
        fewest = "The fewest targets" if conflict["smallest"] else "Targets"
        lines = [
            f"{fewest} that are not possible together: {', '.join(highest)}.",
            f"The most of each while the others of these keep theirs: {most}.",
        ]
    lines.append(
        f"The whole palette is possible once one of these alone is lowered: {', '.join(resolves)}."
        if resolves
        else "Lowering one target alone does not make the whole palette attainable: it holds more than one conflict."
    )
    return lines
