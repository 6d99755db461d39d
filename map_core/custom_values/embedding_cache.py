"""Sentence embeddings that are kept on disk: a table's replies are embedded for the first value, and never again.

A list of texts is a file, so that the same list gives the same numbers to the last bit. Constraint: the model loads
only for a list that is not there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from map_core.core.atomic_files import atomic_write
from map_core.scoring.shared_models import Embedder


class CachedEmbedder:
    """An embedder in front of another one, which is opened when it is first needed.

    Args:
        name: of the model; another model's embeddings are never taken for its own.
        folder: where embeddings are kept, 8 bytes a number.
        opened: gives the model.
    """

    def __init__(self, name: str, folder: Path, opened: Callable[[], Embedder]) -> None:
        self._name, self._folder, self._opened = name, folder, opened
        self._model: Embedder | None = None

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return one vector of length 1 per text, (text, dimension)."""
        digest = hashlib.sha256(json.dumps([self._name, list(texts)]).encode()).hexdigest()
        path = self._folder / f"{digest[:32]}.npy"
        try:
            vectors: np.ndarray = np.load(path, allow_pickle=False)
            return vectors
        except (OSError, ValueError, EOFError):  # not there, or a disc that was full
            pass
        self._model = self._model or self._opened()
        vectors = np.asarray(self._model.embed(texts), dtype=np.float64)
        self._keep(path, vectors)
        return vectors

    def _keep(self, path: Path, vectors: np.ndarray) -> None:
        with suppress(OSError):  # it is only faster with it
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as partial, partial.open("wb") as file:
                np.save(file, vectors)
