"""``python -m map_core solve``: palettes in, weights or certificates out."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core import rewards
from map_core.dual import solve as solve_weights
from map_core.errors import InputError
from map_core.feasibility import Assessment, AttainableLevels, assess
from map_core.glossary import Form, Verdict
from map_core.oracle import MemoryOracle
from map_core.rewards import RewardTable
from map_core.targets import resolve


@click.command()
@click.argument("table", type=click.Path(path_type=Path), default=rewards.DEFAULT_TABLE, required=False)
@click.option("--target", "pairs", multiple=True, metavar="NAME=LEVEL", help="A target; values not named are free.")
@click.option(
    "--targets-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='JSON lines, a palette a line: {"targets": {"humor": 1.2, "helpfulness": "p70"}}',
)
@click.option(
    "--form",
    type=click.Choice([form.value for form in Form]),
    help="Per prompt unless most prompts have one reply.",
)
@click.option("--use-case", help="Only the prompts of this use case.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a palette, in full precision.")
def solve(
    table: Path,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    form: str | None,
    use_case: str | None,
    as_json: bool,
) -> None:
    """Find the weights that reach a palette at the least distance from the base model, or why nothing does.

    TABLE is a reward table (Parquet); the embedded one when left out. A LEVEL is a number in reward units,
    p70 (that percentile of the base model's replies) or +0.5sd (standard deviations above the base level).

    \b
    Examples:
      python -m map_core solve --target helpfulness=p70 --target humor=+0.3sd
      python -m map_core solve --use-case "Customer support" --target kindness=p80 --json
      python -m map_core solve my-table.parquet --targets-file palettes.jsonl --json
    """
    data = rewards.load(table).select(use_case)
    oracle = MemoryOracle.of(data, Form(form) if form else None)
    attainable = AttainableLevels(oracle)
    for source, named in _palettes(pairs, targets_file):
        try:
            levels = resolve(named, data, oracle)
        except InputError as error:
            raise click.UsageError(f"{source}{error}") from error
        targets = oracle.standardise(levels)
        began = time.perf_counter()
        solution = solve_weights(oracle, targets)
        solve_ms = 1e3 * (time.perf_counter() - began)
        found = assess(oracle, targets, solution=solution, attainable=attainable)
        result = describe(found, oracle, levels) | {"steps": solution.steps, "solve_ms": solve_ms}
        click.echo(json.dumps(result, allow_nan=False) if as_json else _as_text(result, data))


def describe(found: Assessment, oracle: MemoryOracle, levels: np.ndarray) -> dict[str, Any]:
    """An assessment as plain JSON values, in reward units and full precision.

    Args:
        found: the assessment.
        oracle: its table.
        levels: (value,) the targets in reward units, NaN for free values.
    """
    names = oracle.values

    def by_name(row: np.ndarray) -> dict[str, float]:
        return {name: float(number) for name, number in zip(names, row, strict=True) if not math.isnan(number)}

    solution, closest = found.solution, found.nearest
    out_of_reach = found.verdict is Verdict.OUT_OF_REACH
    return {
        "targets": by_name(levels),
        "form": oracle.form.value,
        "verdict": found.verdict.value,
        "margin": found.margin.value if math.isfinite(found.margin.value) else None,
        "weights": by_name(solution.weights / oracle.scale) if solution else None,
        "levels": by_name(oracle.rewards_at(solution.levels)) if solution else None,
        "base": by_name(oracle.base),
        "kl": solution.kl if solution else None,
        "ess": found.ess.per_prompt if found.ess else None,
        "ess_pooled": found.ess.pooled if found.ess else None,
        "residual": solution.residual if solution else None,
        "redundant": solution.redundant if solution else None,
        "certificate": by_name(found.margin.certificate / oracle.scale) if out_of_reach else None,
        "nearest": {
            "targets": by_name(oracle.rewards_at(closest.targets)),
            "weights": by_name(closest.solution.weights / oracle.scale),
            "levels": by_name(oracle.rewards_at(closest.solution.levels)),
            "kl": closest.solution.kl,
            "budget": closest.budget,
            "distance": closest.distance,
        }
        if closest
        else None,
    }


def _palettes(pairs: tuple[str, ...], targets_file: Path | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each palette was read and its named targets; everything is read before anything is solved."""
    if bool(pairs) == (targets_file is not None):
        raise click.UsageError("Give targets either by --target NAME=LEVEL (as often as needed) or by --targets-file.")
    if targets_file is None:
        named: dict[str, str] = {}
        for pair in pairs:
            name, equals, level = pair.partition("=")
            if not equals or not name or not level:
                raise click.UsageError(f"--target {pair!r} is no NAME=LEVEL, such as humor=p70.")
            if name in named:
                raise click.UsageError(f"--target names {name} twice.")
            named[name] = level
        return iter([("", named)])
    palettes = []
    for number, line in enumerate(targets_file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{targets_file}, line {number}: "
        try:
            targets = json.loads(line)["targets"]
        except (ValueError, TypeError, KeyError) as error:
            expected = 'expected a JSON object such as {"targets": {"humor": 1.2}}'
            raise click.UsageError(f"{where}{line[:80]!r}; {expected}.") from error
        palettes.append((where, targets))
    if not palettes:
        raise click.UsageError(f"{targets_file} holds no palette; expected one JSON object a line.")
    return iter(palettes)


_VERDICTS = {
    Verdict.REACHABLE: "Reachable",
    Verdict.ON_PAPER: "Reachable on paper: too few replies carry these weights to trust the forecast",
    Verdict.OUT_OF_REACH: "Out of reach: no mix of this model's replies gives these levels together",
}


def _as_text(result: Mapping[str, Any], table: RewardTable) -> str:
    lines = [f"{_VERDICTS[Verdict(result['verdict'])]}."]
    if result["margin"] is not None:
        lines[0] += f" Margin {result['margin']:+.3f} standard deviations."
    if result["kl"] is not None:
        lines.append(
            f"Distance from the base model {result['kl']:.3f} nats; {result['ess']:.1f} replies carry the weight "
            f"({'per prompt' if result['form'] == Form.PER_PROMPT else 'of the whole table'})."
        )
    shown = {"base": result["base"], "target": result["targets"]}
    if result["weights"] is not None:
        shown |= {"realised": result["levels"], "weight": result["weights"]}
    if result["certificate"] is not None:
        shown |= {"certificate": result["certificate"]}
    if result["nearest"] is not None:
        shown |= {"nearest": result["nearest"]["targets"]}
    width = max(map(len, table.values))
    lines.append(" " * width + "".join(f"{title:>14}" for title in shown))
    for name in table.values:
        cells = (f"{column[name]:14.4f}" if name in column else f"{'free':>14}" for column in shown.values())
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines) + "\n"
