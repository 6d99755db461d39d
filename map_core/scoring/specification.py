"""Specifications of scorers as plain data: a value's name, the family of its scorer, and its settings.

A table's metadata, a values file and a request to the model process all describe values in this form. Constraint:
standard library only; no scorer is made here.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from map_core.data.text_files.json_stream import load_json
from map_core.data.text_files.records import read_text
from map_core.errors import InputError
from map_core.scoring.definition import Definition

BUILT_IN, CONTRAST, HEAD = "built-in", "contrast", "head"


@dataclass(frozen=True)
class Specification:
    """One value as data.

    Args:
        name: the value's name.
        family: the kind of scorer, a key of :data:`map_core.scoring.FAMILIES`.
        settings: of that family, as JSON values.
        trusted: the operator of this program named it. A table may come from anybody, so its metadata is not trusted:
            no code is run and no server is called because of it.
    """

    name: str
    family: str = BUILT_IN
    settings: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = False

    @classmethod
    def of(cls, definition: Definition) -> Specification:
        """Return the specification of a value that is defined in words, or of the head that was trained on it."""
        if definition.head is None:
            return cls(definition.name, CONTRAST, definition.as_dict())
        prior = {key: part for key, part in definition.words.as_dict().items() if key in ("kind", "more", "less")}
        shown = {"title": definition.title, "colour": definition.colour, "prior": prior}
        return cls(definition.name, HEAD, shown | definition.head.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as plain JSON values, the arguments of :class:`Specification`."""
        return {"name": self.name, "family": self.family, "settings": dict(self.settings), "trusted": self.trusted}


def from_metadata(metadata: Mapping[str, Any]) -> dict[str, Specification]:
    """Return the specifications in a table's metadata by name, built-in values included; none is trusted."""
    specifications = {}
    for entry in metadata.get("scorers") or ():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            continue
        family, settings = entry.get("family", BUILT_IN), entry.get("settings") or {}
        if isinstance(family, str) and isinstance(settings, Mapping):
            specifications[entry["name"]] = Specification(entry["name"], family, dict(settings))
    return specifications


def read_values_file(path: Path) -> dict[str, Specification]:
    """Read the values that a TOML or JSON file names, trusted, in its order.

    Args:
        path: the file, with a table per value, such as ``[calm_nurse]``, of ``family`` and its settings. A function's
            file is relative to it.

    Raises:
        InputError: no such file, no TOML or JSON, or an entry that is not a table or names no family.
    """
    try:
        text = read_text(path)
        data = load_json(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # decoding, TOML and JSON errors are all of this kind
        raise InputError(f"The values file {path} is not understood ({error}); expected TOML, or JSON.") from error
    if not isinstance(data, Mapping) or not data:
        raise InputError(f"The values file {path} names no value; expected a table a value, as in [calm_nurse].")
    specifications = {}
    for name, entry in data.items():
        if not isinstance(entry, Mapping):
            raise InputError(f"{name!r} in {path} is {entry!r}; expected a table, as in [{name}] and lines below it.")
        settings = {key: setting for key, setting in entry.items() if key != "family"}
        family = entry.get("family", CONTRAST if {"more", "less"} <= entry.keys() else None)
        if not isinstance(family, str):
            raise InputError(f'{name!r} in {path} names no family; add a line like family = "contrast".')
        if isinstance(settings.get("function"), str) and ":" in settings["function"]:
            settings["function"] = str(path.parent / settings["function"])  # an absolute one stays as it is
        specifications[name] = Specification(name, family, settings, trusted=True)
    return specifications


def values_file(definitions: Iterable[Definition]) -> str:
    """Return definitions as JSON that :func:`read_values_file` reads."""
    entries = {
        specification.name: {"family": specification.family, **specification.settings}
        for specification in map(Specification.of, definitions)
    }
    return json.dumps(entries, ensure_ascii=False, indent=2) + "\n"
