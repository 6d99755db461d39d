"""Classify the columns of a table's file: those of the format, with their types, and those that number rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pyarrow as pa

REPLY_COLUMNS = ("prompt_id", "prompt", "use_case", "candidate", "reply", "tokens", "log_prob", "weight", "held_out")
REQUIRED_COLUMNS = ("prompt", "reply")
#: Names of numeric columns that are not rewards unless chosen by name: numbers of rows, models and runs, times, correct
#: answers, and index columns written by pandas, such as "Unnamed: 0", "Unnamed: 0.1" and "__index_level_0__".
COUNTERS = re.compile(
    r"|(.*_)?(id|idx|uuid)|index|(prompt|reply|row|sample)_index|row|row_number|seed|rank|step|epoch|iteration"
    r"|model|model_name|generator|(.*_)?(timestamp|tstamp)|date|datetime|(created|updated|modified)(_at)?"
    r"|answer|target|reference(_answer)?|ground_truth|gold(_answer)?|correct_answer|expected(_output)?"
    r"|level_\d+|unnamed:_\d.*|__index_level_\d+__"
)


def normalised(name: str) -> str:
    """Return a column's name in lower case, with _ for spaces and dashes."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def is_counter(name: str) -> bool:
    """Return whether a column of this name numbers rows or otherwise holds no rewards, see :data:`COUNTERS`."""
    return COUNTERS.fullmatch(normalised(name)) is not None


def index_columns(schema: pa.Schema) -> tuple[str, ...]:
    """Return the columns in which pandas has stored the index, according to its metadata."""
    try:
        written = (schema.pandas_metadata or {}).get("index_columns", ())
    except ValueError:  # metadata that another program has changed
        return ()
    return tuple(name for name in written if isinstance(name, str) and name in schema.names)


def is_text(kind: pa.DataType) -> bool:
    """Return whether cells of this type are texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(kind: pa.DataType) -> bool:
    """Return whether cells of this type are integers or floating-point numbers."""
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def departure(column: pa.Field) -> str:
    """Return how a column's type differs from the format, as the end of a sentence; "" where it does not."""
    fits, expected = _EXPECTED.get(column.name, (lambda kind: True, ""))
    return "" if fits(column.type) else f"{column.name!r} holds {column.type} and not {expected}"


def _is_token_list(kind: pa.DataType) -> bool:
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(listed and (pa.types.is_integer(kind.value_type) or pa.types.is_null(kind.value_type)))


_EXPECTED: Mapping[str, tuple[Callable[[pa.DataType], bool], str]] = {
    **dict.fromkeys(("prompt", "reply", "use_case"), (is_text, "text")),
    "prompt_id": (lambda kind: is_text(kind) or pa.types.is_integer(kind), "text"),
    "candidate": (pa.types.is_integer, "whole numbers"),
    "tokens": (_is_token_list, "lists of token numbers"),
    "log_prob": (is_number, "numbers"),
    "weight": (is_number, "numbers"),
    "held_out": (pa.types.is_boolean, "true or false"),
}
