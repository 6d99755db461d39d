"""Every limit that an operator can set: its environment variable, its default and its meaning.

A limit is read from the environment at each use. ``docs/configuration.md`` lists them; a test compares the two.
Constraint: standard library only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from map_core.errors import InputError


@dataclass(frozen=True)
class Limit:
    """A number that an operator can set.

    Args:
        variable: the environment variable.
        default: used where the variable is not set.
        unit: the unit of the number.
        meaning: what it bounds, as the documentation says it.
    """

    variable: str
    default: int
    unit: str
    meaning: str

    @property
    def value(self) -> int:
        """The current number.

        Raises:
            InputError: the variable holds no whole number above 0.
        """
        text = os.environ.get(self.variable, "").strip()
        if not text:
            return self.default
        try:
            number = int(text)
        except ValueError:
            number = 0
        if number < 1:
            raise InputError(
                f"{self.variable} is {text[:40]!r}; expected a whole number above 0, the limit in {self.unit}."
            )
        return number


READING_MEMORY = Limit(
    "VALUE_PALETTE_READING_MEMORY", 500, "MB", "memory of the process that inspects an uploaded file"
)
READING_SECONDS = Limit(
    "VALUE_PALETTE_READING_SECONDS", 8, "seconds", "time of the process that inspects an uploaded file"
)
IMPORT_MEMORY = Limit("VALUE_PALETTE_IMPORT_MEMORY", 500, "MB", "memory of an import that the app has started")
IMPORT_SECONDS = Limit("VALUE_PALETTE_IMPORT_SECONDS", 3600, "seconds", "time of an import that the app has started")

BUILDS = Limit(
    "VALUE_PALETTE_BUILDS",
    2,
    "tables",
    "tables that are made at the same time: builds, imports, additions, tunings",
)
BUILDS_WAITING = Limit("VALUE_PALETTE_BUILDS_WAITING", 8, "tables", "tables that wait for their turn to be made")
BUILDS_OF_VISIT = Limit(
    "VALUE_PALETTE_BUILDS_OF_VISIT", 3, "tables", "the same of one visitor, including those being made"
)
GENERATIONS = Limit("VALUE_PALETTE_GENERATIONS", 256, "requests", "requests to the app's generator that wait")
GENERATIONS_OF_VISIT = Limit("VALUE_PALETTE_GENERATIONS_OF_VISIT", 64, "requests", "the same of one visitor")
CANDIDATES = Limit("VALUE_PALETTE_CANDIDATES", 16_384, "candidates", "candidates of all requests that wait")
CANDIDATES_OF_VISIT = Limit("VALUE_PALETTE_CANDIDATES_OF_VISIT", 4096, "candidates", "the same of one visitor")
CANDIDATES_OF_REQUEST = Limit("VALUE_PALETTE_CANDIDATES_OF_REQUEST", 256, "candidates", "candidates of one request")
SOCKETS = Limit("VALUE_PALETTE_SOCKETS", 250, "sockets", "web sockets open at a time; a page takes up to two")
SOCKETS_OF_ADDRESS = Limit(
    "VALUE_PALETTE_SOCKETS_OF_ADDRESS",
    125,
    "sockets",
    "the same of one person, or of one network address where nobody logs in",
)
UPLOADS = Limit("VALUE_PALETTE_UPLOADS", 250, "MB", "uploaded files that the app holds in memory at a time")
UPLOADS_OF_VISIT = Limit("VALUE_PALETTE_UPLOADS_OF_VISIT", 210, "MB", "the same of one visitor")
TEXT_FILE = Limit("VALUE_PALETTE_TEXT_FILE", 10, "MB", "an uploaded file of prompts, palettes or groups")
MEETING_SEATS = Limit(
    "VALUE_PALETTE_MEETING_SEATS", 10, "seats", "seats of one meeting that are taken from one network address"
)

#: All limits, in the order of the documentation.
LIMITS = (
    *(READING_MEMORY, READING_SECONDS, IMPORT_MEMORY, IMPORT_SECONDS),
    *(BUILDS, BUILDS_WAITING, BUILDS_OF_VISIT),
    *(GENERATIONS, GENERATIONS_OF_VISIT, CANDIDATES, CANDIDATES_OF_VISIT, CANDIDATES_OF_REQUEST),
    *(SOCKETS, SOCKETS_OF_ADDRESS, UPLOADS, UPLOADS_OF_VISIT, TEXT_FILE),
    MEETING_SEATS,
)
