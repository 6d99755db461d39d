"""Find and collect people's labels of a table's replies, by value.

Constraint: the labels of several judges of one reply are averaged; a value that a label omits was not judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from map_core.core.sidecars import LABELS
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import DEFAULT_TABLE
from map_core.errors import InputError
from map_core.scoring.validation import Label, label_rows, read_labels


def labels_path(table: Path) -> Path:
    """Return the path of the labels of a table's replies: TABLE.labels.jsonl beside TABLE.parquet."""
    embedded = table.resolve() == DEFAULT_TABLE.resolve()
    return table.with_name("labels.jsonl") if embedded else table.with_suffix(LABELS)


def labels_beside(table: Path) -> tuple[Label, ...]:
    """Return the labels in the file beside a table; none if there is no such file.

    Raises:
        InputError: a line of the file is not a label.
    """
    path = labels_path(table)
    return read_labels(path) if path.is_file() else ()


def labels_of_prompts(table: RewardTable, labels: Sequence[Label]) -> tuple[Label, ...]:
    """Return the labels of replies to the prompts of a table, which may be a part of the labelled one."""
    known = set(table.prompt_ids)
    return tuple(label for label in labels if label.prompt_id in known)


@dataclass(frozen=True, eq=False)
class ValueLabels:
    """The labels of one value.

    Args:
        value: its name.
        rows: (reply,) rows of the table that were judged, ascending.
        shares: (reply,) share of the judges who said yes, 0 to 1.
        prompts: (reply,) index of each reply's prompt.
        chances: (reply,) probability with which each reply was chosen for judging among its prompt's, above 0.
    """

    value: str
    rows: np.ndarray
    shares: np.ndarray
    prompts: np.ndarray
    chances: np.ndarray


def value_labels(table: RewardTable, labels: Sequence[Label], value: str) -> ValueLabels:
    """Collect the labels of one value.

    A label without a chance counts as one of a simple random sample of its prompt's replies.

    Raises:
        InputError: the table lacks the value or a reply, no label names the value, or all labels are equal.
    """
    table.index(value)
    answers: dict[int, list[int]] = defaultdict(list)
    known_chances: dict[int, float] = {}
    for row, label in zip(label_rows(table, labels), labels, strict=True):
        if value in label.labels:
            answers[row].append(label.labels[value])
            if label.chance is not None:
                known_chances[row] = label.chance
    if not answers:
        raise InputError(f"No label judges {value!r}. Label some replies of this table for it.")
    rows = np.array(sorted(answers), dtype=np.int64)
    shares = np.array([float(np.mean(answers[int(row)])) for row in rows])
    if np.ptp(shares) == 0:
        subject = f"All {len(rows)} labels of {value!r} are" if len(rows) > 1 else f"The only label of {value!r} is"
        raise InputError(
            f"{subject} {shares[0]:g}, so nothing tells which rewards people say yes to. Label replies of both kinds."
        )
    prompts = np.searchsorted(table.offsets, rows, side="right") - 1
    judged = np.bincount(prompts, minlength=len(table.prompts))
    sampling_rates = judged[prompts] / table.candidates[prompts]
    chances = np.array([known_chances.get(int(row), rate) for row, rate in zip(rows, sampling_rates, strict=True)])
    return ValueLabels(value, rows, shares, prompts, chances)
