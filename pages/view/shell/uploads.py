"""The content of a small uploaded text file, within its limit.

The limit of an uploader is only checked by the browser. Constraint: a larger file is not read.
"""

from __future__ import annotations

from streamlit.runtime.uploaded_file_manager import UploadedFile

from map_core.core import amounts
from map_core.core.limits import TEXT_FILE
from map_core.core.process_limits import MEGABYTE
from map_core.errors import InputError


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
