"""Compute the features of a table's judged replies, for training a head.

Constraint: no model library; models and prior are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from map_core.core.types import Reply
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.scoring.base import Scorer, score_checked
from map_core.scoring.head import head_features
from map_core.scoring.shared_models import ScoringModels


def judged_replies(
    table: RewardTable,
    rows: Sequence[int],
    models: ScoringModels,
    prior: Scorer | None = None,
    report: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return features, prompts and the prior's scores of replies.

    Args:
        table: with its replies.
        rows: of the replies; repetitions are allowed.
        models: with the embedding model.
        prior: the prior's scorer; None for none.
        report: called with the number of completed prompts and of all prompts.

    Returns:
        (row, feature) features, (row,) indices of prompts, and (row,) scores or None.

    Raises:
        InputError: the table has no texts of replies, or there are no rows.
        ScorerError: the prior failed.
    """
    if not table.replies or not len(rows):
        raise InputError("There are no texts of judged replies to train on.")
    judged = np.asarray(rows, dtype=np.int64)
    prompts = np.array([table.prompt_of(int(row)) for row in judged])
    features: np.ndarray | None = None
    scores = None if prior is None else np.zeros(len(judged))
    distinct = np.unique(prompts)
    for done, prompt in enumerate(distinct, start=1):
        positions = np.flatnonzero(prompts == prompt)
        texts = [table.replies[row] for row in judged[positions]]
        of_prompt = head_features(models, table.prompts[prompt], texts)
        if features is None or features.shape[1] < of_prompt.shape[1]:  # features of empty replies are narrower
            features = np.zeros((len(judged), of_prompt.shape[1]))
        features[positions, : of_prompt.shape[1]] = of_prompt
        if prior is not None and scores is not None:
            scores[positions] = score_checked(prior, table.prompts[prompt], [Reply(text) for text in texts])
        if report is not None:
            report(done, len(distinct))
    assert features is not None
    return features, prompts, scores
