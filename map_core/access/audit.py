"""The audit log: who did what, and when, as JSON lines in a file that is begun anew when it is full.

A line has ``when`` (UTC), ``who`` (the visitor's id; "" for who is not known by name), ``action``, and where there is
one ``kind`` and ``what`` (the name or number of the thing). Constraint: never a prompt, a reply, a key or a token; a
file that cannot be written is said once in the app's log, and the app goes on.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

import platformdirs

SETTING = "VALUE_PALETTE_AUDIT_LOG"
#: Bytes of one file, and how many files that are full are kept beside it.
MAX_BYTES, KEPT_FILES = 10_000_000, 10
#: The longest name of a thing, in characters.
MAX_WHAT = 200

_log = logging.getLogger("value_palette")


def path() -> Path | None:
    """Return the file in force: ``VALUE_PALETTE_AUDIT_LOG``, or ``audit.jsonl`` in this person's data folder.

    None where the setting is ``off``.
    """
    chosen = os.environ.get(SETTING, "").strip()
    if chosen.lower() == "off":
        return None
    return Path(chosen) if chosen else platformdirs.user_data_path("value-palette") / "audit.jsonl"


def record(who: str, action: str, kind: str = "", what: object = "") -> None:
    """Write one line.

    Args:
        who: the id of the visitor.
        action: what was done, a word or two.
        kind: of the thing.
        what: its name or number; never what somebody wrote into it.
    """
    place = path()
    if place is None:
        return
    line = {"when": datetime.now(UTC).isoformat(timespec="milliseconds"), "who": who, "action": action}
    line |= {name: text for name, text in (("kind", kind), ("what", str(what)[:MAX_WHAT])) if text}
    with _lock:
        handler = _opened(place)
        if handler is not None:
            handler.handle(logging.makeLogRecord({"msg": json.dumps(line), "levelno": logging.INFO}))


def close() -> None:
    """Close the file; the next line opens it again."""
    with _lock:
        for handler in _handlers.values():
            if handler is not None:
                handler.close()
        _handlers.clear()


#: The file that is open, at most one; None for one that cannot be written.
_handlers: dict[Path, RotatingFileHandler | None] = {}
_lock = threading.RLock()


def _opened(place: Path) -> RotatingFileHandler | None:
    """Return what appends to a file; None, said once, where it cannot be written."""
    if place not in _handlers:
        close()
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            handler = RotatingFileHandler(place, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
            place.chmod(0o600)
        except OSError as error:
            _log.error("The audit log %s cannot be written (%s); set %s.", place, error, SETTING)
            _handlers[place] = None
        else:
            handler.setFormatter(logging.Formatter("%(message)s"))
            _handlers[place] = handler
    return _handlers[place]
