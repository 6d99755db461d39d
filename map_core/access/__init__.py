"""Access control: visitors with a role, things with an owner, and the one function that decides.

visitor    a visitor and a role; the visitor of an app without a login
rules      permissions: :func:`may` and :func:`require`
settings   the environment variables for roles, allowed hosts and trusted proxies
audit      the audit log
"""

from map_core.access.rules import Action, Kind, Thing, Visibility, may, require
from map_core.access.visitor import EVERYBODY, LOCAL, Role, Visitor

__all__ = ["EVERYBODY", "LOCAL", "Action", "Kind", "Role", "Thing", "Visibility", "Visitor", "may", "require"]
