"""``python -m map_core import``: make a reward table of a file of scored replies."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from map_core.building.progress import Progress
from map_core.cli.options import force_option, split_names, values_option
from map_core.cli.progress import watch_progress
from map_core.core import remedies
from map_core.core.process_limits import OUT_OF_MEMORY, limit_this_process, ran_out_of_memory
from map_core.data.importing import ColumnChoice, import_file
from map_core.data.importing.lookalikes import APART, MERGE
from map_core.data.importing.preview_process import too_large, too_slow
from map_core.data.importing.questions import UnansweredError
from map_core.errors import InputError


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The Parquet file to write.")
@values_option("The columns of rewards; every column of numbers by default.")
@click.option("--value", "single_values", multiple=True, metavar="NAME", help="One column of rewards; can be repeated.")
@click.option("--prompt-column", metavar="NAME", help="Column of the prompts; guessed by name by default.")
@click.option("--reply-column", metavar="NAME", help="Column of the replies; a prompt that they repeat is removed.")
@click.option("--use-case-column", metavar="NAME", help='Column of the use cases, if there are any; "" for none.')
@click.option(
    "--weight-column",
    metavar="NAME",
    help='How often each prompt occurs in use: "weight" by default, "" for every prompt once.',
)
@click.option(
    "--prompt-id-column",
    metavar="NAME",
    help='Ids, which tell prompts with the same text apart: "prompt_id" by default, "" for none.',
)
@click.option(
    "--held-out-column",
    metavar="NAME",
    help='Prompts kept for checking: true/false, 1/0, train/test; "held_out" or "split" by default, "" for none.',
)
@click.option(
    "--context-column",
    metavar="NAME",
    help='Text that belongs to the prompt, after a blank line: "input" or "context" by default, "" for none.',
)
@click.option(
    "--system-column",
    metavar="NAME",
    help='What the model was told before the prompt: "system" or "system_prompt" by default, "" for none.',
)
@click.option(
    "--lookalikes",
    type=click.Choice([MERGE, APART]),
    help="Prompts that differ only in what nobody sees (spaces at line ends, no-break and zero-width spaces, line "
    "ends, accents as one character or two): make one prompt of them, spelt as the first, or keep each. Has to be "
    "said where a file has such prompts.",
)
@click.option("--decimal", type=click.Choice(["point", "comma"]), help="The mark in numbers, where they leave doubt.")
@click.option(
    "--echoes",
    type=click.Choice(["remove", "keep"]),
    help="Remove prompts from the replies that begin with them, or keep replies whole; by default most must repeat it.",
)
@click.option("--name", default="", help="What the file is called in the table; its own name by default.")
@force_option
@click.option("--progress-file", type=click.Path(path_type=Path), help="Write progress to this JSON file.")
@click.option("--most-memory", type=click.IntRange(min=1), help="Megabytes that reading the file may take.")
@click.option("--most-seconds", type=click.IntRange(min=1), help="Seconds that reading the file may take.")
def import_(
    file: Path,
    out: Path,
    values: str | None,
    single_values: tuple[str, ...],
    prompt_column: str | None,
    reply_column: str | None,
    use_case_column: str | None,
    weight_column: str | None,
    prompt_id_column: str | None,
    held_out_column: str | None,
    context_column: str | None,
    system_column: str | None,
    lookalikes: str | None,
    decimal: str | None,
    echoes: str | None,
    name: str,
    force: bool,
    progress_file: Path | None,
    most_memory: int | None,
    most_seconds: int | None,
) -> None:
    """Make a reward table of a Parquet, Excel, CSV or JSON file with a row a reply.

    A row holds a prompt, a reply and one number per value; higher must be better for every value. Rows with the same
    prompt text are replies to one prompt. How the columns were read is printed to stderr. The file may be larger than
    the memory: it is read twice, a part at a time.

    \b
    Examples:
      python -m map_core import scored.csv --out table.parquet
      python -m map_core import results.json --out table.parquet --values humor,coherence
      python -m map_core import log.jsonl --out table.parquet --prompt-column asked --reply-column said
      python -m map_core import runs.csv --out table.parquet --held-out-column split   "test" rows are never solved on
    """  # noqa: D301
    if out.exists() and (file.exists() and out.samefile(file)):
        raise click.UsageError("--out is the file itself. Give another name.")
    if values is not None and single_values:
        raise click.UsageError("Give --values or --value, not both.")
    listed = None if values is None else split_names(values)
    columns = ColumnChoice(
        values=single_values or listed,
        prompt=prompt_column,
        reply=reply_column,
        use_case=use_case_column,
        weight=weight_column,
        held_out=held_out_column,
        context=context_column,
        decimal=decimal,
        echoes=echoes,
        prompt_id=prompt_id_column,
        system=system_column,
        lookalikes=lookalikes,
    )
    with watch_progress(out, True, progress_file, unit="%") as watcher:
        if out.exists() and not force:
            raise click.UsageError(f"{out} is there already. {remedies.FORCE}")

        def reached(limit: int) -> None:
            message = too_large(file, most_memory or 0) if limit == OUT_OF_MEMORY else too_slow(file, most_seconds or 0)
            watcher.fail(message)
            click.echo(f"Error: {message}", err=True)

        limit_this_process(most_memory, most_seconds, reached)
        try:
            imported = import_file(
                file,
                out,
                columns,
                date=datetime.now(UTC).isoformat(timespec="seconds"),
                name=name,
                report=PercentReporter(watcher),
                on_layout=lambda mapping: click.echo(mapping, err=True),
            )
        except UnansweredError as error:
            watcher.ask(*(question.as_dict() for question in error.questions))
            raise
        except (InputError, MemoryError) as error:
            if most_memory is not None and ran_out_of_memory(error):
                raise InputError(too_large(file, most_memory)) from error
            raise
        watcher.note(*imported.notes, imported.counts)


class PercentReporter:
    """Reports the progress of an import in percent of the file.

    Args:
        report: called with each report.
    """

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report, self._stage, self._began = report, "", time.perf_counter()

    def __call__(self, stage: str, share: float) -> None:
        """Report that this share of a stage, 0 to 1, is done."""
        if stage != self._stage:
            self._stage, self._began = stage, time.perf_counter()
        self._report(Progress(stage, int(100 * share), 100, 0, time.perf_counter() - self._began))
