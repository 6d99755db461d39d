"""Mix models that are tuned to one value each for a palette, for ``baselines --tuned``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from map_core.building.progress import Reporter, StageProgress
from map_core.core import amounts
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.models.tuned import find_tuned
from map_core.tuning.folder import RATIOS, is_of_table, keep_ratios, read_ratios, read_record
from map_core.tuning.mixtures import SingleTuned, TunedMixture, levels_of, mixture, soup_path


def open_models(names: Sequence[str], table: RewardTable) -> list[SingleTuned]:
    """Return the tuned models of these names or folders.

    Raises:
        InputError: one is no adapter that was tuned on this table to one value, or two are of one value.
    """
    models: dict[str, SingleTuned] = {}
    for name in names:
        folder = find_tuned(name) or Path(name)
        record = read_record(folder)
        if not is_of_table(record, table):
            raise InputError(f"{name} was tuned on another table. Name that one, or tune it on this one.")
        model = SingleTuned.of(name, folder, record)
        if model is None:
            raise InputError(
                f"{name} is tuned to {', '.join(record['weights'])}; expected an adapter that is tuned to one value "
                "alone (`tune --target NAME=LEVEL`, without --full)."
            )
        if model.value in models:
            raise InputError(f"{models[model.value].name} and {name} are both tuned to {model.value}. Leave one out.")
        models[model.value] = model
    if len(models) < 2:
        raise InputError("One model is given by --tuned; expected at least 2, which are mixed.")
    return list(models.values())


def with_log_ratios(
    models: Sequence[SingleTuned], table: RewardTable, prompts: int, replies: int, report: Reporter
) -> tuple[SingleTuned, ...]:
    """Return models with their log-ratios on some prompts; those kept beside a model are not computed again.

    Raises:
        InputError: the models were tuned on each other's held-out prompts, or the table has no token ids.
    """
    shared = [name for name in table.prompt_ids if all(name in model.held_out for model in models)]
    if len(shared) < 2:
        raise InputError("The models have no two prompts that none of them was tuned on. Tune them on one table.")
    positions = np.linspace(0, len(shared) - 1, min(prompts, len(shared))).astype(int)
    wanted = [shared[position] for position in positions]

    def missing(model: SingleTuned) -> list[str]:
        counts = dict(zip(table.prompt_ids, table.candidates.tolist(), strict=True))
        return [name for name in wanted if len(model.ratios.get(name, ())) < min(replies, counts[name])]

    lacking = {model.name: missing(model) for model in models}
    if not any(lacking.values()):
        return tuple(models)
    open_adapters = _adapters_opener()
    adapters, examples = open_adapters(table, {model.name: model.folder for model in models}, wanted)
    steps = StageProgress("reading", 0, sum(map(len, lacking.values())), report)
    for model in models:
        chosen = [example for example in examples if example.name in lacking[model.name]]
        for prompt_id, ratios in adapters.log_ratios(model.name, chosen, replies):
            keep_ratios(model.folder / RATIOS, {prompt_id: ratios})
            steps.advance()
    return tuple(replace(model, ratios=read_ratios(model.folder / RATIOS)) for model in models)


def soup_ratios(
    models: Sequence[SingleTuned], mixed: TunedMixture, table: RewardTable, replies: int, report: Reporter
) -> dict[str, np.ndarray]:
    """Return the log-ratios of a soup on the prompts of a mixture; kept ones are not computed again."""
    path = soup_path(models, mixed.shares)
    kept = read_ratios(path)
    if lacking := [name for name in mixed.prompts if name not in kept]:
        open_adapters = _adapters_opener()
        folders = {model.name: model.folder for model in models if model.name in mixed.shares}
        adapters, examples = open_adapters(table, folders, lacking)
        adapters.add_soup("soup", mixed.shares)
        steps = StageProgress("averaging", 0, len(examples), report)
        for prompt_id, ratios in adapters.log_ratios("soup", examples, replies):
            keep_ratios(path, {prompt_id: ratios})
            steps.advance()
        kept = read_ratios(path)
    return {name: kept[name] for name in mixed.prompts}


def compare_tuned(
    models: Sequence[SingleTuned], table: RewardTable, weights: Mapping[str, float], replies: int, report: Reporter
) -> dict[str, Any]:
    """Return the levels of exact decoding, mixture and soup for a palette, as plain JSON values.

    Args:
        models: with their log-ratios.
        table: the base model's replies.
        weights: lambda of the palette by value, 1 / reward.
        replies: a prompt, of a soup.
        report: called after each prompt that is read.
    """
    mixed = mixture(table, weights, models)
    comparison: dict[str, Any] = {"mixture": {"weights": dict(mixed.weights), **mixed.levels.as_dict()}, "soup": None}
    if mixed.shares:
        ratios = soup_ratios(models, mixed, table, replies, report)
        comparison["soup"] = {"shares": mixed.shares, **levels_of(table, weights, ratios).as_dict()}
    return comparison


def tuned_text(comparison: Mapping[str, Any], values: Sequence[str]) -> list[str]:
    """Return a comparison in lines for people, with the levels of these values."""
    first = comparison["mixture"]
    values = [name for name in values if name in first["levels"]]
    lines = [
        f"Models that are tuned to one value each, on {first['prompts']} prompts that none was tuned on, by importance "
        "weights:",
        f"{'':16}{'of the way':>11}{'90%':>14}{'nats':>8}{'ESS':>7}" + "".join(f"{name:>16}" for name in values),
    ]
    exact = {"share_of_way": 1.0, "share_of_way_90": None, "kl": first["kl_forecast"], "ess": None}
    for title, key, way in (
        ("exact decoding", "forecast", exact),
        ("mixture", "tuned", first),
        ("soup", "tuned", comparison["soup"]),
    ):
        if way is None:
            lines.append(f"{title:16} none: no model has a weight in the mixture")
            continue
        levels = (way.get("levels") or first["levels"]).items()
        by_name = {name: row[key] for name, row in levels}
        ends = way["share_of_way_90"]
        interval = "" if ends is None else " to ".join(amounts.percent(end) for end in ends)
        ess = "" if way["ess"] is None else amounts.fixed(way["ess"], 1)
        share, nats = amounts.percent(way["share_of_way"]), amounts.fixed(way["kl"], 2)
        lines.append(
            f"{title:16}{share:>11}{interval:>14}{nats:>8}{ess:>7}"
            + "".join(f"{amounts.fixed(by_name[name], 3):>16}" for name in values)
        )
    weights = ", ".join(f"{name} {amounts.fixed(weight, 2)}" for name, weight in first["weights"].items())
    shares = ", ".join(
        f"{name} {amounts.percent(share)}" for name, share in (comparison["soup"] or {}).get("shares", {}).items()
    )
    return [*lines, f"Weights of the mixture: {weights}.", *([f"Shares of the soup: {shares}."] if shares else []), ""]


def _adapters_opener() -> Any:
    """Import and return the function that opens adapters.

    Raises:
        EngineError: a library that it needs is not installed.
    """
    from map_core.tuning.request import require_libraries

    require_libraries()
    from map_core.tuning.soup import open_adapters

    return open_adapters
