"""Score all replies of a table on one value, with checkpoints from which an interrupted run resumes.

After every few prompts a checkpoint is written beside the result. If two processes want the same scores, the second one
waits for the first. Constraint: only the given scorer loads a model.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock

from map_core.core.checkpoint_folder import CheckpointFolder
from map_core.core.types import Reply
from map_core.custom_values import score_cache
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.scoring import Scorer, score_checked

#: Prompts per checkpoint.
PROMPTS = 4

#: Called with the number of scored prompts and the number of all prompts.
Reporter = Callable[[int, int], None]


def score_table(table: RewardTable, scorer: Scorer, out: Path, report: Reporter) -> None:
    """Score a table's replies on one value and write the scores to ``out``, unless it exists.

    Args:
        table: the whole table, with its replies.
        scorer: the value's scorer.
        out: the path that :func:`map_core.custom_values.score_cache.score_path` returns.
        report: called before the first prompt and after each checkpoint.

    Raises:
        InputError: the table has no texts of replies, or the folder cannot be written.
        ScorerError: the scorer failed on a reply; the checkpoints are kept.
    """
    if not table.replies:
        raise InputError("This table has no texts of replies, so nothing can be scored on it.")
    checkpoints = CheckpointFolder(out.with_suffix(".parts"))
    _create(CheckpointFolder(out.parent))
    prompts = len(table.prompts)
    blocks = [range(begin, min(begin + PROMPTS, prompts)) for begin in range(0, prompts, PROMPTS)]
    with FileLock(f"{out}.lock"):
        if not out.is_file():
            _create(checkpoints)
            report(sum(len(block) for block in blocks if _name(block) in checkpoints), prompts)
            for block in blocks:
                if _name(block) not in checkpoints:
                    _write(checkpoints, _name(block), _rewards(table, scorer, block))
                report(block.stop, prompts)
            rewards = np.concatenate([_read(checkpoints, _name(block)) for block in blocks])
            score_cache.write_scores(out, rewards, scorer.entry())
        checkpoints.remove()


def _name(block: range) -> str:
    return f"{block.start:08d}.npy"


def _create(checkpoints: CheckpointFolder) -> None:
    try:
        checkpoints.create()
    except InputError as error:
        raise InputError(f"The folder {checkpoints.path} cannot be made ({error.__cause__}).") from error


def _read(checkpoints: CheckpointFolder, name: str) -> np.ndarray:
    try:
        return np.asarray(np.load(io.BytesIO(checkpoints.read(name)), allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise checkpoints.damaged(name, error) from error


def _write(checkpoints: CheckpointFolder, name: str, rewards: np.ndarray) -> None:
    content = io.BytesIO()
    np.save(content, rewards)
    try:
        checkpoints.write(name, content.getvalue())
    except InputError as error:
        raise InputError(
            f"Scores cannot be written to {checkpoints.path} ({error.__cause__}). What was made so far is kept."
        ) from error


def _rewards(table: RewardTable, scorer: Scorer, prompts: range) -> np.ndarray:
    rewards = []
    for prompt in prompts:
        rows = table.rows(prompt)
        tokens = table.tokens[rows] if table.tokens else [()] * (rows.stop - rows.start)
        replies = [Reply(text, ids) for text, ids in zip(table.replies[rows], tokens, strict=True)]
        rewards.append(score_checked(scorer, table.prompts[prompt], replies))
    return np.concatenate(rewards)
