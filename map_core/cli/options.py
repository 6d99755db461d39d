"""Options that several commands share, as decorators.

The help text is an argument where commands use an option differently. Constraint: nothing heavy is imported, so that
``--help`` is instant.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from map_core.core.types import Form

Command = TypeVar("Command", bound=Callable[..., Any])


class Decorator(Protocol):
    """A decorator that adds an option to a command."""

    def __call__(self, command: Command, /) -> Command:
        """Return the command with the option."""
        ...


def _default_table() -> Path:
    from map_core.data.table_format import DEFAULT_TABLE

    return DEFAULT_TABLE


def table_argument(command: Command) -> Command:
    """Add the argument TABLE, a reward table; the embedded one when left out."""
    return click.argument("table", type=click.Path(path_type=Path), default=_default_table, required=False)(command)


def form_option(text: str = "Per prompt unless most prompts have one reply.") -> Decorator:
    """Return the option --form, per prompt or pooled."""
    return click.option("--form", type=click.Choice([form.value for form in Form]), help=text)


def use_case_option(text: str = "Only the prompts of this use case.") -> Decorator:
    """Return the option --use-case."""
    return click.option("--use-case", help=text)


def json_option(text: str = "JSON in full precision.") -> Decorator:
    """Return the flag --json, passed as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def table_options(command: Command) -> Command:
    """Add the argument TABLE and the options --form, --use-case and --json."""
    for decorate in (json_option(), use_case_option(), form_option(), table_argument):
        command = decorate(command)
    return command


def palettes_file_option(name: str, text: str) -> Decorator:
    """Return an option that names a file of palettes, JSON lines."""
    return click.option(name, type=click.Path(exists=True, dir_okay=False, path_type=Path), help=text)


def target_option(name: str, text: str) -> Decorator:
    """Return the repeatable option --target NAME=LEVEL, passed as the parameter ``name``."""
    return click.option("--target", name, multiple=True, metavar="NAME=LEVEL", help=text)


def target_options(command: Command) -> Command:
    """Add the options --target and --targets-file, read by :func:`read_palettes`."""
    for decorate in (
        palettes_file_option(
            "--targets-file", 'JSON lines, one palette per line: {"targets": {"humor": 1.2, "helpfulness": "p70"}}'
        ),
        target_option("pairs", "A target; values not named have no target."),
    ):
        command = decorate(command)
    return command


def budget_option(text: str, metavar: str | None = "NATS") -> Decorator:
    """Return the option --budget, in nats."""
    return click.option("--budget", type=float, metavar=metavar, help=text)


def seed_option(text: str, default: int = 0) -> Decorator:
    """Return the option --seed, from 0."""
    return click.option("--seed", type=click.IntRange(min=0), default=default, show_default=True, help=text)


def lock_option(text: str) -> Decorator:
    """Return the repeatable option --lock, passed as ``locked``."""
    return click.option("--lock", "locked", multiple=True, metavar="NAME", help=text)


def candidates_option(text: str, least: int = 1) -> Decorator:
    """Return the option --candidates, 16 by default."""
    return click.option("--candidates", type=click.IntRange(min=least), default=16, show_default=True, help=text)


def values_option(text: str) -> Decorator:
    """Return the option --values, names with commas; see :func:`split_names`."""
    return click.option("--values", metavar="NAME,NAME", help=text)


def values_file_option(text: str = "Values of your own, as TOML: see `values`.") -> Decorator:
    """Return the option --values-file."""
    return click.option("--values-file", type=click.Path(path_type=Path), metavar="FILE", help=text)


def model_option(text: str) -> Decorator:
    """Return the option --model."""
    return click.option("--model", help=text)


def engine_option(*engines: str) -> Decorator:
    """Return the option --engine, with a choice of these beside ``auto``."""
    return click.option("--engine", type=click.Choice(["auto", *engines]), default="auto", show_default=True)


def dtype_option(command: Command) -> Command:
    """Add the option --dtype."""
    return click.option(
        "--dtype", type=click.Choice(["float32", "bfloat16"]), help="Precision; the engine's own by default."
    )(command)


def force_option(command: Command) -> Command:
    """Add the flag --force."""
    return click.option("--force", is_flag=True, help="Replace OUT if it is there.")(command)


def quiet_option(text: str = "No progress.") -> Decorator:
    """Return the flag --quiet."""
    return click.option("--quiet", is_flag=True, help=text)


def split_names(text: str) -> tuple[str, ...]:
    """Split names at commas, without the spaces around them.

    Example:
        >>> split_names("humor, kindness,")
        ('humor', 'kindness')
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())
