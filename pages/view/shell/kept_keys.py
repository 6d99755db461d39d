"""Entries of the session state that survive a reload; :mod:`pages.view.session.kept` stores and restores them.

Constraint: what comes back is untrusted; an entry that cannot read it keeps its default.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from map_core.errors import InputError
from pages.view.shell.session_keys import Key

T = TypeVar("T")

#: Restored entries that no page has asked for yet, by name.
WAITING: Key[dict[str, Any]] = Key("kept_waiting", {})
#: Exceptions of reading untrusted text.
UNREADABLE = (InputError, ValueError, TypeError, KeyError, AttributeError, OverflowError)

_keys: dict[str, KeptKey[Any]] = {}


@dataclass(frozen=True)
class KeptKey(Key[T]):
    """An entry of the session state that survives a reload.

    Args:
        name, default: as of :class:`Key`.
        dump: converts the entry to plain JSON values.
        read: converts it back; where it raises one of :data:`UNREADABLE`, the default stays.
        draft: a text that the viewer edits and that a page fills in at first: the restored text replaces that one.
    """

    dump: Callable[[T], Any]
    read: Callable[[Any], T]
    draft: bool = False

    def __post_init__(self) -> None:
        _keys[self.name] = self

    def get(self) -> T:
        """Return the entry, what an earlier visit kept of it, or the default."""
        if not self.is_set() and self.name in WAITING.get():
            restored = WAITING.get().pop(self.name)
            try:
                self.set(self.read(restored))
            except UNREADABLE:
                return self.default
        return super().get()

    def get_or_set(self, value: T) -> T:
        """Return the entry, or what an earlier visit kept of it; without either, set it to ``value``."""
        self.get()
        return super().get_or_set(value)

    def pop(self) -> T:
        """Remove the entry, and what an earlier visit kept of it, and return it."""
        value = self.get()
        super().pop()
        WAITING.get().pop(self.name, None)
        return value


def take_drafts() -> None:
    """Replace the texts that pages filled in by restored drafts, before anything is drawn."""
    for name, key in _keys.items():
        if key.draft and key.is_set() and name in WAITING.get():
            with suppress(*UNREADABLE):
                key.set(key.read(WAITING.get()[name]))
            WAITING.get().pop(name)


def dump_entries() -> dict[str, Any]:
    """Return every kept entry of this visit as plain JSON values, including those that no page has asked for yet."""
    return dict(WAITING.get()) | {name: key.dump(key.get()) for name, key in _keys.items() if key.is_set()}
