"""Prompt files: JSON lines with a prompt, its use case and its id; errors name the line.

Constraint: standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from map_core.errors import InputError

DEFAULT_USE_CASE = "All prompts"


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

    A line is ``{"prompt": "...", "use_case": "...", "id": "..."}``. Without a use case a prompt belongs to
    "All prompts"; without an id it is called by its line, ``line-7``. Blank lines are skipped.

    Args:
        path: the file.
        use_cases: only these; all of them when empty.

    Raises:
        InputError: no such file, a line that is no JSON object, an empty prompt, a prompt or an id that comes
            twice, an unknown use case, or no prompts at all.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The prompts cannot be read from {path} ({error}). Give a text file in UTF-8.") from error
    prompts: list[Prompt] = []
    ids: dict[str, int] = {}
    texts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        prompt = _prompt(line, number, path)
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


def _prompt(line: str, number: int, path: Path) -> Prompt:
    where = f"Line {number} of {path}"
    try:
        entry: Any = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where} is no JSON ({error}); expected one JSON object a line.") from error
    if not isinstance(entry, dict):
        raise InputError(f'{where} is {_short(line)!r}; expected a JSON object with the key "prompt".')
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
