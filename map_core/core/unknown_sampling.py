"""Record sampling settings of a server that are not known, and word the note about them.

Constraint: standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

UNKNOWN = "unknown"


def recorded_sampling(settings: Mapping[str, Any], unknown: Sequence[str]) -> dict[str, Any]:
    """Return the sampling entry of a table's metadata: the settings, and the server's unknown ones as "unknown"."""
    return {**settings, **dict.fromkeys(unknown, UNKNOWN)}


def unknown_settings(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the settings that a table's metadata records as unknown."""
    sampling = metadata.get("sampling")
    if not isinstance(sampling, Mapping):
        return ()
    return tuple(name for name, setting in sampling.items() if setting == UNKNOWN)


def unknown_sampling_note(metadata: Mapping[str, Any]) -> str:
    """Return the note for a table whose base model has unknown sampling settings; "" for other tables."""
    names = unknown_settings(metadata)
    if not names:
        return ""
    return (
        f"The server that drew these replies does not accept {', '.join(names)}, so it may leave out unlikely words "
        "by settings of its own, which cannot be checked from here. The levels hold for this server as it was, not for "
        "the same model elsewhere."
    )
