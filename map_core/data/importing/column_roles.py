"""Which column of a file is what: prompts, replies, use cases, weights, held-out prompts, and each value's rewards.

Constraint: what a person says goes before what a name suggests, and one column is one thing only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from map_core.data.importing.cells import first_twice
from map_core.data.reward_table import REPLY_COLUMNS
from map_core.errors import InputError

#: Names that a column goes by, the likelier first; compared in lower case with _ for spaces and dashes.
PROMPT_NAMES = ("prompt", "question", "instruction", "query", "input", "user", "prompts", "user_prompt", "prompt_text")
REPLY_NAMES = (
    *("reply", "response", "generated", "completion", "output", "answer", "generation", "generated_text"),
    *("assistant", "reply_text", "response_text", "text", "replies", "responses"),
)
USE_CASE_NAMES = ("use_case", "usecase")
HELD_OUT_NAMES = ("held_out", "heldout", "hold_out", "holdout", "split")
#: What a file may do without.
_OPTIONAL = ("use case", "held-out prompts")
#: Columns of numbers that are no rewards unless they are asked for by name.
COUNTERS = frozenset({"", "id", "idx", "index", "row", "row_id", "unnamed:_0", "__index_level_0__", "seed"})


@dataclass(frozen=True)
class ColumnChoice:
    """What a person says of the columns; None where their names are to say it.

    Args:
        values: the columns of rewards, in this order; every column of numbers by default.
        prompt, reply, use_case: where these stand; "" for no use cases.
        weight: how often a prompt occurs in use, the same number for all of its replies; none by default.
        held_out: whether a prompt is kept for checking, so that nothing is solved on it; "" for none.
    """

    values: tuple[str, ...] | None = None
    prompt: str | None = None
    reply: str | None = None
    use_case: str | None = None
    weight: str | None = None
    held_out: str | None = None


@dataclass(frozen=True)
class ColumnRoles:
    """The columns by what they are.

    Args:
        prompt, reply: texts.
        use_case, weight, held_out: None where there are none.
        values: that were asked for, or that may be: those are looked through for numbers.
        asked: the values were asked for.
        split: the column of held-out prompts was guessed by a name that may mean something else.
    """

    prompt: str
    reply: str
    use_case: str | None
    weight: str | None
    held_out: str | None
    values: tuple[str, ...]
    asked: bool
    split: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that are no rewards."""
        return tuple(name for name in (self.prompt, self.reply, self.use_case, self.weight, self.held_out) if name)


def roles(columns: Sequence[str], where: str, choice: ColumnChoice) -> ColumnRoles:
    """What each column is.

    Args:
        columns: of the file.
        where: the file, as an error names it.
        choice: what a person says.

    Raises:
        InputError: a column is not there, is taken twice, or nothing says where prompts or replies stand.
    """
    chosen = {choice.use_case, choice.weight, choice.held_out}
    prompt = _column(columns, where, "prompt", PROMPT_NAMES, choice.prompt, {choice.reply, *chosen} - {choice.prompt})
    reply = _column(columns, where, "reply", REPLY_NAMES, choice.reply, {prompt, *chosen})
    use_case = None
    if choice.use_case != "":
        use_case = _column(columns, where, "use case", USE_CASE_NAMES, choice.use_case, {prompt, reply})
    weight = None
    if choice.weight:
        weight = _column(columns, where, "weight", (), choice.weight, {prompt, reply, use_case})
    held_out = None
    if choice.held_out != "":
        taken = {prompt, reply, use_case, weight, *(choice.values or () if choice.held_out is None else ())}
        held_out = _column(columns, where, "held-out prompts", HELD_OUT_NAMES, choice.held_out, taken)
    texts = [name for name in (prompt, reply, use_case, weight, held_out) if name]
    assert prompt is not None
    assert reply is not None
    split = choice.held_out is None and held_out is not None and _plain(held_out) == "split"
    if choice.values is None:
        possible = tuple(_possible(columns, texts))
        return ColumnRoles(prompt, reply, use_case, weight, held_out, possible, False, split)
    unknown = [name for name in choice.values if name not in columns]
    if unknown or not choice.values:
        raise InputError(
            f"{where} has no column {unknown[0]!r}; it has {', '.join(columns)}."
            if unknown
            else "No values are named; leave --values out to take every column of numbers."
        )
    if len(set(choice.values)) < len(choice.values):
        raise InputError(f"The value {first_twice(choice.values)!r} is named twice.")
    if clash := next((name for name in choice.values if name in texts), None):
        raise InputError(f"The column {clash!r} holds text of the table, so it cannot be a value.")
    return ColumnRoles(prompt, reply, use_case, weight, held_out, choice.values, True, split)


def guessed(columns: Sequence[str], numeric: Collection[str]) -> ColumnChoice:
    """What the names of columns suggest, for a person to look at; "" where none does.

    Args:
        columns: of the file.
        numeric: those that hold numbers, as far as was looked.
    """
    prompt = _known(columns, PROMPT_NAMES) or ""
    reply = _known([name for name in columns if name != prompt], REPLY_NAMES) or ""
    use_case = _known([name for name in columns if name not in (prompt, reply)], USE_CASE_NAMES) or ""
    held_out = _known([name for name in columns if name not in (prompt, reply, use_case)], HELD_OUT_NAMES) or ""
    possible = _possible(columns, (prompt, reply, use_case, held_out))
    return ColumnChoice(tuple(name for name in possible if name in numeric), prompt, reply, use_case, "", held_out)


def value_names(columns: Sequence[str], where: str) -> dict[str, str]:
    """The name of the value of each column of rewards: the column's, unless a table has one of that name itself.

    Raises:
        InputError: two values would have one name.
    """
    names = {name: f"value_{name}" if name in REPLY_COLUMNS else name for name in columns}
    if len(set(names.values())) < len(names):
        raise InputError(f"{where}: two values would be called {first_twice(names.values())!r}. Rename one column.")
    return names


def _possible(columns: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Columns that may be of rewards when nobody says which are."""
    return [name for name in columns if name not in (*texts, *REPLY_COLUMNS) and _plain(name) not in COUNTERS]


def _column(
    columns: Sequence[str],
    where: str,
    what: str,
    names: Sequence[str],
    asked: str | None,
    taken: Collection[str | None],
) -> str | None:
    """The column that holds prompts, replies and so on; None where there is none and a file may do without."""
    free = [name for name in columns if name not in taken]
    if asked is not None:
        if asked in taken:
            raise InputError(f"The column {asked!r} is taken already; it cannot hold the {what} too.")
        if asked not in free:
            raise InputError(f"{where} has no column {asked!r} for the {what}; it has {', '.join(columns)}.")
        return asked
    found = _known(free, names)
    if found is None and what not in _OPTIONAL:
        raise InputError(
            f"None of the columns of {where} is known to hold the {what}: {', '.join(columns)}. "
            f"Name it with --{what}-column."
        )
    return found


def _known(columns: Sequence[str], names: Sequence[str]) -> str | None:
    plain = {column: _plain(column) for column in columns}
    return next((column for name in names for column in columns if plain[column] == name), None)


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")
