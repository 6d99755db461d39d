"""The definition of a layout, by which the fields of a row become columns; and the numbers in nested fields."""

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
#: Keys of a score's number within the field that has the value's name.
_PLAIN_LEAVES = frozenset(("rating", "score", "value", "reward"))
#: Minimum share of numbers among the cells of a numeric field.
_MOSTLY = 0.5


@dataclass(frozen=True)
class Layout:
    """How the rows of a file become rows of one reply each.

    Args:
        described: a sentence about which field becomes which column.
        flatten: returns the replies of a row, as rows with the columns "prompt", "reply" and others; it raises
            ValueError, whose message ends a sentence, where a row differs in structure from the first ones.
        left_out: fields from which no column is made.
    """

    described: str
    flatten: Callable[[Row], list[dict[str, Any]]]
    left_out: tuple[str, ...] = ()


Path = tuple[str, ...]
"""Keys that lead to a field of a nested object."""


def dotted(path: Path, before: str = "") -> str:
    """Return a path as text for a sentence."""
    return before + ".".join(path)


def at(content: Any, path: Path) -> Any:
    """Return the content of the field at a path; None where there is none."""
    for key in path:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def number_fields(objects: Sequence[Row], without: Iterable[str] = ()) -> dict[str, Path]:
    """Return the paths of these objects' fields, including nested ones, that hold numbers; by a short name.

    A field's name is its last key, or the key before it if the last one is a word such as "rating"; it is the whole
    path if two fields would have the same name. Fields that number rows or hold times are excluded.

    Args:
        objects: some objects of the file.
        without: keys that are not scores.
    """
    excluded = set(without)
    cells: dict[Path, list[Any]] = {}
    for record in objects:
        for path, cell in _leaves({key: cell for key, cell in record.items() if key not in excluded}):
            cells.setdefault(path, []).append(cell)
    paths = [path for path, field in cells.items() if _holds_numbers(field) and not is_counter(path[-1])]
    names = [path[-2] if len(path) > 1 and normalised(path[-1]) in _PLAIN_LEAVES else path[-1] for path in paths]
    return {
        name if names.count(name) == 1 and name not in (PROMPT, REPLY) else dotted(path): path
        for name, path in zip(names, paths, strict=True)
    }


def decoded(cell: Any) -> Any:
    """Parse a text that is a list or an object in JSON or Python notation; return any other cell unchanged."""
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
    present = [cell for cell in cells if not is_missing(cell)]
    numbers = sum(
        as_boolean(cell) is not None or (reads_as_number(cell) and math.isfinite(float(cell))) for cell in present
    )
    return bool(present) and numbers >= _MOSTLY * len(present)


def named_values(fields: Mapping[str, str]) -> str:
    """List which value comes from which field, as the end of a sentence."""
    return ", ".join(name if name == field else f"{name} from {field}" for name, field in fields.items())
