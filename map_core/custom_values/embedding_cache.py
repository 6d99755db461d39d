"""Cache sentence embeddings on disk, so that a table's replies are embedded only once for all values.

Each list of texts has a file, so that the same list gives bit-identical vectors. Constraint: the model is loaded only
for a list that is not cached.
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
    """An embedder that caches the vectors of another one, which is opened when it is first needed.

    Args:
        name: the model's name, which is part of the cache key.
        folder: the folder of cached vectors, 8 bytes per number.
        open_model: returns the model.
    """

    def __init__(self, name: str, folder: Path, open_model: Callable[[], Embedder]) -> None:
        self._name, self._folder, self._open_model = name, folder, open_model
        self._model: Embedder | None = None

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return one vector of length 1 per text, (text, dimension)."""
        digest = hashlib.sha256(json.dumps([self._name, list(texts)]).encode()).hexdigest()
        path = self._folder / f"{digest[:32]}.npy"
        try:
            vectors: np.ndarray = np.load(path, allow_pickle=False)
            return vectors
        except (OSError, ValueError, EOFError):  # not cached, or incomplete since the disk was full
            pass
        self._model = self._model or self._open_model()
        vectors = np.asarray(self._model.embed(texts), dtype=np.float64)
        self._save(path, vectors)
        return vectors

    def _save(self, path: Path, vectors: np.ndarray) -> None:
        with suppress(OSError):  # the cache is optional
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as partial, partial.open("wb") as file:
                np.save(file, vectors)
