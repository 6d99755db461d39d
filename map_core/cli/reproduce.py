"""``python -m map_core reproduce``: run the published experiments on a table, beside the paper's results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from map_core.cli.inputs import open_table, value_positions
from map_core.cli.options import quiet_option, seed_option, split_names, table_options, values_option
from map_core.cli.output import print_json
from map_core.core import amounts
from map_core.core.types import Form
from map_core.errors import InputError
from map_core.studies.reproduce import PAPER, ReproductionStudy, SizeResult
from map_core.studies.reproduce import reproduce as run_study


@click.command()
@table_options
@click.option("--palettes", type=click.IntRange(min=1), default=200, show_default=True, help="Palettes of each size.")
@seed_option("Seed of all random draws.")
@values_option("The values to draw from; all by default.")
@click.option(
    "--highest",
    type=click.FloatRange(0.0, 1.0, min_open=True),
    default=1.0,
    show_default=True,
    help="The highest quantile of a target.",
)
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path), help="An HTML file to draw to.")
@quiet_option()
def reproduce(
    table: Path,
    form: str | None,
    use_case: str | None,
    as_json: bool,
    palettes: int,
    seed: int,
    values: str | None,
    highest: float,
    figure: Path | None,
    quiet: bool,
) -> None:
    """Run the published experiments on a table: random palettes of 1 to all values, solved in every way.

    TABLE is a reward table (Parquet); the embedded one when left out. Palettes draw each target above the base
    level, uniform in quantiles of the base model's replies. The same seed gives the same figures, but for times.

    \b
    Examples:
      python -m map_core reproduce
      python -m map_core reproduce --form pooled --palettes 50 --values helpfulness,kindness,humor
      python -m map_core reproduce my-table.parquet --figure study.html --json
    """  # noqa: D301
    if figure is not None and not figure.absolute().parent.is_dir():
        raise click.UsageError(f"--figure: there is no folder {figure.absolute().parent}.")
    opened = open_table(table, use_case, form)
    names = None if values is None else split_names(values)
    chosen = None if names is None else value_positions(opened, "--values", names)

    def report(done: int, total: int, text: str) -> None:
        click.echo(f"{done} of {total} parts done; {text}", err=True)

    try:
        study = run_study(
            opened.table,
            form=opened.oracle.form,
            values=chosen,
            palettes=palettes,
            highest=highest,
            seed=seed,
            report=None if quiet else report,
        )
    except InputError as error:
        raise click.UsageError(str(error)) from error
    if figure is not None:
        from map_core.figures.study import study_figure
        from map_core.figures.theme import CONFIG

        try:
            study_figure(study).write_html(figure, config=CONFIG)
        except OSError as error:
            raise InputError(f"The figure cannot be written to {figure} ({error}). Choose another place.") from error
    if as_json:
        print_json(_without_nan(asdict(study) | {"paper": asdict(PAPER)}))
    else:
        click.echo("\n".join(_as_text(study)) + "\n")


def _without_nan(value: Any) -> Any:
    """Return JSON values with null for NaN, which is a share of no palettes."""
    if isinstance(value, dict):
        return {name: _without_nan(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _percent(share: float) -> str:
    return amounts.percent(share, 1)


def _number(digits: int) -> Callable[[float], str]:
    return lambda number: amounts.fixed(number, digits)


def _as_text(study: ReproductionStudy) -> Iterator[str]:
    protocol = study.protocol
    yield (
        f"{protocol.palettes} random palettes of each size, {protocol.form.value} form, "
        f"{protocol.replies} replies to {protocol.prompts} prompts, seed {protocol.seed}."
    )
    highest = amounts.significant(100 * protocol.highest)
    yield f"Values: {', '.join(protocol.values)}. Targets up to the {highest}th percentile."
    yield ""

    def line(title: str, show: Callable[[float], str], of: Callable[[SizeResult], float]) -> str:
        cells = (of(size) for size in study.sizes)
        return f"{title:<58}" + "".join(f"{'-' if math.isnan(cell) else show(cell):>8}" for cell in cells)

    yield line("Values in the palette", amounts.fixed, lambda s: float(s.values))
    yield line("Reachable, proven", _percent, lambda s: s.reachable)
    yield ""
    yield "The published solver: 150 Adam steps on log weights"
    yield line("  solved, by its own rule (nothing overflowed)", _percent, lambda s: s.published_solved)
    yield line("    in the paper, on its tables", _percent, _of_paper)
    yield line("  not possible together, of those it solved", _percent, lambda s: s.published_false)
    yield line("  not solved, of the reachable", _percent, lambda s: s.published_refused)
    yield line("  a target missed by > 0.05 sd, of the reachable solved", _percent, lambda s: s.published_missed)
    yield line("  the same without overflow, of all reachable", _percent, lambda s: s.safe_missed)
    if protocol.form is Form.PER_PROMPT:
        yield line("  the same with its pooled form, used per prompt", _percent, lambda s: s.pooled_missed)
    yield line("  median residual without overflow, sd", amounts.scientific, lambda s: s.published_residual)
    yield line("  milliseconds a solve, lean, one thread", _number(2), lambda s: s.published_ms)
    yield ""
    yield "This solver"
    yield line("  converged, of the reachable", _percent, lambda s: s.converged)
    yield line("  worst residual, sd", amounts.scientific, lambda s: s.residual)
    yield line("  a target missed by > 0.05 sd, of the reachable", _percent, lambda s: s.our_missed)
    yield line("  milliseconds a solve", _number(2), lambda s: s.our_ms)
    yield line("  times faster", _number(1), lambda s: s.published_ms / s.our_ms)
    yield ""
    yield "Every value above the base model, of the reachable"
    yield line("  random weights", _percent, lambda s: s.random_improves)
    yield line("  solved weights", _percent, lambda s: s.our_improves)
    yield line("  random weights, by win rate", _percent, lambda s: s.random_wins)
    yield line("  solved weights, by win rate", _percent, lambda s: s.our_wins)
    yield line("  random weights that meet every target", _percent, lambda s: s.random_meets)
    yield (
        f"  In the paper (helpful and harmless, new text): {_percent(PAPER.random_improves)} of random weights, "
        f"{_percent(PAPER.map_improves)} of its own, {_percent(PAPER.map_wins)} by win rate."
    )
    yield ""
    yield "Sequential alignment, of the reachable"
    yield line("  one round misses a target by > 0.05 sd", _percent, lambda s: s.one_round_missed)
    yield line("  five rounds", _percent, lambda s: s.rounds_missed)
    yield line("  median lack after one round, sd", _number(3), lambda s: s.one_round_short)
    yield line("  after five rounds, sd", _number(3), lambda s: s.rounds_short)
    if study.rounds is not None:
        yield ""
        yield from _rounds(study)


def _of_paper(size: SizeResult) -> float:
    return PAPER.feasible[size.values - 1] if size.values <= len(PAPER.feasible) else math.nan


def _rounds(study: ReproductionStudy) -> Iterator[str]:
    """Yield the lines of the sequential example, in quantiles."""
    rounds = study.rounds
    assert rounds is not None
    quantile = amounts.fixed(rounds.quantile, 2)
    yield f"Quantiles reached in sequence, all targets at {quantile}: {', '.join(rounds.values)}"
    paper = f"   the paper (OPT-1.3B; humor, helpful, harmless at {amounts.fixed(PAPER.quantile, 2)}): "

    def joined(quantiles: tuple[float, ...]) -> str:
        return " ".join(amounts.fixed(quantile, 3) for quantile in quantiles)

    yield f"  one round    {joined(rounds.one_round)}{paper}{joined(PAPER.one_round)}"
    yield f"  five rounds  {joined(rounds.five_rounds)}{paper}{joined(PAPER.five_rounds)}"
    yield f"  all at once  {joined(rounds.together)}"
