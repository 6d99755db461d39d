"""Read the records of a small text file, JSON lines or a JSON list, each with its location for error messages."""

from __future__ import annotations

import difflib
import io
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from map_core.data.text_files.encoding import decode_text
from map_core.data.text_files.json_stream import json_lines, json_list
from map_core.errors import InputError


def read_text(path: Path) -> str:
    """Read a text file, see :func:`map_core.data.text_files.encoding.decode_text`.

    Raises:
        InputError: it cannot be read or decoded.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).") from error
    return decode_text(content, path)


def json_records(text: str, name: object, expected: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the location and the fields of each object of JSON lines, or of a JSON list of objects.

    Args:
        text: the file's text.
        name: the file, as an error names it.
        expected: the end of the error message: what an object represents.

    Raises:
        InputError: a line or an entry is not an object, or has a key twice.
    """
    file = io.StringIO(text, newline="")
    if text.lstrip()[:1] == "[":
        return [(f"Entry {number} of {name}", record) for number, record in json_list(file, name, expected)]
    return [(f"Line {number} of {name}", record) for number, record in json_lines(file, name, expected)]


def known_fields(record: Mapping[str, Any], known: Collection[str], where: str) -> dict[str, Any]:
    """Return a record with its known fields under their standard names; other fields are unchanged.

    A name that differs from a known one only in letter case, spaces, dashes or underscores is the known one.

    Raises:
        InputError: a name is similar to a known one, so that ignoring it could lose content, or a field occurs twice.
    """
    plain = {_plain(name): name for name in known}
    fields: dict[str, Any] = {}
    for name, content in record.items():
        field = plain.get(_plain(name), name)
        if field in fields:
            raise InputError(f"{where} has the field {field!r} twice, once as {name!r}. Remove one of them.")
        if field not in known and (near := difflib.get_close_matches(_plain(name), plain, 1, 0.8)):
            raise InputError(f"{where} has the unknown field {name!r}. Is it {plain[near[0]]!r}? Rename or remove it.")
        fields[field] = content
    return fields


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
