"""Stream the objects of JSON lines and of a JSON list with bounded memory.

Constraint: a key that is repeated within an object is an error, since one of its values would be lost. The standard
library's decoder is used instead of ijson (measured with 3.6.0): ijson refuses NaN and integers beyond 64 bits, which
are reported here by row and column; its errors do not quote the unexpected content; and with the check for repeated
keys it takes the same time (1.04 s against 1.06 s for 100 MB).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from map_core.data.text_files.excerpts import first_twice, short
from map_core.errors import InputError

#: Number of characters that are read at once, and the maximum of one line or one object.
BLOCK, LONGEST = 2**20, 2**26
_SPACE = re.compile(r"[ \t\r\n]*")


def json_lines(file: TextIO, path: object, expected: str = "one per reply") -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the number of each line that is not blank, counted from 1, and its object.

    Args:
        file: the text at its beginning.
        path: the file, as an error names it.
        expected: the end of the error message: what an object represents.

    Raises:
        InputError: a line is not an object; the message has its number.
    """
    number = 0
    # Not the file's own line iteration: JSON strings may contain other Unicode line separators.
    for line in _lines(file):
        number += 1
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_unique_keys)
        except _RepeatedKeyError as error:
            raise InputError(f"Line {number} of {path} has the key {str(error)!r} twice. Rename one.") from error
        except (ValueError, RecursionError) as error:
            # The line of the error itself is always 1, which would contradict the number here.
            place = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
            raise InputError(
                f"Line {number} of {path} is no JSON ({_reason(error)}{place}); expected one object per line, or a "
                "list of objects."
            ) from error
        if not isinstance(row, dict):
            raise InputError(f"Line {number} of {path} is {short(row)}; expected an object, {expected}.")
        yield number, row


def _lines(file: TextIO) -> Iterator[str]:
    r"""Yield lines that end in \n alone."""
    rest = ""
    while len(rest) <= LONGEST and (block := file.read(BLOCK)):
        *lines, rest = (rest + block).split("\n")
        yield from lines
    if rest:
        yield rest


def json_list(file: TextIO, path: object, expected: str = "one per reply") -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the number of each entry of a list, counted from 1, and the entry, as they are parsed.

    Args:
        file: the text at its beginning.
        path: the file, as an error names it.
        expected: the end of the error message: what an object represents.

    Raises:
        InputError: it is not a list of objects; the message has the entry's number.
    """
    decode = json.JSONDecoder(object_pairs_hook=_unique_keys).raw_decode
    buffer, at, number, state = file.read(BLOCK), 0, 0, "start"

    def read_more() -> bool:
        nonlocal buffer, at
        block = file.read(BLOCK) if len(buffer) - at <= LONGEST else ""
        buffer, at = buffer[at:] + block, 0
        return bool(block)

    def refused(why: object) -> InputError:
        return InputError(f"{path} is no JSON (after entry {number}: {why}); expected a list of objects, {expected}.")

    while True:
        at = _SPACE.match(buffer, at).end()  # type: ignore[union-attr]
        if at == len(buffer):
            if read_more():
                continue
            if state == "end":
                return
            raise refused("it ends in the middle")
        mark = buffer[at]
        if state == "start":
            at, state = at + 1, "first"
        elif mark == "]" and state in ("first", "after"):
            at, state = at + 1, "end"
        elif mark == "," and state == "after":
            at, state = at + 1, "value"
        elif state in ("after", "end"):
            raise refused(f"{short(buffer[at : at + 20])} is not expected there")
        else:
            try:
                row, end = decode(buffer, at)
            except _RepeatedKeyError as error:
                raise InputError(f"Entry {number + 1} of {path} has the key {str(error)!r} twice.") from error
            except RecursionError as error:
                raise refused(_reason(error)) from error
            except ValueError as error:
                # Its line and column are counted from the beginning of the buffer.
                unread = buffer[error.pos :][:20] if isinstance(error, json.JSONDecodeError) else ""
                if read_more():
                    continue
                raise refused(_reason(error) + (f" near {short(unread)}" if unread else "")) from error
            if end == len(buffer) and read_more():
                continue  # a number may continue in the next block
            number += 1
            if not isinstance(row, dict):
                raise InputError(f"Entry {number} of {path} is {short(row)}; expected an object, {expected}.")
            yield number, row
            at, state = end, "after"


def load_json(text: str) -> Any:
    """Parse one JSON document.

    Raises:
        ValueError: it is not JSON, or an object has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except _RepeatedKeyError as error:
        raise ValueError(f"the key {str(error)!r} occurs twice") from error


def _reason(error: ValueError | RecursionError) -> str:
    """Return why the decoder has stopped, without Python's advice to programmers."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    if isinstance(error, RecursionError):
        return "lists and objects in each other, too many levels deep"
    return f"a whole number of more than {sys.get_int_max_str_digits():,} digits"  # int()'s is the only other error


class _RepeatedKeyError(Exception):
    """A key is repeated within an object."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise _RepeatedKeyError(first_twice(name for name, _ in pairs))
    return content
