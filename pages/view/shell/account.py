"""The visitor of a page: who they are, what they may create, logging in and out, and sharing.

Constraint: whatever a page stores, lists or starts is done in the name of :func:`visitor`; pages reach the database
only through :func:`database`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from map_core import store
from map_core.access import Action, Kind, Role, Thing, Visibility, Visitor, may, require
from map_core.catalog import VisitorCatalog
from map_core.errors import AccessError
from map_core.store import Database
from map_core.text.access import AccessRefusal
from pages.view.shell import identity, login_providers, markup, operator, page_words, session_keys, visitor_header
from pages.view.shell.kept_keys import KeptKey
from pages.view.shell.session_keys import Key
from pages.view.shell.viewer import viewer_id

#: The id of the person of this visit: for another person in the same tab the session is cleared.
WHOSE: Key[str] = Key("whose", "")
#: Keys of values that are shared by link, from the addresses that this viewer opened, and how many are kept.
VALUE_LINKS: KeptKey[tuple[str, ...]] = KeptKey("value_links", (), list, lambda links: tuple(map(str, links)))
MAX_LINKS = 32
NOBODY = Visitor("", "", Role.GUEST)


def visitor() -> Visitor:
    """Return the visitor of this page, with the links that they opened; the operator where they entered the token."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return NOBODY
    known = visitor_header.read(st.context.headers) or NOBODY
    return replace(known, role=operator.role_of(known), links=frozenset(VALUE_LINKS.get()))


def counted_as() -> str:
    """Return the id that limits and turns are counted by: the person's where it is known, else the visit's."""
    return visitor().id or viewer_id()


def database() -> Database:
    """Return the database with this visitor's rights.

    Raises:
        InputError, StoreError: see :func:`map_core.store.open_database`.
    """
    return store.database().as_visitor(visitor())


def tables() -> VisitorCatalog:
    """Return the catalog of tables with this visitor's rights."""
    return VisitorCatalog(visitor())


def may_create(kind: Kind) -> bool:
    """Return whether this visitor may add something of a kind."""
    return may(visitor(), Action.CREATE, Thing(kind))


def admit() -> None:
    """Stop the run where the gate did not admit it, and clear the session of another person; first in every run."""
    known = visitor_header.read(st.context.headers)
    if known is None:
        st.text(AccessRefusal.MISCONFIGURED)
        st.stop()
    if WHOSE.is_set() and WHOSE.get() != known.id:
        session_keys.clear()
    WHOSE.set(known.id)
    if new := [link for link in st.query_params.get_all("value_link") if link not in VALUE_LINKS.get()]:
        VALUE_LINKS.set((*VALUE_LINKS.get(), *new)[-MAX_LINKS:])


def draw() -> None:
    """Draw the menu with the visitor's name and *Log out*, or the link *Log in*; nothing where the app has no login."""
    who = visitor()
    if not who.is_known and not login_providers.has_login():
        return
    with st.container(key="account"):
        if not who.is_known:
            st.html(f'<a class="vp-login" href="{identity.LOGIN}" target="_self">Log in</a>')
            return
        with st.popover(markup.plain(who.name), icon=":material/account_circle:", type="tertiary", key="account_menu"):
            st.html(markup.note(f"You are logged in as {who.name}, {_ROLES[who.role]}."))
            if login_providers.has_login():
                st.button("Log out", key="log_out", icon=":material/logout:", on_click=st.logout)


def draw_refusal(kind: Kind) -> bool:
    """Draw why this visitor may not add something of a kind; return whether that is so."""
    try:
        require(visitor(), Action.CREATE, Thing(kind))
    except AccessError as error:
        st.html(markup.note(page_words.of(error)))
        if not visitor().is_known:
            with st.expander("I run this app", icon=":material/key:"):
                operator.draw_token_field()
        return True
    return False


#: Who sees something, as the end of a sentence, and as a choice.
SEEN_BY = {
    Visibility.PRIVATE: "you alone",
    Visibility.LINK: "whoever has the link",
    Visibility.EVERYONE: "everyone here",
}
CHOICES = {
    Visibility.PRIVATE: "Only me",
    Visibility.LINK: "Anyone with the link",
    Visibility.EVERYONE: "Everyone here",
}


def draw_visibility(key: Key[str], linkable: bool = True) -> None:
    """Draw the choice of who sees what is saved, where there is a login."""
    if not visitor().is_known:
        return
    st.segmented_control(
        "Who sees it",
        [choice.value for choice in CHOICES if linkable or choice is not Visibility.LINK],
        format_func=lambda choice: CHOICES[Visibility(choice)],
        default=None if key.is_set() else Visibility.PRIVATE.value,
        required=True,
        key=key.name,
    )


def chosen_visibility(key: Key[str]) -> Visibility:
    """Return what was chosen with :func:`draw_visibility`."""
    return Visibility(key.get() or Visibility.PRIVATE.value)


def draw_sharing(
    name: str, visibility: Visibility, share: Callable[[Visibility], None], linkable: bool = True, link: str = ""
) -> None:
    """Draw, for the owner of something, the choice of who else sees it.

    Args:
        name: distinguishes the keys of the widgets.
        visibility: who sees it now.
        share: called with the choice.
        linkable: whether it can be shared by link.
        link: the address to hand on; "" while it is not shared by link.
    """
    choices = [choice for choice in CHOICES if linkable or choice is not Visibility.LINK]
    with st.popover(CHOICES[visibility], icon=_ICONS[visibility], type="tertiary", key=f"sharing_{name}"):
        for choice in choices:
            st.button(
                f"{CHOICES[choice]} sees it" if choice is not Visibility.PRIVATE else "Only I see it",
                key=f"sharing_{choice.value}_{name}",
                icon=_ICONS[choice],
                type="tertiary",
                disabled=choice is visibility,
                on_click=share,
                args=(choice,),
            )
        if link:
            st.html(markup.note("Anyone with this link can see it:"))
            st.code(link, language=None, wrap_lines=True)


_ICONS = {
    Visibility.PRIVATE: ":material/lock:",
    Visibility.LINK: ":material/link:",
    Visibility.EVERYONE: ":material/groups:",
}
_ROLES = {
    Role.GUEST: "as a guest: you may try everything, but cannot save anything",
    Role.MEMBER: "a member",
    Role.OPERATOR: "an operator of this app",
}
