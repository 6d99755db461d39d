"""How replies differ when they answer the same prompt: the covariance of their embeddings within prompts.

A description ("sounds like a calm nurse") and a reply are texts of two kinds, and the direction between two
descriptions holds much on which replies never differ. Multiplied by this covariance S it becomes the direction on
which replies do: S a is the mean difference between replies that lie far along a and those that do not. Constraint:
numpy only; the file beside this module is of the embedded table and the default embedding model, and :func:`remeasure`
makes it again.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from map_core.errors import PaletteError
from map_core.models.packaged import DEFAULT_EMBEDDER

FILE = Path(__file__).with_name("embedding_covariance.npy")
#: So many replies of each prompt were read.
REPLIES = 16


def measure(vectors: np.ndarray) -> np.ndarray:
    """Return the pooled covariance within prompts.

    S = sum over prompts and replies of (v - mean of its prompt)(v - mean of its prompt)' / (replies - prompts).

    Args:
        vectors: embeddings, (prompt, reply, dimension), at least two replies a prompt.

    Returns:
        (dimension, dimension) float64, symmetric, no negative eigenvalue.
    """
    prompts, replies, dimension = vectors.shape
    apart = (vectors - vectors.mean(axis=1, keepdims=True)).reshape(-1, dimension)
    return np.asarray(apart.T @ apart / (prompts * (replies - 1)))


def save(spread: np.ndarray, file: Path = FILE) -> None:
    """Keep the triangle of a covariance, in float16 in units of its largest number, which stands first as two."""
    largest = np.float32(np.abs(spread).max())
    triangle = (spread[np.triu_indices(len(spread))] / largest).astype(np.float16)
    np.save(file, np.concatenate([np.array([largest]).view(np.float16), triangle]), allow_pickle=False)


@lru_cache(maxsize=2)
def load(file: Path = FILE) -> np.ndarray:
    """Read the covariance of the embedded table's replies, (dimension, dimension) float64, read-only.

    Raises:
        PaletteError: the file is missing or damaged.
    """
    try:
        kept = np.load(file, allow_pickle=False)
        largest, triangle = float(kept[:2].view(np.float32)[0]), kept[2:].astype(np.float64)
        dimension = int(np.sqrt(2 * len(triangle)))
        spread = np.zeros((dimension, dimension))
        spread[np.triu_indices(dimension)] = triangle * largest
    except (OSError, ValueError, IndexError) as error:
        raise PaletteError(f"{file} cannot be read ({error}). Fetch this program's files again.") from error
    spread += np.triu(spread, 1).T
    spread.setflags(write=False)
    return spread


def for_embedder(name: str) -> np.ndarray | None:
    """Return the covariance that belongs to an embedding model; None for one that it was not measured with."""
    return load() if name == DEFAULT_EMBEDDER else None


def remeasure(file: Path = FILE) -> np.ndarray:
    """Measure the embedded table again, with the default embedding model, and keep the result."""
    from map_core.data import table_format
    from map_core.scoring.shared_models import ScoringModels

    table = table_format.load(table_format.DEFAULT_TABLE)
    texts = [table.replies[start + number] for start in table.offsets[:-1] for number in range(REPLIES)]
    spread = measure(ScoringModels().embed(texts).reshape(len(table.prompts), REPLIES, -1))
    save(spread, file)
    return spread
