"""What a palette asks for beside its targets, as options and as fields of a line of --targets-file.

Constraint: text in, :class:`map_core.feasibility.cuts.Demands` and further targets out; nothing is solved here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, TypeVar

import click

from map_core.data.derived_columns import USE_CASE
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility.cuts import Demands, WorstMean
from map_core.oracle import Oracle
from map_core.palettes.column_names import parse_name
from map_core.palettes.target_columns import cohorts_of
from map_core.palettes.targets import parse_level

Command = TypeVar("Command", bound=Callable[..., Any])
#: Fields of a line of --targets-file, named as the options.
FIELDS = ("no_worse_tail", "worst_mean", "any_mix", "no_cohort_below_base")


@dataclass(frozen=True)
class DemandOptions:
    """The options of :func:`demand_options` as they were given."""

    no_worse_tail: tuple[str, ...] = ()
    worst_mean: tuple[str, ...] = ()
    any_mix: float | None = None
    no_cohort_below_base: str | None = None


def demand_options(command: Command) -> Command:
    """Add the options that ask for more than targets, passed together as ``beside``."""

    @wraps(command)
    def with_demands(**given: Any) -> Any:
        own = {field.name: given.pop(field.name) for field in fields(DemandOptions)}
        return command(beside=DemandOptions(**own), **given)

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
            help="Every target holds under each mix of prompts that is no further than this from the table's.",
        ),
        click.option(
            "--worst-mean",
            multiple=True,
            metavar="NAME:SHARE=LEVEL",
            help="The mean of the worst share of replies is at least a level, as in kindness:5%=p10.",
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


def read_demands(record: Mapping[str, Any], beside: DemandOptions, table: RewardTable, oracle: Oracle) -> Demands:
    """Read what a line and the options ask for beside targets.

    Raises:
        InputError: an unknown value, or a share, a level or a distance that cannot be read.
    """
    tails = record.get("no_worse_tail", ())
    worst = record.get("worst_mean", {})
    if isinstance(tails, str) or not isinstance(tails, list | tuple) or not isinstance(worst, Mapping):
        raise InputError(
            f"no_worse_tail is {tails!r} and worst_mean is {worst!r}; expected a list of values and levels by name, as "
            'in ["kindness"] and {"kindness:5%": "p10"}.'
        )
    tails = tuple(dict.fromkeys((*map(str, tails), *beside.no_worse_tail)))
    for value in tails:
        table.index(value)
    written = [*worst.items(), *(_split(text) for text in beside.worst_mean)]
    mix = record.get("any_mix", 0.0) if beside.any_mix is None else beside.any_mix
    if isinstance(mix, bool) or not isinstance(mix, int | float):
        raise InputError(f"any_mix is {mix!r}; expected a distance in nats, such as 0.1.")
    return Demands(tails, tuple(_worst_mean(name, level, table, oracle) for name, level in written), float(mix))


def with_cohort_floors(
    record: Mapping[str, Any], targets: Mapping[str, Any], beside: DemandOptions, table: RewardTable
) -> dict[str, Any]:
    """Return targets with a floor at the base level for each targeted value and cohort, where that is asked for.

    Raises:
        InputError: the table has no such column of text.
    """
    label = beside.no_cohort_below_base or record.get("no_cohort_below_base")
    if label is None:
        return dict(targets)
    floors: dict[str, Any] = {}
    for name in targets:
        parts = parse_name(name, table.values)
        if name in table.values or (parts is not None and parts.cohort is None):
            start = name if parts is None else parts.name
            floors |= {f"{start}@{cohort}": "+0sd" for cohort in cohorts_of(table, str(label))}
    return {**floors, **targets}


def _split(text: str) -> tuple[str, str]:
    name, equals, level = text.rpartition("=")
    if not equals or ":" not in name or not level:
        raise InputError(f"--worst-mean {text!r} is no NAME:SHARE=LEVEL, such as kindness:5%=p10.")
    return name, level


def _worst_mean(name: str, level: Any, table: RewardTable, oracle: Oracle) -> WorstMean:
    value, _, written = name.rpartition(":")
    j = table.index(value)
    try:
        share = float(written.removesuffix("%")) / (100.0 if written.endswith("%") else 1.0)
    except ValueError as error:
        raise InputError(f"The worst share of {value} is {written!r}; expected 0.05 or 5%.") from error
    return WorstMean(value, share, parse_level(value, level, table, j, oracle))
