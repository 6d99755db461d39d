"""The reward table: prompts, their replies and one reward per value, validated.

The mathematics uses only ``rewards`` (reply, value) and ``offsets`` (where each prompt's replies begin). Files of such
tables are read and written by :mod:`map_core.data.table_format`. Constraint: no model library is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from map_core.core.amounts import counted
from map_core.core.types import Form
from map_core.data.derived_columns import USE_CASE, DerivedColumn, column_of
from map_core.errors import InputError

#: Metadata key of a table in memory: names of values that were added to it and are not in its file.
ADDED_VALUES = "added"
#: Metadata key of an uploaded table of this format: its file name. Such metadata is untrusted.
UPLOADED = "handed_in"
#: Metadata key: sentences about decisions that reading the file took.
READING = "reading"
#: Metadata key: ids of prompts whose replies are never shown as examples.
HIDDEN = "hidden"
#: Largest absolute reward: the square of a larger one may overflow.
LARGEST_REWARD = 1e100


@dataclass(frozen=True, eq=False)
class RewardTable:
    """Replies sampled from the base model and their rewards, ordered by prompt.

    Args:
        values: names of the values, in the order of the columns of ``rewards``.
        rewards: (reply, value) float64, higher is better.
        offsets: (prompt + 1,) int64; prompt i has the replies ``offsets[i]`` to ``offsets[i + 1] - 1``.
        prompt_ids, prompts, use_cases: one text per prompt.
        replies: the text of each reply.
        tokens: token ids of each reply, or empty when the table has none.
        log_probs: (reply,) natural log-probability of each reply under the base model; NaN where unknown.
        metadata: model, sampling settings, seed, scorers, date; plain JSON values.
        weights: (prompt,) how often each prompt occurs in use, above 0; empty when all count equally.
        held_out: (prompt,) bool, prompts kept for checking and never solved on; empty when there are none.
        labels: (prompt,) texts by name, such as a language or a segment: further columns of the file.
        derived: the values that are computed from the rewards of others, see :meth:`with_columns`.
        numbers: (reply,) int64, the number of each reply among its prompt's candidates, ascending within a prompt;
            empty where they are 0, 1, 2 and so on. A reply that was left out of the table leaves a gap.

    Raises:
        InputError: shapes are inconsistent, or a reward is missing or not finite.
    """

    values: tuple[str, ...]
    rewards: np.ndarray
    offsets: np.ndarray
    prompt_ids: tuple[str, ...]
    prompts: tuple[str, ...]
    use_cases: tuple[str, ...]
    replies: tuple[str, ...] = ()
    tokens: tuple[tuple[int, ...], ...] = ()
    log_probs: np.ndarray = field(default_factory=lambda: np.empty(0))
    metadata: Mapping[str, Any] = field(default_factory=dict)
    weights: np.ndarray = field(default_factory=lambda: np.empty(0))
    held_out: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    derived: tuple[DerivedColumn, ...] = ()
    numbers: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        _validate(self)
        self.rewards.setflags(write=False)
        self.offsets.setflags(write=False)

    @property
    def candidates(self) -> np.ndarray:
        """(prompt,) int, the number of replies of each prompt."""
        return np.diff(self.offsets)

    @cached_property
    def prompt_weights(self) -> np.ndarray | None:
        """(prompt,) weight of each prompt in a solve, 0 when held out; None when all count equally."""
        if not self.weights.size and not self.held_out.any():
            return None
        weights = self.weights if self.weights.size else np.ones(len(self.prompts))
        effective: np.ndarray = np.where(self.held_out, 0.0, weights) if self.held_out.size else weights
        return None if np.ptp(effective) == 0 and effective[0] > 0 else effective

    @property
    def counted(self) -> np.ndarray:
        """(prompt,) bool, the prompts that are solved on: those that are not held out."""
        return ~self.held_out if self.held_out.size else np.ones(len(self.prompts), dtype=bool)

    @property
    def shown(self) -> np.ndarray:
        """(prompt,) bool, the prompts whose replies may be shown as examples: neither held out nor hidden."""
        hidden = self.metadata.get(HIDDEN)
        ids = set(map(str, hidden)) if isinstance(hidden, list | tuple) else set()
        return self.counted & np.array([prompt_id not in ids for prompt_id in self.prompt_ids], dtype=bool)

    def without_held_out(self) -> RewardTable:
        """Return the table of the prompts that are not held out; the table itself if none is."""
        return self.take(np.flatnonzero(self.counted).tolist()) if self.held_out.any() else self

    @property
    def form(self) -> Form:
        """The default form: pooled when most prompts, each by its weight, have one reply, else per prompt."""
        weights = np.ones(len(self.prompts)) if self.prompt_weights is None else self.prompt_weights
        share = weights[self.candidates == 1].sum() / weights.sum()
        # Exactly half of the weight is not most of it; the tolerance absorbs rounding of the sum.
        return Form.POOLED if share > 0.5 + 1e-9 else Form.PER_PROMPT

    @cached_property
    def use_case_names(self) -> tuple[str, ...]:
        """Use cases in order of first appearance."""
        return tuple(dict.fromkeys(self.use_cases))

    @property
    def reading(self) -> tuple[str, ...]:
        """Sentences about decisions that reading the table's file took; none for a file in the exact format."""
        notes = self.metadata.get(READING)
        return tuple(map(str, notes)) if isinstance(notes, list | tuple) else ()

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the table's quality: constant values, repeated prompts, single replies."""
        constant = np.ptp(self.rewards[np.repeat(self.counted, self.candidates)], axis=0) == 0
        repeated = len(self.prompts) - len(set(zip(self.use_cases, self.prompts, strict=True)))
        single = int(np.sum(self.candidates == 1))
        return table_notes(self.values, constant, repeated, single, len(self.prompts))

    def index(self, value: str) -> int:
        """Return the position of a value.

        Raises:
            InputError: the table has no such value.
        """
        try:
            return self.values.index(value)
        except ValueError as error:
            raise InputError(
                f"Unknown value {value!r}; this table has {', '.join(self.values)}. Use one of these names."
            ) from error

    def rows(self, prompt: int) -> slice:
        """Return the rows of the replies to the prompt with this index."""
        return slice(int(self.offsets[prompt]), int(self.offsets[prompt + 1]))

    def prompt_of(self, row: int) -> int:
        """Return the index of the prompt of the reply in ``row``."""
        return int(np.searchsorted(self.offsets, row, side="right")) - 1

    def candidate_of(self, row: int) -> int:
        """Return the number of the reply in ``row`` among its prompt's candidates."""
        return int(self.numbers[row]) if self.numbers.size else row - int(self.offsets[self.prompt_of(row)])

    def row_of(self, prompt: int, candidate: int) -> int | None:
        """Return the row of a candidate of prompt number ``prompt``; None where the table has no such reply."""
        rows = self.rows(prompt)
        if not self.numbers.size:
            return rows.start + candidate if 0 <= candidate < rows.stop - rows.start else None
        row = rows.start + int(np.searchsorted(self.numbers[rows], candidate))
        return row if row < rows.stop and self.numbers[row] == candidate else None

    def select(self, use_case: str | None) -> RewardTable:
        """Return the table of the prompts of one use case; the table itself for ``None``.

        Raises:
            InputError: the table has no such use case.
        """
        if use_case is None:
            return self
        chosen = [i for i, name in enumerate(self.use_cases) if name == use_case]
        if not chosen:
            raise InputError(
                f"Unknown use case {use_case!r}; this table has {', '.join(map(repr, self.use_case_names))}."
            )
        return self.take(chosen)

    def take(self, chosen: Sequence[int]) -> RewardTable:
        """Return the table of the prompts with these indices, at least one, in this order."""
        if self.derived:
            columns = tuple(column.at_prompts(chosen) for column in self.derived)
            return self.without_columns().take(chosen).with_columns(columns, self.form)
        rows = np.concatenate([np.arange(self.offsets[i], self.offsets[i + 1]) for i in chosen])
        return RewardTable(
            values=self.values,
            rewards=self.rewards[rows],
            offsets=np.concatenate([[0], np.cumsum(self.candidates[list(chosen)])]),
            prompt_ids=tuple(self.prompt_ids[i] for i in chosen),
            prompts=tuple(self.prompts[i] for i in chosen),
            use_cases=tuple(self.use_cases[i] for i in chosen),
            replies=tuple(self.replies[r] for r in rows) if self.replies else (),
            tokens=tuple(self.tokens[r] for r in rows) if self.tokens else (),
            log_probs=self.log_probs[rows] if self.log_probs.size else self.log_probs,
            metadata=self.metadata,
            weights=self.weights[list(chosen)] if self.weights.size else self.weights,
            held_out=self.held_out[list(chosen)] if self.held_out.size else self.held_out,
            labels={name: tuple(entries[i] for i in chosen) for name, entries in self.labels.items()},
            numbers=self.numbers[rows] if self.numbers.size else self.numbers,
        )

    def reordered(self, values: Sequence[str]) -> RewardTable:
        """Return the table with only these values, in this order.

        Raises:
            InputError: the table lacks one of them.
        """
        return replace(
            self,
            values=tuple(values),
            rewards=self.rewards[:, [self.index(value) for value in values]],
            derived=tuple(column for column in self.derived if column.name in values),
        )

    def labels_of(self, label: str) -> tuple[str, ...]:
        """Return the (prompt,) entries of a label, which may be ``use_case``.

        Raises:
            InputError: the table has no such label.
        """
        if label == USE_CASE:
            return self.use_cases
        if label not in self.labels:
            known = ", ".join((USE_CASE, *self.labels))
            raise InputError(f"The table has no column of text {label!r}; it has {known}. Use one of these names.")
        return self.labels[label]

    def with_columns(self, columns: Sequence[DerivedColumn], form: Form | None = None) -> RewardTable:
        """Return the table with derived columns as further values.

        Args:
            columns: the columns to compute; their P(G) is set here.
            form: the form that defines a cohort's share; the table's own by default.
        """
        counts = self.candidates
        masses = np.ones(len(counts)) if self.prompt_weights is None else self.prompt_weights
        masses = masses * counts if (form or self.form) is Form.POOLED else masses
        computed = [
            column_of(
                column,
                self.rewards[:, self.index(column.value)],
                self.labels_of(column.cohort.label) if column.cohort else (),
                counts,
                masses,
            )
            for column in columns
        ]
        return replace(
            self,
            values=(*self.values, *(column.name for column in columns)),
            rewards=np.column_stack([self.rewards, *(rewards for rewards, _ in computed)]),
            derived=(*self.derived, *(column for _, column in computed)),
        )

    def without_columns(self) -> RewardTable:
        """Return the table without its derived columns; the table itself if it has none."""
        names = {column.name for column in self.derived}
        return self.reordered([name for name in self.values if name not in names]) if names else self


def table_notes(
    values: Sequence[str], constant: np.ndarray, repeated: int, single: int, prompts: int
) -> tuple[str, ...]:
    """Return sentences about a table's quality.

    Args:
        values: names of the values.
        constant: (value,) bool, values that are the same for every reply.
        repeated: number of prompts that repeat another prompt's text.
        single: number of prompts with one reply.
        prompts: number of prompts.
    """
    notes = [
        f"{name} is the same for every reply, so no weight can move it."
        for name, same in zip(values, constant, strict=True)
        if same
    ]
    if repeated:
        prompts_repeat = "1 prompt repeats" if repeated == 1 else f"{repeated} prompts repeat"
        notes.append(f"{prompts_repeat} another prompt's text; each counts on its own.")
    if single:
        notes.append(f"{single} of {prompts} prompts have one reply, between which nothing can choose.")
    return tuple(notes)


def _validate(table: RewardTable) -> None:
    """Refuse a table with inconsistent shapes or unusable rewards.

    Raises:
        InputError: the table is invalid; the message says what to do.
    """
    rewards, offsets = table.rewards, table.offsets
    if rewards.ndim != 2 or rewards.shape[1] != len(table.values) or not table.values:
        raise InputError(
            f"rewards has shape {rewards.shape}; expected (replies, {len(table.values)}), one column per value."
        )
    if len(set(table.values)) != len(table.values):
        raise InputError(f"Values must have different names; got {', '.join(table.values)}.")
    counts = np.diff(offsets)
    if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(rewards) or np.any(counts < 1):
        raise InputError("A table needs at least one prompt, and at least one reply for each prompt.")
    for name in ("prompt_ids", "prompts", "use_cases"):
        if len(getattr(table, name)) != len(counts):
            raise InputError(f"{name} has {len(getattr(table, name))} entries; expected {len(counts)}, one per prompt.")
    for name, entries in table.labels.items():
        if len(entries) != len(counts):
            raise InputError(f"The label {name!r} has {len(entries)} entries; expected {len(counts)}, one per prompt.")
    for name in ("weights", "held_out"):
        if (size := getattr(table, name).size) not in (0, len(counts)):
            raise InputError(f"{name} has {size} entries; expected {len(counts)}, one per prompt, or none.")
    if table.numbers.size not in (0, len(rewards)):
        raise InputError(f"numbers has {table.numbers.size} entries; expected {len(rewards)}, one per reply, or none.")
    prompt_of = np.repeat(np.arange(len(counts)), counts)
    if table.numbers.size and np.any((np.diff(table.numbers) <= 0) & (np.diff(prompt_of) == 0)):
        raise InputError("The numbers of a prompt's replies do not rise. Sort its rows, and number each of them once.")
    invalid = ~((table.weights > 0) & np.isfinite(table.weights))
    if invalid.any():
        raise InputError(
            f"The weight of the prompt {table.prompt_ids[int(np.argmax(invalid))]!r} is {table.weights[invalid][0]:g}; "
            "expected a number above 0, such as how often the prompt occurs."
        )
    if table.held_out.size and table.held_out.all():
        raise InputError("Every prompt is held out, so there is none to solve on. Hold fewer prompts out.")
    refuse_unusable(rewards, table.values)


def refuse_unusable(rewards: np.ndarray, values: Sequence[str]) -> None:
    """Refuse rewards, (row, value), that are missing or not finite.

    Raises:
        InputError: there are such rewards; the message has the row of the first one.
    """
    unusable = ~(np.abs(rewards) <= LARGEST_REWARD)
    if unusable.any():
        first = np.argwhere(unusable)[0]
        raise InputError(
            f"{counted(int(unusable.sum()), 'reward is', 'rewards are')} missing, not finite or beyond "
            f"{LARGEST_REWARD:g}, the first in row {first[0] + 1}, value {values[first[1]]!r} "
            f"({rewards[tuple(first)]}). Score these replies again or remove their rows."
        )
