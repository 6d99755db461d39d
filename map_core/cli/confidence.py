"""``python -m map_core confidence``: the error bars of a palette and the probability of its verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.cli.demands import demand_options
from map_core.cli.inputs import LoadedTable, open_table, read_palettes
from map_core.cli.options import table_options, target_options
from map_core.cli.output import by_name, columns, print_json
from map_core.confidence import Confidence, Interval
from map_core.confidence import confidence as error_bars
from map_core.confidence.holdout_levels import holdout_levels
from map_core.confidence.verdict import SURE
from map_core.core import amounts
from map_core.core.types import Form, Verdict
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels
from map_core.oracle import Oracle
from map_core.palettes.beside import Beside
from map_core.text.sentences import HEADLINES


@click.command()
@table_options
@target_options
@demand_options
@click.option("--level", default=0.9, show_default=True, help="Probability that each interval holds the truth.")
@click.option("--draws", default=1000, show_default=True, help="Bootstrap draws of the prompts.")
@click.option("--folds", default=2, show_default=True, help="Parts of the held-out check.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draws and of the folds.")
def confidence(
    table: Path,
    form: str | None,
    use_case: str | None,
    as_json: bool,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    beside: Beside,
    level: float,
    draws: int,
    folds: int,
    seed: int,
) -> None:
    """Put error bars on a palette's weights, cost and levels, and a probability on its verdict.

    The table's prompts are a sample of those to come. Intervals say where weights, nats and levels lie for all
    prompts; the held-out check solves on some prompts and measures on the others.

    \b
    Examples:
      python -m map_core confidence --target helpfulness=p70 --target humor=+0.3sd
      python -m map_core confidence --target kindness=p80 --draws 5000 --folds 4 --json
    """  # noqa: D301
    if not 0.0 < level < 1.0:
        raise click.UsageError(f"--level is {level}; expected a number between 0 and 1, such as 0.9.")
    if seed < 0:
        raise click.UsageError(f"--seed is {seed}; expected 0 or more.")
    opened, palettes = read_palettes(open_table(table, use_case, form), pairs, targets_file, beside)
    oracle, attainable = opened.oracle, AttainableLevels(opened.oracle)
    for palette in palettes:
        try:
            bars = error_bars(
                oracle,
                palette.targets,
                level=level,
                draws=draws,
                folds=folds,
                seed=seed,
                strata=opened.table.use_cases,
                attainable=attainable,
            )
        except InputError as error:
            raise click.UsageError(str(error)) from error
        held_out = _held_out_measurement(opened, palette.targets, bars)
        result = describe(bars, oracle) | {"seed": seed, "kept_apart": held_out}
        print_json(result) if as_json else click.echo("\n".join(_as_text(result, oracle)) + "\n")


def describe(bars: Confidence, oracle: Oracle) -> dict[str, Any]:
    """Return a palette's confidence as plain JSON values, in reward units and full precision.

    Args:
        bars: the confidence, in standardised units.
        oracle: the palette's oracle.
    """
    in_rewards = bars.in_reward_units(oracle)
    held_out = in_rewards.held_out
    return {
        "targets": by_name(oracle, in_rewards.targets),
        "form": oracle.form.value,
        "level": bars.level,
        "draws": bars.draws,
        "prompts": bars.prompts,
        "verdict": bars.verdict.value,
        "probability": {verdict.value: p for verdict, p in bars.probability.items()},
        "shares_of_draws": {verdict.value: p for verdict, p in bars.shares.items()},
        "undecided_draws": bars.undecided,
        "prompts_needed": amounts.finite(bars.prompts_needed),
        "margin": None if in_rewards.margin is None else in_rewards.margin.as_dict(),
        "weights": _by_value(oracle, in_rewards.weights),
        "kl": None if in_rewards.kl is None else in_rewards.kl.as_dict(),
        "levels": _by_value(oracle, in_rewards.levels),
        "held_out": {
            "folds": held_out.folds,
            "solved": held_out.solved,
            "in_sample": by_name(oracle, held_out.in_sample) if held_out.in_sample is not None else None,
            "levels": _by_value(oracle, held_out.levels),
            "missed": [name for name, missed in zip(oracle.values, held_out.missed, strict=True) if missed],
            "missed_beyond_error": [
                name for name, missed in zip(oracle.values, held_out.surely, strict=True) if missed
            ],
        },
    }


def _held_out_measurement(opened: LoadedTable, targets: np.ndarray, bars: Confidence) -> dict[str, Any] | None:
    """Return the weights measured on the table's held-out prompts; None where there are fewer than two."""
    table, oracle = opened.table, opened.oracle
    if bars.weights is None or oracle.form is Form.POOLED or int(table.held_out.sum()) < 2:
        return None
    counted = table.weights if table.weights.size else None
    weights = np.asarray(bars.weights.estimate)
    holdout = holdout_levels(oracle, table.held_out, weights, targets, counted=counted, level=bars.level)
    return {
        "prompts": holdout.prompts,
        "levels": _by_value(oracle, holdout.levels.scaled(oracle.scale, oracle.base)),
        "missed": [name for name, missed in zip(oracle.values, holdout.missed, strict=True) if missed],
        "missed_beyond_error": [name for name, missed in zip(oracle.values, holdout.surely, strict=True) if missed],
    }


def _by_value(oracle: Oracle, interval: Interval | None) -> dict[str, dict[str, float | None]] | None:
    if interval is None:
        return None
    rows = zip(interval.estimate, interval.low, interval.high, strict=True)
    return {name: Interval(*map(np.asarray, row)).as_dict() for name, row in zip(oracle.values, rows, strict=True)}


def _as_text(result: Mapping[str, Any], oracle: Oracle) -> Iterator[str]:
    percent = round(100 * result["level"])
    chances = ", ".join(f"{HEADLINES[Verdict(name)].lower()} {_chance(p)}" for name, p in result["probability"].items())
    yield f"{HEADLINES[Verdict(result['verdict'])]}. On all prompts: {chances}."
    yield _settled(result)
    if result["margin"]:
        yield f"Margin {_between(result['margin'], signed=True)} standard deviations ({percent}% interval)."
    elif result["targets"] and oracle.form is Form.POOLED:
        yield "No interval for the margin: pooled, the best reply of a sample says little about the best of all."
    if result["kl"]:
        yield f"Distance from the base model {_between(result['kl'])} nats."
    if result["weights"]:
        yield ""
        yield from columns(result["targets"], _ranges("weight", result["weights"]), missing="no end")
        yield ""
        yield from columns(oracle.values, {"target": result["targets"]} | _ranges("new prompts", result["levels"]))
    if (measured := result.get("kept_apart")) is not None:
        yield ""
        yield f"On the {measured['prompts']} prompts that the table holds out, which nothing was solved on:"
        yield from columns(oracle.values, {"target": result["targets"]} | _ranges("level", measured["levels"]))
        if measured["missed"]:
            yield f"Missed there: {', '.join(measured['missed'])}."
    cross_fitted = result["held_out"]
    yield ""
    folds = cross_fitted["folds"]
    if cross_fitted["levels"] is None:
        unsolved = folds - cross_fitted["solved"]
        yield f"Held out: the prompts outside {unsolved} of {folds} folds cannot meet the targets."
        return
    yield f"Held out: solved on {folds - 1} of {folds} parts of the prompts, measured on the rest."
    yield from columns(
        oracle.values,
        {"target": result["targets"], "seen": cross_fitted["in_sample"]} | _ranges("unseen", cross_fitted["levels"]),
    )
    beyond = cross_fitted["missed_beyond_error"]
    within = [name for name in cross_fitted["missed"] if name not in beyond]
    for names, how in ((beyond, "by more than the error allows"), (within, "within the error")):
        if names:
            yield f"Met on the prompts seen, missed on the others {how}: {', '.join(names)}."


def _settled(result: Mapping[str, Any]) -> str:
    """Word how many prompts would make the verdict sure."""
    needed, prompts = result["prompts_needed"], result["prompts"]
    if needed is None:
        return "The palette lies on the boundary between two verdicts, where no number of prompts settles it."
    if needed <= prompts:
        return f"The {prompts} prompts of the table are enough to be {SURE:.0%} sure of it."
    return f"About {needed:,} prompts in place of {prompts} would make it {SURE:.0%} sure."


def _chance(p: float) -> str:
    """Format a probability estimated from draws, for which even an exact 0 or 1 is only an estimate."""
    return "under 1%" if p < 0.01 else "over 99%" if p > 0.99 else amounts.percent(p)


def _between(ends: Mapping[str, float | None], signed: bool = False) -> str:
    estimate = amounts.fixed(ends["estimate"], 3, signed=signed)
    low, high = (amounts.fixed(ends[end], 3, signed=signed, unknown="no end") for end in ("low", "high"))
    return f"{estimate} ({low} to {high})"


def _ranges(title: str, ends: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """Return three columns: estimates, lower and upper ends."""
    return {
        heading: {name: row[key] for name, row in ends.items() if row[key] is not None}  # type: ignore[misc]
        for heading, key in ((title, "estimate"), ("from", "low"), ("to", "high"))
    }
