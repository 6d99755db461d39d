"""The command line; each command is a module of its own.

Errors are one message on stderr without a traceback: exit code 2 for usage errors, 1 for all others.
Constraint: a command's module is imported only when that command is called, so that ``--help`` is instant.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from keyword import iskeyword

import click

from map_core import __version__
from map_core.errors import PaletteError

#: Each command, which is also the name of its module, and its line in ``--help``.
COMMANDS = {
    "app": "Open the app in the browser.",
    "solve": "Find the weights that reach a palette, or why nothing does.",
    "nearest": "Find the possible palette closest to one that is not possible.",
    "frontier": "Trace the Pareto frontier of pairs and triples of values.",
    "choose": "Find a palette by saying which of two replies you would rather send.",
    "sensitivity": "Show what each target costs, and what moves when it is moved.",
    "confidence": "Put error bars on weights, levels and the verdict.",
    "certify": "Show on new prompts that a palette keeps its targets.",
    "compare": "Compare palettes or models on the same prompts, and rank them by votes.",
    "preferences": "Write a palette as pairs of chosen and rejected replies, for trainers.",
    "sequence": "Align one value after another, beside all at once.",
    "groups": "Find a common palette for several groups, or compare two tables.",
    "baselines": "Compare a palette with weights that are picked without solving.",
    "report": "Write a palette as a document with verdict, price, figures and replies.",
    "reproduce": "Run the published experiments on a table.",
    "verify": "Compare the forecast with fresh replies to other prompts.",
    "import": "Make a reward table of a Parquet, Excel, CSV or JSON file.",
    "generate": "Answer a prompt as the base model and as the aligned model.",
    "serve": "Serve the aligned model by an OpenAI-compatible API.",
    "build": "Sample replies, score them, and write a reward table.",
    "values": "Show what each value measures and how well it separates labelled replies.",
    "people": "Say of how many replies in 100 people would say yes, from labels and scorers.",
    "train": "Train a value on replies that people labelled, and report how good it is.",
    "tune": "Tune the model's weights on a palette, and report the result.",
    "backup": "Copy the database, the tables and tuned models, while the app runs.",
    "restore": "Restore the database, the tables and tuned models from a backup.",
    "models": "Download models to this machine, and list them.",
}


class _Commands(click.Group):
    """Import a command only when it is called, so that listing the commands imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command: click.Command = getattr(importlib.import_module(f"map_core.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def command_line() -> None:
    """Value Palette: set a target level for each human value, get the weights that reach them.

    \b
    Examples:
      python -m map_core solve --target helpfulness=p70 --target humor=+0.3sd
      python -m map_core generate --prompt "How do I calm a crying child?" --weights humor=2
      python -m map_core build --prompts prompts.jsonl --out table.parquet
    """  # noqa: D301


def console() -> None:
    """Run the console script ``value-palette``."""
    sys.exit(main(program="value-palette"))


def main(arguments: Sequence[str] | None = None, program: str = "python -m map_core") -> int:
    """Run one command and return its exit code.

    Args:
        arguments: command-line arguments; None for those of this process.
        program: the program's name in help and error messages.
    """
    try:
        result = command_line.main(
            args=None if arguments is None else list(arguments),
            prog_name=program,
            standalone_mode=False,
        )
    except click.ClickException as error:
        error.show()
        return 2 if isinstance(error, click.UsageError) else 1
    except click.Abort:
        click.echo("Stopped.", err=True)
        return 1
    except PaletteError as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    return result if isinstance(result, int) else 0
