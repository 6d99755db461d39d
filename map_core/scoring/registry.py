"""The registry of scorers: the built-in values, and one factory for each family of custom values.

A new built-in value needs, in this order (details: docs/contributing.md, "Add a scorer"):

1. a subclass of :class:`~map_core.scoring.base.Scorer` with a complete ``card``, in the module of its family;
2. an entry in ``_BUILT_IN`` below, and in :data:`READ_LIKELIHOOD` if it reads log-probabilities;
3. the laws: ``check_scorer`` of :mod:`map_core.testing.scorer_laws`, in ``tests/scoring/test_scorers.py``;
4. labels in ``assets/labels.jsonl``: ``tests/scoring/test_labels.py`` holds their number and the lowest AUC;
5. its column in the embedded table: ``python -m map_core build --extend assets/default.parquet --values NAME``, and
   the study that belongs to that table: ``python -m map_core verify --study assets/delivery.json``;
6. its row in ``docs/values.md``: ``python -m map_core values --markdown``.

A changed value needs a new ``version`` in its card, and steps 3 to 6 with
``build --rescore assets/default.parquet --out NEW.parquet`` in place of ``--extend``.

Constraint: no model library at import time, nor when a scorer is made; models load with the first score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from map_core.core import remedies
from map_core.errors import InputError, PaletteError
from map_core.scoring.base import Card, Scorer
from map_core.scoring.caution import Caution
from map_core.scoring.classifier import CLASSIFIER, Classifier
from map_core.scoring.contrast import Contrast
from map_core.scoring.definition import Definition, check_name
from map_core.scoring.embedding import Coherence, Humor, Kindness, Positivity
from map_core.scoring.function import FUNCTION, FunctionScorer
from map_core.scoring.head import Head
from map_core.scoring.judge import JUDGE, Judge
from map_core.scoring.lexicon import Diversity, PlainLanguage
from map_core.scoring.likelihood import Familiarity, Helpfulness
from map_core.scoring.served import SERVED, Served
from map_core.scoring.shared_models import ScoringModels
from map_core.scoring.specification import BUILT_IN, CONTRAST, HEAD, Specification, from_metadata
from map_core.scoring.transforms import Transform, Transformed

_BUILT_IN: dict[str, tuple[Card, Callable[[ScoringModels], Scorer]]] = {
    "helpfulness": (Helpfulness.card, Helpfulness),
    "kindness": (Kindness.card, Kindness),
    "humor": (Humor.card, Humor),
    "positivity": (Positivity.card, Positivity),
    "coherence": (Coherence.card, Coherence),
    "diversity": (Diversity.card, lambda models: Diversity()),
    "familiarity": (Familiarity.card, lambda models: Familiarity()),
    "plain_language": (PlainLanguage.card, lambda models: PlainLanguage()),
    "caution": (Caution.card, Caution),
}

#: The values of the embedded table, in the order of its columns.
DEFAULT_VALUES: tuple[str, ...] = tuple(_BUILT_IN)
#: The values that read log-probabilities of replies, which the base model has to give.
READ_LIKELIHOOD = frozenset({"helpfulness", "familiarity"})


def _contrast(specification: Specification, models: ScoringModels) -> Scorer:
    definition = Definition.from_dict({"name": specification.name, **specification.settings})
    if definition.head is not None:
        return _head(Specification.of(definition), models)
    return Contrast(definition, models)


def _head(specification: Specification, models: ScoringModels) -> Scorer:
    prior = specification.settings.get("prior")
    return Head(
        specification.name,
        specification.settings,
        models,
        None if prior is None else make_prior(specification.name, prior, models),
    )


def make_prior(name: str, prior: str | Mapping[str, Any], models: ScoringModels) -> Scorer:
    """Make the scorer that a head corrects.

    Args:
        name: of the value that the head scores.
        prior: the name of a built-in value, or a definition in words: ``more``, ``less`` and ``kind``.
        models: the models that it uses.

    Raises:
        InputError: there is no such built-in value, or the definition cannot be used.
    """
    if isinstance(prior, Mapping):
        return Contrast(Definition.from_dict({"name": name, **prior}).words, models)
    if not isinstance(prior, str) or prior not in _BUILT_IN:
        raise InputError(
            f"The prior of {name!r} is {prior!r}; expected a definition with more and less, or a built-in value: "
            f"{', '.join(_BUILT_IN)}."
        )
    return _BUILT_IN[prior][1](models)


#: The factory of each family.
FAMILIES: dict[str, Callable[[Specification, ScoringModels], Scorer]] = {
    CONTRAST: _contrast,
    HEAD: _head,
    CLASSIFIER: lambda spec, models: Classifier(spec.name, spec.settings, models),
    JUDGE: lambda spec, models: Judge(spec.name, spec.settings, models, trusted=spec.trusted),
    SERVED: lambda spec, models: Served(spec.name, spec.settings, models, trusted=spec.trusted),
    FUNCTION: lambda spec, models: FunctionScorer(spec.name, spec.settings),
}
#: Families that run code or call a server: only for values that the operator of this program named.
_RUN = {FUNCTION: "a function", JUDGE: "a judge", SERVED: "a model on a server"}
_TRUSTED_ONLY = frozenset({FUNCTION, JUDGE, SERVED})


def cards() -> dict[str, Card]:
    """Return the cards of the built-in values by name, without loading a model."""
    return {name: card for name, (card, _) in _BUILT_IN.items()}


def scorers(names: Sequence[str] | None = None, models: ScoringModels | None = None) -> list[Scorer]:
    """Return built-in scorers by name, :data:`DEFAULT_VALUES` when None, as :func:`resolve` does."""
    return resolve(names, (), models)


def resolve(
    names: Sequence[str] | None = None,
    own: Iterable[Specification | Definition] | Mapping[str, Specification] = (),
    models: ScoringModels | None = None,
) -> list[Scorer]:
    """Return scorers by name; they share their models, which load with the first score.

    Args:
        names: values, each once, built-in or custom; when None the built-in ones and then all of ``own``.
        own: custom values: definitions, the values of a values file (:func:`read_values_file`), or those of a table's
            metadata (:func:`from_metadata`).
        models: the models that they use.

    Raises:
        InputError: an unknown value, one that is named twice, none, a custom one with the name of a built-in one, or
            invalid settings.
    """
    own_scorers = list(own.values() if isinstance(own, Mapping) else own)
    specified: dict[str, Specification] = {}
    for entry in (Specification.of(entry) if isinstance(entry, Definition) else entry for entry in own_scorers):
        if entry.family == BUILT_IN:
            continue
        if entry.name in _BUILT_IN:
            raise InputError(f"{entry.name!r} is a built-in value; give the one of your own another name.")
        if entry.name in specified:
            raise InputError(f"The value {entry.name!r} is defined twice. Give one of them another name.")
        specified[entry.name] = entry
    names = (*DEFAULT_VALUES, *specified) if names is None else names
    unknown = [name for name in names if name not in _BUILT_IN and name not in specified]
    if unknown:
        known = ", ".join((*_BUILT_IN, *specified))
        raise InputError(f"Unknown value {', '.join(map(repr, unknown))}; there are {known}.")
    if not names or len(set(names)) < len(names):
        raise InputError(f"The values are {', '.join(names) or 'none'}; expected at least one, and each once.")
    models = ScoringModels() if models is None else models
    return [make_scorer(specified[name], models) if name in specified else _BUILT_IN[name][1](models) for name in names]


def check_scorers(scorers: Sequence[Scorer]) -> Sequence[Scorer]:
    """Return the scorers after :meth:`Scorer.check` of each.

    Raises:
        InputError: what is wrong with every one of them.
    """
    faults: list[PaletteError] = []
    for scorer in scorers:
        try:
            scorer.check()
        except PaletteError as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise InputError(" ".join(str(fault) for fault in faults)) from faults[0]
    return scorers


def make_scorer(specification: Specification, models: ScoringModels) -> Scorer:
    """Make the scorer of one specification.

    Raises:
        InputError: an unknown family, invalid settings, or a family that needs a trusted specification.
    """
    if specification.family not in FAMILIES:
        raise InputError(
            f"{specification.name!r} is of the family {specification.family!r}; there are {', '.join(FAMILIES)}."
        )
    if specification.family in _TRUSTED_ONLY and not specification.trusted:
        raise InputError(
            f"{specification.name!r} is scored by {_RUN[specification.family]}, and a table alone may not have that "
            f"run or called. {remedies.VALUES_FILE}"
        )
    check_name(specification.name)
    if "transform" not in specification.settings:
        return FAMILIES[specification.family](specification, models)
    plain = replace(
        specification, settings={key: setting for key, setting in specification.settings.items() if key != "transform"}
    )
    return Transformed(
        FAMILIES[specification.family](plain, models), Transform.from_dict(specification.settings["transform"])
    )


def scorable_values(own: Mapping[str, Specification]) -> tuple[str, ...]:
    """Return the values on which new replies can be scored: the built-in ones, and the allowed ones of ``own``."""
    custom = [
        name
        for name, specification in own.items()
        if specification.family in FAMILIES
        and name not in _BUILT_IN
        and (specification.trusted or specification.family not in _TRUSTED_ONLY)
    ]
    return (*DEFAULT_VALUES, *custom)


def unscorable_values(names: Iterable[str], metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values on which new replies cannot be scored, because their scores came with the table.

    Args:
        names: values.
        metadata: of the table that has them.
    """
    scorable = scorable_values(from_metadata(metadata))
    return tuple(name for name in names if name not in scorable)
