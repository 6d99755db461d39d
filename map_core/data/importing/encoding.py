"""Detect the encoding of a text file, and locate its first undecodable byte.

Constraint: UTF-8, or UTF-16 with a byte order mark; nothing else is guessed, because a wrong guess is silent.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from map_core.errors import InputError

BLOCK = 2**20


def encoding_of(head: bytes) -> str:
    """Return the encoding that a file's first bytes indicate."""
    return "utf-16" if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def check_text(head: bytes, encoding: str, path: Path) -> str:
    """Return the beginning of a text, leading whitespace stripped.

    Raises:
        InputError: it is empty or holds NUL characters.
    """
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head).lstrip()
    if not text:
        raise InputError(f"{path} is empty. Give a Parquet, CSV or JSON file with a row a reply.")
    if "\x00" in text:
        raise InputError(f"{path} is neither Parquet nor text. Give a Parquet, CSV or JSON file with a row a reply.")
    return text


def undecodable(path: Path, encoding: str) -> InputError:
    """Return the error for a file that is not in its encoding, with the first invalid byte and its position."""
    name = "UTF-16" if encoding == "utf-16" else "UTF-8"
    decoder, read = codecs.getincrementaldecoder(encoding)(), 0
    byte, position = -1, -1
    try:
        with path.open("rb") as file:
            while position < 0 and (block := file.read(BLOCK)):
                pending = len(decoder.getstate()[0])
                try:
                    decoder.decode(block)
                except UnicodeDecodeError as error:
                    position = read - pending + error.start
                    byte = error.object[error.start]
                read += len(block)
    except OSError as error:
        return InputError(f"{path} cannot be read ({error}).")
    where = "its end is cut off" if position < 0 else f"byte 0x{byte:02x} at position {position}"
    return InputError(f"{path} is not text in {name} ({where}). Save it again as UTF-8; Excel calls that CSV UTF-8.")
