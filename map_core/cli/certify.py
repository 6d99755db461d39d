"""``python -m map_core certify``: test on prompts that a palette was not solved on whether it keeps its targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import numpy as np

from map_core.cli.demands import demand_options
from map_core.cli.inputs import load_with_notes, open_table, read_palettes
from map_core.cli.options import json_option, seed_option, table_argument, target_options, use_case_option
from map_core.cli.output import by_name, columns, describe_columns, print_json
from map_core.confidence.certificate import Certificate, Outcome
from map_core.confidence.certify import certify_targets
from map_core.confidence.prompt_samples import table_samples
from map_core.core import amounts
from map_core.oracle import Oracle
from map_core.palettes.beside import Beside
from map_core.studies.delivery import with_weights_of
from map_core.text.promise import certificate_headline, certificate_sentences


@click.command()
@table_argument
@target_options
@demand_options
@use_case_option()
@click.option(
    "--fresh",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="New replies to other prompts, such as of `verify --fresh`; the prompts that the table holds out by default.",
)
@click.option(
    "--candidates",
    type=click.IntRange(min=2),
    metavar="K",
    help="Candidates of the generator that is promised for; as many as every prompt has replies by default.",
)
@click.option("--level", default=0.95, show_default=True, help="Probability that nothing false is promised.")
@click.option(
    "--over-base", is_flag=True, help="Promise gains over the base model on the same prompts instead of levels."
)
@click.option(
    "--strict", is_flag=True, help="Clip at the lowest reward of any reply, not at the lowest level of a prompt."
)
@seed_option("Of the order in which the new prompts are looked at.")
@json_option("One JSON object a palette, in full precision.")
def certify(
    table: Path,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    use_case: str | None,
    fresh: Path | None,
    candidates: int | None,
    level: float,
    over_base: bool,
    strict: bool,
    seed: int,
    as_json: bool,
    beside: Beside,
) -> None:
    """Show on new prompts that a palette keeps its targets, and with which weights.

    The palette is solved on TABLE for K candidates. A betting test on prompts that it was not solved on then walks
    along the ray of its weights: the smallest factor for which all targets are shown, or by how much they must be
    lowered, or how many more prompts are needed. The probability that something false is shown is 5% at most, however
    few the prompts; it holds for prompts like the new ones, for K candidates, and for a number of prompts that was
    decided before.

    Levels vary far more between prompts than what a palette adds to them, so --over-base shows more with fewer prompts.

    \b
    Examples:
      python -m map_core certify --target kindness=p60 --over-base
      python -m map_core certify --target kindness=+0.2sd --target humor=+0sd --candidates 16
      python -m map_core certify my-table.parquet --targets-file palettes.jsonl --fresh fresh.parquet --json
    """  # noqa: D301
    if not 0.0 < level < 1.0:
        raise click.UsageError(f"--level is {level}; expected a number between 0 and 1, such as 0.95.")
    opened, palettes = read_palettes(open_table(table, use_case, None), pairs, targets_file, beside)
    new = None
    if fresh is not None:
        plain = opened.table.without_columns()
        new = with_weights_of(load_with_notes(fresh).reordered(plain.values), plain)
    oracle, seen, fresh_sample = table_samples(opened.table, new, candidates)
    for palette in palettes:
        certificate = certify_targets(
            oracle,
            seen,
            fresh_sample,
            palette.levels,
            level=level,
            over_base=over_base,
            strict=strict,
            any_mix=palette.demands.mix,
            seed=seed,
        )
        result = certificate.described(oracle) | {
            "asked": by_name(oracle, palette.levels),
            "strict": strict,
            "seed": seed,
            "columns": describe_columns(opened.table.derived),
        }
        print_json(result) if as_json else click.echo("\n".join(_as_text(certificate, oracle)) + "\n")


def _as_text(certificate: Certificate, oracle: Oracle) -> Iterator[str]:
    yield f"{certificate_headline(certificate)}."
    yield from certificate_sentences(certificate, names=oracle.values)
    levels: Mapping[str, np.ndarray] = {
        "target": certificate.targets,
        "promised": certificate.promised,
        "new prompts": certificate.measured,
        "forecast": certificate.forecast,
    }
    table = {title: by_name(oracle, oracle.rewards_at(row)) for title, row in levels.items()}
    table["weight"] = by_name(oracle, certificate.weights / oracle.scale)
    yield from columns(oracle.values, table, missing="no target" if certificate.outcome is not Outcome.NOTHING else "")
    yield f"Distance from the base model {amounts.nats(certificate.kl, 3)} at these weights."
