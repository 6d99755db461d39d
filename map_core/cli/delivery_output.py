"""Format forecast and delivery of palettes as JSON values and as lines of text.

Constraint: formatting only; everything is measured in :mod:`map_core.studies.delivery`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from map_core.cli.output import by_name, columns
from map_core.core import amounts
from map_core.core.types import Verdict
from map_core.core.wilson import wilson_interval
from map_core.oracle import Oracle
from map_core.studies.delivery import CrossFitDelivery, Delivery, bootstrap_mean, share_of_way


def describe_delivery(delivery: Delivery, oracle: Oracle) -> dict[str, Any]:
    """Return one palette's forecast and delivery as plain JSON values, levels in reward units."""
    ends = zip(oracle.values, delivery.forecast - delivery.error, delivery.forecast + delivery.error, strict=True)
    return {
        "asked": by_name(oracle, delivery.asked),
        "targets": by_name(oracle, delivery.targets),
        "verdict": delivery.verdict.value,
        "weights": by_name(oracle, delivery.weights),
        "base": by_name(oracle, delivery.base),
        "forecast": by_name(oracle, delivery.forecast),
        "realised": by_name(oracle, delivery.realised),
        "interval": {name: [float(low), float(high)] for name, low, high in ends},
        "inside": {name: bool(inside) for name, inside in zip(oracle.values, delivery.inside, strict=True)},
        "picked": by_name(oracle, delivery.picked),
        "win_rates": by_name(oracle, delivery.wins),
        "improves": {"reward": delivery.improves, "win_rate": delivery.wins_all},
        "random_improves": {
            "reward": amounts.finite(delivery.random_improves),
            "win_rate": amounts.finite(delivery.random_wins),
        },
        "pooled": by_name(oracle, delivery.pooled) or None,
        "share_of_way": amounts.finite(share_of_way([delivery], [delivery.realised])),
        "share_of_way_pooled": amounts.finite(share_of_way([delivery], [delivery.pooled])),
        "kl_forecast": delivery.kl_forecast,
        "kl_realised": delivery.kl_realised,
        "prompts": delivery.prompts,
        "candidates": delivery.candidates,
    }


def describe_crossed(crossed: CrossFitDelivery, number: int, oracle: Oracle) -> dict[str, Any]:
    """Return one palette's forecast and delivery over many halvings as plain JSON values, levels in reward units."""
    low = crossed.forecast[number] - crossed.error[number]
    high = crossed.forecast[number] + crossed.error[number]
    realised = crossed.realised[number]
    levels = {name: by_name(oracle, getattr(crossed, name)[number]) for name in ("forecast", "realised", "picked")}
    return {
        "asked": by_name(oracle, crossed.asked[number]),
        "targets": by_name(oracle, crossed.targets[number]),
        "reachable": float(crossed.reachable[number]),
        "base": by_name(oracle, crossed.base),
        **levels,
        "interval": {
            name: [float(lower), float(upper)] for name, lower, upper in zip(crossed.values, low, high, strict=True)
        },
        "inside": {
            name: bool(inside)
            for name, inside in zip(crossed.values, (low <= realised) & (realised <= high), strict=True)
        },
        "win_rates": by_name(oracle, crossed.wins[number]),
        "improves": {"reward": bool(crossed.improved[number]), "win_rate": bool(crossed.won[number])},
        "halves": {
            name: amounts.finite(bootstrap_mean(getattr(crossed, field)[[number]])[0])
            for name, field in (
                ("inside", "inside"),
                ("improves_by_reward", "improves"),
                ("improves_by_win_rate", "wins_all"),
                ("random_improves_by_reward", "random_improves"),
                ("random_improves_by_win_rate", "random_wins"),
            )
        },
        "pooled": by_name(oracle, crossed.pooled[number]) or None,
        "share_of_way": amounts.finite(crossed.way(crossed.realised, palette=number)),
        "share_of_way_pooled": amounts.finite(crossed.way(crossed.pooled, palette=number)),
        "kl_forecast": float(crossed.kl_forecast[number]),
        "kl_realised": float(crossed.kl_realised[number]),
        "halvings": crossed.halvings,
        "prompts": crossed.prompts,
        "candidates": crossed.candidates,
    }


def delivery_text(delivery: Delivery, oracle: Oracle) -> str:
    """Return one palette's forecast and delivery as a table for people."""
    note = ""
    if delivery.verdict is Verdict.OUT_OF_REACH:
        note = f" Not possible with {delivery.candidates} candidates: the nearest palette stands in."
    rows = [name for name, target in zip(oracle.values, delivery.targets, strict=True) if not math.isnan(target)]
    table = {
        "base": by_name(oracle, delivery.base),
        "target": by_name(oracle, delivery.targets),
        "forecast": by_name(oracle, delivery.forecast),
        "realised": by_name(oracle, delivery.realised),
        "± expected": by_name(oracle, delivery.error),
        "picked": by_name(oracle, delivery.picked),
        "pooled": by_name(oracle, delivery.pooled),
    }
    way, pooled = (share_of_way([delivery], [levels]) for levels in (delivery.realised, delivery.pooled))
    verdict_line = (
        f"{amounts.percent(way)} of the way to the targets"
        if math.isfinite(way)
        else "No target is above the base level"
    )
    beside = f", {amounts.percent(pooled)} with pooled weights" if math.isfinite(pooled) else ""
    return "\n".join([f"{verdict_line}{beside}.{note}", *columns(rows, table, missing=""), ""])


def delivery_summary(deliveries: tuple[Delivery, ...]) -> str:
    """Return the summary of all palettes, in one or two lines."""
    possible = [delivery for delivery in deliveries if delivery.verdict is not Verdict.OUT_OF_REACH]
    shares_of_way = [
        share_of_way(possible, [getattr(item, name) for item in possible]) for name in ("realised", "pooled")
    ]
    inside = np.concatenate([delivery.inside[~np.isnan(delivery.targets)] for delivery in deliveries])
    line = f"{len(deliveries)} palettes on {deliveries[0].prompts} fresh prompts, "
    line += f"{deliveries[0].candidates} candidates each."
    if len(inside):
        line += f" Realised levels inside their 90% intervals: {amounts.percent(inside.mean())} of {len(inside)}."
    if math.isfinite(shares_of_way[0]):
        line += f" Of the way to the targets that are possible: {amounts.percent(shares_of_way[0])}"
        line += (
            f", with pooled weights {amounts.percent(shares_of_way[1])}." if math.isfinite(shares_of_way[1]) else "."
        )
    rising = [delivery for delivery in possible if math.isfinite(delivery.random_improves)]
    if rising:
        names = ("improves", "wins_all", "random_improves", "random_wins")
        shares = [amounts.percent(np.mean([getattr(delivery, name) for delivery in rising])) for name in names]
        line += "\nEvery value asked to rise does, by reward and by win rate: "
        line += f"{shares[0]} and {shares[1]} of palettes; under random weights at the same cost "
        line += f"{shares[2]} and {shares[3]}."
    return line


def crossed_text(crossed: CrossFitDelivery, number: int, oracle: Oracle) -> str:
    """Return one palette's forecast and delivery over many halvings as a table for people."""
    rows = [name for name, target in zip(oracle.values, crossed.asked[number], strict=True) if not math.isnan(target)]
    table = {
        "base": by_name(oracle, crossed.base),
        "target": by_name(oracle, crossed.targets[number]),
        "forecast": by_name(oracle, crossed.forecast[number]),
        "realised": by_name(oracle, crossed.realised[number]),
        "± expected": by_name(oracle, crossed.error[number]),
        "picked": by_name(oracle, crossed.picked[number]),
        "pooled": by_name(oracle, crossed.pooled[number]),
    }
    return "\n".join(
        [
            f"Possible on {amounts.percent(crossed.reachable[number])} of the halves.",
            *columns(rows, table, missing=""),
            "",
        ]
    )


def _mean_with_interval(shares: np.ndarray, level: float) -> str:
    mean, low, high = bootstrap_mean(shares, level)
    return f"{amounts.percent(mean)} ({amounts.percent(low)} to {amounts.percent(high)})"


def crossed_summary(crossed: CrossFitDelivery, name: str) -> list[str]:
    """Word the results of palettes over many halvings, one line per result."""
    reachable = int(crossed.mostly_reachable.sum())
    lines = [
        f"{len(crossed.asked)} {name}, {reachable} of which are possible on most halves; "
        f"{crossed.halvings} halvings of {crossed.prompts} prompts in both directions, "
        f"{crossed.candidates} fresh candidates each."
    ]
    if math.isfinite(way := crossed.way(crossed.realised)):
        capped = crossed.way(crossed.realised, capped=True)
        picked, pooled = crossed.way(crossed.picked), crossed.way(crossed.pooled)
        lines.append(
            f"Of the way to the targets that are possible: {amounts.percent(way)} (± "
            f"{amounts.percent(crossed.way_error)}), {amounts.percent(capped)} if nothing beyond a target counts; of "
            f"the replies picked {amounts.percent(picked)}, with pooled weights {amounts.percent(pooled)}."
        )
    inside = _mean_with_interval(crossed.inside, crossed.level)
    lines.append(f"Realised levels of a half inside their 90% intervals: {inside}.")
    rising = crossed.mostly_reachable & crossed.rising.any(axis=1)
    for label, overall, palette_shares, random_shares in (
        ("reward", crossed.improved, crossed.improves, crossed.random_improves),
        ("win rate", crossed.won, crossed.wins_all, crossed.random_wins),
    ):
        count = int(overall[rising].sum())
        low, high = wilson_interval(count, int(rising.sum()), crossed.level)
        lines.append(
            f"Every value asked to rise does, by {label}: over all prompts on {count} of {rising.sum()} palettes "
            f"({amounts.percent(low)} to {amounts.percent(high)}); on one half "
            f"{_mean_with_interval(palette_shares[rising], crossed.level)}, under random weights at the same cost "
            f"{_mean_with_interval(random_shares[rising], crossed.level)}."
        )
    improves_unasked = bootstrap_mean(crossed.improves_whole[rising], crossed.level)[0]
    lines.append(
        "The same by reward on one half, with the targets that the half solved on meets unasked: "
        f"{amounts.percent(improves_unasked)}."
    )
    return lines
