"""The keys of a server's clients, and their daily token budgets.

A file of keys is JSON lines: ``{"name": "support", "key": "...", "tokens_a_day": 200000}``. Constraint: messages, logs
and metrics contain the name of a key and never the key; usage is counted in memory, by UTC day.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from map_core.data.text_files.records import json_records, read_text
from map_core.errors import InputError
from map_core.server.errors import Refusal

#: Least length of a key, in characters: a shorter one could be guessed.
SHORTEST_KEY = 16
_DAY = 86_400


@dataclass(frozen=True)
class ServerKey:
    """The key of a client.

    Args:
        name: of the client.
        key: the secret.
        tokens_a_day: tokens of candidates that may be drawn with it per UTC day; None for no limit.
    """

    name: str
    key: str
    tokens_a_day: int | None = None


def read_keys(path: Path) -> tuple[ServerKey, ...]:
    """Read a file of keys.

    Raises:
        InputError: it cannot be read, an entry is invalid, or a name or a key comes twice; no message repeats a key.
    """
    keys: list[ServerKey] = []
    for where, record in json_records(read_text(path), path, "a name and a key"):
        unknown = set(record) - {"name", "key", "tokens_a_day"}
        if unknown:
            raise InputError(f"{where} has the field {min(unknown)!r}; expected name, key and tokens_a_day.")
        name, key, most = record.get("name"), record.get("key"), record.get("tokens_a_day")
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{where} has no name; expected the name of the client who uses the key.")
        if (
            not isinstance(key, str)
            or len(key) < SHORTEST_KEY
            or not key.isascii()
            or not key.isprintable()
            or key.strip() != key
        ):
            raise InputError(
                f"The key of {name!r} is invalid; expected at least {SHORTEST_KEY} printable ASCII characters, without "
                "spaces around them."
            )
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise InputError(f"tokens_a_day of {name!r} is {most!r}; expected a whole number above 0.")
        keys.append(ServerKey(name.strip(), key, most))
    for field in ("name", "key"):
        if len({getattr(key, field) for key in keys}) < len(keys):
            raise InputError(f"{path} has one {field} twice. Give each client a name and a key of its own.")
    if not keys:
        raise InputError(f"{path} has no key. Write one per line: a JSON object with name and key.")
    return tuple(keys)


class KeyRing:
    """The valid keys, and the tokens drawn with each; every method may be called from any thread.

    Args:
        keys: the valid keys.
    """

    def __init__(self, keys: Sequence[ServerKey] = ()) -> None:
        self._keys = tuple(keys)
        self._lock = threading.Lock()
        self._used: dict[str, tuple[int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keys."""
        return tuple(key.name for key in self._keys)

    def owner(self, authorization: str) -> str | None:
        """Return the name of the key in an Authorization header, in constant time; None where it is not valid.

        Source: RFC 9110, section 11: the scheme is case-insensitive and followed by one space or more.
        """
        scheme, _, credentials = authorization.partition(" ")
        shown, owner = credentials.lstrip(" ").encode("utf-8", "surrogateescape"), None
        for key in self._keys:
            if hmac.compare_digest(shown, key.key.encode()):
                owner = key.name
        return owner if scheme.lower() == "bearer" else None

    def used_today(self, name: str) -> int:
        """Return the tokens that were drawn with a key on this UTC day."""
        with self._lock:
            day, tokens = self._used.get(name, (0, 0))
            return tokens if day == _today() else 0

    def charge(self, name: str, tokens: int) -> None:
        """Add drawn tokens to a key's count."""
        with self._lock:
            day, before = self._used.get(name, (0, 0))
            self._used[name] = (_today(), (before if day == _today() else 0) + tokens)

    def check(self, name: str) -> None:
        """Refuse further work with a key whose budget is spent.

        Raises:
            Refusal: the budget is spent.
        """
        most = next((key.tokens_a_day for key in self._keys if key.name == name), None)
        used = self.used_today(name)
        if most is not None and used >= most:
            raise Refusal(
                f"The key of {name!r} has drawn {used:,} tokens today, of {most:,} a day. It may draw again "
                "at 0:00 UTC.",
                status=429,
                kind="insufficient_quota",
                code="insufficient_quota",
                retry_after=int(_DAY - time.time() % _DAY) + 1,
            )


def _today() -> int:
    return int(time.time() // _DAY)
