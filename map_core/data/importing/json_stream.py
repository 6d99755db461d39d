"""Objects of JSON lines and of a JSON list, one after another, without the file being in memory.

Constraint: an object is what the file holds; a key that comes twice in one is refused, since one of both would be lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from map_core.data.importing.cells import first_twice, short
from map_core.errors import InputError

#: Characters that are read at once, and most that one line or one object may have.
BLOCK, LONGEST = 2**20, 2**26
_SPACE = re.compile(r"[ \t\r\n]*")


def json_lines(file: TextIO, path: Path) -> Iterator[Mapping[str, Any]]:
    """The objects of a file with one a line.

    Raises:
        InputError: a line is no object; the message has its number.
    """
    number = 0
    # Not the file's own lines: a text may hold what is a line break to others and not to JSON.
    for line in _lines(file):
        number += 1
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_pairs)
        except _TwiceError as error:
            raise InputError(f"Line {number} of {path} has the key {str(error)!r} twice. Rename one.") from error
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"Line {number} of {path} is no JSON ({error}); expected one object a line, or a list of objects."
            ) from error
        if not isinstance(row, dict):
            raise InputError(f"Line {number} of {path} is {short(row)}; expected an object, one a reply.")
        yield row


def _lines(file: TextIO) -> Iterator[str]:
    r"""Lines that end in \n alone."""
    rest = ""
    while len(rest) <= LONGEST and (block := file.read(BLOCK)):
        *whole, rest = (rest + block).split("\n")
        yield from whole
    if rest:
        yield rest


def json_list(file: TextIO, path: Path) -> Iterator[Mapping[str, Any]]:
    """The objects of a list, each read when its turn has come.

    Raises:
        InputError: it is no list of objects; the message has the entry's number.
    """
    decode = json.JSONDecoder(object_pairs_hook=_pairs).raw_decode
    held, at, number, state = file.read(BLOCK), 0, 0, "start"

    def more() -> bool:
        nonlocal held, at
        block = file.read(BLOCK) if len(held) - at <= LONGEST else ""
        held, at = held[at:] + block, 0
        return bool(block)

    def refused(why: object) -> InputError:
        return InputError(f"{path} is no JSON (after entry {number}: {why}); expected a list of objects, one a reply.")

    while True:
        at = _SPACE.match(held, at).end()  # type: ignore[union-attr]
        if at == len(held):
            if more():
                continue
            if state == "end":
                return
            raise refused("it ends in the middle")
        mark = held[at]
        if state == "start":
            at, state = at + 1, "first"
        elif mark == "]" and state in ("first", "after"):
            at, state = at + 1, "end"
        elif mark == "," and state == "after":
            at, state = at + 1, "value"
        elif state in ("after", "end"):
            raise refused(f"{short(held[at : at + 20])} is not expected there")
        else:
            try:
                row, end = decode(held, at)
            except _TwiceError as error:
                raise InputError(f"Entry {number + 1} of {path} has the key {str(error)!r} twice.") from error
            except RecursionError as error:
                raise refused(error) from error
            except ValueError as error:
                if more():
                    continue
                raise refused(error) from error
            if end == len(held) and more():
                continue  # a number may go on
            number += 1
            if not isinstance(row, dict):
                raise InputError(f"Entry {number} of {path} is {short(row)}; expected an object, one a reply.")
            yield row
            at, state = end, "after"


class _TwiceError(Exception):
    """A key comes twice in one object."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError(first_twice(name for name, _ in pairs))
    return found
