"""Tests of the units of rewards: by hand, as recorded, and refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from map_core import scoring
from map_core.errors import InputError
from map_core.scoring import Definition, ScoringModels, Specification
from map_core.scoring.contrast import Contrast
from map_core.scoring.transforms import Transform, Transformed, Unit
from map_core.testing.scorer_laws import check_scorer, reply
from tests.scoring.word_embedder import WordEmbedder

#: Mean 3 and variance 2; the percentiles of 1 to 5.
STANDARD = Transform(Unit.STANDARD, 3.0, float(np.sqrt(2)))
PERCENTILE = Transform(Unit.PERCENTILE, knots=(1.0, 2.0, 3.0, 4.0, 5.0))
TRANSFORMS = [Transform(), STANDARD, PERCENTILE, Transform(Unit.PROBABILITY)]


def test_units_by_hand() -> None:
    rewards = np.array([1.0, 3.0, 4.5, 9.0, np.nan])
    np.testing.assert_allclose(STANDARD.apply(rewards), (rewards - 3) / np.sqrt(2))
    np.testing.assert_allclose(PERCENTILE.apply(rewards), [0, 50, 87.5, 100, np.nan], atol=1e-6)
    probabilities = Transform(Unit.PROBABILITY).apply(np.array([0.0, np.log(3), -800, 800]))
    np.testing.assert_allclose(probabilities, [0.5, 0.75, 0, 1])
    np.testing.assert_array_equal(Transform().apply(rewards), rewards)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_recorded_transform_round_trips_and_is_monotone(transform: Transform) -> None:
    assert Transform.from_dict(json.loads(json.dumps(transform.as_dict()))) == transform
    rewards = np.sort(np.random.default_rng(3).uniform(1.0, 5.0, size=200))
    assert (np.diff(transform.apply(rewards)) > 0).all()


def test_a_transformed_scorer_keeps_the_laws_and_is_recorded() -> None:
    models = ScoringModels("words", WordEmbedder())
    plain = Contrast(Definition("kind", "Kind", ("kind words",), ("rude words",)), models)
    transform = Transform(Unit.STANDARD, 0.1, 0.5)
    scorer = Transformed(plain, transform)
    check_scorer(scorer)
    assert scorer.version != plain.version
    specifications = scoring.from_metadata({"scorers": [json.loads(json.dumps(scorer.entry()))]})
    (resolved,) = scoring.resolve(["kind"], specifications, models)
    replies = [reply("kind"), reply("a cat")]
    np.testing.assert_array_equal(resolved.score("Hi", replies), transform.apply(plain.score("Hi", replies)))
    assert resolved.version == scorer.version


def test_values_file_with_a_probability() -> None:
    settings = {"more": ["kind"], "less": ["rude"], "transform": "probability"}
    (scorer,) = scoring.resolve(
        ["kind"], [Specification("kind", "contrast", settings)], ScoringModels("w", WordEmbedder())
    )
    rewards = scorer.score("Hi", [reply("kind"), reply("rude"), reply("")])
    assert rewards[0] > 0.5 > rewards[1]
    assert rewards[2] == 0.5


@pytest.mark.parametrize(
    "data", ["standard", 3, {"unit": "percentile"}, {"unit": "inches"}, {"mean": 2.0}, {"unit": "raw", "x": 1}]
)
def test_invalid_transforms_are_refused(data: object) -> None:
    with pytest.raises(InputError, match=r"transform|percentiles"):
        Transform.from_dict(data)


def test_scale_must_be_positive() -> None:
    with pytest.raises(InputError, match="scale above 0"):
        Transform(Unit.STANDARD, scale=0.0)


@pytest.mark.parametrize("name", ["mean", "scale"])
def test_number_as_text_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not understood"):
        Transform.from_dict({"unit": "standard", name: "much"})
