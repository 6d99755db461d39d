"""Scorers, which give a reply its reward on a value.

base, specification, settings, definition
                      the contract of a scorer, and scorers as plain data
registry              scorers by name
lexicon, likelihood, embedding, contrast, head, classifier, served, judge, function
                      the families
caution               a built-in value: whether the reply warns, declines or refers
head_weights, head_training, judged_replies
                      a head as data, and its training from judgements
score_server          the server of a judge or of a served value: its client, its errors
served_endpoints      requests and answers of servers of reward models
templates             texts with placeholders for a prompt and a reply
embedding_examples, embedding_covariance
                      data of the embedding scorers
sequence_model, known_classifiers
                      models of the classifiers
shared_models         models that scorers share
transforms            units of rewards
validation, pairwise  scores against labels, and against judgements of pairs
clustered             shares of pairs with intervals over prompts
profile               distribution, examples and correlations of a value on a table

``cards()`` describes the built-in values without loading a model; ``resolve(names, own)`` returns built-in and custom
scorers, which load their models with the first score.
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
    unscorable_values,
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
    "unscorable_values",
    "values_file",
]
