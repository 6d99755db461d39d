"""Import the libraries of the first page while the first browser still loads the front end.

Constraint: no script of a page imports them meanwhile; :mod:`pages.view.session`, which each page imports, waits. Of
modules that import each other two threads can get halves: Python gives up a lock on a module rather than wait for ever.
"""

from __future__ import annotations

import importlib
import logging
import threading

#: What takes long of what the page *Set* imports: packages of the library, with what they need of others, and what
#: opens the database.
_MODULES = (
    "map_core.report",
    "map_core.catalog",
    "map_core.custom_values",
    "map_core.service.service",
    "alembic.command",
    "sqlalchemy.dialects.sqlite",
)

log = logging.getLogger("value_palette")
#: Set while nothing is being imported.
_idle = threading.Event()
_idle.set()


def begin() -> None:
    """Begin to import, in a thread of its own."""
    _idle.clear()
    threading.Thread(target=_import_modules, name="preload", daemon=True).start()


def wait() -> None:
    """Wait until everything is imported; do nothing where it was not begun, as in a script that is run by a test."""
    _idle.wait()


def _import_modules() -> None:
    try:
        for name in _MODULES:
            importlib.import_module(name)
    except Exception:
        log.exception("The libraries of the first page could not be imported; each page says what it lacks.")
    finally:
        _idle.set()
