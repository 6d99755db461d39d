"""The content of a small uploaded file, within its limit, and the prompts in one.

The limit of an uploader is only checked by the browser. Constraint: a larger file is not read.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from map_core.core import amounts
from map_core.core.limits import TEXT_FILE
from map_core.core.process_limits import MEGABYTE
from map_core.data.prompts import Prompt, read_prompts
from map_core.errors import InputError
from map_core.text import sentences
from pages.view.shell import page_words

#: Suffixes of files of prompts.
PROMPT_FILES = ["txt", "csv", "tsv", "xlsx", "jsonl", "json"]
#: What prompts that are in no file are called in messages.
TYPED = "your text"


def text_content(file: UploadedFile, megabytes: int | None = None) -> bytes:
    """Return the bytes of an uploaded file.

    Args:
        file: that was uploaded.
        megabytes: its maximum size; :data:`TEXT_FILE` by default.

    Raises:
        InputError: the file is larger.
    """
    most = TEXT_FILE.value if megabytes is None else megabytes
    if file.size > most * MEGABYTE:
        raise InputError(
            f"{file.name} has {amounts.fixed(file.size / MEGABYTE, 1)} MB; expected at most {most} MB. Split it "
            "into smaller files."
        )
    return file.getvalue()


def prompts_of(file: UploadedFile, count_repeats: bool) -> tuple[Prompt, ...]:
    """Return the prompts of an uploaded file.

    Args:
        file: that was uploaded.
        count_repeats: a repeated prompt counts as often as it comes; else it is refused.

    Raises:
        InputError: the file is too large, or a line of it is not valid.
    """
    suffix = Path(file.name).suffix.lower()
    suffix = ".jsonl" if suffix == ".json" else suffix
    return parse_prompts(text_content(file), suffix, count_repeats, name=file.name)


@st.cache_data(show_spinner=False, max_entries=8)
def parse_prompts(content: bytes, suffix: str, count_repeats: bool, name: str = TYPED) -> tuple[Prompt, ...]:
    """Return the prompts of a file's content.

    Args:
        content: the bytes of the file.
        suffix: of its name, which says what kind of file it is.
        count_repeats: a repeated prompt counts as often as it comes; else it is refused.
        name: of the file in messages, or of the text that was typed.

    Raises:
        InputError: a line is not valid, or there is no prompt.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"prompts{suffix}"
        path.write_bytes(content)
        try:
            return read_prompts(path, count_repeats=count_repeats)
        except InputError as error:
            message = page_words.of(error).replace(str(path), name)
            raise InputError(sentences.capitalised(message) if name == TYPED else message) from error
