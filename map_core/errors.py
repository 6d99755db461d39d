"""The few exceptions of the project, each with a message for the person who reads it.

A message says what came, what was expected and what to do. A target that cannot be reached is an
ordinary result (see :mod:`map_core.feasibility`) and never an exception.
"""

from __future__ import annotations


class PaletteError(Exception):
    """Anything that this project raises on purpose."""


class InputError(PaletteError, ValueError):
    """What the caller handed in cannot be used: a table, a target, a prompt, a setting."""


class MissingModelError(PaletteError):
    """A model's weights are not on this machine.

    Args:
        message: what is missing and why it could not be had.
        command: the command line that mends it, shown as it is to the user.
    """

    def __init__(self, message: str, command: str) -> None:
        super().__init__(f"{message} Run: {command}")
        self._message, self.command = message, command

    def __reduce__(self) -> tuple[type[MissingModelError], tuple[str, str]]:
        return type(self), (self._message, self.command)


class EngineError(PaletteError):
    """An engine or the model process stopped in the middle of its work."""


class TryAgainError(EngineError):
    """A server did not answer, had too much to do or broke off: the same request may well be answered later."""


class StoreError(PaletteError):
    """The database with what people keep does not answer, or refuses."""
