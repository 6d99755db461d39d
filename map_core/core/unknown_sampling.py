"""Sampling settings of a server that cannot be known: how a table records them, and the sentence that says so.

Constraint: standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

UNKNOWN = "unknown"


def recorded_sampling(settings: Mapping[str, Any], unknown: Sequence[str]) -> dict[str, Any]:
    """Return what a table's metadata says of the sampling: the settings, and those of the server's that are unknown."""
    return {**settings, **dict.fromkeys(unknown, UNKNOWN)}


def unknown_settings(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the settings that a table's metadata records as unknown."""
    sampling = metadata.get("sampling")
    return tuple(k for k, setting in sampling.items() if setting == UNKNOWN) if isinstance(sampling, Mapping) else ()


def unknown_sampling_note(metadata: Mapping[str, Any]) -> str:
    """Return the sentence for people who rely on a table whose base model is not known to the last; "" for others."""
    names = unknown_settings(metadata)
    if not names:
        return ""
    return (
        f"The server that drew these replies refuses to be told {', '.join(names)}, so it may leave out unlikely words "
        "by settings of its own, and nobody can tell from here. The levels hold for this server as it was, not for the "
        "same model elsewhere."
    )
