"""Describe the model whose replies a table holds: its name, its size, and what it is good for.

Constraint: what the table does not state is called not known; only the size is also taken from the model's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from map_core.core import amounts

#: A size in a model's name, such as 135m, 7B or 0.5b: a number, then m or b, with no letter or digit after it.
_SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s?([mb])(?![a-z0-9])", re.IGNORECASE)
#: Numbers of parameters below which a model is called very small, and small.
VERY_SMALL, SMALL = 1e9, 1e10
UNKNOWN = "what it is good for is not known"


@dataclass(frozen=True)
class Speaker:
    """The description of a model, in parts of one line.

    Args:
        model: its name.
        size: in parameters.
        good_for: what to judge its replies by.
        short: the same for a narrow screen.
    """

    model: str
    size: str
    good_for: str
    short: str


def speaker(metadata: Mapping[str, Any]) -> Speaker:
    """Describe the model of a table.

    Args:
        metadata: of the table; ``model`` has its name, and may have ``parameters`` and ``good_for``.

    Example:
        >>> summary = speaker({"model": {"name": "smollm2-135m-instruct"}})
        >>> summary.size, summary.good_for
        ('135 million parameters', 'a very small demo model: judge the tone, not the facts')
        >>> speaker({}).model
        'A model that the table does not name'
    """
    model = metadata.get("model")
    facts: Mapping[str, Any] = model if isinstance(model, Mapping) else {"name": model}
    name = " ".join(str(facts.get("name") or "").split())
    if not name:
        return Speaker("A model that the table does not name", "size not known", UNKNOWN, UNKNOWN)
    # A model on a server is NAME@URL; readers must not see the address.
    name = name.partition("@")[0][:80]
    parameters = _parameters(facts.get("parameters"), name)
    stated = facts.get("good_for")
    if isinstance(stated, str) and stated.strip():
        good_for = short = " ".join(stated.split())[:120]
    else:
        good_for, short = _good_for(parameters)
    return Speaker(name, _size(parameters), good_for, short)


def _parameters(written: Any, name: str) -> float | None:
    """Return the number of parameters that the table states, or the model's name; None where neither does."""
    if isinstance(written, (int, float)) and not isinstance(written, bool) and written > 0:
        return float(written)
    size = _SIZE.search(name.replace("-", " ").replace("_", " ").replace("/", " "))
    return float(size.group(1)) * {"m": 1e6, "b": 1e9}[size.group(2).lower()] if size else None


def _size(parameters: float | None) -> str:
    if parameters is None:
        return "size not known"
    unit, count = ("billion", parameters / 1e9) if parameters >= 1e9 else ("million", parameters / 1e6)
    return f"{amounts.significant(count, 3)} {unit} parameters"


def _good_for(parameters: float | None) -> tuple[str, str]:
    """Return what to judge replies by, and the same for a narrow screen."""
    if parameters is not None and parameters < VERY_SMALL:
        return "a very small demo model: judge the tone, not the facts", "judge tone, not facts"
    if parameters is not None and parameters < SMALL:
        return "a small model: check its facts", "check its facts"
    return UNKNOWN, UNKNOWN
