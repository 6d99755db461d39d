"""Read prompt files: JSON lines, CSV or an Excel sheet with named columns, or plain text; errors name the line.

Constraint: standard library only, but for workbooks.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from map_core.core import remedies
from map_core.data.text_files.delimited import csv_rows, read_header
from map_core.data.text_files.json_stream import json_lines, json_list
from map_core.data.text_files.records import known_fields, read_text
from map_core.data.workbook import find_sheet, is_workbook
from map_core.errors import InputError

_LARGEST_WEIGHT = 1e12
#: Most cells of a sheet of prompts, with empty ones: about 2 seconds.
SHEET_CELLS = 2_000_000
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0", "")

DEFAULT_USE_CASE = "All prompts"
_FIELDS = ("prompt", "id", "use_case", "weight", "count", "held_out", "hidden")
#: Fields that hold a prompt as the turns of a chat.
_CHATS = ("messages", "turns")


class RepeatedPromptError(InputError):
    """A prompt that comes twice where each is to come once."""


@dataclass(frozen=True)
class Prompt:
    """One prompt of a use case.

    Args:
        id: unique in the file.
        use_case: the group of prompts that it belongs to.
        text: what the person asks.
        weight: how often it occurs in use, relative to the others; above 0.
        held_out: whether it is kept for checking and never solved on.
        hidden: whether its replies are never shown as examples, although it is solved on.
    """

    id: str
    use_case: str
    text: str
    weight: float = 1.0
    held_out: bool = False
    hidden: bool = False


def read_prompts(path: Path, use_cases: Collection[str] = (), count_repeats: bool = False) -> tuple[Prompt, ...]:
    """Read a prompt file.

    A line is ``{"prompt": "...", "use_case": "...", "id": "..."}``; in an Excel workbook and a file named .csv or .tsv
    these are columns, and in a file named .txt a line is a prompt. The default use case is "All prompts", the default
    id the line, ``line-7``. Blank lines are skipped. "weight" (or "count") says how often a prompt occurs in use, 1 by
    default; "held_out" (true or false) keeps it for checking, "hidden" keeps its replies out of what is shown as an
    example.

    Args:
        path: the file.
        use_cases: only these; all of them when empty.
        count_repeats: a repeated prompt adds its weight to the first one, for logs of use; else it is refused.

    Raises:
        RepeatedPromptError: a prompt comes twice, and repeats do not count.
        InputError: no such file, a line that is not a JSON object, no column with prompts, an empty prompt, a repeated
            id, a weight that is not a number above 0, an unknown use case, or no prompts at all.
    """
    prompts: dict[str, Prompt] = {}
    ids: dict[str, int] = {}
    texts: dict[str, int] = {}
    entries = _sheet_entries(path) if is_workbook(path) else _entries(read_text(path), path)
    for number, entry in entries:
        prompt = _prompt(known_fields(entry, _FIELDS, f"Line {number} of {path}"), number, path)
        if count_repeats and (first := prompts.get(prompt.text)):
            prompts[prompt.text] = replace(first, weight=first.weight + prompt.weight)
            continue
        for line_of, key, kind in ((texts, prompt.text, "prompt"), (ids, prompt.id, "id")):
            if key in line_of:
                error, more = InputError, ""
                if kind == "prompt":
                    error, more = RepeatedPromptError, ", or let it count as often as it comes"
                raise error(
                    f"{path} has the same {kind} in line {line_of[key]} and line {number}: {_short(key)!r}. "
                    f"Remove or change one of them{more}."
                )
            line_of[key] = number
        prompts[prompt.text] = prompt
    known = dict.fromkeys(prompt.use_case for prompt in prompts.values())
    unknown = [name for name in use_cases if name not in known]
    if unknown:
        raise InputError(f"{path} has no use case {unknown[0]!r}; it has {', '.join(map(repr, known))}.")
    if not prompts:
        raise InputError(f'{path} has no prompts; expected lines such as {{"prompt": "How do bees make honey?"}}.')
    return tuple(prompt for prompt in prompts.values() if not use_cases or prompt.use_case in use_cases)


def hold_out(prompts: Sequence[Prompt], share: float) -> tuple[Prompt, ...]:
    """Return the prompts with this share of each use case held out, chosen by a hash of their texts.

    Raises:
        InputError: the share is not in [0, 1).
    """
    if not 0.0 <= share < 1.0:
        raise InputError(f"The share of prompts to hold out is {share:g}; expected a share from 0 to below 1.")
    held_texts: set[str] = set()
    for use_case in {prompt.use_case for prompt in prompts}:
        ranked = sorted(
            (prompt for prompt in prompts if prompt.use_case == use_case), key=lambda prompt: _hash(prompt.text)
        )
        held_texts |= {prompt.text for prompt in ranked[: round(share * len(ranked))]}
    return tuple(replace(prompt, held_out=prompt.held_out or prompt.text in held_texts) for prompt in prompts)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _entries(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the number and the fields of each line, or entry of a list, that is not blank."""
    kind, file = path.suffix.lower(), io.StringIO(text, newline="")
    if kind in (".csv", ".tsv"):
        yield from _rows(text, path)
    elif kind == ".txt":
        # Not splitlines, which also splits at other Unicode line separators that a prompt may contain.
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield number, {"prompt": line}
    elif text.lstrip()[:1] == "[":
        yield from json_list(file, path, "one per prompt")
    else:
        yield from json_lines(file, path, 'one per prompt with the key "prompt"')


def _prompt_column(names: Sequence[str], path: Path) -> str:
    """Return the name of the column with the prompts, however it is capitalised.

    Raises:
        InputError: there is none.
    """
    if "prompt" not in (plain := [name.lower() for name in names]):
        raise InputError(f"{path} has the columns {_short(', '.join(names))!r}; expected one that is named prompt.")
    return names[plain.index("prompt")]


def _sheet_entries(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the number and the fields of each row of a workbook's sheet that is not blank."""
    sheet = find_sheet(path, most_cells=SHEET_CELLS)
    prompt = _prompt_column(sheet.names, path)
    for number, row in sheet.rows():
        yield number, {name: cell for name, cell in row.items() if cell is not None or name == prompt}


def _rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    header = read_header(lambda: nullcontext(io.StringIO(text, newline="")), path)
    prompt = _prompt_column(header.names, path)
    for number, _, row in csv_rows(io.StringIO(text, newline=""), header, path):
        yield number, {name: cell for name, cell in row.items() if cell or name == prompt}


def _prompt(entry: Mapping[str, Any], number: int, path: Path) -> Prompt:
    where = f"Line {number} of {path}"
    body = entry.get("body")
    if isinstance(body, Mapping) and "messages" in body:  # a request of OpenAI's batch format
        entry = {"id": entry.get("custom_id", f"line-{number}"), **entry, "messages": body["messages"]}
    if isinstance(entry.get("prompt"), list):
        entry = {**entry, "messages": entry["prompt"]}
    if chat := next((name for name in _CHATS if name in entry), None):
        entry = {**entry, "prompt": _only_turn(entry[chat], chat, where)}
    prompt_id = entry.get("id", f"line-{number}")
    fields = {
        "prompt": entry.get("prompt"),
        "id": str(prompt_id) if isinstance(prompt_id, int) and not isinstance(prompt_id, bool) else prompt_id,
        "use_case": entry.get("use_case", DEFAULT_USE_CASE),
    }
    for name, value in fields.items():
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{where} has the {name} {value!r}; expected text that is not empty.")
    weight = _weight(entry.get("weight", entry.get("count", 1.0)), where)
    flags = [_flag(entry.get(name, False), name, where) for name in ("held_out", "hidden")]
    return Prompt(fields["id"].strip(), fields["use_case"].strip(), fields["prompt"].strip(), weight, *flags)


def _only_turn(turns: Any, field: str, where: str) -> str:
    """Return the text of a chat that is a single turn of a user.

    Raises:
        InputError: the chat has other turns, which a file of prompts does not support.
    """
    turns = turns if isinstance(turns, list) else []
    texts = [turn.get("content") if isinstance(turn, Mapping) else turn for turn in turns]
    roles = [str(turn.get("role", "user")) if isinstance(turn, Mapping) else "user" for turn in turns]
    if len(texts) != 1 or roles != ["user"] or not isinstance(texts[0], str):
        raise InputError(
            f"{where} has the {field} of a chat with the turns {', '.join(roles) or 'none'}; a prompt is one turn of a "
            f"user. Give the last question as prompt{remedies.SYSTEM_MESSAGE}."
        )
    return texts[0]


def _weight(value: Any, where: str) -> float:
    """Parse how often a prompt occurs."""
    try:
        weight = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        weight = math.nan
    if not 0.0 < weight <= _LARGEST_WEIGHT:
        raise InputError(f"{where} has the weight {value!r}; expected a number above 0, such as how often it occurs.")
    return weight


def _flag(value: Any, name: str, where: str) -> bool:
    """Parse a field that is true or false."""
    word = str(value).strip().lower()
    if word not in _YES and word not in _NO:
        raise InputError(f"{where} has {name} {value!r}; expected true or false.")
    return word in _YES


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
