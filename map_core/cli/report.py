"""``python -m map_core report``: write a palette as a self-contained document."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np

from map_core.calibration.labels import labels_beside
from map_core.cli.demands import demand_options
from map_core.cli.inputs import LoadedTable, PaletteTargets, open_table, read_palettes, value_positions
from map_core.cli.options import lock_option, seed_option, table_options, target_options
from map_core.cli.output import print_json
from map_core.core import amounts
from map_core.core.types import Form
from map_core.data import table_file, table_format
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.palettes.beside import Beside
from map_core.palettes.column_names import parse_name
from map_core.palettes.palette import ALL, Palette, Target
from map_core.palettes.targets import percentiles
from map_core.preference import read_choices, reply_ids
from map_core.studies.delivery import study as studies


@click.command()
@table_options
@target_options
@demand_options
@lock_option("A target that must not be lowered.")
@click.option("--name", default="", help="Of the palette; a line of --targets-file may carry its own.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The document, .html; several palettes get a number each.",
)
@click.option("--csv", "archive", type=click.Path(path_type=Path), metavar="FILE", help="All tables as CSV, zipped.")
@click.option(
    "--choices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The choices that targets come from, as of `choose --choices`.",
)
@click.option(
    "--study",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The study of delivery, as of `verify --study`; the one beside TABLE by default.",
)
@click.option(
    "--draws", type=click.IntRange(min=20), default=300, show_default=True, help="Bootstrap draws for the error bars."
)
@click.option(
    "--samples", type=click.IntRange(min=0), default=4, show_default=True, help="Prompts whose replies are shown."
)
@seed_option("Seed of draws, folds and samples.")
def report(
    table: Path,
    form: str | None,
    use_case: str | None,
    as_json: bool,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    locked: tuple[str, ...],
    name: str,
    out: Path | None,
    archive: Path | None,
    choices: Path | None,
    study: Path | None,
    draws: int,
    samples: int,
    seed: int,
    beside: Beside,
) -> None:
    """Write a palette as one HTML document that needs nothing else: verdict, price, figures, error bars, replies.

    TABLE is a reward table (Parquet); the embedded one when left out. A LEVEL is a number in reward units,
    p70 (that percentile of the base model's replies) or +0.5sd (standard deviations above the base level).
    Print it to PDF from any browser. --json prints everything in it to standard output.

    \b
    Examples:
      python -m map_core report --target helpfulness=p70 --target humor=+0.3sd --out report.html
      python -m map_core report --use-case "Customer support" --target kindness=p80 --name Calm --out calm.html
      python -m map_core report --target humor=p70 --json
    """  # noqa: D301
    from map_core.report import ReportOptions, as_dict, compute_report, find_study, html, zipped

    if out is None and archive is None and not as_json:
        raise click.UsageError("Give at least one of --out FILE, --csv FILE and --json.")
    opened, palettes = read_palettes(open_table(table, use_case, form), pairs, targets_file, beside)
    plain = opened.table.without_columns()
    alone = LoadedTable(plain, MemoryOracle.of(plain, opened.oracle.form))
    locked_values = {plain.values[j] for j in value_positions(alone, "--lock", locked)}
    whole = table_file.load(table) if use_case else plain
    chosen = [] if choices is None else [reply_ids(whole, choice) for choice in read_choices(whole, choices)]
    for number, palette in enumerate(palettes, start=1):
        targeted = {opened.table.values[j] for j in np.flatnonzero(~np.isnan(palette.targets))}
        if untargeted := sorted(locked_values - targeted):
            raise click.UsageError(f"--lock names {', '.join(untargeted)}, which has no target to keep.")
        try:
            document = compute_report(
                whole,
                _palette(alone, palette, use_case, locked_values, beside),
                date=datetime.now(UTC),
                name=str(palette.record.get("name") or name),
                shown_table="" if table == table_format.DEFAULT_TABLE else str(table),
                study=find_study(table) if study is None else studies.load(study),
                form=Form(form) if form else None,
                wanted=ReportOptions(draws, samples, seed),
                labels=labels_beside(table),
                choices=chosen,
            )
        except InputError as error:
            raise click.UsageError(str(error)) from error
        if out is not None:
            _write(_numbered(out, number, len(palettes)), html(document).encode())
        if archive is not None:
            _write(_numbered(archive, number, len(palettes)), zipped(document))
        if as_json:
            print_json(as_dict(document))


def _palette(
    loaded: LoadedTable, palette_targets: PaletteTargets, use_case: str | None, locked: set[str], beside: Beside
) -> Palette:
    """Return the palette with exact levels, and with shares and cohorts as they were written."""
    table, known = loaded.table, percentiles(loaded.table, loaded.oracle.form)
    targets = {}
    for j, value in enumerate(table.values):
        free = bool(np.isnan(palette_targets.levels[j]))
        level = None if free else float(palette_targets.levels[j])
        percentile = 50.0 if level is None else known.percentile_of(j, level)
        targets[value] = Target(percentile, level, free=free, locked=value in locked)
    columns = {
        name: level
        for name, level in palette_targets.record["targets"].items()
        if parse_name(name, table.values) is not None
    }
    return Palette(use_case or ALL, targets, columns, Beside.from_dict(palette_targets.record).with_more(beside))


def _numbered(path: Path, number: int, of: int) -> Path:
    return path if of == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def _write(path: Path, data: bytes) -> None:
    """Write a file and report its size on standard error.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InputError(f"The report cannot be written to {path} ({error}). Choose another place.") from error
    click.echo(f"{path}: {amounts.fixed(len(data) / 1000, grouped=True)} kB.", err=True)
