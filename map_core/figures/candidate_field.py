"""A scatter of the candidates of one prompt: a dot at its rewards of two values, with area by its probability.

It is drawn while replies are being written, so the browser gets plain numbers and moves existing dots instead of
drawing again. The axes are percentiles of the base model's replies, from 0 to 100, so that they stay fixed. Constraint:
the texts of replies never enter it.
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
        base: it is the base reply.
        partial: its reply is not complete, so that the other fields are provisional.
        labels: the palettes that it leads or was picked for, and "Base model" for the base reply.
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
        rewards: (candidate,) rewards by value.
        probabilities: (candidate,).
        partial: (candidate,) whether the reply is still being written.
        base: position of the base reply.
        labels: by candidate, the palettes that it leads or was picked for.
        units: percentiles of the table's replies.
        pair: positions of the value across and the value upwards.
    """
    names = [units.oracle.values[value] for value in pair]
    scored_dots = []
    for k, reward in enumerate(rewards):
        if not all(name in reward for name in names):
            continue
        across, upwards = (
            float(units.of(value, np.array((reward[name] - units.oracle.base[value]) / units.oracle.scale[value])))
            for value, name in zip(pair, names, strict=True)
        )
        notes = (*labels.get(k, ()), *(("Base model",) if k == base else ()))
        scored_dots.append(Dot(k, across, upwards, float(probabilities[k]), k == base, partial[k], notes))
    return tuple(scored_dots)


def drawing(drawn: Sequence[Dot], units: Units, pair: tuple[int, int], targets: np.ndarray) -> dict[str, Any]:
    """Return the drawing's data as plain JSON values.

    Args:
        drawn: the dots.
        units: percentiles of the table's replies.
        pair: positions of the value across and the value upwards.
        targets: (value,) in standard deviations above base, NaN for free values.
    """
    across, upwards = pair
    goals = [None if math.isnan(targets[value]) else float(units.of(value, np.array(targets[value]))) for value in pair]
    return {
        "title": f"Candidates by {units.names[across]} and {units.names[upwards]}",
        "across": {"title": units.axis(across), "target": goals[0]},
        "upwards": {"title": units.axis(upwards), "target": goals[1]},
        "dots": [
            {
                "k": dot.candidate,
                "x": round(dot.across, 2),
                "y": round(dot.upwards, 2),
                "p": round(dot.probability, 4),
                "base": dot.base,
                "partial": dot.partial,
                "labels": list(dot.labels),
                "said": _description(dot, units, pair),
            }
            for dot in drawn
        ],
    }


def _description(dot: Dot, units: Units, pair: tuple[int, int]) -> str:
    """Describe a dot in words."""
    first, second = (units.names[value] for value in pair)
    text = f"Candidate {dot.candidate + 1}: probability {sentences.chance(dot.probability)}"
    text += f", {first} {units.wording.level(dot.across)}, {second} {units.wording.level(dot.upwards)}"
    if dot.labels:
        text += f" ({sentences.listed(dot.labels)})"
    return text + (", still being written" if dot.partial else "")


def summary(drawn: Sequence[Dot], units: Units, pair: tuple[int, int]) -> list[str]:
    """Describe the labelled candidates in words, or at least five; labelled ones first, then by probability."""
    order = sorted(drawn, key=lambda dot: (not dot.labels, -dot.probability))
    labelled = sum(bool(dot.labels) for dot in drawn)
    return [f"{_description(dot, units, pair)}." for dot in order[: max(5, labelled)]]
