"""``python -m map_core import``: a file of scored replies as a reward table."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from map_core import rewards
from map_core.importing import import_table


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The Parquet file to write.")
@click.option("--values", metavar="NAME,NAME", help="The columns of rewards; every column of numbers by default.")
@click.option("--prompt-column", metavar="NAME", help="Where the prompts stand; guessed by name by default.")
@click.option("--reply-column", metavar="NAME", help="Where the replies stand; a prompt that they repeat is taken off.")
@click.option("--use-case-column", metavar="NAME", help="Where the use cases stand, if there are any.")
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
def import_(
    file: Path,
    out: Path,
    values: str | None,
    prompt_column: str | None,
    reply_column: str | None,
    use_case_column: str | None,
    force: bool,
) -> None:
    """Make a reward table of a Parquet, CSV or JSON file with a row a reply.

    A row holds a prompt, a reply and one number a value; higher must be better for every value. Rows with the same
    prompt text are replies to one prompt. What was taken for what is said on stderr.

    \b
    Examples:
      python -m map_core import scored.csv --out table.parquet
      python -m map_core import results.json --out table.parquet --values humor,coherence
      python -m map_core import log.jsonl --out table.parquet --prompt-column asked --reply-column said
    """
    if out.exists() and (file.exists() and out.samefile(file)):
        raise click.UsageError("--out is the file itself. Give another name.")
    if out.exists() and not force:
        raise click.UsageError(f"{out} is there already. Give --force to replace it, or another name.")
    imported = import_table(
        file,
        values=None if values is None else [name.strip() for name in values.split(",") if name.strip()],
        prompt_column=prompt_column,
        reply_column=reply_column,
        use_case_column=use_case_column,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    rewards.save(imported.table, out)
    for note in imported.notes:
        click.echo(note, err=True)
    table = imported.table
    click.echo(
        f"{out}: {len(table.prompts)} prompts, {len(table.rewards)} replies, {len(table.values)} values; "
        f"{table.form.value} form.",
        err=True,
    )
