"""Laws of :class:`map_core.oracle.Oracle`, for any storage of a reward table.

A law takes an oracle and the plain table that it was made from; a test parametrises over ``LAWS`` and the tables of
:mod:`map_core.testing.plain_tables`, see :mod:`map_core.testing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from map_core.core.types import Form
from map_core.oracle import Oracle
from map_core.testing.plain_tables import PlainTable

Law = Callable[[Oracle, PlainTable], None]


def weights_for(table: PlainTable, rows: int = 5) -> np.ndarray:
    """Return weight vectors from 0 to large ones, (row, value)."""
    rng = np.random.default_rng(7)
    return np.linspace(0.0, 2.5, rows)[:, None] * rng.uniform(0.0, 1.0, (rows, table.rewards.shape[1]))


def assert_close(actual: np.ndarray | float, expected: np.ndarray | float, oracle: Oracle, room: float = 10.0) -> None:
    """Assert equality to within ``room`` times the resolution of the oracle's arithmetic."""
    tolerance = room * oracle.resolution
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def describes_the_table(oracle: Oracle, table: PlainTable) -> None:
    """Check that values, form, sizes, base levels, scales and log K are those of the table."""
    assert oracle.values == table.values
    assert oracle.form is table.form
    assert (oracle.prompts, oracle.replies) == (table.prompts, len(table.rewards))
    np.testing.assert_array_equal(oracle.constant, table.one_level)
    # With prompt weights, base and scale are computed in the arithmetic of the data, which may be float32.
    room = 1e-10 if table.weights is None else max(1e-10, 0.1 * oracle.resolution)
    np.testing.assert_allclose(oracle.base, table.base, rtol=room, atol=room * np.abs(table.rewards).max())
    np.testing.assert_allclose(oracle.scale, table.scale, rtol=10 * room)
    if table.form is Form.PER_PROMPT:
        log_counts = np.average(np.log(table.counts), weights=table.counted)
    else:
        # The largest KL: all probability on one reply to the prompt that counts least.
        log_counts = np.log(table.counted @ table.counts / table.counted[table.counted > 0].min())
    assert oracle.log_candidates == pytest.approx(log_counts, abs=1e-12)


def rewards_and_standard_units_are_inverse(oracle: Oracle, table: PlainTable) -> None:
    """Check that `rewards_at` undoes `standardise`."""
    some = table.rewards[:3].astype(np.float64)
    np.testing.assert_allclose(oracle.rewards_at(oracle.standardise(some)), some, rtol=1e-9, atol=1e-12)


def base_levels_are_zero(oracle: Oracle, table: PlainTable) -> None:
    """Check that at weights 0 the log-normaliser and the levels are 0."""
    moments = oracle.base_moments
    assert_close(moments.log_normaliser, 0.0, oracle)
    assert_close(moments.levels, np.zeros(len(table.values)), oracle)
    assert_close(moments.covariance, table.moments(np.zeros(len(table.values)))[2], oracle)


def moments_are_those_of_the_definition(oracle: Oracle, table: PlainTable) -> None:
    """Check that A, its gradient and its Hessian equal the sums written out prompt by prompt."""
    for x in weights_for(table):
        a, levels, covariance = table.moments(x)
        moments = oracle.moments(x)
        assert_close(moments.log_normaliser, a, oracle)
        assert_close(moments.levels, levels, oracle)
        assert_close(moments.covariance, covariance, oracle)
        assert_close(moments.covariance, moments.covariance.T, oracle, 1e-3)


def gradient_is_the_finite_difference(oracle: Oracle, table: PlainTable) -> None:
    """Check that levels and covariance are central differences of A and of the levels."""
    x, h = weights_for(table)[2], 1e-4 if oracle.resolution < 1e-8 else 1e-2
    moments = oracle.moments(x)
    for j, unit in enumerate(np.eye(len(x))):
        above, below = oracle.moments(x + h * unit), oracle.moments(x - h * unit)
        slope = (above.log_normaliser - below.log_normaliser) / (2 * h)
        assert slope == pytest.approx(moments.levels[j], abs=50 * h**2)
        np.testing.assert_allclose((above.levels - below.levels) / (2 * h), moments.covariance[j], atol=100 * h**2)


def a_batch_is_a_loop(oracle: Oracle, table: PlainTable) -> None:
    """Check that `batch_moments` equals one call of `moments` per row."""
    weights = weights_for(table, rows=7)
    batch = oracle.batch_moments(weights, covariance=True)
    assert oracle.batch_moments(weights).covariance is None
    assert batch.covariance is not None
    assert_close(oracle.batch_moments(weights).levels, batch.levels, oracle, 1.0)
    for row, x in enumerate(weights):
        alone, moments = oracle.batch_moments(x[None], covariance=True), oracle.moments(x)
        assert alone.covariance is not None
        for batched in (alone.log_normaliser[0], moments.log_normaliser):
            assert_close(batch.log_normaliser[row], batched, oracle)
        for levels in (alone.levels[0], moments.levels):
            assert_close(batch.levels[row], levels, oracle)
        for covariance in (alone.covariance[0], moments.covariance):
            assert_close(batch.covariance[row], covariance, oracle)
        assert_close(batch.ess[row], alone.ess[0], oracle)
        assert_close(batch.concentration[row], alone.concentration[0], oracle)
    np.testing.assert_allclose(batch.size, table.size(np.ones((7, table.prompts))))


def multiplicity_repeats_prompts(oracle: Oracle, table: PlainTable) -> None:
    """Check that a prompt of multiplicity m counts as m copies of it would; fractions too."""
    rng = np.random.default_rng(3)
    weights = weights_for(table, rows=4)[1:]
    copies = np.stack(
        [rng.integers(0, 3, table.prompts), np.full(table.prompts, 2), rng.uniform(0.1, 1.5, table.prompts)]
    ).astype(float)
    copies[0, 0] = 2.0  # each row has a positive sum, although the second half of the prompts has multiplicity 0
    copies[0, 1 + table.prompts // 2 :] = 0.0
    batch = oracle.batch_moments(weights, multiplicity=copies, covariance=True)
    assert batch.covariance is not None
    for row, x in enumerate(weights):
        a, levels, covariance = table.moments(x, copies[row])
        assert_close(batch.log_normaliser[row], a, oracle)
        assert_close(batch.levels[row], levels, oracle)
        assert_close(batch.covariance[row], covariance, oracle)
    np.testing.assert_allclose(batch.size, table.size(copies))
    # Doubling every prompt gives the same distribution, with twice the replies when pooled.
    once = oracle.batch_moments(weights[1:2])
    assert_close(batch.ess[1], once.ess[0] * (1.0 if table.form is Form.PER_PROMPT else 2.0), oracle)


def prompts_make_up_the_whole(oracle: Oracle, table: PlainTable) -> None:
    """Check that the prompts' moments average to those of the table."""
    for x in weights_for(table):
        each, table_moments = oracle.by_prompt(x), oracle.moments(x)
        np.testing.assert_array_equal(each.replies, table.counts)
        assert each.mass.sum() == pytest.approx(1.0)
        assert_close(each.mass @ each.levels, table_moments.levels, oracle)
        if table.form is Form.PER_PROMPT:
            assert_close(each.mass @ each.log_normaliser, table_moments.log_normaliser, oracle)
            np.testing.assert_allclose(each.mass, table.counted / table.prompts)
        else:
            often = table.counted * table.counts
            assert_close(
                np.log(often @ np.exp(each.log_normaliser) / often.sum()), table_moments.log_normaliser, oracle
            )
        alone = replace(table, form=Form.PER_PROMPT)
        first = table.replies_of(0)
        p = np.exp(table.z[first] @ x - (table.z[first] @ x).max())
        assert_close(each.levels[0], (p / p.sum()) @ table.z[first], oracle)
        assert len(alone.groups) == len(each.levels) == len(each.mass)


def best_is_a_maximum_and_a_subgradient(oracle: Oracle, table: PlainTable) -> None:
    """Check that x . best(x) is the maximum over replies, and best(x) a subgradient of it."""
    tried = [*weights_for(table), *np.random.default_rng(1).normal(size=(3, len(table.values)))]
    for x in tried:
        each = oracle.best_by_prompt(x)
        highest = np.array([(table.z[table.replies_of(i)] @ x).max() for i in range(table.prompts)])
        assert_close(each @ x, highest, oracle)
        best = oracle.best(x)
        if table.form is Form.PER_PROMPT:
            h = np.average(highest, weights=table.counted)
        else:
            h = highest[table.counted > 0].max()
        assert_close(x @ best, h, oracle)
        for other in tried:
            assert other @ oracle.best(other) >= other @ best - 100 * oracle.resolution * (1 + np.abs(other).sum())
        if table.form is Form.PER_PROMPT:
            assert_close(np.average(each, axis=0, weights=table.counted), best, oracle)


def the_first_of_equals_is_best(oracle: Oracle, table: PlainTable) -> None:
    """Check that at weights 0 all replies are equal, and that the first of each prompt is taken."""
    assert_close(oracle.best_by_prompt(np.zeros(len(table.values))), table.z[table.offsets[:-1]], oracle)


def sample_sizes_are_those_of_the_definition(oracle: Oracle, table: PlainTable) -> None:
    """Check that effective sample sizes are 1 / sum P^2, per prompt and pooled."""
    for x in weights_for(table):
        sizes = oracle.effective_sample_size(x)
        concentrations = table.concentrations(x)
        if table.form is Form.PER_PROMPT:
            carried = np.average(1.0 / concentrations, weights=table.counted)
            pooled = table.prompts * table.carried / np.average(concentrations, weights=table.counted)
        else:
            carried = pooled = table.carried / concentrations[0]
        assert_close(sizes.per_prompt, carried, oracle, 100.0)
        assert_close(sizes.pooled, pooled, oracle, 100.0)
        if table.form is Form.PER_PROMPT:
            assert sizes.candidates == pytest.approx(np.average(table.counts, weights=table.counted))
        else:
            assert sizes.candidates == pytest.approx(table.size(np.ones((1, table.prompts)))[0])
        assert sizes.per_prompt <= sizes.candidates * (1 + 1e-6)


def huge_weights_stay_finite(oracle: Oracle, table: PlainTable) -> None:
    """Check that at weights of 1e7 nothing overflows, and that h - log K <= A <= h."""
    x = 1e7 * weights_for(table)[-1]
    moments, batch, each = oracle.moments(x), oracle.batch_moments(x[None], covariance=True), oracle.by_prompt(x)
    assert batch.covariance is not None
    for array in (
        moments.levels,
        moments.covariance,
        batch.levels,
        batch.covariance,
        batch.ess,
        each.levels,
        each.mass,
    ):
        assert np.all(np.isfinite(array))
    assert np.isfinite(moments.log_normaliser)
    h = x @ oracle.best(x)
    assert moments.log_normaliser <= h + 10 * oracle.resolution * np.abs(x).sum()
    assert moments.log_normaliser >= h - oracle.log_candidates - 10 * oracle.resolution * np.abs(x).sum()


def never_changes(oracle: Oracle, table: PlainTable) -> None:
    """Check that later calls change neither the oracle nor what it returned."""
    x = weights_for(table)[3]
    first, each, best = oracle.moments(x), oracle.by_prompt(x), oracle.best(x)
    kept = first.levels.copy(), first.covariance.copy(), each.levels.copy(), best.copy()
    oracle.moments(0.5 * x)
    oracle.by_prompt(0.5 * x)
    oracle.batch_moments(np.stack([x, -x]), covariance=True)
    repeated = oracle.moments(x)
    for array, before in zip((first.levels, first.covariance, each.levels, best), kept, strict=True):
        np.testing.assert_array_equal(array, before)
    assert_close(repeated.levels, kept[0], oracle, 1e-3)
    assert_close(repeated.covariance, kept[1], oracle, 1e-3)


def subsamples_are_nested_and_in_the_same_units(oracle: Oracle, table: PlainTable) -> None:
    """Check that a smaller subsample is a part of a larger one, in the units of the whole table."""
    parts = [part for part in (oracle.subsample(1 / 8), oracle.subsample(1 / 4), oracle.subsample(1 / 2)) if part]
    rows: set[tuple[float, ...]] = set()
    for part in parts:
        assert part.values == oracle.values
        assert part.form is oracle.form
        np.testing.assert_array_equal(part.base, oracle.base)
        np.testing.assert_array_equal(part.scale, oracle.scale)
        each = part.by_prompt(np.zeros(len(table.values)))
        assert (part.prompts, part.replies) == (len(each.mass), each.replies.sum())
        here = {tuple(np.round(row, 4) + 0.0) for row in each.levels}
        assert rows <= here
        rows = here


def some_values_have_the_moments_of_all(oracle: Oracle, table: PlainTable) -> None:
    """Check that an oracle of some of the values, if there is one, is the table's with no weight on the others."""
    which = np.arange(len(table.values))[::-2]
    part = oracle.of_values(which)
    if part is None:
        return
    assert part.values == tuple(table.values[position] for position in which)
    for name in ("base", "scale", "constant"):
        np.testing.assert_array_equal(getattr(part, name), getattr(oracle, name)[which])
    assert (part.prompts, part.replies, part.log_candidates) == (oracle.prompts, oracle.replies, oracle.log_candidates)
    x = np.zeros((5, len(table.values)))
    x[:, which] = weights_for(table)[:, which]
    copies = np.random.default_rng(3).integers(0, 3, (5, table.prompts)).astype(float)
    copies[:, np.argmax(table.counted)] = 1.0
    for multiplicity in (None, copies):
        batch = part.batch_moments(x[:, which], multiplicity=multiplicity, covariance=True)
        whole = oracle.batch_moments(x, multiplicity=multiplicity, covariance=True)
        assert batch.covariance is not None
        assert whole.covariance is not None
        for name in ("size", "log_normaliser", "ess", "concentration"):
            assert_close(getattr(batch, name), getattr(whole, name), oracle)
        assert_close(batch.levels, whole.levels[:, which], oracle)
        assert_close(batch.covariance, whole.covariance[:, which][:, :, which], oracle)
    assert_close(part.best(x[1, which]), oracle.best(x[1])[which], oracle)
    assert_close(part.by_prompt(x[1, which]).levels, oracle.by_prompt(x[1]).levels[:, which], oracle)
    of_part, of_whole = part.subsample(0.25), oracle.subsample(0.25)
    assert (of_part is None) == (of_whole is None)
    if of_part is not None and of_whole is not None:
        assert of_part.values == part.values
        assert of_part.prompts == of_whole.prompts
        assert_close(of_part.moments(x[1, which]).levels, of_whole.moments(x[1]).levels[which], oracle)
    first = part.of_values(np.array([0]))
    assert first is not None
    assert first.values == part.values[:1]
    alone = np.where(np.arange(len(table.values)) == which[0], x[1], 0.0)
    assert_close(first.moments(x[1, which[:1]]).levels, oracle.moments(alone).levels[which[:1]], oracle)


def samples_at_the_same_weights_are_a_loop(oracle: Oracle, table: PlainTable) -> None:
    """Check that samples of the prompts at one weight vector, as a bootstrap begins with, are those one by one."""
    rows = len(table.values) + 2
    x = np.repeat(weights_for(table)[2][None], rows, axis=0)
    copies = np.random.default_rng(5).integers(0, 3, (rows, table.prompts)).astype(float)
    copies[:, np.argmax(table.counted)] = 1.0
    batch = oracle.batch_moments(x, multiplicity=copies, covariance=True)
    assert batch.covariance is not None
    for row in range(rows):
        single = oracle.batch_moments(x[:1], multiplicity=copies[row : row + 1], covariance=True)
        assert single.covariance is not None
        for name in ("size", "log_normaliser", "levels", "covariance", "ess", "concentration"):
            assert_close(getattr(batch, name)[row], getattr(single, name)[0], oracle)


LAWS: tuple[Law, ...] = (
    describes_the_table,
    rewards_and_standard_units_are_inverse,
    base_levels_are_zero,
    moments_are_those_of_the_definition,
    gradient_is_the_finite_difference,
    a_batch_is_a_loop,
    multiplicity_repeats_prompts,
    samples_at_the_same_weights_are_a_loop,
    some_values_have_the_moments_of_all,
    prompts_make_up_the_whole,
    best_is_a_maximum_and_a_subgradient,
    the_first_of_equals_is_best,
    sample_sizes_are_those_of_the_definition,
    huge_weights_stay_finite,
    never_changes,
    subsamples_are_nested_and_in_the_same_units,
)
