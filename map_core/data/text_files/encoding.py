"""Detect the encoding of a text file, decode it, and locate its first undecodable byte.

Constraint: UTF-8 or UTF-16 (and 32) with a byte order mark; nothing else is guessed, because a wrong guess is silent.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from map_core.data.text_files.excerpts import short
from map_core.errors import InputError

BLOCK = 2**20
#: Byte order marks, the longer first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Bytes around the first undecodable one that are shown as they would read in a Windows encoding.
_AROUND = 12


def encoding_of(head: bytes) -> str:
    """Return the encoding that a file's first bytes indicate."""
    return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8-sig")


def decode_text(content: bytes, name: object) -> str:
    """Decode a whole file; its line ends stay as they are.

    Args:
        content: its bytes.
        name: the file, as an error names it.

    Raises:
        InputError: it is in no encoding that is read, or holds NUL characters; the message has the first such byte.
    """
    encoding = encoding_of(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise undecodable([content], encoding, name) from error
    if "\x00" in text:
        raise InputError(f"{name} is no text ({_nul(text, encoding)}). Save it again as UTF-8.")
    return text


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[TextIO]:
    """Open a file's text with its line ends unchanged.

    Raises:
        InputError: it cannot be read, or is not in this encoding; the message has the first invalid byte.
    """
    try:
        with path.open(encoding=encoding, newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise undecodable(_blocks(path), encoding, path) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}).") from error


def check_text(head: bytes, encoding: str, path: Path) -> str:
    """Return the beginning of a text, leading whitespace stripped.

    Raises:
        InputError: it is empty or holds NUL characters.
    """
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head).lstrip()
    if not text:
        raise InputError(f"{path} is empty. Give a Parquet, CSV or JSON file with one row per reply.")
    if "\x00" in text:
        raise InputError(
            f"{path} is neither Parquet nor text ({_nul(text, encoding)}). Give a Parquet, CSV or JSON file with "
            "one row per reply."
        )
    return text


def undecodable(blocks: Iterable[bytes], encoding: str, name: object) -> InputError:
    """Return the error for a file that is not in its encoding.

    Args:
        blocks: its bytes in order.
        encoding: in which it cannot be decoded.
        name: the file, as the error names it.

    Returns:
        An error with the first invalid byte, its position, the likely encoding and what to do.
    """
    decoder, read = codecs.getincrementaldecoder(encoding)(), 0
    where, likely = "its end is cut off", ""
    for block in blocks:
        pending = decoder.getstate()[0]
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            at = error.start
            where = f"byte 0x{error.object[at]:02x} at position {read - len(pending) + at}"
            likely = _likely(error.object, at) if encoding == "utf-8-sig" else ""
            break
        read += len(block)
    called = encoding.upper().removesuffix("-SIG")
    return InputError(
        f"{name} is not text in {called} ({where}).{likely} Save it again as UTF-8; Excel calls that CSV UTF-8."
    )


def _likely(content: bytes, at: int) -> str:
    """Say how bytes that are not UTF-8 read in the usual encoding of Windows programs."""
    around = content[max(0, at - _AROUND) : at + _AROUND]
    try:
        read = " ".join(around.decode("cp1252").split())
    except UnicodeDecodeError:
        return " It is likely in an older encoding of Windows."
    return f" It is likely in a Windows encoding; in Windows-1252 that place reads {short(read)}."


def _nul(text: str, encoding: str) -> str:
    """Say that a text holds NUL characters, and what that makes likely."""
    utf16 = encoding == "utf-8-sig" and text.count("\x00") * 4 > len(text)
    return "it has NUL bytes" + (": likely UTF-16 without a byte order mark" if utf16 else "")


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
