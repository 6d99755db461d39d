"""Scoring all replies of a table on one value, so that nothing made is lost when it is stopped or killed.

Every few prompts a part is written beside the result and renamed; whoever begins again goes on after the parts that
are there. Two processes that want the same scores do not do the work twice: the second waits. Constraint: what loads
a model is the scorer that is handed in.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock

from map_core.core.atomic_files import atomic_write
from map_core.core.types import Reply
from map_core.custom_values import score_cache
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.scoring import Scorer, score_checked

#: Prompts between two parts.
PROMPTS = 4

#: Called with the prompts that are scored, and all of them.
Reporter = Callable[[int, int], None]


def score(table: RewardTable, scorer: Scorer, out: Path, report: Reporter) -> None:
    """Score a table's replies on one value and write them to ``out``, unless that is there.

    Args:
        table: the whole table, with its replies.
        scorer: of the value.
        out: as :func:`map_core.custom_values.score_cache.path_of` names it.
        report: called before the first prompt and after every few.

    Raises:
        InputError: the table has no texts of replies, or the folder cannot be written.
        ScorerError: the scorer failed on a reply; the parts stay.
    """
    if not table.replies:
        raise InputError("This table has no texts of replies, so nothing can be scored on it.")
    parts = out.with_suffix(".parts")
    _make(out.parent)
    with FileLock(f"{out}.lock"):
        if not out.is_file():
            _make(parts)
            prompts = len(table.prompts)
            report(_ready(parts, prompts), prompts)
            for begin in range(0, prompts, PROMPTS):
                if not _part(parts, begin).is_file():
                    _save(_part(parts, begin), _rewards(table, scorer, range(begin, min(begin + PROMPTS, prompts))))
                report(min(begin + PROMPTS, prompts), prompts)
            every = [np.load(_part(parts, begin)) for begin in range(0, prompts, PROMPTS)]
            score_cache.write(out, np.concatenate(every), scorer.entry())
        shutil.rmtree(parts, ignore_errors=True)


def _part(parts: Path, begin: int) -> Path:
    return parts / f"{begin:08d}.npy"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be made ({error}).") from error


def _ready(parts: Path, prompts: int) -> int:
    return sum(min(PROMPTS, prompts - begin) for begin in range(0, prompts, PROMPTS) if _part(parts, begin).is_file())


def _rewards(table: RewardTable, scorer: Scorer, prompts: range) -> np.ndarray:
    made = []
    for prompt in prompts:
        rows = table.rows(prompt)
        tokens = table.tokens[rows] if table.tokens else [()] * (rows.stop - rows.start)
        replies = [Reply(text, ids) for text, ids in zip(table.replies[rows], tokens, strict=True)]
        made.append(score_checked(scorer, table.prompts[prompt], replies))
    return np.concatenate(made)


def _save(path: Path, rewards: np.ndarray) -> None:
    try:
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.save(file, rewards)
    except OSError as error:
        raise InputError(
            f"Scores cannot be written to {path.parent} ({error}). What is made so far is kept."
        ) from error
