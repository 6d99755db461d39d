"""Assign roles to the columns of a file: prompts, replies, use cases, weights, held-out prompts, ids, rewards.

Constraint: the user's choice takes precedence over a column's name, and each column has one role.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from map_core.data.importing.cells import column_list
from map_core.data.table_columns import REPLY_COLUMNS, is_counter, normalised
from map_core.data.text_files.excerpts import first_twice
from map_core.errors import InputError

#: Usual names of a column, the likelier ones first; compared in lower case with _ for spaces and dashes.
PROMPT_NAMES = ("prompt", "question", "instruction", "query", "input", "user", "prompts", "user_prompt", "prompt_text")
REPLY_NAMES = (
    *("reply", "response", "generated", "completion", "output", "prediction", "model_output", "model_response"),
    *("model_answer", "answer", "generation", "generated_text"),
    *("assistant", "reply_text", "response_text", "text", "replies", "responses"),
)
USE_CASE_NAMES = ("use_case", "usecase")
HELD_OUT_NAMES = ("held_out", "heldout", "hold_out", "holdout", "split")
#: Texts that an instruction refers to.
CONTEXT_NAMES = ("input", "context")
#: System messages.
SYSTEM_NAMES = ("system", "system_prompt", "system_message")
#: Names of a prompt's column for which contexts and system messages are searched.
_WITH_CONTEXT = ("prompt", "question", "instruction", "query")
#: Names of columns that may be part of a prompt; if one is left out, prompts that differ only in it are merged.
#: "user" is not one of them: beside a prompt it says who asked or judged.
PROMPT_PARTS = frozenset(
    {*PROMPT_NAMES, *CONTEXT_NAMES, *SYSTEM_NAMES}
    | {"document", "passage", "article", "history", "conversation", "dialogue", "scenario", "persona"}
) - {"user"}
#: Roles that a file must have.
_REQUIRED = ("prompt", "reply")


@dataclass(frozen=True)
class ColumnChoice:
    """The user's choice of columns; None where the role is guessed from names.

    Args:
        values: the columns of rewards, in this order; every column of numbers by default.
        prompt, reply, use_case: columns of texts; "" for no use cases.
        weight: column of how often a prompt occurs in use, one number per prompt; "" for none.
        held_out: column that says whether a prompt is kept for checking; "" for none.
        context: column of texts that belong to the prompt, such as an instruction's input; "" for none.
        decimal: the decimal mark, "point" or "comma"; the other one separates thousands.
        echoes: "remove" removes prompts from the replies that repeat them, "keep" leaves replies unchanged.
        prompt_id: column of ids, which distinguish prompts with the same text; "" for none.
        system: column of system messages, each of which becomes a turn of its own; "" for none.
        lookalikes: "merge" merges prompts that look alike, "apart" keeps each.
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
    prompt_id: str | None = None
    system: str | None = None
    lookalikes: str | None = None

    @property
    def names_columns(self) -> frozenset[str]:
        """The names of all chosen columns."""
        roles = (self.prompt, self.reply, self.use_case, self.weight, self.held_out, self.context, self.prompt_id)
        return frozenset(name for name in (*roles, self.system, *(self.values or ())) if name)


@dataclass(frozen=True)
class ColumnRoles:
    """The columns by role.

    Args:
        prompt, reply: columns of texts.
        use_case, weight, held_out: None where there is no such column.
        values: chosen columns of rewards, or columns that may hold rewards.
        chosen: whether the values were chosen by name.
        split: whether the column of held-out prompts was guessed by a name that may mean something else.
        context, system: columns of texts that are part of each prompt.
        prompt_id, candidate: columns of ids and of candidate numbers.
        guessed: those of the roles "weight", "candidate" and "prompt_id" that were assigned by name.
        left_out_parts: columns that are left out although their names suggest that they are part of a prompt; none if
            the user has chosen the column of contexts.
        decimal, echoes, lookalikes: as in :class:`ColumnChoice`.
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
    system: str | None = None
    prompt_id: str | None = None
    candidate: str | None = None
    guessed: frozenset[str] = frozenset()
    left_out_parts: tuple[str, ...] = ()
    decimal: str | None = None
    echoes: str | None = None
    lookalikes: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Columns that are not rewards."""
        names = (self.prompt, self.reply, self.use_case, self.weight, self.held_out, self.context, self.system)
        return tuple(name for name in (*names, self.prompt_id, self.candidate) if name)


def assign_roles(
    columns: Sequence[str], where: str, choice: ColumnChoice, numbering: Collection[str] = ()
) -> ColumnRoles:
    """Assign a role to each column.

    Args:
        columns: the columns of the file.
        where: the file, as an error names it.
        choice: the user's choice.
        numbering: columns that number the rows, which are values only if chosen.

    Raises:
        InputError: a column is missing, has two roles, or no column is known to hold prompts or replies.
    """
    other_choices = {choice.use_case, choice.weight, choice.held_out, choice.prompt_id, choice.system}
    prompt = _column(
        columns,
        where,
        "prompt",
        PROMPT_NAMES,
        choice=choice.prompt,
        taken={choice.reply, *other_choices} - {choice.prompt},
    )
    reply = _column(columns, where, "reply", REPLY_NAMES, choice=choice.reply, taken={prompt, *other_choices})
    assert prompt is not None
    assert reply is not None
    taken: list[str] = [prompt, reply]

    def optional(role: str, names: Sequence[str], choice_of_role: str | None, values_first: bool = True) -> str | None:
        if choice_of_role == "":
            return None
        values = choice.values or () if values_first and choice_of_role is None else ()
        column = _column(columns, where, role, names, choice=choice_of_role, taken={*taken, *values})
        taken.extend(() if column is None else (column,))
        return column

    def of_format(name: str, choice_of_role: str | None) -> str | None:
        """Return the choice, or the column with this name of the table's format if it has no role yet."""
        free = name in columns and name not in (*taken, *(choice.values or ()))
        return name if choice_of_role is None and free else choice_of_role

    use_case = optional("use case", USE_CASE_NAMES, choice.use_case, values_first=False)
    weight = optional("weight", (), of_format("weight", choice.weight))
    held_out = optional("held-out prompts", HELD_OUT_NAMES, choice.held_out)
    beside = normalised(prompt) in _WITH_CONTEXT
    context = optional("context", CONTEXT_NAMES if beside else (), choice.context)
    system = optional("system message", SYSTEM_NAMES if beside else (), choice.system)
    prompt_id = optional("prompt's id", (), of_format("prompt_id", choice.prompt_id))
    candidate = optional("candidate", (), of_format("candidate", None))
    split = choice.held_out is None and held_out is not None and normalised(held_out) == "split"
    by_name = {"weight": choice.weight, "prompt_id": choice.prompt_id, "candidate": None}
    left_out = [name for name in columns if name not in (*taken, *(choice.values or ()))]
    parts = tuple(name for name in left_out if normalised(name) in PROMPT_PARTS)
    roles = ColumnRoles(
        prompt=prompt,
        reply=reply,
        use_case=use_case,
        weight=weight,
        held_out=held_out,
        values=(),
        chosen=False,
        split=split,
        context=context,
        system=system,
        prompt_id=prompt_id,
        candidate=candidate,
        guessed=frozenset(role for role, chosen_column in by_name.items() if chosen_column is None),
        left_out_parts=() if context is not None or choice.context is not None else parts,
        decimal=choice.decimal,
        echoes=choice.echoes,
        lookalikes=choice.lookalikes,
    )
    texts = roles.texts
    if choice.values is None:
        possible = tuple(_reward_candidates(columns, (*texts, *numbering)))
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
    for name in choice.values:
        if name in texts:
            raise InputError(f"The column {name!r} holds text of the table, so it cannot be a value.")
    return replace(roles, values=choice.values, chosen=True)


def guess_roles(columns: Sequence[str], numeric: Collection[str], numbering: Collection[str] = ()) -> ColumnChoice:
    """Guess roles from the names of columns, for the user to check; "" where none fits.

    Args:
        columns: the columns of the file.
        numeric: columns that hold numbers in the rows that were read.
        numbering: columns that number the rows.
    """
    taken: list[str] = []

    def named(names: Sequence[str]) -> str:
        column = column_named([name for name in columns if name not in taken], names)
        taken.extend(() if column is None else (column,))
        return column or ""

    prompt, reply, use_case = named(PROMPT_NAMES), named(REPLY_NAMES), named(USE_CASE_NAMES)
    weight = "weight" if "weight" in numeric and "weight" not in taken else ""
    held_out = named(HELD_OUT_NAMES)
    beside = normalised(prompt) in _WITH_CONTEXT
    context, system = (named(CONTEXT_NAMES) or None, named(SYSTEM_NAMES) or None) if beside else (None, None)
    prompt_id = "prompt_id" if "prompt_id" in columns and "prompt_id" not in taken else None
    values = tuple(name for name in _reward_candidates(columns, (*taken, *numbering)) if name in numeric)
    return ColumnChoice(values, prompt, reply, use_case, weight, held_out, context, prompt_id=prompt_id, system=system)


def value_names(columns: Sequence[str], where: str) -> dict[str, str]:
    """Return the value name of each column of rewards: its own, with a prefix if the table format uses that name.

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
            raise InputError(f"The column {choice!r} already has another role; it cannot hold the {role} too.")
        if choice not in free:
            raise InputError(f"{where} has no column {choice!r} for the {role}; it has {column_list(columns)}.")
        return choice
    guess = column_named(free, names)
    if guess is None and role in _REQUIRED:
        raise InputError(
            f"None of the columns of {where} is known to hold the {role}: {column_list(columns)}. "
            f"Name it with --{role}-column."
        )
    return guess


def column_named(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the column with the first of these names that occurs; None where none occurs."""
    for name in names:
        for column in columns:
            if normalised(column) == name:
                return column
    return None
