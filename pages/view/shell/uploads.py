"""The content of a small text file that somebody uploads, within its limit.

The limit that an uploader shows is checked by the browser alone. Constraint: nothing is read of a file that is larger.
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
        megabytes: that it may have; :data:`TEXT_FILE` by default.

    Raises:
        InputError: it has more.
    """
    most = TEXT_FILE.value if megabytes is None else megabytes
    if file.size > most * MEGABYTE:
        raise InputError(
            f"{file.name} has {amounts.fixed(file.size / MEGABYTE, 1)} MB; expected at most {most} MB. Make smaller "
            "files of it."
        )
    return file.getvalue()
