"""Typed access to ``st.session_state``: each entry is defined once, with its name, its type and its default.

A key is defined in the module that owns it (the history in ``palette_state``, the groups in ``roster``, ...) and is
used through its methods; a widget that is bound to it takes ``key=KEY.name``. Constraint: no other module of the pages
touches ``st.session_state``, so that a misspelt name is an error of the type checker and not a missing value. Names
must not change: style sheets, addresses and tests depend on some of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import streamlit as st

T = TypeVar("T")


@dataclass(frozen=True)
class Key(Generic[T]):
    """One entry of the session state.

    Args:
        name: in the session state, and of the widget that is bound to it.
        default: what :meth:`get` returns while nothing is set.
    """

    name: str
    default: T

    def get(self) -> T:
        """Return the entry, or the default."""
        value: T = st.session_state.get(self.name, self.default)
        return value

    def set(self, value: T) -> None:
        """Set the entry; of a widget, before the widget is drawn in this run."""
        st.session_state[self.name] = value

    def show(self, value: T) -> T | None:
        """Make the widget that is bound to the entry show a value, and return the default to pass to the widget.

        Setting the entry of a widget resets the widget in the browser, so that input made meanwhile is lost. So the
        entry is set only where it differs, and a widget that is drawn for the first time gets the value as its
        default; None where the entry was set, because Streamlit accepts only one of the two.
        """
        if self.is_set() and st.session_state[self.name] != value:
            self.set(value)
            return None
        return value

    def get_or_set(self, value: T) -> T:
        """Return the entry, set to ``value`` first where there is none."""
        held: T = st.session_state.setdefault(self.name, value)
        return held

    def pop(self) -> T:
        """Remove the entry and return what it was, or the default."""
        value: T = st.session_state.pop(self.name, self.default)
        return value

    def is_set(self) -> bool:
        """Return whether there is an entry."""
        return self.name in st.session_state


#: The title of the page of this run, or during a callback that of the run before.
OPEN_PAGE: Key[str] = Key("open_page", "")


@dataclass(frozen=True)
class KeyFamily(Generic[T]):
    """Entries of one type whose names differ in one part, such as a slider for each value.

    Args:
        pattern: of the names, with ``{}`` for the part.
        default: what each of them returns while nothing is set.
    """

    pattern: str
    default: T

    def of(self, part: object) -> Key[T]:
        """Return the key of one part."""
        return Key(self.pattern.format(part), self.default)


def clear(*keys: Key[Any]) -> None:
    """Remove every entry but those kept, and every parameter of the address."""
    entries = {key.name: st.session_state[key.name] for key in keys if key.is_set()}
    st.session_state.clear()
    st.query_params.from_dict({})  # clear() refuses where a widget is bound to the address
    st.session_state.update(entries)
