"""Assign roles to the columns of a file: prompts, replies, use cases, weights, held-out prompts, rewards.

Constraint: a person's choice goes before what a name suggests, and each column has one role.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from map_core.data.importing.cells import column_list
from map_core.data.table_columns import REPLY_COLUMNS, is_counter, normalised
from map_core.data.text_files.excerpts import first_twice
from map_core.errors import InputError

#: Usual names of a column, the likelier first; compared in lower case with _ for spaces and dashes.
PROMPT_NAMES = ("prompt", "question", "instruction", "query", "input", "user", "prompts", "user_prompt", "prompt_text")
REPLY_NAMES = (
    *("reply", "response", "generated", "completion", "output", "answer", "generation", "generated_text"),
    *("assistant", "reply_text", "response_text", "text", "replies", "responses"),
)
USE_CASE_NAMES = ("use_case", "usecase")
HELD_OUT_NAMES = ("held_out", "heldout", "hold_out", "holdout", "split")
#: Texts that belong to an instruction: what it is about.
CONTEXT_NAMES = ("input", "context")
#: Names of a prompt's column beside which such a text is looked for.
_WITH_CONTEXT = ("prompt", "question", "instruction", "query")
#: Roles that a file need not have.
_OPTIONAL = ("use case", "held-out prompts", "context")


@dataclass(frozen=True)
class ColumnChoice:
    """A person's choice of columns; None where the role is guessed from names.

    Args:
        values: the columns of rewards, in this order; every column of numbers by default.
        prompt, reply, use_case: columns of texts; "" for no use cases.
        weight: column of how often a prompt occurs in use, one number a prompt; none by default.
        held_out: column that says whether a prompt is kept for checking; "" for none.
        context: column of texts that belong to the prompt, such as an instruction's input; "" for none.
        decimal: mark in numbers, "point" or "comma"; the other one separates thousands.
        echoes: "remove" takes prompts off the replies that repeat them, "keep" leaves replies whole.
    """

    values: tuple[str, ...] | None = None
    prompt: str | None = None
    reply: str | None = None
    use_case: str | None = None
    weight: str | None = None
    held_out: str | None = None
    context: str | None = None
    decimal: str | None = None
    echoes: str | None = None


@dataclass(frozen=True)
class ColumnRoles:
    """The columns by role.

    Args:
        prompt, reply: columns of texts.
        use_case, weight, held_out: None where there is no such column.
        values: chosen columns of rewards, or candidates, which are searched for numbers.
        chosen: the values were chosen by name.
        split: the column of held-out prompts was guessed by a name that may mean something else.
    """

    prompt: str
    reply: str
    use_case: str | None
    weight: str | None
    held_out: str | None
    values: tuple[str, ...]
    chosen: bool
    split: bool = False
    context: str | None = None
    decimal: str | None = None
    echoes: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Columns that are not rewards."""
        return tuple(
            name for name in (self.prompt, self.reply, self.use_case, self.weight, self.held_out, self.context) if name
        )


def assign_roles(columns: Sequence[str], where: str, choice: ColumnChoice) -> ColumnRoles:
    """Assign a role to each column.

    Args:
        columns: of the file.
        where: the file, as an error names it.
        choice: a person's choice.

    Raises:
        InputError: a column is missing, has two roles, or no column is known to hold prompts or replies.
    """
    others = {choice.use_case, choice.weight, choice.held_out}
    prompt = _column(
        columns, where, "prompt", PROMPT_NAMES, choice=choice.prompt, taken={choice.reply, *others} - {choice.prompt}
    )
    reply = _column(columns, where, "reply", REPLY_NAMES, choice=choice.reply, taken={prompt, *others})
    use_case = None
    if choice.use_case != "":
        use_case = _column(columns, where, "use case", USE_CASE_NAMES, choice=choice.use_case, taken={prompt, reply})
    weight = None
    if choice.weight:
        weight = _column(columns, where, "weight", (), choice=choice.weight, taken={prompt, reply, use_case})
    held_out = None
    if choice.held_out != "":
        taken = {prompt, reply, use_case, weight, *(choice.values or () if choice.held_out is None else ())}
        held_out = _column(columns, where, "held-out prompts", HELD_OUT_NAMES, choice=choice.held_out, taken=taken)
    assert prompt is not None
    context = None
    if choice.context or (choice.context is None and normalised(prompt) in _WITH_CONTEXT):
        taken = {prompt, reply, use_case, weight, held_out, *(choice.values or ())}
        context = _column(columns, where, "context", CONTEXT_NAMES, choice=choice.context, taken=taken)
    texts = [name for name in (prompt, reply, use_case, weight, held_out, context) if name]
    assert reply is not None
    split = choice.held_out is None and held_out is not None and normalised(held_out) == "split"
    roles = ColumnRoles(
        prompt, reply, use_case, weight, held_out, (), False, split, context, choice.decimal, choice.echoes
    )
    if choice.values is None:
        possible = tuple(_reward_candidates(columns, texts))
        return replace(roles, values=possible)
    unknown = [name for name in choice.values if name not in columns]
    if unknown or not choice.values:
        raise InputError(
            f"{where} has no column {unknown[0]!r}; it has {column_list(columns)}."
            if unknown
            else "No values are named; leave --values out to take every column of numbers."
        )
    if len(set(choice.values)) < len(choice.values):
        raise InputError(f"The value {first_twice(choice.values)!r} is named twice.")
    if clash := next((name for name in choice.values if name in texts), None):
        raise InputError(f"The column {clash!r} holds text of the table, so it cannot be a value.")
    return replace(roles, values=choice.values, chosen=True)


def guess_roles(columns: Sequence[str], numeric: Collection[str]) -> ColumnChoice:
    """Guess roles from the names of columns, for a person to check; "" where none fits.

    Args:
        columns: of the file.
        numeric: columns that hold numbers in the rows that were read.
    """
    prompt = _column_named(columns, PROMPT_NAMES) or ""
    reply = _column_named([name for name in columns if name != prompt], REPLY_NAMES) or ""
    use_case = _column_named([name for name in columns if name not in (prompt, reply)], USE_CASE_NAMES) or ""
    held_out = _column_named([name for name in columns if name not in (prompt, reply, use_case)], HELD_OUT_NAMES) or ""
    context = None
    if normalised(prompt) in _WITH_CONTEXT:
        taken = (prompt, reply, use_case, held_out)
        context = _column_named([name for name in columns if name not in taken], CONTEXT_NAMES)
    possible = _reward_candidates(columns, (prompt, reply, use_case, held_out, context or prompt))
    values = tuple(name for name in possible if name in numeric)
    return ColumnChoice(values, prompt, reply, use_case, "", held_out, context)


def value_names(columns: Sequence[str], where: str) -> dict[str, str]:
    """Return the value name of each column of rewards: its own, prefixed where the table format has that name.

    Raises:
        InputError: two values would have one name.
    """
    names = {name: f"value_{name}" if name in REPLY_COLUMNS else name for name in columns}
    if len(set(names.values())) < len(names):
        raise InputError(f"{where}: two values would be called {first_twice(names.values())!r}. Rename one column.")
    return names


def _reward_candidates(columns: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return the columns that may hold rewards when none is chosen."""
    return [name for name in columns if name not in (*texts, *REPLY_COLUMNS) and not is_counter(name)]


def _column(
    columns: Sequence[str],
    where: str,
    role: str,
    names: Sequence[str],
    *,
    choice: str | None,
    taken: Collection[str | None],
) -> str | None:
    """Return the column of a role; None where there is none and the role is optional."""
    free = [name for name in columns if name not in taken]
    if choice is not None:
        if choice in taken:
            raise InputError(f"The column {choice!r} is taken already; it cannot hold the {role} too.")
        if choice not in free:
            raise InputError(f"{where} has no column {choice!r} for the {role}; it has {column_list(columns)}.")
        return choice
    guess = _column_named(free, names)
    if guess is None and role not in _OPTIONAL:
        raise InputError(
            f"None of the columns of {where} is known to hold the {role}: {column_list(columns)}. "
            f"Name it with --{role}-column."
        )
    return guess


def _column_named(columns: Sequence[str], names: Sequence[str]) -> str | None:
    plain = {column: normalised(column) for column in columns}
    return next((column for name in names for column in columns if plain[column] == name), None)
