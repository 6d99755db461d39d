"""Prompt files: JSON lines or CSV with a prompt, its use case and its id, or plain text; errors name the line.

Constraint: standard library only.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from map_core.errors import InputError

DEFAULT_USE_CASE = "All prompts"
_FIELDS = ("prompt", "id", "use_case")


@dataclass(frozen=True)
class Prompt:
    """One prompt of a use case.

    Args:
        id: its name, unique in the file.
        use_case: the group of prompts that it belongs to.
        text: what the person asks.
    """

    id: str
    use_case: str
    text: str


def read_prompts(path: Path, use_cases: Collection[str] = ()) -> tuple[Prompt, ...]:
    """Read a prompt file.

    A line is ``{"prompt": "...", "use_case": "...", "id": "..."}``; in a file named .csv or .tsv these are columns, and
    in one named .txt a line is a prompt. Without a use case a prompt belongs to "All prompts"; without an id it is
    called by its line, ``line-7``. Blank lines are skipped.

    Args:
        path: the file.
        use_cases: only these; all of them when empty.

    Raises:
        InputError: no such file, a line that is no JSON object, no column with prompts, an empty prompt, a prompt or
            an id that comes twice, an unknown use case, or no prompts at all.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The prompts cannot be read from {path} ({error}). Give a text file in UTF-8.") from error
    prompts: list[Prompt] = []
    ids: dict[str, int] = {}
    texts: dict[str, int] = {}
    for number, entry in _entries(text, path):
        prompt = _prompt(entry, number, path)
        for seen, key, what in ((texts, prompt.text, "prompt"), (ids, prompt.id, "id")):
            if key in seen:
                raise InputError(
                    f"{path} has the same {what} in line {seen[key]} and line {number}: {_short(key)!r}. "
                    "Remove or change one of them."
                )
            seen[key] = number
        prompts.append(prompt)
    known = dict.fromkeys(prompt.use_case for prompt in prompts)
    unknown = [name for name in use_cases if name not in known]
    if unknown:
        raise InputError(f"{path} has no use case {unknown[0]!r}; it has {', '.join(map(repr, known))}.")
    if not prompts:
        raise InputError(f'{path} has no prompts; expected lines such as {{"prompt": "How do bees make honey?"}}.')
    return tuple(prompt for prompt in prompts if not use_cases or prompt.use_case in use_cases)


def _entries(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The number of each line that is not blank, and what it holds."""
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        yield from _rows(text, path, "\t" if kind == ".tsv" else ",")
        return
    # Not splitlines: a prompt may hold separators that are line breaks to Unicode and not to JSON.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if kind == ".txt":
            yield number, {"prompt": line}
            continue
        where = f"Line {number} of {path}"
        try:
            entry: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is no JSON ({error}); expected one JSON object a line.") from error
        if not isinstance(entry, dict):
            raise InputError(f'{where} is {_short(line)!r}; expected a JSON object with the key "prompt".')
        yield number, entry


def _rows(text: str, path: Path, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = reader.fieldnames or ()
        if "prompt" not in names:
            raise InputError(f"{path} has the columns {_short(', '.join(names))!r}; expected one that is named prompt.")
        number = reader.line_num + 1
        for row in reader:
            yield number, {name: cell for name, cell in row.items() if name in _FIELDS and (cell or name == "prompt")}
            number = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"Line {reader.line_num} of {path} is no CSV ({error}).") from error


def _prompt(entry: Mapping[str, Any], number: int, path: Path) -> Prompt:
    where = f"Line {number} of {path}"
    fields = {
        "prompt": entry.get("prompt"),
        "id": entry.get("id", f"line-{number}"),
        "use_case": entry.get("use_case", DEFAULT_USE_CASE),
    }
    for name, value in fields.items():
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{where} has the {name} {value!r}; expected text that is not empty.")
    return Prompt(id=fields["id"].strip(), use_case=fields["use_case"].strip(), text=fields["prompt"].strip())


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
