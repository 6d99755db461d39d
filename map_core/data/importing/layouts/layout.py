"""What a layout is: which fields of a row become which columns; and the numbers in nested fields."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from map_core.data.importing.cells import as_boolean, is_missing, reads_as_number
from map_core.data.table_columns import is_counter, normalised

PROMPT, REPLY = "prompt", "reply"
Row = Mapping[str, Any]
#: Fields that hold scores of several values.
SCORE_FIELDS = frozenset(
    ("scores", "score", "ratings", "rating", "rewards", "reward", "annotations", "metrics", "namedscores")
) | {"named_scores", "evaluation", "evaluations", "labels", "attributes"}
#: Names of a score's number within the field that names what is scored.
_PLAIN_LEAVES = frozenset(("rating", "score", "value", "reward"))
#: Share of the cells of a field that must be numbers.
_MOSTLY = 0.5


@dataclass(frozen=True)
class Layout:
    """How the rows of a file become rows of one reply each.

    Args:
        described: which field became what, as a sentence.
        flatten: gives the replies of a row, as rows with the columns "prompt" and "reply" among others; it raises
            ValueError, with the end of a sentence, where a row has another shape than the first ones.
        left_out: fields that no column comes from.
    """

    described: str
    flatten: Callable[[Row], list[dict[str, Any]]]
    left_out: tuple[str, ...] = ()


Path = tuple[str, ...]
"""Keys that lead to a field of a nested object."""


def dotted(path: Path, before: str = "") -> str:
    """Return a path as it is written in a sentence."""
    return before + ".".join(path)


def at(content: Any, path: Path) -> Any:
    """Return the field at a path; None where there is none."""
    for key in path:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def number_fields(objects: Sequence[Row], without: Iterable[str] = ()) -> dict[str, Path]:
    """Return the fields of these objects, nested ones among them, that hold numbers; by a short name.

    A field is called by its last key, or by the one before it where the last one is a word such as "rating"; by the
    whole path where that would give two fields one name. Fields that number or time rows are none.

    Args:
        objects: some of the file.
        without: keys that are no scores.
    """
    excluded = set(without)
    cells: dict[Path, list[Any]] = {}
    for record in objects:
        for path, cell in _leaves({key: cell for key, cell in record.items() if key not in excluded}):
            cells.setdefault(path, []).append(cell)
    paths = [path for path, field in cells.items() if _holds_numbers(field) and not is_counter(path[-1])]
    short = [path[-2] if len(path) > 1 and normalised(path[-1]) in _PLAIN_LEAVES else path[-1] for path in paths]
    taken = {PROMPT, REPLY}
    return {
        name if short.count(name) == 1 and name not in taken else dotted(path): path
        for name, path in zip(short, paths, strict=True)
    }


def decoded(cell: Any) -> Any:
    """Return the list or the object that a text is written as, in JSON or as Python writes it; any other cell as is."""
    if not isinstance(cell, str) or cell.strip()[:1] not in ("[", "{"):
        return cell
    for parse in (json.loads, ast.literal_eval):
        try:
            content = parse(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return content if isinstance(content, list | dict) else cell
    return cell


def column(rows: Sequence[Row], name: str) -> list[Any]:
    """Return the cells of a column, decoded."""
    return [decoded(row.get(name)) for row in rows]


def _leaves(content: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(content, Mapping):
        for key, cell in content.items():
            yield from _leaves(cell, (*path, str(key)))
    elif path:
        yield path, content


def _holds_numbers(cells: Sequence[Any]) -> bool:
    given = [cell for cell in cells if not is_missing(cell)]
    numbers = [
        cell
        for cell in given
        if (reads_as_number(cell) and not isinstance(cell, list | Mapping) and math.isfinite(float(cell)))
        or as_boolean(cell) is not None
    ]
    return bool(given) and len(numbers) >= _MOSTLY * len(given)


def named_values(fields: Mapping[str, str]) -> str:
    """Return which value comes from which field, as the end of a sentence."""
    return ", ".join(name if name == field else f"{name} from {field}" for name, field in fields.items())
