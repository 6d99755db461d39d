"""Check the settings of a scorer in a values file against those of its family.

Constraint: standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from map_core.errors import InputError


@dataclass(frozen=True)
class Setting:
    """One setting.

    Args:
        kind: its type or types.
        words: its description for people.
    """

    kind: type | tuple[type, ...]
    words: str


def check_settings(subject: str, given: Mapping[str, Any], known: Mapping[str, Setting]) -> dict[str, Any]:
    """Check that each setting is known and has the right type, and return the settings.

    Args:
        subject: the owner of the settings, for messages.
        given: the settings.
        known: those of the family.

    Raises:
        InputError: a setting is unknown or has a wrong type.
    """
    for key, setting in given.items():
        if key not in known:
            raise InputError(f"{subject} has the unknown setting {key!r}; there are {', '.join(known)}.")
        kind = known[key].kind
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(setting, kinds) or (isinstance(setting, bool) and bool not in kinds):
            raise InputError(f"{key} of {subject} is {setting!r}; expected {known[key].words}.")
    return dict(given)
