"""``python -m map_core compare``: compare palettes or models on the same prompts, and rank them by votes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.cli.inputs import LoadedTable, open_table, read_palettes
from map_core.cli.options import json_option, table_argument, target_options, use_case_option
from map_core.cli.output import print_json
from map_core.core import amounts
from map_core.core.types import Form, Verdict
from map_core.core.unused_name import unused_name
from map_core.data.subsample import subsample_candidates
from map_core.errors import InputError
from map_core.feasibility import assess
from map_core.oracle import MemoryOracle
from map_core.studies.bradley_terry import BASE, Ranking, rank, read_votes
from map_core.studies.head_to_head import (
    Contender,
    PairedComparison,
    compare_all,
    prompts_to_compare,
    read_answers,
    table_contender,
)

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@table_argument
@target_options
@use_case_option()
@click.option(
    "--candidates", type=click.IntRange(min=2), metavar="K", help="Candidates of the generator; the table's by default."
)
@click.option(
    "--answers",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="Answers of `generate --prompts ... --out`, of another palette or model each, in place of palettes.",
)
@click.option(
    "--votes",
    type=_FILE,
    metavar="FILE",
    help='Votes to rank by: JSON lines {"first", "second", "preferred": "first"|"second"|"tie", "prompt"}, or the '
    "judgements that the app exports.",
)
@click.option("--level", default=0.95, show_default=True, help="Probability that each interval holds the truth.")
@json_option("One JSON object a pair, and one a ranking.")
def compare(
    table: Path,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    use_case: str | None,
    candidates: int | None,
    answers: tuple[Path, ...],
    votes: Path | None,
    level: float,
    as_json: bool,
) -> None:
    """Hold palettes, and the base model, against each other on the same prompts; rank by votes.

    For every pair and value: how often a reply of the first is better (ties half), how often both are worth the same,
    and by how much, with paired intervals over the prompts. Palettes are solved on TABLE and compared on the prompts
    that it holds out, or on its own where it holds out none. --answers compares what palettes or models really
    answered.

    --votes ranks by what people preferred, and only what votes connect: two that were never compared, not even by way
    of others, are in rankings of their own.

    \b
    Examples:
      python -m map_core compare --targets-file palettes.jsonl
      python -m map_core compare --answers small.jsonl --answers large.jsonl --json
      python -m map_core compare --votes votes.jsonl
    """  # noqa: D301
    if not 0.0 < level < 1.0:
        raise click.UsageError(f"--level is {level}; expected a number between 0 and 1, such as 0.95.")
    if answers and (pairs or targets_file):
        raise click.UsageError("Give either palettes or --answers.")
    if len(answers) == 1 or not (answers or pairs or targets_file or votes):
        raise click.UsageError("There is nothing to compare; give palettes, --answers twice or more, or --votes.")
    contenders: list[Contender] = []
    if answers:
        contenders = [read_answers(path) for path in answers]
        if len({contender.name for contender in contenders}) < len(contenders):
            contenders = [replace(c, name=str(path)) for c, path in zip(contenders, answers, strict=True)]
    elif pairs or targets_file:
        contenders = _palettes(open_table(table, use_case, None), pairs, targets_file, candidates)
    for pair in compare_all(contenders, level):
        result = describe(pair) | {"level": level}
        print_json(result) if as_json else click.echo("\n".join(_as_text(pair, level)) + "\n")
    for ranking in rank(read_votes(votes), level) if votes else ():
        result = describe_ranking(ranking) | {"level": level}
        print_json(result) if as_json else click.echo("\n".join(_ranking_as_text(ranking, level)) + "\n")


def _palettes(
    opened: LoadedTable, pairs: tuple[str, ...], targets_file: Path | None, candidates: int | None
) -> list[Contender]:
    """Return the palettes, solved for K candidates, and the base model, on held-out prompts if there are any.

    Raises:
        InputError: nothing near a palette is possible.
    """
    opened, palettes = read_palettes(opened, pairs, targets_file)
    table = opened.table
    most = int(table.candidates.max()) if candidates is None else candidates
    oracle = MemoryOracle.of(subsample_candidates(table, most), Form.PER_PROMPT)
    measured = subsample_candidates(prompts_to_compare(table), most, subsets=1)
    contenders: list[Contender] = []
    for number, palette in enumerate(palettes, start=1):
        assessment = assess(oracle, oracle.deviations(palette.levels))
        solution = assessment.solution or (assessment.nearest.solution if assessment.nearest else None)
        if solution is None:
            raise InputError(f"Nothing near palette {number} is possible; ask for less.")
        name = str(palette.record.get("name", f"palette-{number}"))
        name += " (nearest)" if assessment.verdict is Verdict.OUT_OF_REACH else ""
        name = unused_name(name, {BASE, *(contender.name for contender in contenders)}.__contains__)
        contenders.append(table_contender(measured, name, solution.weights / oracle.scale))
    return [*contenders, table_contender(measured, BASE, np.zeros(len(table.values)))]


def describe(pair: PairedComparison) -> dict[str, Any]:
    """Return a comparison as plain JSON values."""
    return {
        "first": pair.first,
        "second": pair.second,
        "prompts": pair.prompts,
        "values": {
            value: {
                "wins": _ends(pair.wins, j),
                "ties": float(pair.ties[j]),
                "gain": _ends(pair.gains, j),
            }
            for j, value in enumerate(pair.values)
        },
    }


def describe_ranking(ranking: Ranking) -> dict[str, Any]:
    """Return a ranking as plain JSON values; an unknown end of an interval is null."""
    rows = zip(ranking.names, ranking.strengths, ranking.low, ranking.high, strict=True)
    votes: dict[str, dict[str, dict[str, float]]] = {}
    for name, won, tied in zip(ranking.names, ranking.votes, ranking.ties, strict=True):
        votes[name] = {
            other: {"votes": float(won[j]), "ties": int(tied[j])}
            for j, other in enumerate(ranking.names)
            if other != name
        }
    return {
        "against": ranking.reference or "mean",
        "ranking": [
            {"name": name, "strength": float(strength), "low": amounts.finite(low), "high": amounts.finite(high)}
            for name, strength, low, high in rows
        ],
        "votes": votes,
    }


def _ends(interval: Any, j: int) -> dict[str, float]:
    return {name: float(getattr(interval, name)[j]) for name in ("estimate", "low", "high")}


def _as_text(pair: PairedComparison, level: float) -> Iterator[str]:
    confidence = amounts.percent(level)
    yield f"{pair.first} against {pair.second} on {pair.prompts} prompts; intervals hold the truth with {confidence}."
    width = max(map(len, pair.values))
    yield f"{'':<{width}}  {'better in':>9}  {'from':>5} {'to':>5}  {'equal':>5}  {'gain':>8}  {'from':>8} {'to':>8}"
    for j, value in enumerate(pair.values):
        wins = [amounts.percent(float(x[j])) for x in (pair.wins.estimate, pair.wins.low, pair.wins.high)]
        gain = [amounts.fixed(float(x[j]), 3) for x in (pair.gains.estimate, pair.gains.low, pair.gains.high)]
        yield (
            f"{value:<{width}}  {wins[0]:>9}  {wins[1]:>5} {wins[2]:>5}  {amounts.percent(float(pair.ties[j])):>5}  "
            f"{gain[0]:>8}  {gain[1]:>8} {gain[2]:>8}"
        )


def _ranking_as_text(ranking: Ranking, level: float) -> Iterator[str]:
    if len(ranking.names) == 1:
        yield f"{ranking.names[0]}: votes do not place it against the others."
        return
    ties = int(ranking.ties.sum() / 2)
    against = ranking.reference or "the mean of these"
    yield (
        f"By {int(ranking.votes.sum())} votes, of which {ties} were ties; log-odds against {against} with "
        f"{amounts.percent(level)} intervals."
    )
    yield from _rows(ranking.names, ranking.strengths, ranking.low, ranking.high)


def _rows(names: Sequence[str], *columns: np.ndarray) -> Iterator[str]:
    width = max(map(len, names))
    for name, *numbers in zip(names, *columns, strict=True):
        yield f"{name:<{width}}" + "".join(
            f"{amounts.fixed(float(x), 2, signed=True, unknown='–'):>9}" for x in numbers
        )
