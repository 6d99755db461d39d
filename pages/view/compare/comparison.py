"""A generation at one moment, and the candidate that each palette chooses for its column.

Constraint: everything here but :func:`comparison` can be computed outside of a script run, for the live channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from map_core.feasibility import Assessment
from map_core.generation.choice import Choice
from map_core.service.generation import Generation
from map_core.service.snapshot import GenerationSnapshot, Phase
from map_core.text.wording import NUMBERS, Wording
from pages.view.compare import generator, pinned, prompt_cohort
from pages.view.compare.pinned import PaletteColumn
from pages.view.session.scene import Scene
from pages.view.shell import wording as wordings
from pages.view.shell.session_keys import Key

LIKELIEST, DRAWN = "likeliest", "drawn"
#: Which reply of a palette is shown in the end: the likeliest one, or one drawn by its probabilities.
SHOWN: Key[str] = Key("shown_reply", LIKELIEST)


@dataclass(frozen=True, eq=False)
class ComparisonView:
    """A generation at one moment, and what each palette chooses among its candidates.

    Args:
        scene: the open table.
        assessment: of the current palette.
        generation: what is drawn.
        shown: its state.
        columns: the palettes, the current one first.
        choices: one per palette; None before any rewards.
        drawn: whether the replies shown in the end are drawn by their probabilities, and not the likeliest ones.
        wording: with numbers, or in everyday words.
    """

    scene: Scene
    assessment: Assessment
    generation: Generation
    shown: GenerationSnapshot
    columns: tuple[PaletteColumn, ...]
    choices: tuple[Choice | None, ...]
    drawn: bool = True
    wording: Wording = NUMBERS

    @property
    def done(self) -> bool:
        """Whether the choices are final."""
        return self.shown.phase is Phase.DONE

    def shown_index(self, choice: Choice | None) -> int | None:
        """Return the index of the candidate that a palette shows, see :func:`shown_candidate`."""
        return shown_candidate(self.shown, choice, self.drawn)

    @property
    def base_index(self) -> int:
        """Index of the base model's candidate: its draw, but once done another one where the palette shows the same.

        Where a tuned model writes the others, the base model has only one.
        """
        picked = self.shown_index(self.choices[0])
        if picked is None or not self.done or generator.tuned_of(self.generation):
            return self.shown.base
        return self.shown.base_beside(picked)


def is_drawn() -> bool:
    """Return whether this viewer is shown drawn replies, and not the likeliest ones."""
    return SHOWN.get() == DRAWN


def comparison(scene: Scene, assessment: Assessment, generation: Generation) -> ComparisonView:
    """Return the current state; a generation of this viewer follows the weights of the current palette."""
    snapshot = generation.snapshot()
    cohorts = prompt_cohort.in_force(scene, generation.request.prompt)
    candidates = generator.most_drawn(generation.request, len(snapshot.candidates))
    candidates = generator.weights_count(scene, generator.tuned_of(generation), candidates)
    columns = pinned.columns(scene, assessment, candidates, cohorts)
    if generator.is_owner(generation):
        scored = set(generation.request.scored)
        generation.reweigh(generator.of_scored(columns[0].weights.by_value, scored))
    chosen = choices(generation, snapshot, columns)
    return ComparisonView(scene, assessment, generation, snapshot, columns, chosen, is_drawn(), wordings.current())


def choices(
    generation: Generation, snapshot: GenerationSnapshot, columns: Sequence[PaletteColumn]
) -> tuple[Choice | None, ...]:
    """Return the choice of each palette among the candidates that are shown; None before any rewards."""
    picks = [generation.choice(column.weights.by_value) for column in columns]
    # Candidates may have been added between snapshot and choices: then there are none until the next snapshot.
    return tuple(c if c is not None and len(c.probabilities) == len(snapshot.candidates) else None for c in picks)


def shown_candidate(snapshot: GenerationSnapshot, choice: Choice | None, drawn: bool = True) -> int | None:
    """Return the index of the candidate that a choice shows; None before any rewards.

    Args:
        snapshot: the generation.
        choice: of a palette; None before any rewards.
        drawn: once done, show the draw of the choice; otherwise the likeliest candidate, as while it runs. Where all
            are equally likely, the draw is shown in any case.
    """
    if choice is None:
        return None
    likeliest = int(np.argmax(choice.probabilities))
    if snapshot.phase is not Phase.DONE:
        return likeliest
    even = max(choice.probabilities) - min(choice.probabilities) < 1e-12
    return choice.picked if drawn or even else likeliest
