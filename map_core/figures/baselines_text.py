"""Picked weights beside a palette, without the figures: in sentences, as tables, and as a file.

Constraint: a share of random weights is never shown without its interval.
"""

from __future__ import annotations

import io

import numpy as np

from map_core.analysis.baselines import Baseline
from map_core.core import amounts, safe_csv
from map_core.core.wilson import wilson_interval
from map_core.figures.baselines import LEVEL, RANDOM, SAME, SOLVED, BaselineFigureData, counts, share_text
from map_core.text import sentences
from map_core.text.wording import effort


def share(of: int, rows: int) -> str:
    """Word a share of random weights with its interval.

    Example:
        >>> share(24, 400)
        '6% (4 to 8%)'
    """
    return f"{share_text(of / rows)} ({_ends(of, rows)})"


def _ends(of: int, rows: int) -> str:
    low, high = (100 * end for end in wilson_interval(of, rows, LEVEL))
    digits = 0 if high - low >= 1 else 1
    return f"{amounts.fixed(max(low, 0.0), digits)} to {amounts.fixed(min(high, 100.0), digits)}%".replace(
        "0.0 to", "0 to"
    ).replace("100.0", "100")


def headline(data: BaselineFigureData) -> str:
    """Word the comparison in one sentence that can be quoted."""
    way = data.way(RANDOM)
    assert way is not None
    met, _, rows = counts(way)
    return f"Of {rows:,} random weights, {share(met, rows)} meet {_targets(data)}."


def _targets(data: BaselineFigureData) -> str:
    size = len(data.wanted)
    return "the target" if size == 1 else "both targets" if size == 2 else f"all {size} targets"


def facts(data: BaselineFigureData) -> list[tuple[str, str, str]]:
    """Return the main facts of the comparison: label, figure, and what it means."""
    solved, lines = data.way(SOLVED), []
    paid = None if solved is None else float(solved.judged.kl[0])
    if paid is not None:
        lines.append(("Your palette", _effort(data, paid), f"meets {_targets(data)}."))
    for name in (RANDOM, SAME):
        way = data.way(name)
        if way is None:
            continue
        met, _, rows = counts(way)
        meaning = f"of {rows:,} meet {_targets(data)} ({_ends(met, rows)})"
        if met and paid and name == RANDOM:
            hit = float(way.judged.kl[way.judged.meets.all(axis=1)].mean())
            meaning += f"; those cost {sentences.number(hit / paid, 2)} times the palette"
        if name == SAME and cheapest(data):
            meaning += "; your palette is the cheapest way to them"
        lines.append((data.title(way), share_text(met / rows), f"{meaning}."))
    way = data.way(SAME)
    if way is not None:
        _, improved, rows = counts(way)
        meaning = f"of random weights {data.cost()} ({_ends(improved, rows)})."
        lines.append((_improves(data), share_text(improved / rows), meaning))
    return lines


def _effort(data: BaselineFigureData, kl: float) -> str:
    """Word a distance, with three figures where it is shown in nats."""
    return f"{sentences.number(kl)} nats" if data.units.wording.numbers else data.units.wording.distance(kl)


def _improves(data: BaselineFigureData) -> str:
    return "Improve the targeted value" if len(data.wanted) == 1 else "Improve every targeted value"


def cheapest(data: BaselineFigureData) -> bool:
    """Return whether no random weights meet the targets because the palette is the cheapest way to them."""
    way, solved = data.way(SAME), data.way(SOLVED)
    return way is not None and solved is not None and data.times == 1 and not counts(way)[0]


def summary(data: BaselineFigureData) -> list[str]:
    """Word what each way gives, a sentence or two each."""
    parts = []
    solved = data.way(SOLVED)
    paid = None if solved is None else float(solved.judged.kl[0])
    every = "the targeted value" if len(data.wanted) == 1 else "every targeted value"
    for way in data.found:
        met, improved, rows = counts(way)
        if way.name == SOLVED:
            parts.append(f"Your palette meets {_targets(data)} {_with(data, paid or 0.0)}.")
        elif way.name == RANDOM:
            sentence = (
                f"Of {rows:,} random weights at any cost, {share(met, rows)} meet {_targets(data)} and "
                f"{share(improved, rows)} improve {every} over the base model; a typical one "
                f"costs {_effort(data, float(np.median(way.judged.kl)))}."
            )
            if met and paid:
                hit = float(way.judged.kl[way.judged.meets.all(axis=1)].mean())
                sentence += (
                    f" Those that meet {_targets(data)} cost {_effort(data, hit)}, "
                    f"{sentences.number(hit / paid, 2)} times the palette."
                )
            parts.append(sentence)
        elif way.name == SAME:
            sentence = (
                f"Of {rows:,} random weights {data.cost()}, {share(met, rows)} meet {_targets(data)} and "
                f"{share(improved, rows)} improve {every}."
            )
            if cheapest(data):
                sentence += (
                    " That is no accident: the palette is the cheapest way to its targets, so no others cost so little."
                )
            parts.append(sentence)
        else:
            parts.append(_alone(data, way))
    return parts


def _with(data: BaselineFigureData, kl: float) -> str:
    wording = data.units.wording
    return f"for {_effort(data, kl)}" if wording.numbers else f"with {wording.price(kl)}"


def _alone(data: BaselineFigureData, way: Baseline) -> str:
    """Word what one vector of weights gives: the levels that it reaches, and those that it misses or lowers."""
    judged, units = way.judged, data.units
    levels = sentences.listed([f"{units.names[j]} {units.level_text(j, judged.levels[0, j])}" for j in data.wanted])
    missed = [units.names[j] for j in data.wanted if not judged.meets[0, j]]
    lowered = [units.names[j] for j in data.wanted if not judged.improves[0, j]]
    text = f"{data.title(way)} {data.cost()}: {levels}"
    if not missed:
        return f"{text}; {_targets(data)} met."
    fall = f", and leaves {sentences.listed(lowered)} no better than the base model" if lowered else ""
    return f"{text}; misses {sentences.listed(missed)}{fall}."


def table(data: BaselineFigureData) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return one row per way: shares, nats, and the level of each targeted value; of random weights the median."""
    header = ["Weights", "Meet all", "Improve all", data.units.wording.pick("Nats", "Effort")]
    header += [sentences.capitalised(data.units.names[j]) for j in data.wanted]
    rows = []
    for way in data.found:
        met, improved, count = counts(way)
        shares = [share_text(of / count) if count > 1 else ("yes" if of else "no") for of in (met, improved)]
        middle = np.median(way.judged.levels, axis=0)
        levels = [data.units.level_text(j, middle[j]) for j in data.wanted]
        rows.append((-1, [data.title(way), *shares, _median_effort(data, way), *levels]))
    return header, rows


def _median_effort(data: BaselineFigureData, way: Baseline) -> str:
    kl = float(np.median(way.judged.kl))
    return sentences.number(kl) if data.units.wording.numbers else effort(kl)


def wins(data: BaselineFigureData) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return one row per way: how often its replies beat the base model's, by value; of random weights the mean."""
    header = ["Weights", *(sentences.capitalised(data.units.names[j]) for j in data.wanted)]
    rows = [
        (-1, [data.title(way), *(amounts.percent(way.wins[:, j].mean()) for j in data.wanted)]) for way in data.found
    ]
    return header, rows


def alt(data: BaselineFigureData) -> str:
    """Describe the figures of draws in a sentence."""
    names = sentences.listed([data.units.names[j] for j in data.wanted])
    return f"Levels of {names} that random weights give, beside your palette, the targets and the base model. " + (
        headline(data)
    )


def baselines_csv(data: BaselineFigureData) -> str:
    """Return CSV, one row per vector of weights: levels in reward units, weights in nats per reward, win rates."""
    oracle, out = data.units.oracle, io.StringIO()
    writer = safe_csv.Writer(out)
    values = oracle.values
    columns = [f"{kind}_{value}" for kind in ("level", "weight", "win_rate") for value in values]
    writer.writerow(["way", "number", "kl_nats", "meets_all", "improves_all", *columns])
    for way in data.found:
        judged = way.judged
        improves = (judged.improves | ~judged.asked).all(axis=1)
        for row in range(len(judged.kl)):
            numbers = [
                *oracle.rewards_at(judged.levels[row]),
                *(judged.weights[row] / oracle.scale),
                *way.wins[row],
            ]
            flags = [int(judged.meets[row].all()), int(improves[row])]
            writer.writerow([way.name, row + 1, float(judged.kl[row]), *flags, *(float(n) for n in numbers)])
    return out.getvalue()
