"""``python -m map_core baselines``: compare a solved palette with weights that are picked without solving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.analysis.baselines import Baseline, compare_baselines
from map_core.analysis.generation_weights import reply_weights
from map_core.building.progress import Reporter
from map_core.cli.inputs import LoadedTable, open_table, read_palettes
from map_core.cli.options import budget_option, seed_option, table_options, target_options
from map_core.cli.output import by_name, columns, print_json
from map_core.cli.progress import watch_progress
from map_core.cli.tuned_baselines import compare_tuned, open_models, tuned_text, with_log_ratios
from map_core.data import table_file
from map_core.oracle import MemoryOracle
from map_core.tuning.mixtures import SingleTuned, held_out_of


@click.command()
@table_options
@target_options
@click.option(
    "--count", type=click.IntRange(min=1), default=1000, show_default=True, help="How many random weights to draw."
)
@budget_option("Distance that the other weights may cost; the palette's by default.")
@seed_option("Seed of the random weights.")
@click.option(
    "--tuned",
    multiple=True,
    metavar="NAME",
    help="Adapters of `tune`, by name or folder, each tuned to one value of this table: mixed for the palette, too.",
)
@click.option(
    "--tuned-prompts", type=click.IntRange(min=2), default=16, show_default=True, help="Held-out prompts to read."
)
@click.option(
    "--tuned-replies", type=click.IntRange(min=2), default=16, show_default=True, help="Replies to each of them."
)
@click.option(
    "--progress-file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Progress as JSON."
)
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
    tuned: tuple[str, ...],
    tuned_prompts: int,
    tuned_replies: int,
    progress_file: Path | None,
) -> None:
    """Compare a solved palette with random, equal and single weights: targets met, values improved, win rates.

    A win rate is how often an aligned reply beats one of the base model to the same prompt, ties half. Random weights
    have a Dirichlet direction and a uniform scale; all others cost as many nats as the palette.

    With --tuned, models that are tuned to one value each are mixed for the palette: as a log-linear mixture, with
    weights found by the solver, and as a rewarded soup, one model with the average of their weights. Both are evaluated
    on prompts that no model was tuned on. What a model makes of the table's replies is kept beside it.

    \b
    Examples:
      python -m map_core baselines --target helpfulness=p60 --target kindness=p55 --target humor=p60
      python -m map_core baselines --target helpfulness=p60 --target humor=p60 --count 5000 --json
      python -m map_core baselines --target kindness=p60 --target humor=p60 --tuned kind --tuned funny
    """  # noqa: D301
    with watch_progress(table, False, progress_file) as report:
        plain = open_table(table, use_case, form)
        models = _open_models(tuned, table, plain, tuned_prompts, tuned_replies, report)
        if models:
            held_out = held_out_of(plain.table, models)
            plain = LoadedTable(held_out, MemoryOracle.of(held_out, plain.oracle.form))
        opened, palettes = read_palettes(plain, pairs, targets_file)
        for palette in palettes:
            comparison = compare_baselines(
                opened.table, palette.targets, form=opened.oracle.form, count=count, budget=budget, seed=seed
            )
            result: dict[str, Any] = {
                "targets": by_name(opened.oracle, palette.levels),
                "form": opened.oracle.form.value,
                "ways": {way.name: describe(way, opened) for way in comparison},
            }
            if models:
                result["tuned"] = _tuned(models, comparison[0], opened, tuned_replies, report)
            print_json(result) if as_json else click.echo("\n".join(_as_text(result)))


def _open_models(
    names: tuple[str, ...], path: Path, opened: LoadedTable, prompts: int, replies: int, report: Reporter
) -> tuple[SingleTuned, ...]:
    """Return the models with their log-ratios; none where none is named."""
    return (
        with_log_ratios(open_models(names, table_file.load(path)), opened.table, prompts, replies, report)
        if names
        else ()
    )


def _tuned(
    models: tuple[SingleTuned, ...], solved: Baseline, opened: LoadedTable, replies: int, report: Reporter
) -> dict[str, Any] | None:
    """Return the levels of the mixtures; None where the palette is not possible."""
    if solved.name != "solved":
        return None
    lam = solved.evaluation.weights[0] / opened.oracle.scale
    weights = reply_weights(opened.table.derived, by_name(opened.oracle, np.where(lam > 0, lam, np.nan)))
    return compare_tuned(models, opened.table.without_columns(), weights, replies, report)


def describe(way: Baseline, opened: LoadedTable) -> dict[str, Any]:
    """Return one baseline as plain JSON values: shares over its weights, means by value in reward units."""
    levels = opened.oracle.rewards_at(way.evaluation.levels)
    return {
        "rows": len(levels),
        "meets_all": way.evaluation.meets_all,
        "improves_all": way.evaluation.improves_all,
        "kl": float(way.evaluation.kl.mean()),
        "ess": float(way.evaluation.ess.mean()),
        "levels": by_name(opened.oracle, levels.mean(axis=0)),
        "win_rates": by_name(opened.oracle, way.wins.mean(axis=0)),
    }


def _as_text(result: dict[str, Any]) -> list[str]:
    baselines = result["ways"]
    shares = {
        "meets all": {name: baseline["meets_all"] for name, baseline in baselines.items()},
        "improves all": {name: baseline["improves_all"] for name, baseline in baselines.items()},
        "nats": {name: baseline["kl"] for name, baseline in baselines.items()},
    }
    rates = {
        value: {name: baseline["win_rates"][value] for name, baseline in baselines.items()}
        for value in result["targets"]
    }
    lines = [] if "solved" in baselines else ["The palette is not possible; the others stand alone."]
    lines += ["Share that meets every target, and that improves every targeted value:", *columns(baselines, shares)]
    lines += ["Win rate against the base model:", *columns(baselines, rates), ""]
    return [*lines, *(tuned_text(result["tuned"], list(result["targets"])) if result.get("tuned") else ())]
