"""``python -m map_core people``: estimate levels in people's units from labels and scorers together."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np

from map_core.calibration import (
    PeopleLevel,
    ValueLabels,
    label_reach,
    next_labels,
    people_levels,
    value_labels,
    with_people_columns,
)
from map_core.calibration.described import described
from map_core.calibration.labels import labels_of_prompts, labels_path
from map_core.cli.inputs import open_table, read_palettes
from map_core.cli.options import force_option, table_options, target_options
from map_core.cli.output import print_json
from map_core.core import amounts
from map_core.core.file_lock import check_output_path
from map_core.data import table_format
from map_core.data.shown_replies import shown_reply
from map_core.errors import InputError
from map_core.feasibility import assess
from map_core.scoring.validation import label_rows, read_labels
from map_core.text import people as texts


@click.command()
@table_options
@target_options
@click.option(
    "--labels", type=click.Path(path_type=Path), help="JSON lines; TABLE.labels.jsonl beside TABLE.parquet by default."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write the table with a calibrated value NAME_people each."
)
@click.option("--next", "wanted", metavar="NAME", help="Print the replies to label next for this value, JSON lines.")
@click.option(
    "--prompts", type=click.IntRange(min=1), default=10, show_default=True, help="With --next: of how many prompts."
)
@force_option
def people(
    table: Path,
    form: str | None,
    use_case: str | None,
    as_json: bool,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    labels: Path | None,
    out: Path | None,
    wanted: str | None,
    prompts: int,
    force: bool,
) -> None:
    """Say of how many replies in 100 people would say yes, with the base model and with a palette.

    Labels correct whatever the scorers get wrong on the palette's own replies; the scorers narrow the interval.
    Without --target, of the base model.

    \b
    Examples:
      python -m map_core people --target kindness=p70 --target humor=+0.3sd
      python -m map_core people mine.parquet --labels mine.labels.jsonl --out calibrated.parquet
      python -m map_core solve calibrated.parquet --target kindness_people=0.8
      python -m map_core people --target kindness=p70 --next kindness > to_label.jsonl
    A line of the labels; judge and chance may be left out:
      {"prompt_id": "support-01", "candidate": 3, "labels": {"humor": 0}, "judge": "anna", "chance": 0.4}
    """  # noqa: D301
    if out is not None and (pairs or targets_file or wanted):
        raise click.UsageError("--out writes the table as it is for every palette; give it without targets and --next.")
    path = labels or labels_path(table)
    begins = wanted is not None and labels is None  # the first replies to label need no labels
    if not path.is_file() and not begins:
        raise click.UsageError(f"There are no labels at {path}. Give them with --labels.")
    if out is not None:
        check_output_path(out)
        if out.exists() and not force:
            raise click.UsageError(f"{out} is there already. Name another file, or give --force.")
    opened = open_table(table, use_case, form)
    table_labels = labels_of_prompts(opened.table, read_labels(path) if path.is_file() else ())
    if not table_labels and wanted is None:
        raise click.UsageError(f"No label of {path} is of a prompt of this table.")
    if out is not None:
        labelled = [value for value in opened.table.values if any(value in label.labels for label in table_labels)]
        if not labelled:
            raise InputError(f"{path} labels none of the values of {table}.")
        chosen = [value_labels(opened.table, table_labels, value) for value in labelled]
        table_format.save(with_people_columns(opened.table, opened.oracle, chosen), out)
        click.echo(f"{out}: {', '.join(f'{value}_people' for value in labelled)}", err=True)
        return
    weights = np.zeros(len(opened.table.values))
    if pairs or targets_file is not None:
        opened, palettes = read_palettes(opened, pairs, targets_file)
        if len(palettes) > 1:
            raise click.UsageError(f"--targets-file has {len(palettes)} palettes; expected one.")
        assessment = assess(opened.oracle, palettes[0].targets)
        if assessment.solution is None:
            raise InputError("These targets are not possible together; see `nearest` for those that are.")
        weights = assessment.solution.weights
    if wanted is not None:
        opened.table.index(wanted)
        label_rows(opened.table, table_labels)
        of_value: ValueLabels | str = wanted
        with suppress(InputError):  # none yet, or all alike
            of_value = value_labels(opened.table, table_labels, wanted)
        judged = {label.prompt_id for label in table_labels if wanted in label.labels}
        among = np.array([prompt_id not in judged for prompt_id in opened.table.prompt_ids])
        for request in next_labels(opened.table, opened.oracle, of_value, weights, prompts, among=among):
            prompt = opened.table.prompt_ids.index(request.prompt_id)
            row = opened.table.row_of(prompt, request.candidate)
            reply = shown_reply(opened.table, row) if row is not None and opened.table.replies else None
            texts_of = {} if reply is None else {"prompt": opened.table.prompts[prompt], "reply": reply}
            click.echo(json.dumps(asdict(request) | {"labels": {wanted: None}} | texts_of))
        return
    levels, problems = people_levels(opened.table, opened.oracle, table_labels, weights)
    if not levels:
        raise InputError("\n".join(problems.values()) or f"{path} labels none of the values of {table}.")
    reaches = label_reach(opened.table, opened.oracle, table_labels, weights, levels)
    if as_json:
        print_json(described(opened.table, opened.oracle, table_labels, weights))
    else:
        _print(opened.table.values, levels)
        for line in map(texts.few_labels_sentence, reaches.values(), reaches):
            if line:
                click.echo(line)
    for problem in problems.values():
        click.echo(problem, err=True)


def _print(values: tuple[str, ...], levels: dict[str, tuple[PeopleLevel, PeopleLevel]]) -> None:
    click.echo(texts.explanation())
    head = (*texts.COLUMNS, "Narrower than labels alone")
    rows = [cells for _, cells in texts.level_rows(levels, values, values)]
    narrower = [amounts.percent(levels[value][1].narrower) for value in values if value in levels]
    lines = [head, *((*cells, text) for cells, text in zip(rows, narrower, strict=True))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
