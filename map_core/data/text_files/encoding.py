"""Detect the encoding of a text file, decode it, and locate its first undecodable byte.

Constraint: UTF-8, or UTF-16 or UTF-32 with a byte order mark; other encodings are not guessed, since a wrong guess
would go unnoticed.
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
#: First bytes of a zip archive, such as .ods, and of Excel's older format and of workbooks with a password.
_PACKED = (b"PK\x03\x04", bytes.fromhex("d0cf11e0a1b11ae1"))
#: Number of bytes before and after the first undecodable one that are shown decoded as Windows-1252.
_AROUND = 12


def encoding_of(head: bytes) -> str:
    """Return the encoding that a file's first bytes indicate."""
    return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8-sig")


def decode_text(content: bytes, name: object) -> str:
    """Decode a whole file, with unchanged line ends.

    Args:
        content: its bytes.
        name: the file, as an error names it.

    Raises:
        InputError: it cannot be decoded, or holds NUL characters.
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
    """Open a text file with unchanged line ends.

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
    """Return the beginning of a text without leading whitespace.

    Raises:
        InputError: it is empty, packed, or holds NUL characters.
    """
    if head.startswith(_PACKED):
        raise InputError(
            f"{path} is a workbook in an older format of Excel or with a password, or another packed file; expected "
            "text, Parquet or .xlsx. Open it in Excel, save the sheet as .xlsx or CSV UTF-8, and give that file."
        )
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head).lstrip()
    if not text:
        raise InputError(f"{path} is empty. Give a Parquet, Excel, CSV or JSON file with one row per reply.")
    if "\x00" in text:
        raise InputError(
            f"{path} is neither Parquet nor text ({_nul(text, encoding)}). Give a Parquet, Excel, CSV or JSON file "
            "with one row per reply."
        )
    return text


def undecodable(blocks: Iterable[bytes], encoding: str, name: object) -> InputError:
    """Return the error for a file that cannot be decoded.

    Args:
        blocks: its bytes in order.
        encoding: the encoding that was expected.
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
            start = error.start
            where = f"byte 0x{error.object[start]:02x} at position {read - len(pending) + start}"
            likely = _likely(error.object, start) if encoding == "utf-8-sig" else ""
            break
        read += len(block)
    called = encoding.upper().removesuffix("-SIG")
    return InputError(
        f"{name} is not text in {called} ({where}).{likely} Save it again as UTF-8; Excel calls that CSV UTF-8."
    )


def _likely(content: bytes, start: int) -> str:
    """Return a sentence with the bytes around an invalid one, decoded as Windows-1252."""
    around = content[max(0, start - _AROUND) : start + _AROUND]
    try:
        text = " ".join(around.decode("cp1252").split())
    except UnicodeDecodeError:
        return " It is likely in an older encoding of Windows."
    return f" It is likely in a Windows encoding; in Windows-1252 that place reads {short(text)}."


def _nul(text: str, encoding: str) -> str:
    """Return the description of a text with NUL characters, and the likely cause."""
    utf16 = encoding == "utf-8-sig" and text.count("\x00") * 4 > len(text)
    return "it has NUL bytes" + (": likely UTF-16 without a byte order mark" if utf16 else "")


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
