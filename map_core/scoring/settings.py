"""Settings of a scorer as a values file gives them, checked against what its family knows.

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
        kind: its type, or several.
        words: what it says, for people.
    """

    kind: type | tuple[type, ...]
    words: str


def check_settings(what: str, given: Mapping[str, Any], known: Mapping[str, Setting]) -> dict[str, Any]:
    """Check that each setting is known and of its kind, and return the settings.

    Raises:
        InputError: one is not; the message names it and says what it should be.
    """
    for key, setting in given.items():
        if key not in known:
            raise InputError(f"{what} has the unknown setting {key!r}; there are {', '.join(known)}.")
        kind = known[key].kind
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(setting, kinds) or (isinstance(setting, bool) and bool not in kinds):
            raise InputError(f"{key} of {what} is {setting!r}; expected {known[key].words}.")
    return dict(given)
