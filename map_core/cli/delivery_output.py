"""What was promised and what was delivered, as JSON values and as lines of text.

Constraint: text and plain values out; everything in them was measured in :mod:`map_core.studies.delivery`.
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


def describe_delivery(found: Delivery, oracle: Oracle) -> dict[str, Any]:
    """Return one palette's forecast and delivery as plain JSON values, levels in reward units."""
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


def describe_crossed(found: CrossFitDelivery, number: int, oracle: Oracle) -> dict[str, Any]:
    """Return one palette's forecast and delivery over many halvings as plain JSON values, levels in reward units."""
    low, high = (found.forecast[number] + sign * found.error[number] for sign in (-1, 1))
    realised = found.realised[number]
    levels = {name: by_name(oracle, getattr(found, name)[number]) for name in ("forecast", "realised", "picked")}
    return {
        "asked": by_name(oracle, found.asked[number]),
        "targets": by_name(oracle, found.targets[number]),
        "reachable": float(found.reachable[number]),
        "base": by_name(oracle, found.base),
        **levels,
        "interval": {name: [float(a), float(b)] for name, a, b in zip(found.values, low, high, strict=True)},
        "inside": {
            name: bool(a <= level <= b) for name, level, a, b in zip(found.values, realised, low, high, strict=True)
        },
        "win_rates": by_name(oracle, found.wins[number]),
        "improves": {"reward": bool(found.improved[number]), "win_rate": bool(found.won[number])},
        "halves": {
            name: _number(bootstrap_mean(getattr(found, field)[[number]])[0])
            for name, field in (
                ("inside", "inside"),
                ("improves_by_reward", "improves"),
                ("improves_by_win_rate", "wins_all"),
                ("random_improves_by_reward", "random_improves"),
                ("random_improves_by_win_rate", "random_wins"),
            )
        },
        "pooled": by_name(oracle, found.pooled[number]) or None,
        "share_of_way": _number(found.way(found.realised, palette=number)),
        "share_of_way_pooled": _number(found.way(found.pooled, palette=number)),
        "kl_forecast": float(found.kl_forecast[number]),
        "kl_realised": float(found.kl_realised[number]),
        "halvings": found.halvings,
        "prompts": found.prompts,
        "candidates": found.candidates,
    }


def _number(number: float) -> float | None:
    return number if math.isfinite(number) else None


def delivery_text(found: Delivery, oracle: Oracle) -> str:
    """Return one palette's forecast and delivery as a table for people."""
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
    said = (
        f"{amounts.percent(way)} of the way to the targets"
        if math.isfinite(way)
        else "No target is above the base level"
    )
    beside = f", {amounts.percent(pooled)} with pooled weights" if math.isfinite(pooled) else ""
    return "\n".join([f"{said}{beside}.{note}", *columns(rows, shown, missing=""), ""])


def delivery_summary(found: tuple[Delivery, ...]) -> str:
    """Return the summary of all palettes, in a line or two."""
    had = [one for one in found if one.verdict is not Verdict.OUT_OF_REACH]
    ways = [share_of_way(had, [getattr(one, name) for one in had]) for name in ("realised", "pooled")]
    inside = np.concatenate([one.inside[~np.isnan(one.targets)] for one in found])
    line = f"{len(found)} palettes on {found[0].prompts} fresh prompts, {found[0].candidates} candidates each."
    if len(inside):
        line += f" Realised levels inside their 90% intervals: {amounts.percent(inside.mean())} of {len(inside)}."
    if math.isfinite(ways[0]):
        line += f" Of the way to the targets that can be had: {amounts.percent(ways[0])}"
        line += f", with pooled weights {amounts.percent(ways[1])}." if math.isfinite(ways[1]) else "."
    asking = [one for one in had if math.isfinite(one.random_improves)]
    if asking:
        names = ("improves", "wins_all", "random_improves", "random_wins")
        shares = [amounts.percent(np.mean([getattr(one, name) for one in asking])) for name in names]
        line += "\nEvery value asked to rise does, by reward and by win rate: "
        line += f"{shares[0]} and {shares[1]} of palettes; under random weights at the same cost "
        line += f"{shares[2]} and {shares[3]}."
    return line


def crossed_text(found: CrossFitDelivery, number: int, oracle: Oracle) -> str:
    """Return one palette's forecast and delivery over many halvings as a table for people."""
    rows = [name for name, target in zip(oracle.values, found.asked[number], strict=True) if not math.isnan(target)]
    shown = {
        "base": by_name(oracle, found.base),
        "target": by_name(oracle, found.targets[number]),
        "forecast": by_name(oracle, found.forecast[number]),
        "realised": by_name(oracle, found.realised[number]),
        "± expected": by_name(oracle, found.error[number]),
        "picked": by_name(oracle, found.picked[number]),
        "pooled": by_name(oracle, found.pooled[number]),
    }
    return "\n".join(
        [
            f"Can be had of {amounts.percent(found.reachable[number])} of the halves.",
            *columns(rows, shown, missing=""),
            "",
        ]
    )


def crossed_summary(found: CrossFitDelivery, name: str) -> list[str]:
    """Word the results of palettes over many halvings, a line a result."""
    reachable = int(found.mostly_reachable.sum())
    lines = [
        f"{len(found.asked)} {name}, {reachable} of which can be had of most halves; {found.halvings} halvings of "
        f"{found.prompts} prompts in both directions, {found.candidates} fresh candidates each."
    ]
    if math.isfinite(way := found.way(found.realised)):
        capped = found.way(found.realised, capped=True)
        picked, pooled = found.way(found.picked), found.way(found.pooled)
        lines.append(
            f"Of the way to the targets that can be had: {amounts.percent(way)} (± "
            f"{amounts.percent(found.way_error)}), {amounts.percent(capped)} if nothing beyond a target counts; of "
            f"the replies picked {amounts.percent(picked)}, with pooled weights {amounts.percent(pooled)}."
        )
    share, low, high = bootstrap_mean(found.inside, found.level)
    lines.append(
        f"Realised levels of a half inside their 90% intervals: {amounts.percent(share)} ({amounts.percent(low)} to "
        f"{amounts.percent(high)})."
    )
    asking = found.mostly_reachable & found.rising.any(axis=1)
    for said, overall, ours, random in (
        ("reward", found.improved, found.improves, found.random_improves),
        ("win rate", found.won, found.wins_all, found.random_wins),
    ):
        count = int(overall[asking].sum())
        low, high = wilson_interval(count, int(asking.sum()), found.level)
        a, a_low, a_high = bootstrap_mean(ours[asking], found.level)
        b, b_low, b_high = bootstrap_mean(random[asking], found.level)
        lines.append(
            f"Every value asked to rise does, by {said}: over all prompts on {count} of {asking.sum()} palettes "
            f"({amounts.percent(low)} to {amounts.percent(high)}); on one half {amounts.percent(a)} "
            f"({amounts.percent(a_low)} to {amounts.percent(a_high)}), under random weights at the same cost "
            f"{amounts.percent(b)} ({amounts.percent(b_low)} to {amounts.percent(b_high)})."
        )
    whole = bootstrap_mean(found.improves_whole[asking], found.level)[0]
    lines.append(
        "The same by reward on one half, with the targets that the half solved on meets unasked: "
        f"{amounts.percent(whole)}."
    )
    return lines
