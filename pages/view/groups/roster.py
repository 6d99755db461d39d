"""The groups on the page Agree: how they are listed, added, weighted and removed.

Kept under a key of its own, because Streamlit forgets widgets when the page changes. Constraint: names are visitors'
text and are shown as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from map_core.access import Kind
from map_core.core import amounts
from map_core.data.text_files.encoding import decode_text
from map_core.data.text_files.records import json_records, known_fields
from map_core.errors import InputError, PaletteError
from map_core.groups import Group
from map_core.palettes.palette import Palette, Target
from map_core.palettes.presets import Preset, presets
from map_core.palettes.targets import resolve
from map_core.store import palettes as saved_palettes
from map_core.store.jsonl import unique_names
from pages.view.session import kept, level_words, palette_state
from pages.view.session.scene import Scene
from pages.view.shell import account, markup, page_words
from pages.view.shell.account import database
from pages.view.shell.kept_keys import KeptKey
from pages.view.shell.session_keys import Key, KeyFamily
from pages.view.shell.uploads import text_content

PROBLEM: Key[str] = Key("groups_problem", "")
BUDGET: Key[float | None] = Key("groups_budget", None)
IMPORTANCE_OF: KeyFamily[float] = KeyFamily("importance_{}", 1.0)
NAME: Key[str] = Key("group_name", "")
CHOSEN_SAVED: Key[list[int]] = Key("chosen_saved", [])
CHOSEN_PRESETS: Key[list[int]] = Key("chosen_presets", [])
FILE: Key[UploadedFile | None] = Key("groups_file", None)

#: Groups at most; more could not be distinguished in the figures.
MAX_GROUPS = 60
MAX_NAME_LENGTH = 40
#: Nats for the example: so few that no common palette satisfies every group.
EXAMPLE_BUDGET = 0.5
IMPORTANCE = (0.5, 1.0, 2.0, 3.0)


@dataclass(frozen=True)
class SeatedGroup:
    """A group on the page Agree.

    Args:
        name: as people read it.
        palette: what it asks for.
        importance: its weight in the common palette; 1 by default.
    """

    name: str
    palette: Palette
    importance: float = 1.0


def _dump(groups: tuple[SeatedGroup, ...]) -> list[list[Any]]:
    return [[group.name, kept.dump_palette(group.palette), group.importance] for group in groups]


def _read(content: Any) -> tuple[SeatedGroup, ...]:
    groups = [
        SeatedGroup(str(name), kept.read_palette(palette), _importance(importance))
        for name, palette, importance in content[:MAX_GROUPS]
    ]
    names = unique_names(group.name for group in groups)
    return tuple(replace(group, name=name) for group, name in zip(groups, names, strict=True))


GROUPS: KeptKey[tuple[SeatedGroup, ...]] = KeptKey("groups", (), _dump, _read)


def seated_groups() -> tuple[SeatedGroup, ...]:
    """Return the groups of this viewer."""
    return GROUPS.get()


def member_names(names: Iterable[str]) -> list[str]:
    """Return the names, each on one line and shortened, with a number where a name is there already.

    Example:
        >>> member_names(["Ana", "Ben", " Ana "])
        ['Ana', 'Ben', 'Ana (2)']
    """
    return unique_names(" ".join(str(name).split())[:MAX_NAME_LENGTH] or "Unnamed" for name in names)


def add(new: Iterable[SeatedGroup]) -> None:
    """Add groups, up to :data:`MAX_GROUPS` in all."""
    wanted = (*seated_groups(), *new)
    names = member_names(group.name for group in wanted)
    seated = tuple(replace(group, name=name) for group, name in zip(wanted, names, strict=True))[:MAX_GROUPS]
    if len(seated) < len(wanted):
        PROBLEM.set(f"At most {MAX_GROUPS} groups can be compared; the others were left out.")
    GROUPS.set(seated)


def to_groups(scene: Scene, all_seated: Sequence[SeatedGroup]) -> tuple[Group, ...]:
    """Return what the groups ask for on this scene, at the same percentiles where a palette is of another use case."""
    groups = []
    for seated in all_seated:
        use_case = scene.use_case
        palette = (
            seated.palette
            if seated.palette.use_case == use_case
            else palette_state.in_use_case(seated.palette, use_case)
        )
        targets = palette_state.standardised(scene, palette)
        # A value that is the same for every reply cannot be raised, so a target above it is dropped.
        targets[scene.oracle.constant & (np.nan_to_num(targets) > 0)] = np.nan
        groups.append(Group(seated.name, targets, seated.importance))
    return tuple(groups)


def parse_groups(scene: Scene, text: str) -> list[SeatedGroup]:
    """Return the groups of a targets file, one JSON object per line, as the command line reads it.

    Raises:
        InputError: a line is no group, or names a value that the table does not have.
    """
    groups = []
    expected = '{"name": "Clinic", "targets": {"humor": "p70"}}'
    for number, (where, record) in enumerate(json_records(text, "the file", f"such as {expected}"), start=1):
        try:
            entry = known_fields(record, ("targets", "name", "importance", "use_case"), where)
            levels = resolve(entry["targets"], scene.table, scene.oracle)
            importance = _importance(entry.get("importance", 1.0))
            name = str(entry.get("name") or f"Group {number}")
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{where} is {str(dict(record))[:60]!r}; expected a JSON object such as {expected}."
            ) from error
        free = {value: Target(50.0, free=True) for value in scene.table.values}
        palette = Palette(scene.use_case, free)
        groups.append(
            SeatedGroup(name, palette_state.with_levels(scene, palette, scene.oracle.standardise(levels)), importance)
        )
    if not groups:
        raise InputError('The file holds no group; expected a line such as {"name": "Clinic", "targets": {...}}.')
    return groups


def _importance(written: Any) -> float:
    importance = float(written)
    if not 0 < importance < 1e6:
        raise InputError(f"The importance is {importance}; expected a number above 0.")
    return importance


def groups_jsonl(scene: Scene, groups: Sequence[Group]) -> str:
    """Return the groups as a targets file, in reward units, as :func:`parse_groups` and the command line read it."""
    lines = []
    for group in groups:
        rewards = scene.oracle.rewards_at(group.targets)
        targets = {
            name: float(rewards[j]) for j, name in enumerate(scene.table.values) if not np.isnan(group.targets[j])
        }
        lines.append(json.dumps({"name": group.name, "targets": targets, "importance": group.importance}))
    return "\n".join(lines) + "\n"


def draw_roster(scene: Scene) -> None:
    """Draw a row per group, with what it asks for, how much it counts, and a button that removes it."""
    for index, group in enumerate(seated_groups()):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"group_{index}"):
            st.html(f"{markup.name(group.name)}", width="content")
            st.html(
                markup.chips(_target_chips(scene, group), scene.theme) or markup.note("asks for nothing"),
                width="stretch",
            )
            counts = IMPORTANCE_OF.of(index).show(min(IMPORTANCE, key=lambda to: abs(to - group.importance)))
            st.selectbox(
                f"How much {markup.plain(group.name)} counts",
                IMPORTANCE,
                0 if counts is None else IMPORTANCE.index(counts),
                format_func=lambda times: f"counts {amounts.significant(times)}×",
                key=IMPORTANCE_OF.of(index).name,
                on_change=_on_importance_chosen,
                args=(index,),
                label_visibility="collapsed",
                width=130,
            )
            st.button(
                "Remove",
                key=f"remove_group_{index}",
                icon=":material/close:",
                type="tertiary",
                on_click=_remove,
                args=(index,),
            )


def _target_chips(scene: Scene, seated: SeatedGroup) -> list[tuple[int, str]]:
    (group,) = to_groups(scene, [seated])
    percentiles = np.array([scene.percentile(j, float(target)) for j, target in enumerate(group.targets)])
    return level_words.target_chips(scene, seated.palette, percentiles)


def _on_importance_chosen(index: int) -> None:
    chosen = float(IMPORTANCE_OF.of(index).get())
    GROUPS.set(
        tuple(replace(seated, importance=chosen) if k == index else seated for k, seated in enumerate(seated_groups()))
    )


def _remove(index: int) -> None:
    GROUPS.set(tuple(seated for k, seated in enumerate(seated_groups()) if k != index))


def draw_add_menus(scene: Scene, palette: Palette) -> None:
    """Draw the menus that add groups: the current palette, saved ones, presets, a file."""
    with st.popover("The current palette", icon=":material/tune:", key="add_today"):
        st.text_input("Whose palette is it?", key=NAME.name, max_chars=MAX_NAME_LENGTH, placeholder="A name")
        st.button("Add", key="add_group", type="primary", on_click=_add_current, args=(palette,))
    with st.popover("Saved palettes", icon=":material/bookmark:", key="add_saved"):
        _draw_saved()
    with st.popover("Presets", icon=":material/style:", key="add_presets"):
        offered = presets(scene.table.values, scene.names, palette.use_case)
        st.multiselect(
            "Presets of this use case",
            range(len(offered)),
            format_func=lambda k: offered[k].name,
            key=CHOSEN_PRESETS.name,
        )
        st.button("Add", key="add_chosen_presets", type="primary", on_click=_add_presets, args=(offered,))
    with st.popover("File", icon=":material/upload_file:", key="add_file"):
        st.file_uploader("Targets file, one JSON object per line", ["jsonl", "json", "txt"], key=FILE.name)
        st.html(markup.note('As the command line reads it: {"name": "Clinic", "targets": {"humor": "p70"}}'))
        st.button("Add", key="add_groups_file", type="primary", on_click=_add_file, args=(scene,))


def draw_problem() -> None:
    """Say once what went wrong when groups were added."""
    if problem := PROBLEM.pop():
        with st.container(key="groups_problem"):
            st.warning("Not everything was added.", icon=":material/error:")
            st.text(problem)


def _add_current(palette: Palette) -> None:
    name = str(NAME.get() or "").strip() or f"Group {len(seated_groups()) + 1}"
    add([SeatedGroup(name, palette)])
    NAME.set("")


def _draw_saved() -> None:
    try:
        saved = saved_palettes.list_palettes(database())
    except PaletteError as error:
        st.text(page_words.of(error))
        return
    if not saved:
        nothing = "Nothing is saved yet. Save the current palette under a name in the Library."
        shared = "No saved palette is shared with you yet."
        st.html(markup.note(nothing if account.may_create(Kind.PALETTE) else shared))
        return
    st.multiselect("Saved palettes", range(len(saved)), format_func=lambda k: saved[k].name, key=CHOSEN_SAVED.name)
    st.button("Add", key="add_chosen_saved", type="primary", on_click=_add_saved, args=(saved,))


def _add_saved(saved: Sequence[saved_palettes.SavedPalette]) -> None:
    add(SeatedGroup(saved[k].name, saved[k].palette) for k in CHOSEN_SAVED.get())
    CHOSEN_SAVED.set([])


def _add_presets(offered: Sequence[Preset]) -> None:
    add(SeatedGroup(offered[k].name, offered[k].palette) for k in CHOSEN_PRESETS.get())
    CHOSEN_PRESETS.set([])


def seat_example(scene: Scene, palette: Palette) -> None:
    """Add the first presets of the use case as an example."""
    add(
        SeatedGroup(preset.name, preset.palette)
        for preset in presets(scene.table.values, scene.names, palette.use_case)[:3]
    )
    BUDGET.set(EXAMPLE_BUDGET)


def _add_file(scene: Scene) -> None:
    uploaded = FILE.get()
    if uploaded is None:
        PROBLEM.set("No file was chosen.")
        return
    try:
        add(parse_groups(scene, decode_text(text_content(uploaded), uploaded.name)))
    except InputError as error:
        PROBLEM.set(page_words.of(error))
