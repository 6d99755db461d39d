"""``verify --model FOLDER``: check tuned models' own replies to prompts that they were not tuned on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.building.progress import Progress, Reporter
from map_core.cli.inputs import load_with_notes
from map_core.cli.output import print_json
from map_core.cli.tuned_replies import drawn_replies
from map_core.core import amounts
from map_core.core.file_lock import lock
from map_core.data.reward_table import RewardTable
from map_core.errors import EngineError, InputError
from map_core.models.cache import sha256_of
from map_core.models.tuned import RECORD, find_tuned
from map_core.studies.palette_sets import score_ways
from map_core.tuning.check import TunedCheck, check_tuned
from map_core.tuning.folder import read_record, write_record
from map_core.tuning.side_by_side import side_by_side


def verify_tuned(
    folders: Sequence[Path],
    table_path: Path,
    *,
    most: int | None,
    replies: int,
    seed: int,
    engine: str,
    fresh: Path | None,
    as_json: bool,
) -> None:
    """Draw tuned models' replies to their held-out prompts, print the results and store them in the model cards.

    Args:
        folders: the folders of different tuned models, or their names on the page Tune.
        table_path: the table that they were tuned on.
        most: maximum number of held-out prompts; None for all.
        replies: replies per prompt.
        seed: of the replies.
        engine: the engine in which the models open.
        fresh: file that keeps the replies of a single model; those in an existing one are used again.
        as_json: print one JSON object per model, and one for the set.

    Raises:
        InputError: a folder holds no tuned model, or a model was tuned on another table.
    """
    if fresh is not None and len(folders) > 1:
        raise InputError("--fresh keeps the replies of one model. Give one --model, or leave --fresh out.")
    homes = [find_tuned(str(folder)) or folder for folder in folders]
    records = [read_record(home) for home in homes]
    for folder, record in zip(folders, records, strict=True):
        if table_path.is_file() and record["table"]["sha256"] not in ("", sha256_of(table_path)):
            raise InputError(
                f"{folder} was tuned on another table than {table_path}. Name that one: verify TABLE --model."
            )
    table, checks = load_with_notes(table_path), []
    for folder, home, record in zip(folders, homes, records, strict=True):
        check = check_folder(
            home, table, most=most, replies=replies, seed=seed, engine=engine, fresh=fresh, report=_report_answered
        )
        checks.append(check)
        if as_json:
            print_json({"model": str(folder), "method": record["method"], **check.as_dict()})
        else:
            click.echo("\n".join(([f"{folder}:"] if len(folders) > 1 else []) + [check_text(check)]))
    if len(checks) > 1:
        _print_set(checks, as_json)


def _print_set(checks: Sequence[TunedCheck], as_json: bool) -> None:
    """Print the scores of the palettes as a set, or why there are none."""
    if len({check.values for check in checks}) > 1:
        click.echo("The models have different shares or tails, so they cannot be scored as a set.", err=True)
        return
    gains = [check.gains() for check in checks]
    common = [way for way in gains[0] if all(way in model_gains for model_gains in gains)]
    levels = {way: np.array([model_gains[way] for model_gains in gains]) for way in common}
    try:
        scores = score_ways(np.array([check.lam * check.spread for check in checks]), levels)
    except EngineError as error:  # the checks of the single models are already printed and stored
        click.echo(str(error), err=True)
        return
    if as_json:
        print_json({"palettes": len(checks), "set": {way: asdict(score) for way, score in scores.items()}})
        return
    width = max(map(len, scores)) + 2
    click.echo(f"The {len(checks)} palettes as a set, in deviations above base:")
    click.echo(f"{'':{width}}{'mean inner product':>20}{'hypervolume':>14}")
    for way, score in scores.items():
        numbers = f"{amounts.fixed(score.mean_inner_product, 3):>20}{amounts.fixed(score.hypervolume, 3):>14}"
        click.echo(f"{way:{width}}{numbers}")


def check_folder(
    folder: Path,
    table: RewardTable,
    *,
    most: int | None,
    replies: int,
    seed: int,
    engine: str,
    fresh: Path | None,
    report: Reporter,
) -> TunedCheck:
    """Draw a tuned model's replies to its held-out prompts, and store the check in its card and record.

    The arguments are those of :func:`verify_tuned`; ``report`` is called after each prompt.

    Raises:
        InputError: the folder holds no tuned model, or no prompt was held out.
    """
    record = read_record(folder)
    table = held_out_prompts(table, record, most)
    drawn = drawn_replies(folder, record, table, replies=replies, seed=seed, engine=engine, fresh=fresh, report=report)
    check = check_tuned(record, table, drawn)
    shown = side_by_side(record["weights"], table, drawn, seed) if table.replies else ()
    with lock(folder / RECORD, who="tuning"):
        write_record(
            folder, {**record, "check": check.as_dict(), "side_by_side": [replies.as_dict() for replies in shown]}
        )
    return check


def _report_answered(progress: Progress) -> None:
    done, total = progress.done - progress.resumed, progress.total - progress.resumed
    if done and (done == total or done % 4 == 0):
        click.echo(f"{done} of {total} prompts answered", err=True)


def held_out_prompts(table: RewardTable, record: Mapping[str, Any], most: int | None = None) -> RewardTable:
    """Return the table of the prompts that a model was not tuned on.

    Raises:
        InputError: there are none.
    """
    held_out_ids = set(record["held_out"])
    rows = [i for i, prompt_id in enumerate(table.prompt_ids) if prompt_id in held_out_ids]
    if not rows:
        raise InputError("The model was tuned on every prompt of the table, so none is left to check it on.")
    if most is not None and most < len(rows):
        rows = [rows[i] for i in np.linspace(0, len(rows) - 1, most).astype(int)]
    # The held-out marks and weights belong to the solve; here every prompt is used and counts equally.
    return replace(table, held_out=np.empty(0, dtype=bool), weights=np.empty(0)).take(rows)


def check_text(check: TunedCheck) -> str:
    """Return a check as lines of text."""
    facts = check.as_dict()
    width = max(map(len, check.values)) + 2
    heads = ("base", "tuned", "+-", "forecast", "of the way", "")
    lines = [
        f"{facts['replies']} replies of the tuned model to each of {facts['prompts']} prompts that it was not tuned "
        f"on; +- is the {amounts.percent(check.level)} interval of the gain over the base model.",
        f"{'value':{width}}" + "".join(f"{head:>12}" for head in heads).rstrip(),
    ]
    for name, value in facts["values"].items():
        cells = "".join(f"{amounts.fixed(value[key], 3):>12}" for key in ("base", "tuned", "tuned_error", "forecast"))
        share = "" if value["share_of_way"] is None else _percent(value["share_of_way"])
        lines.append(f"{name:{width}}{cells}{share:>12}  {value['outcome'] or ''}".rstrip())
    lines.append(
        f"In lambda . r {_percent(facts['share_of_way'])} of the way ({_interval(facts['share_of_way_interval'])}), "
        f"{amounts.nats(facts['kl'])} +- {amounts.fixed(facts['kl_error'], 2)} from the base model; lambda's own "
        f"{amounts.nats(facts['kl_forecast'])}."
    )
    lengths = facts["lengths"]
    lines.append(
        f"Tokens of a reply: {amounts.fixed(lengths['base'])} before, {amounts.fixed(lengths['tuned'])} tuned."
    )
    lines.append("Choosing among candidates, share of the way in lambda . r and effective sample size:")
    for name, rows in facts["choosing"].items():
        for row in rows:
            lines.append(
                f"  {name:>6} {row['candidates']:>3}{_percent(row['share_of_way']):>8} "
                f"({_interval(row['share_of_way_interval'])}), {amounts.fixed(row['ess'], 1)}"
            )
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return amounts.UNKNOWN if share is None or not math.isfinite(share) else f"{amounts.fixed(100 * share)}%"


def _interval(ends: list[float | None]) -> str:
    return " to ".join(map(_percent, ends))
