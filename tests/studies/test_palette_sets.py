"""Tests of the mean inner product and the hypervolume of sets of palettes, on sets small enough to compute by hand."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.studies.palette_sets import preference_vectors, score_palette_set, score_ways

pytest.importorskip("moocore", reason="needs requirements-tune.txt")


def test_mean_inner_product_and_hypervolume_by_hand():
    preferences = np.array([[1.0, 0.0], [0.0, 1.0]])
    scores = score_palette_set(preferences, np.array([[2.0, 0.0], [0.0, 1.0]]))
    assert scores.mean_inner_product == pytest.approx((2.0 + 1.0) / 2)
    # From -1: boxes of 3 x 1 and of 1 x 2 that share 1 x 1.
    assert scores.hypervolume == pytest.approx(3.0 + 2.0 - 1.0)


def test_the_base_model_has_no_inner_product_and_one_box():
    scores = score_palette_set(np.full((4, 3), 1 / 3), np.zeros((4, 3)))
    assert (scores.mean_inner_product, scores.hypervolume) == (0.0, 1.0)


def test_dominated_points_and_points_below_the_reference_add_no_volume():
    preferences, levels = np.full((3, 2), 0.5), np.array([[1.0, 1.0], [0.5, 0.5], [-2.0, 9.0]])
    assert score_palette_set(preferences, levels).hypervolume == pytest.approx(4.0)


def test_a_preference_vector_does_not_depend_on_units_or_size_of_weights():
    weights, deviations = np.array([[1.0, 0.5, 0.0]]), np.array([2.0, 4.0, 1.0])
    vectors = preference_vectors(weights, deviations)
    np.testing.assert_allclose(vectors, [[0.5, 0.5, 0.0]])
    np.testing.assert_allclose(preference_vectors(3 * weights / [10, 1, 1], deviations * [10, 1, 1]), vectors)


def test_ways_are_scored_on_the_values_that_some_palette_weights():
    weights = np.array([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    levels = {"tuned": np.array([[2.0, 0.0, -5.0], [0.0, 1.0, 7.0]]), "base": np.zeros((2, 3))}
    scores = score_ways(weights, levels)
    assert scores["tuned"] == score_palette_set(np.eye(2), levels["tuned"][:, :2])
    assert (scores["base"].mean_inner_product, scores["base"].hypervolume) == (0.0, 1.0)
