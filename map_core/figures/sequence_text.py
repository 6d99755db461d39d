"""One value after another, without the figure: in sentences, as a table, and as a file.

Constraint: a change under :data:`map_core.figures.sequence.NEAR` is left unsaid.
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


@dataclass(frozen=True)
class SequenceStep:
    """One step of a path, in words.

    Args:
        number, round: from 1.
        value: position of the value that is aligned.
        before, after: its level.
        undone: (position, before, after) of each value that was aligned before and fell below its target by this.
        nats: distance from the base model after the step.
    """

    number: int
    round: int
    value: int
    before: str
    after: str
    undone: tuple[tuple[int, str, str], ...]
    nats: float


def sequence_steps(shown: SequenceFigureData) -> tuple[SequenceStep, ...]:
    """Return every step of the path."""
    path, told = shown.path, []
    undone = path.undone
    for at, value in enumerate(path.aligned):
        j = int(value)
        fell = [int(i) for i in np.flatnonzero(undone[at] >= NEAR)]
        told.append(
            SequenceStep(
                at + 1,
                at // len(path.order) + 1,
                j,
                *shown.change(j, path.levels[at, j], path.levels[at + 1, j]),
                tuple((i, *shown.change(i, path.levels[at, i], path.levels[at + 1, i])) for i in fell),
                float(path.kl[at + 1]),
            )
        )
    return tuple(told)


def summary(shown: SequenceFigureData) -> list[str]:
    """Describe the path in words: a sentence a step, each with what it undid."""
    said = []
    for step in sequence_steps(shown):
        name = shown.units.names[step.value]
        sentence = f"{step.number}. Aligning {name} brings it from {step.before} to {step.after}"
        if step.before == step.after:
            sentence = f"{step.number}. Aligning {name} leaves it at {step.after}"
        taken = [f"{shown.units.names[i]} from {before} to {after}" for i, before, after in step.undone]
        said.append(f"{sentence}; it took {sentences.listed(taken)}." if taken else f"{sentence}.")
    return said


def largest_loss_sentence(shown: SequenceFigureData) -> str:
    """Word the largest single loss on the way, in a sentence that can be quoted."""
    lost = shown.path.undone
    if not shown.path.steps:
        return "Not one step can be taken."
    if lost.max() < NEAR:
        return "No step takes back what an earlier one gave."
    at, i = (int(place) for place in np.unravel_index(np.argmax(lost), lost.shape))
    before, after = shown.change(i, shown.path.levels[at, i], shown.path.levels[at + 1, i])
    name, by = shown.units.names[i], shown.units.names[int(shown.path.aligned[at])]
    return f"Aligning {by} took {name} from {before} to {after}."


def missed_targets(shown: SequenceFigureData) -> list[str]:
    """Word where each value ends that is below its target, the furthest below first."""
    found, said = shown.path, []
    for j in np.argsort(-found.shortfall[-1]):
        if found.shortfall[-1][j] >= NEAR:
            reached, asked = shown.change(int(j), found.levels[-1, j], found.targets[j])
            said.append(f"{shown.units.names[j]} is at {reached} of {asked}")
    return said


def ending_sentence(shown: SequenceFigureData) -> str:
    """Word where the path ends, against the targets and against all at once."""
    found, together = shown.path, shown.together
    after = f"After {found.rounds} round{'s' * (found.rounds != 1)}"
    misses = sentences.listed(missed_targets(shown))
    nats = f"{sentences.number(float(found.kl[-1]))} nats"
    if together is None:
        where = f": {misses}" if misses else ""
        return f"{after}{where}, at {nats}; no number of rounds meets all targets." if found.steps else ""
    beside = f"all at once meets every target with {sentences.number(together.kl)}"
    if not misses:
        return f"{after} every target is met, with {nats}; {beside}."
    return f"{after} {misses}, with {nats} spent; {beside}."


def rounds_needed_sentence(rounds: int | None, searched: int) -> str:
    """Word how many rounds it takes until the path is the simultaneous solution.

    Args:
        rounds: as :meth:`map_core.analysis.sequential.SequentialPath.rounds_to` found it; None where they were too few.
        searched: rounds that were gone through.
    """
    same = f"within {NEAR:g} standard deviations of all at once"
    if rounds is None:
        return f"After {searched} rounds the levels are not yet {same}."
    if rounds <= 1:
        return f"In this order one round is enough: every level is then {same}."
    return f"In this order it takes {rounds} rounds until every level is, and stays, {same}."


def table(shown: SequenceFigureData) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return a row a step: the header, and (position of the aligned value, cells)."""
    rows = []
    for step in sequence_steps(shown):
        # No break within a change: it is read as one.
        taken = [f"{shown.units.names[i]} {before}\u00a0→\u00a0{after}" for i, before, after in step.undone]
        change = step.after if step.before == step.after else f"{step.before}\u00a0→\u00a0{step.after}"
        cells = [f"{step.number}. {shown.name(step.value)}", change]
        rows.append((step.value, [*cells, ", ".join(taken) or "–", amounts.fixed(step.nats, 3)]))
    return ["Step", "Its level", "What it undid", "Nats"], rows


def alt(shown: SequenceFigureData) -> str:
    """Describe the figure in a sentence."""
    names = sentences.listed([shown.units.names[j] for j in shown.path.order])
    order = f"The level of each value step by step, aligned in the order {names}."
    return f"{order} {largest_loss_sentence(shown)} {ending_sentence(shown)}"


def sequence_csv(shown: SequenceFigureData) -> str:
    """Return CSV, a row a step and one of all at once: nats, every level in reward units, and what was undone in sd."""
    oracle, found, out = shown.units.oracle, shown.path, io.StringIO()
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
    row([0, 0, ""], 0.0, found.levels[0], found.weights[0], nothing)
    for number, j in numbered_steps(found):
        label = [number, (number - 1) // len(found.order) + 1, values[j]]
        row(label, found.kl[number], found.levels[number], found.weights[number], found.undone[number - 1])
    if shown.together is not None:
        row(["all at once", "", ""], shown.together.kl, shown.together.levels, shown.together.weights, nothing)
    return out.getvalue()


def stop_sentence(shown: SequenceFigureData) -> str:
    """Word why a path that was proven out of reach stops; empty where it does not."""
    found = shown.path
    if found.status is not Status.UNBOUNDED:
        return ""
    following = found.order[found.steps % len(found.order)]
    if not found.steps:
        return f"The path stops before its first step: {shown.units.names[following]} alone cannot come to its target."
    return f"The path stops after step {found.steps}: that shows that no weights reach these targets together."
