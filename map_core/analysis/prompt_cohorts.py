"""The cohorts of a prompt: looked up in the table, or predicted from similar prompts where the prediction is clear.

A prompt of the table has the cohorts that the table gives it. For other prompts a ridge classifier on the embeddings
of the table's prompts scores each entry of a label; an entry is returned where it leads the next one by a margin.
Otherwise none is, and the overall weights are used. Constraint: embeddings come from the caller; no model is loaded
here.

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
#: embedded table, each prompt left out in turn, 76 of 161 prompts get an entry, 66 of them the right one.
RIDGE, MARGIN = 1.0, 0.3

#: Maps texts to unit vectors, (text, dimension).
Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class PromptCohorts:
    """The cohorts of a prompt.

    Args:
        cohorts: at most one per label.
        known: the prompt is one of the table's.
        unsure: labels of which no entry leads by the margin.
    """

    cohorts: tuple[Cohort, ...]
    known: bool = False
    unsure: tuple[str, ...] = ()


def prompt_cohorts(table: RewardTable, prompt: str, embed: Embed | None = None) -> PromptCohorts:
    """Return the cohorts of a prompt.

    Args:
        table: the table, whose prompts have labels.
        prompt: its text; surrounding white space is ignored.
        embed: computes embeddings; without it, only prompts of the table have cohorts.

    Example:
        >>> prompt_cohorts(table, table.prompts[0]).known  # doctest: +SKIP
        True
    """
    labels = labels_that_divide(table)
    matches = [i for i, text in enumerate(table.prompts) if text.strip() == prompt.strip()]
    if matches:
        # A prompt that the table has under several entries of a label belongs to none of them alone.
        entries = {label: {table.labels_of(label)[i] for i in matches} for label in labels}
        return PromptCohorts(
            tuple(Cohort(label, next(iter(entry_set))) for label, entry_set in entries.items() if len(entry_set) == 1),
            known=True,
            unsure=tuple(label for label, entry_set in entries.items() if len(entry_set) > 1),
        )
    if embed is None or not labels:
        return PromptCohorts((), unsure=labels)
    table_vectors, (vector,) = np.asarray(embed(list(table.prompts))), np.asarray(embed([prompt]))
    predicted = {label: likely_entry(table_vectors, table.labels_of(label), vector) for label in labels}
    return PromptCohorts(
        tuple(Cohort(label, entry) for label, entry in predicted.items() if entry is not None),
        unsure=tuple(label for label, entry in predicted.items() if entry is None),
    )


def likely_entry(embeddings: np.ndarray, entries: Sequence[str], vector: np.ndarray) -> str | None:
    """Return the entry of a label that a prompt is likely to have; None where no entry leads by the margin.

    Args:
        embeddings: (prompt, dimension) of the table's prompts.
        entries: (prompt,) of the label.
        vector: (dimension,) of the prompt to classify.

    Example:
        >>> embeddings = np.repeat(np.eye(2), 4, axis=0)
        >>> likely_entry(embeddings, ["care"] * 4 + ["work"] * 4, np.array([1.0, 0.0]))
        'care'
        >>> likely_entry(embeddings, ["care"] * 4 + ["work"] * 4, np.array([0.7, 0.7])) is None
        True
    """
    names = list(dict.fromkeys(entries))
    features = np.column_stack([embeddings, np.ones(len(embeddings))])
    indicators = (np.array(entries)[:, None] == np.array(names)[None]).astype(float)
    gram = features.T @ features + RIDGE * np.eye(features.shape[1])
    scores = np.append(vector, 1.0) @ np.linalg.solve(gram, features.T @ indicators)
    order = np.argsort(-scores)
    if len(names) > 1 and scores[order[0]] - scores[order[1]] < MARGIN:
        return None
    return names[int(order[0])]
