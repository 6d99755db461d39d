"""``python -m map_core preferences``: write a palette as preference data."""

from __future__ import annotations

import json
from pathlib import Path

import click

from map_core.cli.inputs import open_table, read_palettes
from map_core.cli.options import force_option, seed_option, table_argument, target_options, use_case_option
from map_core.cli.output import by_name
from map_core.core.atomic_files import open_durable
from map_core.errors import InputError
from map_core.feasibility import assess
from map_core.studies.preference_data import preference_pairs


@click.command()
@table_argument
@target_options
@use_case_option()
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File to write: JSON lines.",
)
@click.option(
    "--pairs", "count", type=click.IntRange(min=1), default=4, show_default=True, help="Pairs for each prompt."
)
@seed_option("Of the pairs and of which of the two is chosen.")
@force_option
def preferences(
    table: Path,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    use_case: str | None,
    out: Path,
    count: int,
    seed: int,
    force: bool,
) -> None:
    """Write a palette as pairs of chosen and rejected replies, in the format that TRL's DPOTrainer reads.

    Two of the table's replies to a prompt are drawn, and one is chosen over the other as often as the palette's
    weights say. DPO with beta 1 then fits the aligned model itself. Held-out prompts are left out. Each line has the
    seed, the palette, its weights and a certificate beside "prompt", "chosen" and "rejected".

    \b
    Example:
      python -m map_core preferences --target kindness=p70 --out kind.jsonl --pairs 8
      datasets.load_dataset("json", data_files="kind.jsonl")
    """  # noqa: D301
    if out.exists() and not force:
        raise click.UsageError(f"{out} is there already. Name another file, or give --force.")
    opened, palettes = read_palettes(open_table(table, use_case, None), pairs, targets_file)
    if len(palettes) > 1:
        raise click.UsageError(f"There are {len(palettes)} palettes; expected one a file.")
    if opened.table.derived:
        raise click.UsageError("Preference data are for levels; leave shares and use cases out.")
    oracle, palette = opened.oracle, palettes[0]
    assessment = assess(oracle, palette.targets)
    solution = assessment.solution or (assessment.nearest.solution if assessment.nearest else None)
    if solution is None:
        raise InputError("Nothing near this palette is possible; ask for less.")
    certificate = {
        "verdict": assessment.verdict.value,
        "kl": solution.kl,
        "levels": by_name(oracle, oracle.rewards_at(solution.levels)),
    }
    records = preference_pairs(
        opened.table,
        solution.weights / oracle.scale,
        pairs=count,
        seed=seed,
        certificate=certificate,
        palette=by_name(oracle, palette.levels),
        name=str(palette.record.get("name", "")),
    )
    written = 0
    with open_durable(out) as file:
        for record in records:
            file.write((json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n").encode())
            written += 1
    click.echo(f"{out}: {written} pairs; verdict {assessment.verdict.value.replace('_', ' ')}.", err=True)
