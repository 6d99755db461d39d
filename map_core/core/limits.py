"""Every limit of the product that an operator can set: its variable, its default, and what it bounds.

A limit is read from the environment each time it is asked for. ``docs/configuration.md`` lists them; a test holds the
two together. Constraint: standard library only.
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
        default: in force where the variable is not set.
        unit: of the number.
        meaning: what it bounds, as documents say it.
    """

    variable: str
    default: int
    unit: str
    meaning: str

    @property
    def value(self) -> int:
        """The number in force.

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
    "VALUE_PALETTE_READING_MEMORY", 500, "MB", "memory of the process that looks into an uploaded file"
)
READING_SECONDS = Limit(
    "VALUE_PALETTE_READING_SECONDS", 8, "seconds", "time of the process that looks into an uploaded file"
)
IMPORT_MEMORY = Limit("VALUE_PALETTE_IMPORT_MEMORY", 500, "MB", "memory of an import that the app has started")
IMPORT_SECONDS = Limit("VALUE_PALETTE_IMPORT_SECONDS", 3600, "seconds", "time of an import that the app has started")

#: All of them, in the order of the documents.
LIMITS = (READING_MEMORY, READING_SECONDS, IMPORT_MEMORY, IMPORT_SECONDS)
