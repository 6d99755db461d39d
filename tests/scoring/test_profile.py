"""Tests of the profile of a value: its distribution, its ladder of replies, correlations, and the figure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from map_core.errors import InputError
from map_core.figures import value_profile as figures
from map_core.scoring.profile import extreme_replies, value_profile
from tests.tables import make_table

TABLE = make_table(prompts=12, candidates=16, seed=2)


def with_column(column: np.ndarray, name: str = "own"):
    return replace(TABLE, values=(*TABLE.values, name), rewards=np.column_stack([TABLE.rewards, column]))


def test_spread_is_that_of_the_replies():
    profile = value_profile(TABLE, "humor")
    column = TABLE.rewards[:, TABLE.index("humor")]
    spread = (column - column.mean()) / column.std()
    assert profile.shares.sum() == pytest.approx(1.0)
    assert (profile.edges[0], profile.edges[-1]) == pytest.approx((spread.min(), spread.max()))
    assert profile.quartiles == pytest.approx(tuple(np.percentile(spread, (25, 50, 75))))


def test_ladder_rises_from_the_lowest_reply_to_the_highest():
    profile = value_profile(TABLE, "humor")
    column = TABLE.rewards[:, TABLE.index("humor")]
    assert profile.rungs[0].row == column.argmin()
    assert profile.rungs[-1].row == column.argmax()
    assert [rung.percentile for rung in profile.rungs] == pytest.approx([0, 10, 50, 90, 100], abs=1)


def test_correlations_are_spearmans_sorted_by_strength():
    profile = value_profile(TABLE, "helpfulness")
    for name, size in profile.correlations:
        expected = spearmanr(TABLE.rewards[:, 0], TABLE.rewards[:, TABLE.index(name)]).statistic
        assert size == pytest.approx(expected)
    sizes = [abs(size) for _, size in profile.correlations]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(("sign", "beginning"), [(1, "Nearly the same as humor"), (-1, "Nearly the opposite of humor")])
def test_copy_and_opposite_give_warnings(sign, beginning):
    column = TABLE.rewards[:, TABLE.index("humor")]
    profile = value_profile(with_column(sign * column + 0.01 * np.arange(len(column))), "own")
    (warning,) = figures.duplicate_warnings(profile, {"humor": "humor"})
    assert warning.startswith(beginning)
    assert figures.duplicate_warnings(value_profile(TABLE, "humor"), {}) == []


def test_a_value_that_counts_tokens_depends_on_length():
    long = replace(TABLE, tokens=tuple(tuple(range(1 + i % 9)) for i in range(len(TABLE.replies))))
    counting = np.array([len(tokens) for tokens in long.tokens], dtype=float)
    counted = replace(long, values=(*long.values, "own"), rewards=np.column_stack([long.rewards, counting]))
    assert "Favours longer replies strongly" in figures.length_sentence(value_profile(counted, "own"))


def test_extremes_are_of_different_prompts_and_read_differently():
    high, low = extreme_replies(TABLE, "humor", 3)
    prompts = np.repeat(np.arange(12), 16)
    for extremes in (high, low):
        assert len({prompts[reply.row] for reply in extremes}) == 3
        assert len({TABLE.replies[reply.row] for reply in extremes}) == 3
    assert high[0].percentile == 100.0
    assert low[0].percentile == 0.0


def test_a_constant_value_and_a_table_without_texts_are_no_error():
    flat = value_profile(with_column(np.ones(len(TABLE.rewards))), "own")
    assert flat.constant
    assert all(size == 0 for _, size in flat.correlations)
    assert "same reward" in figures.spread_sentence(flat)
    bare = replace(TABLE, replies=())
    assert value_profile(bare, "humor").rungs == ()
    assert extreme_replies(bare, "humor") == ((), ())
    with pytest.raises(InputError, match="Unknown value"):
        value_profile(TABLE, "wit")


def test_figure_agrees_with_sentences_and_data():
    profile = value_profile(TABLE, "humor")
    drawn = figures.spread(profile, "Humor <b>", "#112233")
    assert sum(drawn.data[0].y) == pytest.approx(100.0)
    assert "&lt;b&gt;" in drawn.data[0].name
    rows = figures.profile_csv(profile).splitlines()
    assert len(rows) == 1 + len(profile.shares) + len(TABLE.values) - 1 + 1
    assert "Half of all replies lie between" in figures.spread_sentence(profile)


def test_names_are_no_formulas_in_the_csv():
    text = figures.profile_csv(value_profile(with_column(np.arange(len(TABLE.rewards)) * 1.0, '=cmd|"x"'), "humor"))
    assert '"\'=cmd|""x"""' in text


def test_replies_to_hidden_prompts_are_not_examples() -> None:
    hidden = [TABLE.prompt_ids[TABLE.prompt_of(row)] for row in (0, 40, 100)]
    marked = replace(TABLE, metadata={**TABLE.metadata, "hidden": hidden})
    rows = [rung.row for rung in value_profile(marked, "humor").rungs]
    rows += [example.row for end in extreme_replies(marked, "humor", 8) for example in end]
    assert not {marked.prompt_ids[marked.prompt_of(row)] for row in rows} & set(hidden)
    assert len(rows) > 16
