"""Exceptions of the project, each with a message for a person.

A message says what came, what was expected and what to do. A target out of reach is an ordinary
result (see :mod:`map_core.feasibility`) and never an exception.
"""

from __future__ import annotations


class PaletteError(Exception):
    """Base class of every exception that this project raises on purpose.

    Example:
        >>> import map_core as vp
        >>> try:
        ...     vp.assess(vp.load_table(), {"wit": "p70"})
        ... except vp.PaletteError as error:
        ...     print(type(error).__name__)
        InputError
    """


class InputError(PaletteError, ValueError):
    """The caller's input cannot be used: a table, a target, a prompt, a setting."""


class AccessError(InputError):
    """The visitor may not do this, see :mod:`map_core.access`."""


class MissingModelError(PaletteError):
    """A model's weights are not on this machine.

    Args:
        message: what is missing and why it could not be downloaded.
        command: the command line that downloads it, shown verbatim.
    """

    def __init__(self, message: str, command: str) -> None:
        super().__init__(f"{message} Run: {command}")
        self._message, self.command = message, command

    def __reduce__(self) -> tuple[type[MissingModelError], tuple[str, str]]:
        return type(self), (self._message, self.command)


class EngineError(PaletteError):
    """An engine or the model's process failed."""


class TryAgainError(EngineError):
    """A server timed out, was overloaded or broke the connection: the same request may succeed later."""


class StoreError(PaletteError):
    """The database does not answer, or refuses an operation."""
