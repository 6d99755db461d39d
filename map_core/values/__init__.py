"""The values that replies can be scored on: one registry of scorers.

``cards()`` tells about all of them without loading a model; ``scorers(names)`` gives scorers that load their models
when first asked for a score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from map_core.errors import InputError
from map_core.values.embedding import Coherence, Humor, Kindness
from map_core.values.lexicon import Diversity, PlainLanguage, Positivity
from map_core.values.likelihood import Familiarity, Helpfulness
from map_core.values.models import DEFAULT_EMBEDDER, ScoringModels
from map_core.values.scorer import Card, Scorer, ScorerError, log_prob, score_checked

__all__ = [
    "DEFAULT_EMBEDDER",
    "DEFAULT_VALUES",
    "Card",
    "Scorer",
    "ScorerError",
    "ScoringModels",
    "cards",
    "log_prob",
    "score_checked",
    "scorers",
]

_REGISTRY: dict[str, tuple[Card, Callable[[ScoringModels], Scorer]]] = {
    "helpfulness": (Helpfulness.card, Helpfulness),
    "kindness": (Kindness.card, Kindness),
    "humor": (Humor.card, Humor),
    "positivity": (Positivity.card, lambda models: Positivity()),
    "coherence": (Coherence.card, Coherence),
    "diversity": (Diversity.card, lambda models: Diversity()),
    "familiarity": (Familiarity.card, lambda models: Familiarity()),
    "plain_language": (PlainLanguage.card, lambda models: PlainLanguage()),
}

#: The values of the embedded table, in the order of its columns.
DEFAULT_VALUES: tuple[str, ...] = tuple(_REGISTRY)


def cards() -> dict[str, Card]:
    """What every value measures and misses, by name; loads no model."""
    return {name: card for name, (card, _) in _REGISTRY.items()}


def scorers(names: Sequence[str] | None = None, models: ScoringModels | None = None) -> list[Scorer]:
    """Scorers by name; they share their models, which load when a score is first asked for.

    Args:
        names: values, each once; :data:`DEFAULT_VALUES` when None.
        models: the models that they use.

    Raises:
        InputError: an unknown value, one that is named twice, or none.
    """
    names = DEFAULT_VALUES if names is None else names
    unknown = [name for name in names if name not in _REGISTRY]
    if unknown:
        raise InputError(f"Unknown value {', '.join(map(repr, unknown))}; there are {', '.join(_REGISTRY)}.")
    if not names or len(set(names)) < len(names):
        raise InputError(f"The values are {', '.join(names) or 'none'}; expected at least one, and each once.")
    models = ScoringModels() if models is None else models
    return [_REGISTRY[name][1](models) for name in names]
