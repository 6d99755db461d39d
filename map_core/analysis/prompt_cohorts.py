"""Whose prompt it is: the cohorts of a prompt of the table, or of prompts like it where that is clear.

A prompt of the table has the cohorts that the table says. For another one a ridge classifier on the embeddings of the
table's prompts scores each entry of a label; an entry is named where it leads the next one by a margin, and otherwise
none is: then the overall weights stand in. Constraint: embeddings come from the caller; no model is loaded here.

Source: Rifkin, Yeo and Poggio, "Regularized least-squares classification", 2003.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from map_core.data.derived_columns import Cohort
from map_core.data.reward_table import RewardTable
from map_core.feasibility.aim import labels_that_divide

#: Strength of the ridge, and how far an entry's score must lead that of the next one; scores are about 0 to 1. On the
#: embedded table, each prompt left out in turn: 76 of 161 are named, 66 of them rightly.
RIDGE, MARGIN = 1.0, 0.3

#: From texts to vectors of length 1, (text, dimension).
Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class PromptCohorts:
    """The cohorts of a prompt.

    Args:
        cohorts: at most one a label.
        known: the prompt is one of the table's.
        unsure: labels of which no entry leads by the margin.
    """

    cohorts: tuple[Cohort, ...]
    known: bool = False
    unsure: tuple[str, ...] = ()


def prompt_cohorts(table: RewardTable, prompt: str, embed: Embed | None = None) -> PromptCohorts:
    """Return the cohorts of a prompt.

    Args:
        table: whose prompts have labels.
        prompt: as it is asked.
        embed: gives embeddings; None names no cohort of a prompt that the table does not have.

    Example:
        >>> prompt_cohorts(table, table.prompts[0]).known  # doctest: +SKIP
        True
    """
    labels = labels_that_divide(table)
    places = [i for i, text in enumerate(table.prompts) if text.strip() == prompt.strip()]
    if places:
        # Where the table has it under several entries of a label, none of them is its own.
        entries = {label: {table.labels_of(label)[i] for i in places} for label in labels}
        return PromptCohorts(
            tuple(Cohort(label, next(iter(entry_set))) for label, entry_set in entries.items() if len(entry_set) == 1),
            known=True,
            unsure=tuple(label for label, entry_set in entries.items() if len(entry_set) > 1),
        )
    if embed is None or not labels:
        return PromptCohorts((), unsure=labels)
    of_table, (vector,) = np.asarray(embed(list(table.prompts))), np.asarray(embed([prompt]))
    named = {label: likely_entry(of_table, table.labels_of(label), vector) for label in labels}
    return PromptCohorts(
        tuple(Cohort(label, entry) for label, entry in named.items() if entry is not None),
        unsure=tuple(label for label, entry in named.items() if entry is None),
    )


def likely_entry(embeddings: np.ndarray, entries: Sequence[str], vector: np.ndarray) -> str | None:
    """Return the entry of a label that a prompt is likely to have; None where no entry leads by the margin.

    Args:
        embeddings: (prompt, dimension) of the table's prompts.
        entries: (prompt,) of the label.
        vector: (dimension,) of the prompt in question.

    Example:
        >>> ways = np.repeat(np.eye(2), 4, axis=0)
        >>> likely_entry(ways, ["care"] * 4 + ["work"] * 4, np.array([1.0, 0.0]))
        'care'
        >>> likely_entry(ways, ["care"] * 4 + ["work"] * 4, np.array([0.7, 0.7])) is None
        True
    """
    names = list(dict.fromkeys(entries))
    with_one = np.column_stack([embeddings, np.ones(len(embeddings))])
    of_entry = (np.array(entries)[:, None] == np.array(names)[None]).astype(float)
    gram = with_one.T @ with_one + RIDGE * np.eye(with_one.shape[1])
    scores = np.append(vector, 1.0) @ np.linalg.solve(gram, with_one.T @ of_entry)
    order = np.argsort(-scores)
    if len(names) > 1 and scores[order[0]] - scores[order[1]] < MARGIN:
        return None
    return names[int(order[0])]
