"""``python -m map_core choose``: find a palette by choosing between replies."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from map_core.cli.inputs import LoadedTable, open_table
from map_core.cli.options import json_option, seed_option, table_argument, use_case_option
from map_core.cli.output import by_name, print_json
from map_core.core import amounts
from map_core.core.atomic_files import write_durable
from map_core.core.file_lock import check_output_path
from map_core.data.shown_replies import shown_reply
from map_core.data.table_format import DEFAULT_TABLE
from map_core.palettes.targets import percentiles
from map_core.preference import (
    FIRST_CHOICES,
    PairChoice,
    found_palette,
    next_pair,
    pair_pool,
    read_choices,
    reply_ids,
)
from map_core.preference.described import described
from map_core.preference.pairs import fit
from map_core.scoring.pairwise import PairAnswer
from map_core.text import choosing
from map_core.text.units import Units

_ANSWERS = {"1": PairAnswer.FIRST, "2": PairAnswer.SECOND, "0": PairAnswer.NEITHER}


@click.command()
@table_argument
@use_case_option()
@click.option(
    "--choices",
    "choices_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON lines of choices: read first, and written as you choose.",
)
@click.option(
    "--pairs",
    type=click.IntRange(min=0),
    default=FIRST_CHOICES,
    show_default=True,
    help="Choices in all, those of --choices among them; 0 asks nothing.",
)
@seed_option("Which pairs are looked at.")
@json_option("Ask nothing; the palette of --choices and the next pair as JSON in full precision.")
def choose(table: Path, use_case: str | None, choices_path: Path | None, pairs: int, seed: int, as_json: bool) -> None:
    """Find a palette by saying which of two replies you would rather send.

    TABLE is a reward table (Parquet) with replies; the embedded one when left out. Answer 1, 2, or 0 where you cannot
    say; b takes the last one back, q stops. Each pair is the one that tells the most.

    \b
    Examples:
      python -m map_core choose --choices mine.jsonl
      python -m map_core choose --choices mine.jsonl --json
    A line of the file:
      {"first": {"prompt_id": "work-03", "candidate": 5}, "second": {"prompt_id": "work-03", "candidate": 9},
       "answer": "first"}                 # or "second", "neither"
    """  # noqa: D301
    if choices_path is not None:
        check_output_path(choices_path, "choices.jsonl")  # before anybody answers
    opened = open_table(table, use_case, None)
    choices: list[PairChoice] = []
    if choices_path is not None and choices_path.is_file():
        choices.extend(read_choices(opened.table, choices_path))
    if not as_json and len(choices) < pairs:
        _ask(opened, choices, pairs, choices_path, seed)
    if as_json:
        print_json(described(opened.table, opened.oracle, choices, seed))
        return
    palette = found_palette(opened.table, opened.oracle, choices, seed)
    units = Units(opened.oracle, percentiles(opened.table, opened.oracle.form), "percentile", opened.table.values)
    click.echo(choosing.headline(palette, opened.table.values))
    for sentence in choosing.details(palette, opened.table.values):
        click.echo(sentence)
    rows = [choosing.COLUMNS, *(cells for _, cells in choosing.value_rows(palette, units))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if palette.has_targets:
        targets = by_name(opened.oracle, opened.oracle.rewards_at(palette.targets))
        options = " ".join(
            f"--target {shlex.quote(f'{name}={amounts.significant(level)}')}" for name, level in targets.items()
        )
        of_table = "" if table == DEFAULT_TABLE else f"{shlex.quote(str(table))} "
        of_use_case = "" if use_case is None else f"--use-case {shlex.quote(use_case)} "
        click.echo(f"python -m map_core solve {of_table}{of_use_case}{options}")


def _ask(opened: LoadedTable, choices: list[PairChoice], pairs: int, choices_path: Path | None, seed: int) -> None:
    """Ask until there are ``pairs`` choices or the person stops; save the choices after each one."""
    table = opened.table
    pool = pair_pool(table, opened.oracle)
    while len(choices) < pairs:
        pair = next_pair(pool, fit(table, opened.oracle, choices), choices, seed)
        if pair is None:
            break
        click.echo(f"\n{len(choices) + 1} of {pairs}. {table.prompts[table.prompt_of(pair[0])]}")
        for number, row in enumerate(pair, 1):
            click.echo(f"\n[{number}] {shown_reply(table, row)}")
        answer = click.prompt(
            "\nWhich would you rather send? 1, 2, 0, b, q",
            type=click.Choice([*_ANSWERS, "b", "q"]),
            show_choices=False,
        )
        if answer == "q":
            break
        if answer == "b":
            choices[-1:] = []
        else:
            choices.append(PairChoice(*pair, _ANSWERS[answer]))
        if choices_path is not None:
            lines = "".join(json.dumps(reply_ids(table, choice)) + "\n" for choice in choices)
            write_durable(choices_path, lines.encode())
