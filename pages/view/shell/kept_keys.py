"""Entries of the session state that survive a reload; :mod:`pages.view.session.kept` takes them there and back.

Constraint: what comes back is somebody's text; an entry that cannot read it keeps its default.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from map_core.errors import InputError
from pages.view.shell.session_keys import Key

T = TypeVar("T")

#: What came back of entries that no page has asked for yet, by name.
WAITING: Key[dict[str, Any]] = Key("kept_waiting", {})
#: What goes wrong with a text that is not ours.
UNREADABLE = (InputError, ValueError, TypeError, KeyError, AttributeError, OverflowError)

_keys: dict[str, KeptKey[Any]] = {}


@dataclass(frozen=True)
class KeptKey(Key[T]):
    """An entry of the session state that survives a reload.

    Args:
        name, default: as of :class:`Key`.
        dump: from the entry to plain JSON values.
        read: back again; what it raises of :data:`UNREADABLE` leaves the default.
        draft: what somebody writes and a page begins with a text of its own for: what was left takes that one's place.
    """

    dump: Callable[[T], Any]
    read: Callable[[Any], T]
    draft: bool = False

    def __post_init__(self) -> None:
        _keys[self.name] = self

    def get(self) -> T:
        """Return the entry, what an earlier visit left of it, or the default."""
        if not self.is_set() and self.name in WAITING.get():
            left = WAITING.get().pop(self.name)
            try:
                self.set(self.read(left))
            except UNREADABLE:
                return self.default
        return super().get()

    def get_or_set(self, value: T) -> T:
        """Return the entry, or what an earlier visit left of it; without either, set it to ``value``."""
        self.get()
        return super().get_or_set(value)

    def pop(self) -> T:
        """Remove the entry, and what an earlier visit left of it, and return what it was."""
        value = self.get()
        super().pop()
        WAITING.get().pop(self.name, None)
        return value


def take_drafts() -> None:
    """Put drafts that came back in the place of what pages have begun with; before anything is drawn."""
    for name, key in _keys.items():
        if key.draft and key.is_set() and name in WAITING.get():
            with suppress(*UNREADABLE):
                key.set(key.read(WAITING.get()[name]))
            WAITING.get().pop(name)


def dump_entries() -> dict[str, Any]:
    """Return every kept entry of this visit as plain JSON values, those that nobody has asked for yet included."""
    return dict(WAITING.get()) | {name: key.dump(key.get()) for name, key in _keys.items() if key.is_set()}
