"""Write the audit log: who did what, and when, as JSON lines in a file that is rotated when it is full.

A line has ``when`` (UTC), ``who`` (the visitor's id; "" for an anonymous visitor), ``action``, and optionally ``kind``
and ``what`` (the name or number of the thing). Constraint: never a prompt, a reply, a key or a token; a file that
cannot be written is reported once in the app's log, and the app continues.
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
#: Maximum size of a file in bytes, and number of full files that are kept.
MAX_BYTES, KEPT_FILES = 10_000_000, 10
#: Maximum number of characters of a thing's name.
MAX_WHAT = 200

_log = logging.getLogger("value_palette")


def path() -> Path | None:
    """Return the log file: ``VALUE_PALETTE_AUDIT_LOG``, or ``audit.jsonl`` in the user's data folder.

    None if the setting is ``off``.
    """
    chosen = os.environ.get(SETTING, "").strip()
    if chosen.lower() == "off":
        return None
    return Path(chosen) if chosen else platformdirs.user_data_path("value-palette") / "audit.jsonl"


def record(who: str, action: str, kind: str = "", what: object = "") -> None:
    """Write one line.

    Args:
        who: the id of the visitor.
        action: one or two words for the action.
        kind: the kind of the thing.
        what: its name or number; never its content.
    """
    file = path()
    if file is None:
        return
    line = {"when": datetime.now(UTC).isoformat(timespec="milliseconds"), "who": who, "action": action}
    line |= {name: text for name, text in (("kind", kind), ("what", str(what)[:MAX_WHAT])) if text}
    with _lock:
        handler = _opened(file)
        if handler is not None:
            handler.handle(logging.makeLogRecord({"msg": json.dumps(line), "levelno": logging.INFO}))


def close() -> None:
    """Close the file; the next line opens it again."""
    with _lock:
        for handler in _handlers.values():
            if handler is not None:
                handler.close()
        _handlers.clear()


#: The open log file, at most one; None for one that cannot be written.
_handlers: dict[Path, RotatingFileHandler | None] = {}
_lock = threading.RLock()


def _opened(file: Path) -> RotatingFileHandler | None:
    """Return the handler that appends to a file; None, logged once, if it cannot be written."""
    if file not in _handlers:
        close()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handler = RotatingFileHandler(file, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
            file.chmod(0o600)
        except OSError as error:
            _log.error("The audit log %s cannot be written (%s); set %s.", file, error, SETTING)
            _handlers[file] = None
        else:
            handler.setFormatter(logging.Formatter("%(message)s"))
            _handlers[file] = handler
    return _handlers[file]
