"""The candidates as a field: a dot each at its rewards of two values, with an area that is its probability.

It is drawn while replies are being written, so it is given as plain numbers to a drawing that moves its dots and never
starts anew; axes are percentiles of the base model's replies, from 0 to 100, and so stay fixed. Constraint: the texts
of replies never enter it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from map_core.text import sentences
from map_core.text.units import Units


@dataclass(frozen=True)
class Dot:
    """One candidate.

    Args:
        candidate: its number, from 0.
        across, upwards: percentiles of its two rewards.
        probability: of being the aligned reply, by the first palette.
        base: it represents the base model.
        partial: its reply is not complete, so that all this is provisional.
        labels: what it leads in or was picked for, and whether it is the base reply.
    """

    candidate: int
    across: float
    upwards: float
    probability: float
    base: bool
    partial: bool
    labels: tuple[str, ...]


def dots(
    rewards: Sequence[Mapping[str, float]],
    probabilities: Sequence[float],
    partial: Sequence[bool],
    base: int,
    labels: Mapping[int, Sequence[str]],
    units: Units,
    pair: tuple[int, int],
) -> tuple[Dot, ...]:
    """Return the dots of the candidates that have both rewards.

    Args:
        rewards: of each candidate by value.
        probabilities: of each candidate.
        partial: of each candidate, whether more of it is to come.
        base: the candidate that represents the base model.
        labels: by candidate, the palettes that it leads in or was picked for.
        units: percentiles of the table's replies.
        pair: positions of the value across and the value upwards.
    """
    names = [units.oracle.values[value] for value in pair]
    placed = []
    for k, reward in enumerate(rewards):
        if not all(name in reward for name in names):
            continue
        across, upwards = (
            float(units.of(value, np.array((reward[name] - units.oracle.base[value]) / units.oracle.scale[value])))
            for value, name in zip(pair, names, strict=True)
        )
        notes = (*labels.get(k, ()), *(("Base model",) if k == base else ()))
        placed.append(Dot(k, across, upwards, float(probabilities[k]), k == base, partial[k], notes))
    return tuple(placed)


def drawing(drawn: Sequence[Dot], units: Units, pair: tuple[int, int], targets: np.ndarray) -> dict[str, Any]:
    """Return all that the drawing needs, as plain JSON values.

    Args:
        drawn: the dots.
        units: percentiles of the table's replies.
        pair: positions of the value across and the value upwards.
        targets: (value,) in standard deviations above base, NaN for free values.
    """
    across, upwards = pair
    at = [None if math.isnan(targets[value]) else float(units.of(value, np.array(targets[value]))) for value in pair]
    return {
        "title": f"Candidates by {units.names[across]} and {units.names[upwards]}",
        "across": {"title": units.axis(across), "target": at[0]},
        "upwards": {"title": units.axis(upwards), "target": at[1]},
        "dots": [
            {
                "k": dot.candidate,
                "x": round(dot.across, 2),
                "y": round(dot.upwards, 2),
                "p": round(dot.probability, 4),
                "base": dot.base,
                "partial": dot.partial,
                "labels": list(dot.labels),
                "said": _said(dot, units, pair),
            }
            for dot in drawn
        ],
    }


def _said(dot: Dot, units: Units, pair: tuple[int, int]) -> str:
    first, second = (units.names[value] for value in pair)
    text = f"Candidate {dot.candidate + 1}: probability {sentences.chance(dot.probability)}"
    text += f", {first} {units.wording.level(dot.across)}, {second} {units.wording.level(dot.upwards)}"
    if dot.labels:
        text += f" ({sentences.listed(dot.labels)})"
    return text + (", still being written" if dot.partial else "")


def summary(drawn: Sequence[Dot], units: Units, pair: tuple[int, int]) -> list[str]:
    """Describe the field in words: the candidates that matter, the likeliest first."""
    order = sorted(drawn, key=lambda dot: (not dot.labels, -dot.probability))
    return [_said(dot, units, pair) + "." for dot in order[: max(5, sum(bool(dot.labels) for dot in drawn))]]
