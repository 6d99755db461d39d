"""The state of the page *Values*: the values of the table, the custom values, and how far each of those is.

Constraint: nothing is scored or cached here; the database is read in every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from map_core.custom_values import agreement, read_scores, replies_key
from map_core.data.reward_table import RewardTable
from map_core.figures.theme import COLOURS
from map_core.scoring import cards
from map_core.scoring.pairwise import Agreement
from map_core.store import Database, custom_values
from map_core.store.custom_values import KeptJudgement, StoredValue
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from pages.view.shell.session_keys import Key

SHOWN: Key[str | None] = Key("values_shown", None)

#: Colours for custom values, by name: distinct from those of a table's values, and legible on white and on black.
TINTS = {
    "Magenta": "#C026A8",
    "Turquoise": "#149C98",
    "Crimson": "#C42B58",
    "Lime": "#6A9A00",
    "Brown": "#A0522D",
    "Slate": "#62798A",
    "Mustard": "#948700",
    "Indigo": "#4F5BD5",
}


@dataclass(frozen=True, eq=False)
class CustomValue:
    """A custom value on the open table.

    Args:
        value: as it is stored.
        rewards: (reply,) of its newest version; None where they are not scored yet.
        judged: the judgements of its newest version, the first one first.
        agreement: of the scores with the judgements; None while nothing is decided.
    """

    value: StoredValue
    rewards: np.ndarray | None
    judged: tuple[KeptJudgement, ...]
    agreement: Agreement | None

    @property
    def key(self) -> str:
        """Its name on this page and in the address."""
        return self.value.definition.name

    @property
    def used(self) -> bool:
        """Whether its newest version is in use as a target."""
        return self.value.in_use == self.value.version


@dataclass(frozen=True, eq=False)
class ValuesView:
    """The values of the table and the custom ones.

    Args:
        database: of the custom values.
        scene: of the whole table, with the custom values that are in use.
        table: the whole table of the file.
        own: the custom values.
    """

    database: Database
    scene: Scene
    table: RewardTable
    own: tuple[CustomValue, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all values: the custom ones, then those of the table."""
        return (*(custom.key for custom in self.own), *self.table.values)

    def own_named(self, name: str) -> CustomValue | None:
        """Return a custom value by name; None for a value of the table."""
        return next((custom for custom in self.own if custom.key == name), None)

    def title(self, name: str) -> str:
        """Return a value's name as people read it, with a capital."""
        if (own := self.own_named(name)) is not None:
            return own.value.definition.title
        title = self.scene.names[self.scene.table.index(name)]
        return title[:1].upper() + title[1:]

    def tint(self, name: str) -> str:
        """Return the colour of a value."""
        if (own := self.own_named(name)) is not None:
            return own.value.definition.colour or COLOURS[0]
        return self.scene.colour(self.scene.table.index(name))

    @cached_property
    def portrayed(self) -> RewardTable:
        """The table with the newest version of every custom value that is scored on it."""
        return scenes.file_table(tuple(custom.value.definition for custom in self.own if custom.rewards is not None))


def load_values(database: Database) -> ValuesView:
    """Return the current values of the table and custom ones.

    Raises:
        StoreError: the database does not answer.
    """
    scene = scenes.load()
    table = scenes.file_table()
    listed = custom_values.list_values(database)
    taken_names, own = set(table.values), []
    for value in listed:  # the viewer's own come first, so of two with the same name theirs is used
        if value.definition.name not in taken_names:
            taken_names.add(value.definition.name)
            own.append(_custom_value(database, table, value))
    return ValuesView(database, scene, table, tuple(own))


def _custom_value(database: Database, table: RewardTable, value: StoredValue) -> CustomValue:
    scores = read_scores(replies_key(table), value.definition) if table.replies else None
    judgements = agreement.kept_judgements(database, table, value.id, value.version)
    rewards = None if scores is None else scores.rewards
    measured = None if rewards is None else agreement.value_agreement(table, rewards, judgements, value.definition)
    return CustomValue(value, rewards, judgements, measured)


def taken_names(view: ValuesView) -> tuple[str, ...]:
    """Return the names that a new value cannot have."""
    return (*view.table.values, *cards(), *(custom.key for custom in view.own))


def first_tint(view: ValuesView) -> str:
    """Return a colour that no custom value has yet."""
    used = {custom.value.definition.colour for custom in view.own}
    return next((tint for tint in TINTS.values() if tint not in used), next(iter(TINTS.values())))
