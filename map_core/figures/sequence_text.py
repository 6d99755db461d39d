"""Sequential alignment as text: in sentences, as a table, and as a file.

Constraint: a change under :data:`map_core.figures.sequence.NEAR` is not mentioned.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from map_core.core import amounts, safe_csv
from map_core.figures.sequence import NEAR, SequenceFigureData, numbered_steps
from map_core.solver.newton import Status
from map_core.text import sentences
from map_core.text.wording import NUMBERS, Wording, effort


@dataclass(frozen=True)
class SequenceStep:
    """One step of a path, in words.

    Args:
        number, round: counted from 1.
        value: position of the value that is aligned.
        before, after: its levels in words.
        undone: (position, before, after) of each value that was aligned before and falls below its target.
        nats: distance from the base model after the step.
    """

    number: int
    round: int
    value: int
    before: str
    after: str
    undone: tuple[tuple[int, str, str], ...]
    nats: float


def sequence_steps(data: SequenceFigureData) -> tuple[SequenceStep, ...]:
    """Return every step of the path."""
    path, steps = data.path, []
    undone = path.undone
    for step, value in enumerate(path.aligned):
        j = int(value)
        fell = [int(i) for i in np.flatnonzero(undone[step] >= NEAR)]
        before, after = data.change(step, j)
        steps.append(
            SequenceStep(
                number=step + 1,
                round=step // len(path.order) + 1,
                value=j,
                before=before,
                after=after,
                undone=tuple((i, *data.change(step, i)) for i in fell),
                nats=float(path.kl[step + 1]),
            )
        )
    return tuple(steps)


def summary(data: SequenceFigureData) -> list[str]:
    """Describe the path in words: one sentence per step, each with what it undid."""
    parts = []
    for step in sequence_steps(data):
        name = data.units.names[step.value]
        sentence = f"{step.number}. Aligning {name} brings it from {step.before} to {step.after}"
        if step.before == step.after:
            sentence = f"{step.number}. Aligning {name} leaves it at {step.after}"
        undone = [f"{data.units.names[i]} from {before} to {after}" for i, before, after in step.undone]
        parts.append(f"{sentence}; it took {sentences.listed(undone)}." if undone else f"{sentence}.")
    return parts


def largest_loss_sentence(data: SequenceFigureData) -> str:
    """Word the largest single loss on the way, in a sentence that can be quoted."""
    lost = data.path.undone
    if not data.path.steps:
        return "Not one step can be taken."
    if lost.max() < NEAR:
        return "No step takes back what an earlier one gave."
    step, i = (int(position) for position in np.unravel_index(np.argmax(lost), lost.shape))
    before, after = data.change(step, i)
    name, aligned = data.units.names[i], data.units.names[int(data.path.aligned[step])]
    return f"Aligning {aligned} took {name} from {before} to {after}."


def missed_targets(data: SequenceFigureData) -> list[str]:
    """Word the final level of each value that ends below its target, the largest shortfall first."""
    sequential, missed = data.path, []
    for j in np.argsort(-sequential.shortfall[-1]):
        if sequential.shortfall[-1][j] >= NEAR:
            reached, target = (data.level(int(j), level[j]) for level in (sequential.levels[-1], sequential.targets))
            missed.append(f"{data.units.names[j]} is at {reached} of {target}")
    return missed


def ending_sentence(data: SequenceFigureData) -> str:
    """Compare the end of the path with the targets and with the solution for all values at once."""
    sequential, together = data.path, data.together
    after = f"After {amounts.counted(sequential.rounds, 'round')}"
    misses = sentences.listed(missed_targets(data))
    wording, spent = data.units.wording, float(sequential.kl[-1])
    nats = wording.pick(f"{sentences.number(spent)} nats", wording.price(spent))
    if together is None:
        if not sequential.steps:
            return ""
        levels = f": {misses}" if misses else ""
        return f"{after}{levels}, {wording.pick('at', 'with')} {nats}; no number of rounds meets all targets."
    beside = "all at once meets every target with " + wording.pick(
        sentences.number(together.kl), wording.price(together.kl)
    )
    if not misses:
        return f"{after} every target is met, with {nats}; {beside}."
    return f"{after} {misses}, with {nats}{wording.pick(' spent', '')}; {beside}."


def rounds_needed_sentence(rounds: int | None, searched: int, wording: Wording = NUMBERS) -> str:
    """Word how many rounds it takes until the path is the simultaneous solution.

    Args:
        rounds: as :meth:`map_core.analysis.sequential.SequentialPath.rounds_to` returns it.
        searched: rounds of the path.
        wording: with numbers, or in everyday words.
    """
    same = wording.pick(f"within {NEAR:g} standard deviations of all at once", "as good as with all at once")
    if rounds is None:
        return f"After {amounts.counted(searched, 'round')} the levels are not yet {same}."
    if rounds <= 1:
        return f"In this order one round is enough: every level is then {same}."
    return f"In this order it takes {rounds} rounds until every level is, and stays, {same}."


def table(data: SequenceFigureData) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return one row per step: the header, and (position of the aligned value, cells)."""
    rows = []
    for step in sequence_steps(data):
        # Non-breaking spaces keep a change on one line.
        undone = [f"{data.units.names[i]} {before}\u00a0→\u00a0{after}" for i, before, after in step.undone]
        change = step.after if step.before == step.after else f"{step.before}\u00a0→\u00a0{step.after}"
        cells = [f"{step.number}. {data.name(step.value)}", change]
        rows.append(
            (
                step.value,
                [
                    *cells,
                    ", ".join(undone) or "–",
                    data.units.wording.pick(amounts.fixed(step.nats, 3), effort(step.nats)),
                ],
            )
        )
    return ["Step", "Its level", "What it undid", data.units.wording.pick("Nats", "Effort so far")], rows


def alt(data: SequenceFigureData) -> str:
    """Describe the figure in a sentence."""
    names = sentences.listed([data.units.names[j] for j in data.path.order])
    order = f"The level of each value step by step, aligned in the order {names}."
    return f"{order} {largest_loss_sentence(data)} {ending_sentence(data)}"


def sequence_csv(data: SequenceFigureData) -> str:
    """Return CSV, one row per step and one of all at once: nats, levels in reward units, and what was undone in sd."""
    oracle, sequential, out = data.units.oracle, data.path, io.StringIO()
    writer = safe_csv.Writer(out)
    values = oracle.values
    writer.writerow(
        [
            "step",
            "round",
            "aligned",
            "kl_nats",
            *(f"level_{v}" for v in values),
            *(f"weight_{v}" for v in values),
            *(f"undone_sd_{v}" for v in values),
        ]
    )

    def row(label: Sequence[object], kl: float, levels: np.ndarray, x: np.ndarray, lost: np.ndarray) -> None:
        numbers = [kl, *oracle.rewards_at(levels), *(x / oracle.scale), *lost]
        writer.writerow([*label, *(float(number) for number in numbers)])

    nothing = np.zeros(len(values))
    row([0, 0, ""], 0.0, sequential.levels[0], sequential.weights[0], nothing)
    for number, j in numbered_steps(sequential):
        label = [number, (number - 1) // len(sequential.order) + 1, values[j]]
        row(
            label,
            sequential.kl[number],
            sequential.levels[number],
            sequential.weights[number],
            sequential.undone[number - 1],
        )
    if data.together is not None:
        row(["all at once", "", ""], data.together.kl, data.together.levels, data.together.weights, nothing)
    return out.getvalue()


def stop_sentence(data: SequenceFigureData) -> str:
    """Word why a path that was proven out of reach stops; empty where it does not."""
    sequential = data.path
    if sequential.status is not Status.UNBOUNDED:
        return ""
    next_value = sequential.order[sequential.steps % len(sequential.order)]
    if not sequential.steps:
        return f"The path stops before its first step: {data.units.names[next_value]} alone cannot reach its target."
    return f"The path stops after step {sequential.steps}: that shows that no weights reach these targets together."
