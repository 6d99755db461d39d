"""Cache the scores of a defined value on a table's replies on disk, in Parquet files of one column.

The name of a file is derived from the replies and the scorer's version, which determine the scores, so it is written
once and never changes. Constraint: no model library is imported here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy.engine import make_url

from map_core.core.atomic_files import atomic_write
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.scoring import Definition, Scorer, ScoringModels, Specification, make_scorer
from map_core.store import setting

_KEY = b"value_palette_scores"


@dataclass(frozen=True, eq=False)
class ValueScores:
    """The scores of one value on all replies of a table.

    Args:
        rewards: (reply,) float64, finite.
        entry: the scorer's entry for a table's metadata.
    """

    rewards: np.ndarray
    entry: dict[str, Any]


def scores_folder() -> Path:
    """Return the folder of all scores.

    It is ``scores`` beside the database if that is a file, else in the user's data folder.
    """
    url = make_url(setting())
    if url.get_backend_name() == "sqlite" and url.database:
        return Path(url.database).resolve().parent / "scores"
    return platformdirs.user_data_path("value-palette") / "scores"


@lru_cache(maxsize=8)
def replies_key(table: RewardTable) -> str:
    """Return a hash of a table's replies, 16 hexadecimal digits, which does not depend on its values.

    Args:
        table: the whole table; results are cached by identity.
    """
    digest = hashlib.sha256(json.dumps([table.prompt_ids, table.prompts]).encode())
    digest.update(table.offsets.astype("<i8").tobytes())
    for reply in table.replies:
        digest.update(reply.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:16]


def score_path(replies: str, definition: Definition) -> Path:
    """Return the path of the scores of a definition on a table's replies, which need not exist."""
    return _path(replies, _scorer(definition))


def _scorer(definition: Definition) -> Scorer:
    return make_scorer(Specification.of(definition), ScoringModels())


def _path(replies: str, scorer: Scorer) -> Path:
    digest = hashlib.sha256(json.dumps([replies, scorer.version]).encode()).hexdigest()[:24]
    return scores_folder() / f"{digest}.parquet"


def read_scores(replies: str, definition: Definition) -> ValueScores | None:
    """Read the scores of a definition on a table's replies; None if there are none yet.

    Raises:
        InputError: the file exists and cannot be read.
    """
    scorer = _scorer(definition)
    path = _path(replies, scorer)
    if not path.is_file():
        return None
    # The entry is created again, as the value may have been renamed; its scores depend only on the definition's words.
    return ValueScores(_column(str(path)), scorer.entry())


@lru_cache(maxsize=32)
def _column(path: str) -> np.ndarray:
    try:
        rewards = pq.read_table(path, columns=["reward"])["reward"].to_numpy().astype(np.float64)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"The scores in {path} cannot be read ({error}). Delete that file and score again.") from error
    rewards.setflags(write=False)
    return rewards


def write_scores(path: Path, rewards: np.ndarray, details: dict[str, Any]) -> None:
    """Write scores atomically.

    Raises:
        InputError: the folder cannot be written.
    """
    data = pa.table({"reward": pa.array(rewards, pa.float64())})
    data = data.replace_schema_metadata({_KEY: json.dumps(details).encode()})
    try:
        with atomic_write(path) as partial:
            pq.write_table(data, partial, compression="zstd")
    except OSError as error:
        raise InputError(f"The scores cannot be written to {path} ({error}).") from error
