"""Features of those replies of a table that somebody judged, for training a head on them.

Constraint: what loads a model is the models and the prior that are handed in.
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
    """Return features, prompts and prior's scores of some replies.

    Args:
        table: with its replies.
        rows: of the replies, each any number of times.
        models: embed them.
        prior: scores them; None for none.
        report: called with the prompts that are read and all of them.

    Returns:
        (row, feature) features, (row,) numbers of prompts, and (row,) scores or None.

    Raises:
        InputError: the table has no texts of replies, or there are no rows.
        ScorerError: the prior failed.
    """
    if not table.replies or not len(rows):
        raise InputError("There are no texts of judged replies to train on.")
    wanted = np.asarray(rows, dtype=np.int64)
    prompts = np.array([table.prompt_of(int(row)) for row in wanted])
    features: np.ndarray | None = None
    scores = None if prior is None else np.zeros(len(wanted))
    numbers = np.unique(prompts)
    for done, number in enumerate(numbers):
        places = np.flatnonzero(prompts == number)
        texts = [table.replies[row] for row in wanted[places]]
        of_prompt = head_features(models, table.prompts[number], texts)
        if features is None or features.shape[1] < of_prompt.shape[1]:  # replies without text have no width
            features = np.zeros((len(wanted), of_prompt.shape[1]))
        features[places, : of_prompt.shape[1]] = of_prompt
        if prior is not None and scores is not None:
            scores[places] = score_checked(prior, table.prompts[number], [Reply(text) for text in texts])
        if report is not None:
            report(done + 1, len(numbers))
    assert features is not None
    return features, prompts, scores
