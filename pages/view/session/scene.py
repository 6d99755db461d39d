"""The open table, loaded once for all viewers, and what follows from it and a use case."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from map_core import catalog
from map_core.access import EVERYBODY, Action, Visitor
from map_core.analysis.examples import example_prompts
from map_core.core.types import DEFAULT_REPLY_LENGTH, SamplingSettings, recorded_length
from map_core.custom_values import add_columns, read_scores, replies_key
from map_core.custom_values.active import OfferedValue, offered_values
from map_core.data import table_file
from map_core.data.derived_columns import ColumnKind
from map_core.data.distribution import Percentiles
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import DEFAULT_TABLE
from map_core.errors import InputError
from map_core.feasibility import Assessment, AttainableLevels, assess
from map_core.feasibility.aim import Aim
from map_core.figures.theme import Theme
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.palette import ALL
from map_core.palettes.presets import opening
from map_core.palettes.targets import percentiles
from map_core.scoring import Definition, cards
from map_core.scoring.pairwise import TrustLevel
from map_core.scoring.specification import BUILT_IN
from map_core.text import sentences
from map_core.text.units import Unit, Units
from pages.view.shell import account, garbage, page_words, server_paths, session_keys, viewer, wording
from pages.view.shell.kept_keys import KeptKey
from pages.view.shell.session_keys import Key

TABLE: Key[str] = Key("table", "")
#: The key in the link by which this viewer opened a table that is shared by link.
TABLE_LINK: Key[str] = Key("table_link", "")
WELCOME: Key[bool | None] = Key("welcome", None)
#: Values marked as not to be used that this viewer uses all the same; they are offered to nobody else.
WANTED: KeptKey[tuple[str, ...]] = KeptKey("wanted_values", (), list, lambda names: tuple(map(str, names)))


@dataclass(frozen=True, eq=False)
class Scene:
    """A table restricted to a use case; immutable and shared by all viewers.

    Args:
        key: names the table's content, the use case and the form; part of every background job's key.
        table: the part of the table that belongs to the use case.
        oracle: its moments.
        names: of the values, as they read within a sentence; each that the judgements say is not to be used is marked
            so, everywhere.
        cards: what each value measures and misses, as far as that is known.
        theme: colours of the values, with those that people chose for values of their own.
        aim: what a palette asks for beyond averages, where the table has columns for it after its values; None for the
            table's values alone.
        problems: what of that this table cannot count, a sentence each.
    """

    key: tuple[Any, ...]
    table: RewardTable
    oracle: Oracle
    names: tuple[str, ...]
    cards: tuple[str, ...]
    theme: Theme = field(default_factory=Theme)
    aim: Aim | None = None
    problems: tuple[str, ...] = ()
    _idle: list[AttainableLevels] = field(default_factory=list, init=False, repr=False)

    @property
    def use_case(self) -> str:
        """The use case, or :data:`ALL`."""
        return self.key[2] or ALL

    @property
    def plain(self) -> int:
        """Number of values of the table itself; columns for what a palette asks for beyond averages come after them."""
        return len(self.names) if self.aim is None else self.aim.plain

    @cached_property
    def shares(self) -> frozenset[int]:
        """Positions of the columns whose levels are shares, shown as replies of 100."""
        of_kind = {column.name for column in self.table.derived if column.kind is ColumnKind.SHARE}
        return frozenset(j for j, name in enumerate(self.table.values) if name in of_kind)

    def colour(self, value: int) -> str:
        """Return the colour of a value, the same in every figure and on every page."""
        return self.theme.colour(value)

    def title(self, value: int) -> str:
        """Return the name of a value as it reads by itself or at the beginning of a sentence."""
        return sentences.capitalised(self.names[value])

    def weight_title(self, name: str) -> str:
        """Return the title of a weight within a sentence: a value, or a share or tail by its name for one reply."""
        if name in self.table.values:
            return self.names[self.table.index(name)]
        for j, column in enumerate(self.table.derived, start=self.plain):
            if column.reply_name == name:
                return self.names[j].partition(", ")[0]  # without the use case
        return name.replace("_", " ")

    @property
    def percentiles(self) -> Percentiles:
        """The conversion between levels and percentiles of the base model's replies."""
        return percentiles(self.table, self.oracle.form)

    def units(self, unit: Unit = "percentile") -> Units:
        """Return the conversion from standardised levels to what people read, in this viewer's wording."""
        return Units(self.oracle, self.percentiles, unit, self.names, wording.current(), self.shares)

    def percentile(self, value: int, standardised: float) -> float:
        """Return the percentile of a standardised level."""
        return self._percentile.percentile(value, standardised)

    @cached_property
    def _percentile(self) -> Units:
        """The units of :meth:`percentile`, kept because a page needs a hundred percentiles at every move of a fader."""
        return Units(self.oracle, self.percentiles, "percentile", self.names)

    @cached_property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The lowest and the highest attainable level of each value by itself, in whole percentiles between them."""
        ranges = []
        for j in range(len(self.names)):
            low = self.percentile(j, float(self.oracle.lowest[j]))
            high = self.percentile(j, float(self.oracle.highest[j]))
            ranges.append((math.ceil(low), max(math.floor(high), math.ceil(low) + 1)))
        return tuple(ranges)

    @cached_property
    def examples(self) -> tuple[int, ...]:
        """The prompts whose replies may be shown, by position; the one that the app opens with comes first."""
        shown = example_prompts(self.table)
        preset = opening(self.table.values, self.use_case)
        first = [i for i in shown if preset is not None and self.table.prompt_ids[i] == preset.prompt]
        return (*first, *(i for i in shown if i not in first))

    def assess(self, targets: np.ndarray, locked: np.ndarray | None = None, closest: bool = True) -> Assessment:
        """Assess targets; concurrent calls do not wait for each other.

        Args:
            targets: (value,) in standard deviations above base, NaN for free values.
            locked: (value,) bool, those that must not give way in the nearest palette.
            closest: look for the nearest palette where it is needed.
        """
        with self.attainable() as attainable:
            return assess(self.oracle, targets, attainable=attainable, locked=locked, closest=closest)

    @contextmanager
    def attainable(self) -> Iterator[AttainableLevels]:
        """Lend the linear programs of this table, which start from the vertices that were found before.

        Each borrower has its own set; one that finds none idle gets a new set instead of waiting, so there are as many
        sets as were ever in use at the same time.
        """
        try:
            borrowed = self._idle.pop()  # the one returned last knows the most vertices
        except IndexError:
            borrowed = AttainableLevels(self.oracle)
        try:
            yield borrowed
        finally:
            self._idle.append(borrowed)

    @property
    def sampling(self) -> SamplingSettings:
        """The settings that the table's replies were drawn with; the model's own where it does not say."""
        return SamplingSettings.from_metadata(self.table.metadata)

    @property
    def reply_length(self) -> int:
        """Tokens of the longest reply: as in the table, or what most replies need where it does not say."""
        return recorded_length(self.table.metadata) or DEFAULT_REPLY_LENGTH


def chosen_table() -> str:
    """Return the name of the table that this viewer has chosen on the page Tables; "" for the app's own.

    A link names it; it is kept for the visit. Outside of a visit there is none.
    """
    if get_script_run_ctx(suppress_warning=True) is None:
        return ""
    if not TABLE.is_set():
        TABLE.set(st.query_params.get("table", ""))
        TABLE_LINK.set(st.query_params.get("table_link", ""))
    return str(TABLE.get())


def address(values: Collection[str] = ()) -> dict[str, str | list[str]]:
    """Return the parameters of an address for the table (its name, never a path) and for values shared by link.

    Args:
        values: names of those that a palette has targets for.
    """
    links = [offered.link for offered in _offered() if offered.link and offered.definition.name in values]
    parameters: dict[str, str | list[str]] = {"value_link": links} if links else {}
    if not (name := chosen_table()):
        return parameters
    access = catalog.access_of(name)
    link = TABLE_LINK.get() or (access.link if account.tables().may(Action.SHARE, name) else "")
    return {"table": name} | ({"table_link": link} if link else {}) | parameters


def default_table_path() -> Path:
    """Return the app's own table: the one that VALUE_PALETTE_TABLE names, or the embedded default."""
    return Path(os.environ.get("VALUE_PALETTE_TABLE") or DEFAULT_TABLE)


def table_path() -> Path:
    """Return the open table: the one that this viewer has chosen, or the app's own.

    Raises:
        InputError: the name in the address cannot be that of a table.
    """
    return account.tables().path_of(name, TABLE_LINK.get()) if (name := chosen_table()) else default_table_path()


def open_table(name: str) -> None:
    """Open another table, "" for the app's own, and clear what this viewer has set on the old one."""
    session_keys.clear(viewer.VIEWER, viewer.VISIT, WELCOME, wording.CHOSEN, account.VALUE_LINKS)
    TABLE.set(name)


@st.cache_resource(show_spinner="Loading the table", max_entries=4)
def _load(path: str, modified: float) -> RewardTable:
    catalog.check_memory(Path(path))
    table = table_file.load(path)
    garbage.freeze_loaded()
    return table


@st.cache_resource(show_spinner=False, max_entries=4)
def _extended(path: str, modified: float, added: tuple[str, ...]) -> RewardTable:
    """Return the whole table with custom values, given as JSON; those that are not scored on it are left out."""
    table = _load(path, modified)
    scores = [read_scores(replies_key(table), Definition.from_json(definition)) for definition in added]
    return add_columns(table, [definition for definition in scores if definition is not None])


@st.cache_resource(show_spinner=False, max_entries=16)
def _scene(path: str, modified: float, use_case: str | None, added: tuple[tuple[str, str, bool], ...]) -> Scene:
    table = _extended(path, modified, tuple(definition_json for definition_json, _, _ in added)).select(use_case)
    oracle = MemoryOracle.of(table)
    cards = value_cards(table.metadata)
    own = {}
    for definition_json, trust, bad in added:
        definition = Definition.from_json(definition_json)
        own[definition.name] = (definition, trust, bad)
    names, notes = [], []
    for name in table.values:
        card = cards.get(name, {})
        marked = f" ({TrustLevel.UNUSABLE})" if name in own and own[name][2] else ""
        names.append(value_name(name, card) + marked)
        lines = [
            f"**{label}:** {card[part]}"
            for label, part in (("Measures", "measures"), ("Misses", "misses"))
            if card.get(part)
        ]
        if name in own:
            lines.append(f"**Judged:** {own[name][1]}")
        notes.append("\n\n".join(lines) or "This table does not say how this value was scored.")
    key = (path, modified, use_case, oracle.form.value, *added)
    colours = {
        table.index(name): definition.colour
        for name, (definition, _, _) in own.items()
        if name in table.values and definition.colour
    }
    return Scene(key, table, oracle, tuple(names), tuple(notes), Theme(colours))


def table_metadata() -> Mapping[str, Any] | None:
    """Return the metadata of the open table; None where it cannot be opened."""
    try:
        path = table_path()
        return _load(str(path), path.stat().st_mtime if path.exists() else 0.0).metadata
    except InputError:
        return None


#: Parts of a scorer's card that describe it in words.
DESCRIBED = ("measures", "misses", "source", "licence")


def value_name(name: str, card: Mapping[str, Any]) -> str:
    """Return a value's name as it reads within a sentence: the title on its card, else its column's name."""
    title = str(card.get("title") or name.replace("_", " "))
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def value_cards(metadata: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the card of each value whose scorer a table's metadata names, completed from this project's cards.

    A value in a table that names no scorer has no card, even if its name is that of one here. A scorer of the same
    version as here is described as it is here, because a table keeps the words of the day on which it was made.
    """
    built_in_cards = {name: card.as_dict() for name, card in cards().items()}
    scorers = metadata.get("scorers") or ()
    return {str(scorer["name"]): _described(dict(scorer), built_in_cards) for scorer in scorers if "name" in scorer}


def _described(entry: dict[str, Any], built_in_cards: dict[str, dict[str, Any]]) -> dict[str, Any]:
    card = built_in_cards.get(entry["name"], {})
    version = str(entry.get("version", "")).partition("/")[0]  # what follows is the embedder
    same = version == card.get("version") and entry.get("family", BUILT_IN) == BUILT_IN
    return card | entry | ({part: card[part] for part in DESCRIBED} if same else {})


def file_table(added: tuple[Definition, ...] = ()) -> RewardTable:
    """Return the whole table of the file, with these custom values instead of those in use."""
    path = table_path()
    return _extended(str(path), path.stat().st_mtime, tuple(definition.to_json() for definition in added))


def want(name: str) -> None:
    """Offer this viewer a value although it is marked as not to be used, for the rest of the visit."""
    WANTED.set(tuple(dict.fromkeys((*WANTED.get(), name))))


def _wants(name: str) -> bool:
    """Return whether this viewer uses a value marked as not to be used, by choice or by a link that names it."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return False
    linked = {unquote(item.partition(":")[0].strip()) for item in st.query_params.get("palette", "").split(";")}
    if name in linked and name not in WANTED.get():
        want(name)
    return name in WANTED.get()


def _offered() -> tuple[OfferedValue, ...]:
    """Return the custom values that this viewer is offered on the open table."""
    path = table_path()
    return offered_values(_load(str(path), path.stat().st_mtime), account.visitor())


def _added_values(table: RewardTable, visitor: Visitor) -> tuple[tuple[str, str, bool], ...]:
    """Return the custom values that are used on a table: definition as JSON, trust, whether it is unusable."""
    return tuple(
        (offered.definition.to_json(), offered.trust, offered.unusable)
        for offered in offered_values(table, visitor)
        if not offered.unusable or (visitor is not EVERYBODY and _wants(offered.definition.name))
    )


def load(use_case: str = ALL) -> Scene:
    """Return the scene of a use case; where the table cannot be opened, say so and stop the page."""
    return _load_scene(use_case, account.visitor())


def load_for_everybody(use_case: str = ALL) -> Scene:
    """Return the same as :func:`load` with those custom values alone that everybody sees."""
    return _load_scene(use_case, EVERYBODY)


def _load_scene(use_case: str, visitor: Visitor) -> Scene:
    if (name := chosen_table()) and st.query_params.get("table") != name:
        st.query_params["table"] = name
    try:
        path = table_path()
        modified = path.stat().st_mtime if path.exists() else 0.0
        added = _added_values(_load(str(path), modified), visitor)
        return _scene(str(path), modified, None if use_case == ALL else use_case, added)
    except InputError as error:
        st.title("There is no table to look at")
        if name:
            st.text(page_words.of(error))
            st.button("Open the first table", type="primary", key="first_table", on_click=open_table, args=("",))
            st.stop()
        st.text(server_paths.in_text(str(error)))  # for whoever has set it
        st.markdown("Point the app at a table of your own, or build one:")
        st.code(
            "VALUE_PALETTE_TABLE=my-table.parquet make run\n.venv/bin/python -m map_core build --help", language=None
        )
        st.stop()
