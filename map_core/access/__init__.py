"""Who asks, and what they may do: visitors with a role, things with an owner, and the one function that decides.

visitor    a visitor and a role; the visitor of an app without a login
rules      what may be done, by whom, with what: :func:`may` and :func:`require`
settings   the environment variables that say who is who and which hosts and proxies are believed
audit      the log of who did what, and when
"""

from map_core.access.rules import Action, Kind, Thing, Visibility, may, require
from map_core.access.visitor import LOCAL, Role, Visitor

__all__ = ["LOCAL", "Action", "Kind", "Role", "Thing", "Visibility", "Visitor", "may", "require"]
