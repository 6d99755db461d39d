"""The covariance of replies' embeddings within prompts.

A description ("sounds like a calm nurse") and a reply are different kinds of text, and the direction between two
descriptions has large components in which replies never differ. Multiplication by this covariance S leaves those in
which they do: S a is the mean difference between replies that lie far along a and those that do not. Constraint: numpy
only; the file beside this module is of the embedded table and the default embedding model, and :func:`remeasure`
computes it again.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from map_core.errors import PaletteError
from map_core.models.packaged import DEFAULT_EMBEDDER

FILE = Path(__file__).with_name("embedding_covariance.npy")
#: Replies of each prompt that were used.
REPLIES = 16


def measure(vectors: np.ndarray) -> np.ndarray:
    """Return the pooled covariance within prompts.

    S = sum over prompts and replies of (v - mean of its prompt)(v - mean of its prompt)' / (replies - prompts).

    Args:
        vectors: embeddings, (prompt, reply, dimension), at least two replies per prompt.

    Returns:
        (dimension, dimension) float64, symmetric, positive semidefinite.
    """
    prompts, replies, dimension = vectors.shape
    deviations = (vectors - vectors.mean(axis=1, keepdims=True)).reshape(-1, dimension)
    return np.asarray(deviations.T @ deviations / (prompts * (replies - 1)))


def save(covariance: np.ndarray, file: Path = FILE) -> None:
    """Write the upper triangle of a covariance in float16, divided by its largest number.

    The largest number, float32, comes first as two float16.
    """
    largest = np.float32(np.abs(covariance).max())
    triangle = (covariance[np.triu_indices(len(covariance))] / largest).astype(np.float16)
    np.save(file, np.concatenate([np.array([largest]).view(np.float16), triangle]), allow_pickle=False)


@lru_cache(maxsize=2)
def load(file: Path = FILE) -> np.ndarray:
    """Read the covariance of the embedded table's replies, (dimension, dimension) float64, read-only.

    Raises:
        PaletteError: the file is missing or damaged.
    """
    try:
        content = np.load(file, allow_pickle=False)
        largest, triangle = float(content[:2].view(np.float32)[0]), content[2:].astype(np.float64)
        dimension = int(np.sqrt(2 * len(triangle)))
        covariance = np.zeros((dimension, dimension))
        covariance[np.triu_indices(dimension)] = triangle * largest
    except (OSError, ValueError, IndexError) as error:
        raise PaletteError(f"{file} cannot be read ({error}). Fetch this program's files again.") from error
    covariance += np.triu(covariance, 1).T
    covariance.setflags(write=False)
    return covariance


def for_embedder(name: str) -> np.ndarray | None:
    """Return the covariance for an embedding model; None for all but the default one."""
    return load() if name == DEFAULT_EMBEDDER else None


def remeasure(file: Path = FILE) -> np.ndarray:
    """Compute the covariance of the embedded table with the default embedding model, and write it to ``file``."""
    from map_core.data import table_format
    from map_core.scoring.shared_models import ScoringModels

    table = table_format.load(table_format.DEFAULT_TABLE)
    texts = [table.replies[start + k] for start in table.offsets[:-1] for k in range(REPLIES)]
    covariance = measure(ScoringModels().embed(texts).reshape(len(table.prompts), REPLIES, -1))
    save(covariance, file)
    return covariance
