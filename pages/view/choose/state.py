"""The choices of this viewer, and what follows from them; they survive a reload.

Constraint: choices are kept by prompt and candidate and looked up in the open table; those that it lacks are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from map_core.core.weak_cache import cached_weakly
from map_core.preference import (
    FIRST_CHOICES,
    MAX_CHOICES,
    FoundPalette,
    PairChoice,
    PairPool,
    found_palette,
    next_pair,
    numbered_choices,
    pair_pool,
    reply_ids,
)
from map_core.preference.pairs import fit
from map_core.scoring.pairwise import PairAnswer
from pages.view.session.kept_choices import RECORDS
from pages.view.session.scene import Scene
from pages.view.shell.kept_keys import KeptKey

GOAL: KeptKey[int] = KeptKey(
    "choices_goal", FIRST_CHOICES, int, lambda goal: min(max(int(goal), FIRST_CHOICES), MAX_CHOICES)
)
#: Whether this viewer asked for the result before answering all pairs.
STOPPED: KeptKey[bool] = KeptKey("choices_stopped", False, bool, bool)
#: Pairs that are added when more are asked for.
MORE = 5


@dataclass(frozen=True, eq=False)
class ChoosingRound:
    """The state of this viewer's choosing.

    Args:
        choices: made so far, the first one first.
        pair: rows of the pair to ask about next; None where there is no other, or enough was asked.
        goal: number of choices that are asked for.
    """

    choices: tuple[PairChoice, ...]
    pair: tuple[int, int] | None
    goal: int


@cached_weakly
def _pool(scene: Scene) -> PairPool:
    return pair_pool(scene.table, scene.oracle)


def current_round(scene: Scene) -> ChoosingRound:
    """Return what is asked of this viewer now.

    Raises:
        InputError: the table has no pair of replies that can be shown.
    """
    pool = _pool(scene)
    choices, goal = choices_of(scene), GOAL.get()
    pair = None
    if len(choices) < goal and not STOPPED.get():
        pair = next_pair(pool, fit(scene.table, scene.oracle, choices), choices)
    return ChoosingRound(choices, pair, goal)


def choices_of(scene: Scene) -> tuple[PairChoice, ...]:
    """Return the choices of this viewer between replies of the current table."""
    return tuple(choice for _, choice in _counted(scene))


def _counted(scene: Scene) -> tuple[tuple[int, PairChoice], ...]:
    """Return the choices between replies of this table, each with the number of its record."""
    return numbered_choices(scene.table, RECORDS.get())[:MAX_CHOICES]


def inferred_palette(scene: Scene, choices: tuple[PairChoice, ...]) -> FoundPalette:
    """Return the palette that is inferred from choices."""
    return found_palette(scene.table, scene.oracle, choices)


def answer(scene: Scene, pair: tuple[int, int], given: PairAnswer) -> None:
    """Keep a choice, once for a pair whose button was clicked twice."""
    choice = PairChoice(*pair, given)
    if {*pair} not in ({earlier.first, earlier.second} for earlier in choices_of(scene)):
        RECORDS.set([*RECORDS.get(), reply_ids(scene.table, choice)])


def take_back(scene: Scene) -> None:
    """Forget the last choice that is counted here, whatever was chosen in other use cases since."""
    _forget(number for number, _ in _counted(scene)[-1:])
    STOPPED.set(False)


def _forget(numbers: Iterable[int]) -> None:
    """Forget the records of these numbers."""
    gone = set(numbers)
    RECORDS.set([record for number, record in enumerate(RECORDS.get()) if number not in gone])


def stop() -> None:
    """Show the result before all pairs are answered."""
    STOPPED.set(True)


def ask_for_more(answered: int) -> None:
    """Ask for :data:`MORE` further pairs."""
    GOAL.set(min(MAX_CHOICES, max(GOAL.get(), answered + MORE)))
    STOPPED.set(False)


def start_again(scene: Scene) -> None:
    """Forget every choice between replies of this table; those of other use cases and tables stay."""
    _forget(number for number, _ in numbered_choices(scene.table, RECORDS.get()))
    GOAL.set(FIRST_CHOICES)
    STOPPED.set(False)
