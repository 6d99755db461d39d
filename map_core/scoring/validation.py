"""Validate scores against labels by readers: how well a value separates the replies that have it.

Constraint: numpy and scipy only; no model is loaded.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from map_core.data.distribution import rank_correlations, reply_masses
from map_core.data.reward_table import RewardTable
from map_core.data.text_files.records import json_records, read_text
from map_core.errors import InputError
from map_core.scoring.clustered import within_share

#: A value below this does not ship under its name.
MIN_AUC = 0.75


@dataclass(frozen=True)
class Separation:
    """How well one value's rewards separate replies labelled 1 from those labelled 0.

    Args:
        value: its name.
        auc: probability that a reply labelled 1 has a higher reward than one labelled 0; ties count half.
        low: lower end of the 95% interval of ``auc``.
        high: its upper end.
        positives: number of replies labelled 1.
        negatives: number of replies labelled 0.
        within: the AUC of two replies to one prompt, among which re-weighting chooses; None where fewer than two
            prompts have replies of both labels.
        within_low: lower end of the 95% interval of ``within``.
        within_high: its upper end.
        within_pairs: pairs of a 1 and a 0 of one prompt.
        within_prompts: prompts with such pairs.
    """

    value: str
    auc: float
    low: float
    high: float
    positives: int
    negatives: int
    within: float | None = None
    within_low: float | None = None
    within_high: float | None = None
    within_pairs: int = 0
    within_prompts: int = 0


@dataclass(frozen=True)
class Label:
    """A person's labels of one reply, 1 or 0 by value; a value that was not judged is absent.

    Args:
        prompt_id: of the reply.
        candidate: number of the reply among its prompt's candidates, as :meth:`RewardTable.row_of` reads it.
        labels: by value.
        judge: who gave them; "" where it is not known.
        chance: probability with which the reply was sampled among its prompt's; None for a simple random sample.
    """

    prompt_id: str
    candidate: int
    labels: Mapping[str, int]
    judge: str = ""
    chance: float | None = None


def auc(scores: Sequence[float] | np.ndarray, labels: Sequence[int] | np.ndarray) -> tuple[float, float, float]:
    """Return the area under the ROC curve with its 95% interval.

    AUC = P(score of a 1 > score of a 0) + P(equal) / 2, by Mann-Whitney's statistic; the interval is DeLong's. Where
    all 1s are above all 0s (or below) DeLong's has width 0 and is replaced by the exact binomial bound of the rarer
    label.

    Args:
        scores: (n,) finite numbers.
        labels: (n,) 1 or 0.

    Returns:
        (auc, low, high).

    Raises:
        InputError: lengths differ, or a label has fewer than two replies.

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988.
    """
    given, wanted = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if given.shape != wanted.shape or given.ndim != 1:
        raise InputError(f"There are {given.size} scores and {wanted.size} labels; expected as many of each.")
    ones, zeros = given[wanted == 1], given[wanted == 0]
    if min(len(ones), len(zeros)) < 2:
        raise InputError(
            f"There are {len(ones)} replies labelled 1 and {len(zeros)} labelled 0; expected at least two of each. "
            "Label more replies."
        )
    from scipy.stats import mannwhitneyu

    area = float(mannwhitneyu(ones, zeros).statistic) / (len(ones) * len(zeros))
    # Placements: for each reply, the share of the other label's replies that it is ordered correctly with.
    above = np.array([np.mean((reward > zeros) + 0.5 * (reward == zeros)) for reward in ones])
    below = np.array([np.mean((ones > zero) + 0.5 * (ones == zero)) for zero in zeros])
    width = 1.959964 * float(np.sqrt(above.var(ddof=1) / len(ones) + below.var(ddof=1) / len(zeros)))
    if width == 0.0:
        width = 1.0 - 0.025 ** (1.0 / min(len(ones), len(zeros)))
    return area, max(0.0, area - width), min(1.0, area + width)


class WithinPromptAuc(NamedTuple):
    """The AUC of two replies to one prompt, its 95% interval, and the numbers of pairs and of prompts."""

    auc: float
    low: float
    high: float
    pairs: int
    prompts: int


def within_prompt_auc(
    scores: Sequence[float] | np.ndarray, labels: Sequence[int] | np.ndarray, prompts: Sequence[Hashable] | np.ndarray
) -> WithinPromptAuc:
    """Return the AUC over all pairs of a 1 and a 0 that answer the same prompt, with its 95% interval.

    With n_i such pairs of prompt i, of which the scores order a_i as labelled (equal scores count half), it is
    sum a_i / sum n_i. Pairs of one prompt are not independent, so the interval is over prompts
    (:mod:`map_core.scoring.clustered`).

    Args:
        scores: (n,) finite numbers.
        labels: (n,) 1 or 0.
        prompts: (n,) the prompt of each reply: ids or indices.

    Raises:
        InputError: lengths differ, or fewer than two prompts have replies of both labels.
    """
    given, wanted = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if not given.shape == wanted.shape == (len(prompts),):
        raise InputError(
            f"There are {given.size} scores, {wanted.size} labels and {len(prompts)} prompts; expected as many of each."
        )
    share = within_share(given, wanted, prompts)
    if share.prompts < 2:
        raise InputError(
            f"{share.prompts} prompts have a reply labelled 1 and one labelled 0; expected at least two. Label more "
            "replies to the same prompts."
        )
    return WithinPromptAuc(share.share, *share.interval, share.pairs, share.prompts)


def read_labels(path: Path) -> tuple[Label, ...]:
    """Read a labels file: JSON lines ``{"prompt_id": "...", "candidate": 3, "labels": {"humor": 1, ...}}``.

    Raises:
        InputError: no such file, or a line that is not such an object; the message names the line.
    """
    labels_read = []
    for where, entry in json_records(read_text(path), path, "one a labelled reply"):
        try:
            labels = {str(name): float(label) for name, label in entry["labels"].items() if label is not None}
            candidate = float(entry["candidate"])
            chance = entry.get("chance")
            chosen = None if chance is None else float(chance)
            judge = str(entry.get("judge", ""))
            prompt_id = str(entry["prompt_id"])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise InputError(
                f"{where} is not a label ({error!r}); expected "
                '{"prompt_id": "...", "candidate": 3, "labels": {"humor": 1}}.'
            ) from error
        invalid = [name for name, label in labels.items() if label not in (0, 1)]
        if invalid:
            raise InputError(f"{where} labels {invalid[0]} with {labels[invalid[0]]:g}; expected 1 or 0.")
        if not candidate.is_integer():
            raise InputError(f"{where} is of candidate {candidate:g}; expected a whole number from 0.")
        if chosen is not None and not 0 < chosen <= 1:
            raise InputError(f"{where} has the chance {chosen:g}; expected a number above 0, at most 1.")
        given = {name: int(label) for name, label in labels.items()}
        labels_read.append(Label(prompt_id, int(candidate), given, judge, chosen))
    return tuple(labels_read)


def label_rows(table: RewardTable, labels: Sequence[Label]) -> list[int]:
    """Return the table's row of each label.

    Raises:
        InputError: a label is of a reply that the table does not have.
    """
    prompts = {name: index for index, name in enumerate(table.prompt_ids)}
    rows = []
    for label in labels:
        prompt = prompts.get(label.prompt_id)
        row = None if prompt is None else table.row_of(prompt, label.candidate)
        if row is None:
            raise InputError(
                f"A label is of candidate {label.candidate} of the prompt {label.prompt_id!r}, which the table lacks. "
                "Give the labels of this very table."
            )
        rows.append(row)
    return rows


def separations(table: RewardTable, labels: Sequence[Label]) -> dict[str, Separation]:
    """Measure how well each value of a table separates its labels; values with too few labels are left out.

    Raises:
        InputError: a label is of a reply that the table does not have.
    """
    rows = label_rows(table, labels)
    by_value = {}
    for column, value in enumerate(table.values):
        judged = [(row, label.labels[value]) for row, label in zip(rows, labels, strict=True) if value in label.labels]
        outcomes = np.array([label for _, label in judged])
        positives, negatives = int(np.sum(outcomes == 1)), int(np.sum(outcomes == 0))
        if min(positives, negatives) >= 2:
            judged_rows = [row for row, _ in judged]
            scores = table.rewards[judged_rows, column]
            overall = auc(scores, outcomes)
            measured = Separation(value, *overall, positives, negatives)
            with suppress(InputError):  # too few prompts have replies of both labels
                within = within_prompt_auc(scores, outcomes, [table.prompt_of(row) for row in judged_rows])
                measured = replace(
                    measured,
                    within=within.auc,
                    within_low=within.low,
                    within_high=within.high,
                    within_pairs=within.pairs,
                    within_prompts=within.prompts,
                )
            by_value[value] = measured
    return by_value


def length_correlations(table: RewardTable) -> dict[str, float]:
    """Return Spearman's correlation of each value with the length of the reply, 0 for a constant value or length.

    Replies are weighted as in a solve. Length is in tokens or, without them, in characters. A value that mostly
    measures length is a common fault of scorers.
    """
    lengths = np.array([len(tokens) for tokens in table.tokens] if table.tokens else [len(r) for r in table.replies])
    if lengths.size == 0 or np.ptp(lengths) == 0:
        return dict.fromkeys(table.values, 0.0)
    correlations = rank_correlations(np.column_stack([table.rewards, lengths]), reply_masses(table))
    return dict(zip(table.values, correlations[:-1, -1].tolist(), strict=True))
