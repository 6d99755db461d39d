"""The comparison of a palette with weights picked without targets, as sentences, tables and a file.

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


def share(successes: int, rows: int) -> str:
    """Word a share of random weights with its interval.

    Example:
        >>> share(24, 400)
        '6% (4 to 8%)'
    """
    return f"{share_text(successes / rows)} ({_interval(successes, rows)})"


def _interval(successes: int, rows: int) -> str:
    """Word the Wilson interval of a share, in percent."""
    low, high = (100 * end for end in wilson_interval(successes, rows, LEVEL))
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
    size = len(data.targeted)
    return "the target" if size == 1 else "both targets" if size == 2 else f"all {size} targets"


def facts(data: BaselineFigureData) -> list[tuple[str, str, str]]:
    """Return the main facts of the comparison as (label, figure, explanation)."""
    lines = []
    palette_kl = _palette_kl(data)
    if palette_kl is not None:
        lines.append(("Your palette", _effort(data, palette_kl), f"meets {_targets(data)}."))
    for name in (RANDOM, SAME):
        way = data.way(name)
        if way is None:
            continue
        met, _, rows = counts(way)
        meaning = f"of {rows:,} meet {_targets(data)} ({_interval(met, rows)})"
        if met and palette_kl and name == RANDOM:
            meaning += f"; those cost {sentences.number(_kl_where_met(way) / palette_kl, 2)} times the palette"
        if name == SAME and cheapest(data):
            meaning += "; your palette is the cheapest way to them"
        lines.append((data.title(way), share_text(met / rows), f"{meaning}."))
    way = data.way(SAME)
    if way is not None:
        _, improved, rows = counts(way)
        meaning = f"of random weights {data.cost()} ({_interval(improved, rows)})."
        lines.append((_improves(data), share_text(improved / rows), meaning))
    return lines


def _palette_kl(data: BaselineFigureData) -> float | None:
    """Return the cost of the palette in nats; None where its targets are out of reach."""
    solved = data.way(SOLVED)
    return None if solved is None else float(solved.evaluation.kl[0])


def _kl_where_met(way: Baseline) -> float:
    """Return the mean cost in nats of the rows that meet every target."""
    return float(way.evaluation.kl[way.evaluation.row_meets].mean())


def _effort(data: BaselineFigureData, kl: float) -> str:
    """Word a cost: in nats with three figures, or in everyday words."""
    return f"{sentences.number(kl)} nats" if data.units.wording.numbers else data.units.wording.distance(kl)


def _improves(data: BaselineFigureData) -> str:
    return "Improve the targeted value" if len(data.targeted) == 1 else "Improve every targeted value"


def cheapest(data: BaselineFigureData) -> bool:
    """Return whether no random weights meet the targets because the palette is the cheapest way to them."""
    way, solved = data.way(SAME), data.way(SOLVED)
    return way is not None and solved is not None and data.times == 1 and not counts(way)[0]


def summary(data: BaselineFigureData) -> list[str]:
    """Describe the results of each way in a sentence or two."""
    parts = []
    palette_kl = _palette_kl(data)
    every = "the targeted value" if len(data.targeted) == 1 else "every targeted value"
    for way in data.ways:
        met, improved, rows = counts(way)
        if way.name == SOLVED:
            parts.append(f"Your palette meets {_targets(data)} {_at_cost(data, palette_kl or 0.0)}.")
        elif way.name == RANDOM:
            sentence = (
                f"Of {rows:,} random weights at any cost, {share(met, rows)} meet {_targets(data)} and "
                f"{share(improved, rows)} improve {every} over the base model; a typical one "
                f"costs {_effort(data, float(np.median(way.evaluation.kl)))}."
            )
            if met and palette_kl:
                kl = _kl_where_met(way)
                sentence += (
                    f" Those that meet {_targets(data)} cost {_effort(data, kl)}, "
                    f"{sentences.number(kl / palette_kl, 2)} times the palette."
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
            parts.append(_single_sentence(data, way))
    return parts


def _at_cost(data: BaselineFigureData, kl: float) -> str:
    wording = data.units.wording
    return f"for {_effort(data, kl)}" if wording.numbers else f"with {wording.price(kl)}"


def _single_sentence(data: BaselineFigureData, way: Baseline) -> str:
    """Word the results of a single vector of weights: its levels, and the values that it misses or does not improve."""
    evaluation, units = way.evaluation, data.units
    row = evaluation.levels[0]
    levels = sentences.listed([f"{units.names[j]} {units.level_text(j, row[j])}" for j in data.targeted])
    missed = [units.names[j] for j in data.targeted if not evaluation.meets[0, j]]
    lowered = [units.names[j] for j in data.targeted if not evaluation.improves[0, j]]
    text = f"{data.title(way)} {data.cost()}: {levels}"
    if not missed:
        return f"{text}; {_targets(data)} met."
    not_improved = f", and leaves {sentences.listed(lowered)} no better than the base model" if lowered else ""
    return f"{text}; misses {sentences.listed(missed)}{not_improved}."


def table(data: BaselineFigureData) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and one row per way: shares, nats, levels of targeted values; medians for random weights."""
    header = ["Weights", "Meet all", "Improve all", data.units.wording.pick("Nats", "Effort")]
    header += [sentences.capitalised(data.units.names[j]) for j in data.targeted]
    rows = []
    for way in data.ways:
        met, improved, size = counts(way)
        shares = [share_text(count / size) if size > 1 else ("yes" if count else "no") for count in (met, improved)]
        medians = np.median(way.evaluation.levels, axis=0)
        levels = [data.units.level_text(j, medians[j]) for j in data.targeted]
        rows.append((-1, [data.title(way), *shares, _median_effort(data, way), *levels]))
    return header, rows


def _median_effort(data: BaselineFigureData, way: Baseline) -> str:
    kl = float(np.median(way.evaluation.kl))
    return sentences.number(kl) if data.units.wording.numbers else effort(kl)


def wins(data: BaselineFigureData) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and one row per way: its win rates by targeted value; means for random weights."""
    header = ["Weights", *(sentences.capitalised(data.units.names[j]) for j in data.targeted)]
    rows = [
        (-1, [data.title(way), *(amounts.percent(way.wins[:, j].mean()) for j in data.targeted)]) for way in data.ways
    ]
    return header, rows


def alt(data: BaselineFigureData) -> str:
    """Describe the figures of random weights in a sentence."""
    names = sentences.listed([data.units.names[j] for j in data.targeted])
    return (
        f"Levels of {names} that random weights give, beside your palette, the targets and the base model. "
        f"{headline(data)}"
    )


def baselines_csv(data: BaselineFigureData) -> str:
    """Return CSV, one row per vector of weights: levels in reward units, weights in nats per reward, win rates."""
    oracle, out = data.units.oracle, io.StringIO()
    writer = safe_csv.Writer(out)
    values = oracle.values
    columns = [f"{kind}_{value}" for kind in ("level", "weight", "win_rate") for value in values]
    writer.writerow(["way", "number", "kl_nats", "meets_all", "improves_all", *columns])
    for way in data.ways:
        evaluation = way.evaluation
        meets, improves = evaluation.row_meets, evaluation.row_improves
        for row in range(len(evaluation.kl)):
            numbers = [
                *oracle.rewards_at(evaluation.levels[row]),
                *(evaluation.weights[row] / oracle.scale),
                *way.wins[row],
            ]
            flags = [int(meets[row]), int(improves[row])]
            cells = [float(number) for number in numbers]
            writer.writerow([way.name, row + 1, float(evaluation.kl[row]), *flags, *cells])
    return out.getvalue()
