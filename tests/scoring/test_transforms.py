"""Units of rewards: by hand, there and back, what is recorded, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from map_core import scoring
from map_core.errors import InputError
from map_core.scoring import Definition, ScoringModels, Specification
from map_core.scoring.contrast import Contrast
from map_core.scoring.transforms import Transform, Transformed, Unit, fitted
from map_core.testing.scorer_laws import check_scorer, reply
from tests.scoring.test_scorers import WordEmbedder

BASE = np.array([1.0, 2.0, 3.0, 4.0, 5.0])


def test_units_by_hand() -> None:
    """Mean 3 and variance 2; percentiles of five equally spaced rewards are linear from 1 to 5."""
    asked = np.array([1.0, 3.0, 4.5, 9.0, np.nan])
    np.testing.assert_allclose(fitted(Unit.STANDARD, BASE).apply(asked), (asked - 3) / np.sqrt(2))
    np.testing.assert_allclose(fitted(Unit.PERCENTILE, BASE).apply(asked), [0, 50, 87.5, 100, np.nan], atol=1e-6)
    np.testing.assert_allclose(
        fitted(Unit.PROBABILITY, BASE).apply(np.array([0.0, np.log(3), -800, 800])), [0.5, 0.75, 0, 1]
    )
    np.testing.assert_array_equal(fitted(Unit.RAW, BASE).apply(asked), asked)


@pytest.mark.parametrize("unit", list(Unit))
def test_there_and_back(unit: Unit) -> None:
    rewards = np.random.default_rng(2).normal(size=(50, 4))
    transform = fitted(unit, rewards)
    np.testing.assert_allclose(transform.invert(transform.apply(rewards)), rewards, atol=1e-9)
    assert Transform.from_dict(json.loads(json.dumps(transform.as_dict()))) == transform


@pytest.mark.parametrize("unit", list(Unit))
def test_the_order_of_replies_stays(unit: Unit) -> None:
    rewards = np.sort(np.random.default_rng(3).normal(size=200))
    assert (np.diff(fitted(unit, rewards).apply(rewards)) > 0).all()


def test_many_equal_rewards_still_have_a_way_back() -> None:
    transform = fitted(Unit.PERCENTILE, np.array([0.0] * 90 + [1.0] * 10))
    assert transform.invert(transform.apply(np.array([0.0]))) == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(transform.apply(np.array([0.0, 1.0])), [0.0, 90.0], atol=1.0)  # the share below


def test_levels_without_a_reward_are_nan() -> None:
    assert np.isnan(Transform(Unit.PROBABILITY).invert(np.array([0.0, 1.0, 1.5, -1.0]))).all()
    assert np.isnan(fitted(Unit.PERCENTILE, BASE).invert(np.array([-1.0, 101.0]))).all()


def test_a_transformed_scorer_keeps_the_laws_and_is_recorded() -> None:
    models = ScoringModels("words", WordEmbedder())
    plain = Contrast(Definition("kind", "Kind", ("kind words",), ("rude words",)), models)
    transform = fitted(Unit.STANDARD, plain.score("Hi", [reply("kind"), reply("rude"), reply("cat")]))
    one = Transformed(plain, transform)
    check_scorer(one)
    assert one.version != plain.version
    told = scoring.from_metadata({"scorers": [json.loads(json.dumps(one.entry()))]})
    (again,) = scoring.resolve(["kind"], told, models)
    replies = [reply("kind"), reply("a cat")]
    np.testing.assert_array_equal(again.score("Hi", replies), transform.apply(plain.score("Hi", replies)))
    assert again.version == one.version


def test_a_values_file_may_ask_for_a_probability() -> None:
    settings = {"more": ["kind"], "less": ["rude"], "transform": "probability"}
    (one,) = scoring.resolve(
        ["kind"], [Specification("kind", "contrast", settings)], ScoringModels("w", WordEmbedder())
    )
    found = one.score("Hi", [reply("kind"), reply("rude"), reply("")])
    assert found[0] > 0.5 > found[1]
    assert found[2] == 0.5


@pytest.mark.parametrize(
    "given", ["standard", 3, {"unit": "percentile"}, {"unit": "inches"}, {"mean": 2.0}, {"unit": "raw", "x": 1}]
)
def test_transforms_that_are_none(given: object) -> None:
    with pytest.raises(InputError, match=r"transform|percentiles"):
        Transform.from_dict(given)


def test_what_cannot_be_fitted() -> None:
    for unit in (Unit.STANDARD, Unit.PERCENTILE):
        for rewards in ([], [1.0], [2.0, 2.0], [np.nan, 1.0]):
            with pytest.raises(InputError, match="do not differ"):
                fitted(unit, np.array(rewards))
    with pytest.raises(InputError, match="scale above 0"):
        Transform(Unit.STANDARD, scale=0.0)
