"""Scorers, which give a reply its reward on a value: contents.

base, specification, settings, definition
                      the contract of a scorer, and scorers as plain data
registry              scorers by name
lexicon, likelihood, embedding, contrast, head, classifier, served, judge, function
                      the families
caution               a built-in value: does the reply warn, decline, or point elsewhere
head_weights, head_training, judged_replies
                      a head as data, and its training from judgements
score_server          the server of a judge or of a served value: its client, its failures in words
served_endpoints      requests and answers of servers of reward models
templates             texts with places for a prompt and a reply
embedding_examples, embedding_covariance
                      data of the embedding scorers
sequence_model, known_classifiers
                      models of the classifiers
shared_models         models that scorers share
transforms            units of rewards
validation, pairwise  scores against labels, and against judgements of pairs
clustered             shares of pairs with intervals over prompts
profile               a value as it shows on a table's replies

``cards()`` describes the built-in ones without loading a model; ``resolve(names, own)`` gives scorers, built-in ones
and of one's own, that load their models when first asked for a score.
"""

from __future__ import annotations

from map_core.scoring.base import Card, Cost, Scorer, ScorerError, log_prob, score_checked
from map_core.scoring.definition import Definition, DefinitionKind, name_from
from map_core.scoring.registry import (
    DEFAULT_VALUES,
    FAMILIES,
    READ_LIKELIHOOD,
    cards,
    check_scorers,
    make_scorer,
    resolve,
    scorable_values,
    scorers,
)
from map_core.scoring.shared_models import DEFAULT_EMBEDDER, ScoringModels
from map_core.scoring.specification import Specification, from_metadata, read_values_file, values_file

__all__ = [
    "DEFAULT_EMBEDDER",
    "DEFAULT_VALUES",
    "FAMILIES",
    "READ_LIKELIHOOD",
    "Card",
    "Cost",
    "Definition",
    "DefinitionKind",
    "Scorer",
    "ScorerError",
    "ScoringModels",
    "Specification",
    "cards",
    "check_scorers",
    "from_metadata",
    "log_prob",
    "make_scorer",
    "name_from",
    "read_values_file",
    "resolve",
    "scorable_values",
    "score_checked",
    "scorers",
    "values_file",
]
