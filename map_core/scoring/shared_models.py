"""The models that scorers share: loaded once, at their first use, with cached results.

Constraint: importing this module loads no model library.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from map_core.models.packaged import DEFAULT_EMBEDDER

#: Lists of texts whose embeddings are cached, as several values embed the same list in turn.
_KEPT = 8

Model = TypeVar("Model")


class Embedder(Protocol):
    """The interface of a sentence-embedding model."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return one vector of length 1 per text, (text, dimension)."""


class ScoringModels:
    """Models for scorers, loaded at their first use.

    Args:
        embedder_name: name or folder of the sentence-embedding model.
        embedder: a loaded model to use instead.
    """

    def __init__(self, embedder_name: str = DEFAULT_EMBEDDER, embedder: Embedder | None = None) -> None:
        self.embedder_name = embedder_name
        self._given = self._embedder = embedder
        self._kept: OrderedDict[tuple[str, ...], np.ndarray] = OrderedDict()
        self._shared: dict[Hashable, Any] = {}
        self._axes: dict[tuple[tuple[str, ...], tuple[str, ...]], np.ndarray] = {}

    def __reduce__(self) -> tuple[type[ScoringModels], tuple[str, Embedder | None]]:
        """Pickle without the opened models, which another process opens itself."""
        return ScoringModels, (self.embedder_name, self._given)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return sentence embeddings, (text, dimension) float64 of length 1; zeros for a text without characters.

        Only whole lists are cached, so that the same list gives the same numbers to the last bit: which texts share a
        batch affects the last digits.

        Raises:
            MissingModelError: the model's weights are not on this machine.
        """
        key = tuple(texts)
        if key not in self._kept:
            distinct = [text for text in dict.fromkeys(texts) if text.strip()]
            vectors = np.asarray(self._model().embed(distinct), dtype=np.float64) if distinct else np.zeros((0, 1))
            vector_of = dict(zip(distinct, vectors, strict=True))
            zeros = np.zeros(vectors.shape[1])
            self._kept[key] = np.array([vector_of.get(text, zeros) for text in texts]).reshape(len(texts), len(zeros))
            self._kept[key].setflags(write=False)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def axis(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return the direction from one pole to the other, (dimension,), of length 1.

        It is the mean over pairs of embed(first) - embed(second), in which the pairs' subjects cancel.

        Args:
            pairs: example texts, (more of it, less of it).
        """
        return self.axis_between([pair[0] for pair in pairs], [pair[1] for pair in pairs])

    def axis_between(self, more: Sequence[str], less: Sequence[str]) -> np.ndarray:
        """Return the direction from the mean of ``less`` to that of ``more``, (dimension,), length 1; 0 where equal."""
        key = (tuple(more), tuple(less))
        if key not in self._axes:
            model = self._model()
            first, second = (np.asarray(model.embed(list(side)), dtype=np.float64).mean(axis=0) for side in key)
            length = float(np.linalg.norm(first - second))
            self._axes[key] = (first - second) / (length or 1.0)
        return self._axes[key]

    def shared(self, key: Hashable, opened: Callable[[], Model]) -> Model:
        """Return the object that was opened under this key; at its first use, open it with ``opened``."""
        if key not in self._shared:
            self._shared[key] = opened()
        model: Model = self._shared[key]
        return model

    def _model(self) -> Embedder:
        if self._embedder is None:
            from map_core.models.embedder import open_embedder

            self._embedder = open_embedder(self.embedder_name)
        return self._embedder
