"""Options for what a palette asks for beyond its targets.

Constraint: text in, :class:`map_core.palettes.beside.Beside` out; nothing is solved here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

import click

from map_core.data.derived_columns import USE_CASE
from map_core.palettes.beside import Beside

Command = TypeVar("Command", bound=Callable[..., Any])


def demand_options(command: Command) -> Command:
    """Add the options that ask for more than targets, passed together as one argument ``beside``."""

    @wraps(command)
    def with_demands(**arguments: Any) -> Any:
        demands = {field.name: arguments.pop(field.name) for field in fields(Beside)}
        return command(beside=Beside(**demands), **arguments)

    for decorate in (
        click.option(
            "--no-cohort-below-base",
            metavar="COLUMN",
            is_flag=False,
            flag_value=USE_CASE,
            help="No use case falls below its base level on a targeted value; or no entry of another COLUMN of text.",
        ),
        click.option(
            "--any-mix",
            type=float,
            metavar="NATS",
            help="Every target holds under each mix of prompts that is no further than this from the table's. "
            "G^2 / (2 n) leaves room of G standard errors for n prompts being a sample.",
        ),
        click.option(
            "--worst-mean",
            multiple=True,
            metavar="NAME:SHARE=LEVEL",
            help="The mean of the worst share of replies is at least a level, as in kindness:5%=p10.",
        ),
        click.option(
            "--every-scorer",
            multiple=True,
            metavar="NAME=SCORER,SCORER",
            help="Targets of a value hold for further values of the table that score it too, as in "
            "kindness=kindness_b,kindness_c: each rises by as many of its own standard deviations.",
        ),
        click.option(
            "--no-worse-tail",
            multiple=True,
            metavar="NAME",
            help="Never at the cost of the worst replies on this value: no tail is heavier than the base model's.",
        ),
    ):
        with_demands = decorate(with_demands)
    return with_demands  # type: ignore[return-value]
