"""Score values with a user's Python function: ``file.py:function``, or an installed entry point.

The function is called with the prompt and the texts of its replies and returns a number for each. Constraint: code is
run only for a value that the operator of this program named (see :mod:`map_core.scoring.registry`), and only with the
first score.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from map_core.core.types import Reply
from map_core.errors import InputError
from map_core.scoring.base import Card, Cost, Scorer
from map_core.scoring.definition import title_from
from map_core.scoring.settings import Setting, check_settings

FUNCTION = "function"
#: The group under which a package offers scorers: ``[project.entry-points."value_palette.scorers"]``.
GROUP = "value_palette.scorers"
Function = Callable[[str, list[str]], Sequence[float]]
_SETTINGS = {
    "function": Setting(str, f"file.py:function, or the name of an entry point of the group {GROUP}"),
    "partial": Setting(bool, "true where unfinished replies can be scored too"),
    "title": Setting(str, "the name that people read"),
    "measures": Setting(str, "what a higher reward means, in a sentence"),
    "misses": Setting(str, "what it does not see, in a sentence"),
    "licence": Setting(str, "of the function"),
}


class FunctionScorer(Scorer):
    """The result of a function for each reply.

    Args:
        name: the value's name.
        settings: at least ``function``.

    Raises:
        InputError: a setting that is unknown or of no use, no such file, or no such entry point.
    """

    family = FUNCTION

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        checked = check_settings(f"the value {name!r}", settings, _SETTINGS)
        if "function" not in checked:
            raise InputError(f"The value {name!r} lacks 'function'; expected {_SETTINGS['function'].words}.")
        self._given = checked
        self._file, self._function_name = _place(name, checked["function"])
        self.card = Card(
            name=name,
            title=str(checked.get("title", title_from(name))),
            measures=str(checked.get("measures", f"What the function {checked['function']} gives for it.")),
            misses=str(checked.get("misses", "What the function does not look at.")),
            licence=str(checked.get("licence", "that of the function")),
            source=checked["function"],
            version="1",
            partial=bool(checked.get("partial", False)),
            costs=Cost.NONE,
            needs=(f"the function {checked['function']}",),
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the loaded function, which another process loads itself."""
        return {name: attribute for name, attribute in self.__dict__.items() if name != "_function"}

    @property
    def version(self) -> str:
        """The scorer's version, and a hash of the file or the version of the package that holds the function."""
        return f"{self.card.version}/{self._state}"

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the function's results, float64."""
        if not replies:
            return np.zeros(0)
        return np.asarray(self._function(prompt, [reply.text for reply in replies]), dtype=np.float64)

    def settings(self) -> dict[str, Any]:
        """Return the settings as they were given."""
        return dict(self._given)

    @cached_property
    def _state(self) -> str:
        if self._file is not None:
            return hashlib.sha256(self._file.read_bytes()).hexdigest()[:16]
        point = _entry_point(self.name, self._function_name)
        return f"{point.value}@{point.dist.version if point.dist else '?'}"

    @cached_property
    def _function(self) -> Function:
        if self._file is None:
            loaded = _entry_point(self.name, self._function_name).load()
        else:
            spec = importlib.util.spec_from_file_location(f"value_palette_own_{self._state}", self._file)
            if spec is None or spec.loader is None:
                raise InputError(f"{self._file}, which {self.name!r} names, is no Python file; expected file.py.")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            loaded = getattr(module, self._function_name, None)
        if not callable(loaded):
            raise InputError(
                f"{self._given['function']!r}, which {self.name!r} names, is no function; expected one that takes a "
                "prompt and a list of replies and gives a number for each."
            )
        function: Function = loaded
        return function


def _place(name: str, function: str) -> tuple[Path | None, str]:
    """Return the file and the name of the function in it; None and the name for an entry point.

    Raises:
        InputError: there is no such file or entry point.
    """
    before, colon, after = function.rpartition(":")
    if not colon:
        _entry_point(name, function)
        return None, function
    file = Path(before).expanduser()
    if not file.is_file() or not after.isidentifier():
        raise InputError(f"function of {name!r} is {function!r}; expected {_SETTINGS['function'].words}, and a file.")
    return file, after


def _entry_point(name: str, point: str) -> importlib.metadata.EntryPoint:
    points = importlib.metadata.entry_points(group=GROUP)
    for entry in points:
        if entry.name == point:
            return entry
    known = ", ".join(sorted(entry.name for entry in points)) or "none"
    raise InputError(
        f"function of {name!r} is {point!r}; expected file.py:function or one of the installed entry points ({known})."
    )
