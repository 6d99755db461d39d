"""``python -m map_core verify``: what palettes promise, held against fresh replies to other prompts."""

from __future__ import annotations

import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core import build as builder
from map_core import rewards
from map_core.certificate import AttainableLevels
from map_core.command_line.build import ProgressLines
from map_core.command_line.options import (
    Opened,
    by_name,
    columns,
    open_table,
    print_json,
    read_palettes,
    target_options,
)
from map_core.delivery import Delivery, deliver, halves, share_of_way
from map_core.errors import InputError
from map_core.glossary import Form, SamplingSettings, Verdict
from map_core.hands import deal
from map_core.oracle import MemoryOracle
from map_core.prompts import Prompt
from map_core.reproduce import random_palettes
from map_core.rewards import RewardTable
from map_core.values import scorers

#: The highest percentile, as a share, of a random palette's targets.
HIGHEST = 0.8


@click.command()
@click.argument("table", type=click.Path(path_type=Path), default=rewards.DEFAULT_TABLE, required=False)
@target_options
@click.option("--random", type=click.IntRange(min=1), metavar="N", help="N random palettes that can be had instead.")
@click.option("--use-case", help="Only the prompts of this use case.")
@click.option(
    "--prompts", "most", type=click.IntRange(min=2), metavar="N", help="Fresh prompts at most; all by default."
)
@click.option(
    "--candidates", type=click.IntRange(min=2), default=16, show_default=True, help="K, replies to choose from."
)
@click.option("--max-new-tokens", type=click.IntRange(min=1), metavar="T", help="Longest reply; as in the table.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of halves, replies and picks.")
@click.option("--engine", type=click.Choice(["auto", "torch", "openvino"]), default="auto", show_default=True)
@click.option(
    "--fresh",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep the fresh replies in this table; one that is there is used again, an unfinished one goes on.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a palette, in full precision.")
def verify(
    table: Path,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    random: int | None,
    use_case: str | None,
    most: int | None,
    candidates: int,
    max_new_tokens: int | None,
    seed: int,
    engine: str,
    fresh: Path | None,
    as_json: bool,
) -> None:
    """Hold the forecast of palettes against what the generator delivers on prompts that they were not solved on.

    Weights are solved on one half of the prompts, for K candidates. The other half is answered anew, K replies a
    prompt, drawn once for all palettes. "realised" is the expected level over each prompt's candidates, "picked" that
    of the one reply that is picked, "pooled" what weights of the published pooled form give. "interval" is where the
    realised level lies in 90% of cases if the forecast is right: the forecast and its error bar.

    \b
    Examples:
      python -m map_core verify --target helpfulness=p60 --target humor=p60
      python -m map_core verify --random 50 --candidates 16
      python -m map_core verify my-table.parquet --targets-file palettes.jsonl --prompts 32 --fresh fresh.parquet --json
    """
    opened = open_table(table, use_case, None)
    if random is not None and (pairs or targets_file):
        raise click.UsageError("Give either targets or --random N.")
    asked = [] if random else [palette.levels for palette in read_palettes(opened, pairs, targets_file)]
    solved_on, others = halves(opened.table, seed)
    if most is not None and most < len(others.prompts):
        others = others.take(np.linspace(0, len(others.prompts) - 1, most).astype(int).tolist())
    try:
        new = _fresh_replies(others, candidates, max_new_tokens, seed, engine, fresh)
    except KeyboardInterrupt:
        kept = " What is made is kept; the same command goes on where it stopped." if fresh else ""
        click.echo(f"\nStopped.{kept}", err=True)
        sys.exit(130)
    if random:
        asked = _random_palettes(opened, solved_on, int(new.candidates.max()), random, seed)
    found = deliver(solved_on, new, asked, seed=seed)
    for delivery in found:
        print_json(describe(delivery, opened.oracle)) if as_json else click.echo(_as_text(delivery, opened.oracle))
    if not as_json:
        click.echo(_summary(found))


def _fresh_replies(
    others: RewardTable, candidates: int, max_new_tokens: int | None, seed: int, engine: str, fresh: Path | None
) -> RewardTable:
    """New replies to these prompts with the model and the settings of their table, scored on its values."""
    if fresh is not None and fresh.is_file():
        made = rewards.load(fresh)
        if not set(made.prompts) <= set(others.prompts):
            raise InputError(
                f"{fresh} holds replies to prompts that were solved on. Name another file, or its own --seed."
            )
        return made.reordered(others.values)
    from map_core.generate.engine import open_engine
    from map_core.generate.models import DEFAULT_MODEL

    metadata = others.metadata
    known = {name: metadata.get("sampling", {}).get(name) for name in SamplingSettings.__dataclass_fields__}
    settings = SamplingSettings(**{name: setting for name, setting in known.items() if setting is not None})
    if max_new_tokens is not None:
        settings = replace(settings, max_new_tokens=max_new_tokens)
    chosen = scorers(others.values)
    texts = zip(others.prompt_ids, others.use_cases, others.prompts, strict=True)
    model = str((metadata.get("model") or {}).get("name") or DEFAULT_MODEL)
    with tempfile.TemporaryDirectory() as folder:
        return builder.build(
            [Prompt(*prompt) for prompt in texts],
            fresh or Path(folder) / "fresh.parquet",
            open_engine(model, engine),
            chosen,
            candidates=candidates,
            settings=settings,
            seed=seed,
            system=metadata.get("system"),
            report=ProgressLines(),
        )


def _random_palettes(
    opened: Opened, solved_on: RewardTable, candidates: int, count: int, seed: int
) -> list[np.ndarray]:
    """Palettes of one to all values, each target uniform in percentiles from the base level to ``HIGHEST``.

    Those that so many candidates can give on the prompts solved on, in the order of the draw.
    """
    oracle = MemoryOracle.of(deal(solved_on, candidates, seed=seed), Form.PER_PROMPT)
    attainable = AttainableLevels(oracle)
    found: list[np.ndarray] = []
    for draw in range(100):
        for size in range(1, len(oracle.values) + 1):
            drawn = random_palettes(opened.table, opened.oracle, size, 1, highest=HIGHEST, seed=[seed, draw, size])[0]
            if len(found) < count and attainable.margin(oracle.standardise(drawn)).attainable:
                found.append(drawn)
        if len(found) == count:
            return found
    raise InputError(f"Of 100 random palettes of each size only {len(found)} can be had; ask for fewer than {count}.")


def describe(found: Delivery, oracle: MemoryOracle) -> dict[str, Any]:
    """One palette's forecast and delivery as plain JSON values, levels in reward units."""
    ends = zip(oracle.values, found.forecast - found.error, found.forecast + found.error, strict=True)
    return {
        "asked": by_name(oracle, found.asked),
        "targets": by_name(oracle, found.targets),
        "verdict": found.verdict.value,
        "weights": by_name(oracle, found.weights),
        "base": by_name(oracle, found.base),
        "forecast": by_name(oracle, found.forecast),
        "realised": by_name(oracle, found.realised),
        "interval": {name: [float(low), float(high)] for name, low, high in ends},
        "inside": {name: bool(inside) for name, inside in zip(oracle.values, found.inside, strict=True)},
        "picked": by_name(oracle, found.picked),
        "win_rates": by_name(oracle, found.wins),
        "improves": {"reward": found.improves, "win_rate": found.wins_all},
        "random_improves": {"reward": _number(found.random_improves), "win_rate": _number(found.random_wins)},
        "pooled": by_name(oracle, found.pooled) or None,
        "share_of_way": _number(share_of_way([found], [found.realised])),
        "share_of_way_pooled": _number(share_of_way([found], [found.pooled])),
        "kl_forecast": found.kl_forecast,
        "kl_realised": found.kl_realised,
        "prompts": found.prompts,
        "candidates": found.candidates,
    }


def _number(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _as_text(found: Delivery, oracle: MemoryOracle) -> str:
    note = ""
    if found.verdict is Verdict.OUT_OF_REACH:
        note = f" Out of reach of {found.candidates} candidates: the nearest palette stands in."
    rows = [name for name, target in zip(oracle.values, found.targets, strict=True) if not math.isnan(target)]
    shown = {
        "base": by_name(oracle, found.base),
        "target": by_name(oracle, found.targets),
        "forecast": by_name(oracle, found.forecast),
        "realised": by_name(oracle, found.realised),
        "± expected": by_name(oracle, found.error),
        "picked": by_name(oracle, found.picked),
        "pooled": by_name(oracle, found.pooled),
    }
    way, pooled = (share_of_way([found], [levels]) for levels in (found.realised, found.pooled))
    said = f"{way:.0%} of the way to the targets" if math.isfinite(way) else "No target is above the base level"
    beside = f", {pooled:.0%} with pooled weights" if math.isfinite(pooled) else ""
    return "\n".join([f"{said}{beside}.{note}", *columns(rows, shown, missing=""), ""])


def _summary(found: tuple[Delivery, ...]) -> str:
    had = [one for one in found if one.verdict is not Verdict.OUT_OF_REACH]
    ways = [share_of_way(had, [getattr(one, name) for one in had]) for name in ("realised", "pooled")]
    inside = np.concatenate([one.inside[~np.isnan(one.targets)] for one in found])
    line = f"{len(found)} palettes on {found[0].prompts} fresh prompts, {found[0].candidates} candidates each."
    if len(inside):
        line += f" Realised levels inside their 90% intervals: {inside.mean():.0%} of {len(inside)}."
    if math.isfinite(ways[0]):
        line += f" Of the way to the targets that can be had: {ways[0]:.0%}"
        line += f", with pooled weights {ways[1]:.0%}." if math.isfinite(ways[1]) else "."
    asking = [one for one in had if math.isfinite(one.random_improves)]
    if asking:
        names = ("improves", "wins_all", "random_improves", "random_wins")
        shares = [np.mean([getattr(one, name) for one in asking]) for name in names]
        line += "\nEvery value asked to rise does, by reward and by win rate: {:.0%} and {:.0%} of palettes".format(
            *shares[:2]
        )
        line += "; under random weights at the same cost {:.0%} and {:.0%}.".format(*shares[2:])
    return line
