"""Tests of agreements of several groups: computed by hand and in stages, and their sentences and figures."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from map_core.core.types import Verdict
from map_core.errors import InputError
from map_core.figures import groups as group_figures
from map_core.figures import groups_text as group_texts
from map_core.groups import AgreementCache, Group, GroupAgreement, Relation, Rule, agreement, clashes, max_min, nash
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.text.group_member import common_levels, member_sentence
from map_core.text.groups import (
    common_ground,
    concession_sentences,
    differences,
    headline,
    joint_sentence,
    name_list,
    outcome_sentence,
    pair_sentences,
    share_of_way,
    wish_text,
)
from map_core.text.units import Units
from tests.groups.test_groups import coins, nats
from tests.tables import make_table

NAN = np.nan
TABLE = make_table(prompts=8, candidates=24, seed=3, correlation=-0.9)
ORACLE = MemoryOracle.of(TABLE)
NAMES = ("helpfulness", "harmlessness", "humor", "positivity")
UNITS = Units(ORACLE, percentiles(TABLE), "percentile", NAMES)


def meeting(budget: float = 0.3) -> GroupAgreement:
    groups = [
        Group("Parents", np.array([0.9, NAN, NAN, -0.3])),
        Group("Clinic", np.array([NAN, 0.9, NAN, NAN])),
        Group("Shop", np.array([0.4, NAN, 0.3, NAN])),
    ]
    return agreement(AgreementCache(ORACLE), groups, budget)


def test_an_agreement_by_hand():
    """Two groups want one coin each: the worst-off rule gives each a share of 0.5, the bargain 0.3 of each coin."""
    groups = [Group("a", np.array([0.8, NAN])), Group("b", np.array([NAN, 0.4]))]
    result = agreement(AgreementCache(coins()), groups, nats(0.4) + nats(0.2))
    np.testing.assert_allclose(result.common[Rule.WORST_OFF].satisfaction, [0.5, 0.5], atol=1e-9)
    assert result.joint.kl == pytest.approx(nats(0.8) + nats(0.4), abs=1e-9)
    assert result.joint.values == ()
    assert result.reachable == (True, True)
    assert result.alone[1] == 1.0
    assert result.alone[0] < 1  # limited even alone, so not because of the other group
    assert [pair.relation for pair in result.pairs] == [Relation.TOGETHER]
    (sentence,) = pair_sentences(result, Units(coins(), None, "reward", ("x", "y")))
    assert "even alone" in sentence
    assert result.verdicts[Rule.WORST_OFF] is Verdict.ON_PAPER  # four replies are too few to trust


def test_stages_arrive_in_order_and_match_separate_computations():
    stages: list[GroupAgreement] = []
    groups = [Group("a", np.array([0.9, NAN, NAN, NAN])), Group("b", np.array([NAN, 0.9, 0.2, NAN]))]
    result = agreement(AgreementCache(ORACLE), groups, 0.3, stages.append)
    assert [sorted(stage.common) for stage in stages[:2]] == [["worst_off"], ["bargain", "worst_off"]]
    assert stages[0].alone is None
    assert all(stage.pairs is None for stage in stages)
    for rule, method in ((Rule.WORST_OFF, max_min), (Rule.BARGAIN, nash)):
        np.testing.assert_allclose(result.common[rule].satisfaction, method(ORACLE, groups, 0.3).satisfaction)
    assert result.pairs[0].relation is clashes(ORACLE, groups, 0.3)[0].relation


def test_cached_results_equal_computed_results():
    cache = AgreementCache(ORACLE)
    first = [Group("a", np.array([0.9, NAN, NAN, 0.1])), Group("b", np.array([NAN, 0.9, NAN, NAN]))]
    agreement(cache, first, 0.3)
    reordered = [Group("x", np.array([NAN, 0.2, 0.5, NAN])), first[1], first[0]]
    cached, fresh = agreement(cache, reordered, 0.3), agreement(AgreementCache(ORACLE), reordered, 0.3)
    np.testing.assert_allclose(cached.alone, fresh.alone, atol=1e-9)
    for pair, expected in zip(cached.pairs, fresh.pairs, strict=True):
        assert (pair.first, pair.second, pair.relation) == (expected.first, expected.second, expected.relation)
        assert pair.values == expected.values
        assert pair.asked_by == expected.asked_by


def test_clashes_of_selected_pairs():
    groups = meeting().groups
    all_relations = {(pair.first, pair.second): pair.relation for pair in clashes(ORACLE, groups, 0.3)}
    selected = clashes(ORACLE, groups, 0.3, among=[(0, 2)])
    assert {(pair.first, pair.second): pair.relation for pair in selected} == {(0, 2): all_relations[0, 2]}
    assert clashes(ORACLE, groups, 0.3, among=[]) == ()


def test_renaming_groups_keeps_the_results():
    result = meeting()
    assert [group.name for group in result.named(["1", "2", "3"]).groups] == ["1", "2", "3"]
    assert result.named(["1", "2", "3"]).common is result.common


def test_bad_groups_are_refused():
    with pytest.raises(InputError, match="no groups"):
        agreement(AgreementCache(ORACLE), [], 0.3)
    with pytest.raises(InputError, match="budget"):
        agreement(AgreementCache(ORACLE), meeting().groups, -1.0)


def test_shares_and_wishes_in_words():
    assert [share_of_way(share) for share in (0.0, 0.804, 0.9999, 1.0, -0.2)] == ["0%", "80%", "99%", "100%", "0%"]
    assert [wish_text(p, 50) for p in (20, 45, 50, 58, 65, 78, 95)] == [
        "may drop far",
        "may drop some",
        "as it is",
        "a little more",
        "clearly more",
        "a lot more",
        "nearly the best",
    ]
    assert all(len(wish_text(p, 50).split()) <= 3 for p in range(0, 101))
    assert name_list(["a"]) == "a"
    assert name_list(list("abcd")) == "a, b, c and d"
    assert name_list(list("abcdef")) == "a, b, c and 3 others"


def test_member_sentence_states_the_share_of_a_group():
    """Both groups come half of the way; a group that asked for less than that gets everything."""
    groups = [Group("a", np.array([0.8, NAN])), Group("b", np.array([NAN, 0.4]))]
    result = agreement(AgreementCache(coins()), groups, nats(0.4) + nats(0.2))
    assert member_sentence(result, Rule.WORST_OFF, groups[0]) == "You get 50% of the way to what you ask for."
    assert member_sentence(result, Rule.WORST_OFF, Group("c", np.array([0.3, NAN]))) == "You get all that you ask for."
    assert member_sentence(result, Rule.WORST_OFF, Group("d", np.array([NAN, NAN]))) == "You get all that you ask for."
    assert member_sentence(GroupAgreement((), 0.3), Rule.WORST_OFF, groups[0]) == ""
    result = meeting()
    disadvantaged = Group("e", np.array([NAN, NAN, NAN, 0.0]))
    assert result.common[Rule.WORST_OFF].solution.levels[3] < 0
    assert "lower than the model has it now" in member_sentence(result, Rule.WORST_OFF, disadvantaged)


def test_common_levels_are_compared_with_a_wish():
    result = meeting()
    percentiles_reached = [
        round(UNITS.percentile(0, float(common.solution.levels[0]))) for common in result.common.values()
    ]
    wish_percentile = round(UNITS.percentile(0, 0.9))
    assert max(percentiles_reached) < wish_percentile
    line = common_levels(result, UNITS, 0, 0.9)
    assert line.startswith("Together ")
    assert all(f"p{percentile}" in line for percentile in percentiles_reached)
    assert line.endswith(f"; you ask for p{wish_percentile}")
    assert common_levels(result, UNITS, 0, -1.0).endswith(", as much as you ask for")
    assert "you" not in common_levels(result, UNITS, 0, NAN)
    assert common_levels(GroupAgreement((), 0.3), UNITS, 0, 0.9) == ""


def test_sentences_on_a_meeting():
    result = meeting()
    smallest_share = share_of_way(result.common[Rule.WORST_OFF].satisfaction.min())
    assert smallest_share in headline(result)
    assert "within the budget" in headline(result)
    assert smallest_share in outcome_sentence(result, Rule.WORST_OFF)
    concessions = concession_sentences(result, Rule.WORST_OFF, UNITS)
    assert len(concessions) == 3
    assert any(line.startswith("Clinic") and "alone" in line for line in concessions)
    joint = joint_sentence(result, UNITS)
    assert "harmlessness" in joint or "budget" in joint
    difference_lines = differences(result, UNITS)
    assert any("Clinic" in line and "harmlessness" in line.lower() for line in difference_lines)
    assert any("no preference" in line for line in difference_lines)


def test_a_clash_names_values_and_groups():
    groups = [Group("Loud", np.array([1.6, NAN, NAN, NAN])), Group("Calm", np.array([NAN, 1.6, NAN, NAN]))]
    result = agreement(AgreementCache(ORACLE), groups, 2.0)
    assert result.pairs[0].relation is Relation.CLASH
    sentences = pair_sentences(result, UNITS)
    assert sentences == [
        "Loud and Calm cannot both have all of theirs: "
        + " and ".join(f"{NAMES[j]} ({groups[j].name})" for j in result.pairs[0].values)
        + " pull against each other."
    ]
    assert "All wishes at once are not possible" in joint_sentence(result, UNITS)


def test_common_ground_of_all_groups():
    groups = [Group("a", np.array([0.5, 0.2, NAN, NAN])), Group("b", np.array([0.5, -0.5, NAN, NAN]))]
    result = agreement(AgreementCache(ORACLE), groups, 1.0)
    shared, free = common_ground(result, UNITS)
    assert "helpfulness" in shared
    assert "harmlessness" not in shared
    assert free == "Nobody sets a target for humor and positivity."


def test_headlines_without_demands_and_without_a_budget():
    without_demands = agreement(
        AgreementCache(ORACLE), [Group("a", np.full(4, NAN)), Group("b", np.array([NAN, -0.1, NAN, NAN]))], 1.0
    )
    assert headline(without_demands) == "Nobody asks for more than the base model gives already."
    without_budget = agreement(AgreementCache(ORACLE), meeting().groups, 0.0)
    assert "the budget buys nothing" in headline(without_budget)
    alone = agreement(AgreementCache(ORACLE), [Group("Moon", np.array([9.0, NAN, NAN, NAN]))], 1.0)
    assert joint_sentence(alone, UNITS) == "What Moon asks for is not possible even alone."


def test_figures_show_levels_and_shares():
    result = meeting()
    data = group_figures.GroupFigureData(result, UNITS)
    figure = group_figures.levels(data)
    assert data.targeted == [0, 1, 2, 3]
    (humor,) = [trace for trace in figure.data if trace.name == "humor"]
    assert list(humor.text) == ["C"]
    assert humor.x[0] == pytest.approx(float(UNITS.of(2, np.array(0.3))))
    (most_equal,) = [trace for trace in figure.data if trace.name == "Most equal"]
    expected = [float(UNITS.of(j, result.common[Rule.WORST_OFF].solution.levels[j])) for j in range(4)]
    np.testing.assert_allclose(most_equal.x, expected)
    shares = group_figures.shares(data)
    (alone,) = [trace for trace in shares.data if trace.name == "alone"]
    np.testing.assert_allclose(alone.x, 100 * result.alone)


def test_marks_do_not_overlap():
    places = [50.0, 50.5, 51.0, 58.0, 50.2]
    layers = group_figures.stack_layers(places, 2.0)
    for a in range(5):
        for b in range(a):
            assert layers[a] != layers[b] or abs(places[a] - places[b]) >= 2.0
    assert group_figures.stack_layers([], 1.0) == []
    assert [group_figures.group_letter(k) for k in (0, 25, 26, 52)] == ["A", "Z", "AA", "BA"]


def test_many_groups_are_shown_as_dots():
    rng = np.random.default_rng(0)
    groups = [Group(f"g{k}", np.array([rng.uniform(0.1, 0.6), NAN, NAN, NAN])) for k in range(20)]
    data = group_figures.GroupFigureData(agreement(AgreementCache(ORACLE), groups, 0.1), UNITS)
    assert not data.lettered
    assert group_figures.levels(data).data[2].mode == "markers"
    assert [trace.name for trace in group_figures.shares(data).data] == ["Most equal", "Best overall compromise"]


def test_names_are_escaped():
    assert group_figures.group_label("<b>Ana</b> & co") == "&lt;b&gt;Ana&lt;/b&gt; &amp; co"
    assert "\n" not in group_figures.group_label("two\nlines")
    assert len(group_figures.group_label("x" * 90)) == group_figures.MAX_NAME_LENGTH
    result = meeting().named(["<b>Ana</b>", "=1+1", "Shop"])
    data = group_figures.GroupFigureData(result, UNITS)
    for figure in (group_figures.levels(data), group_figures.shares(data)):
        assert "<b>Ana" not in str(figure.to_dict())
    rows = list(csv.DictReader(io.StringIO(group_texts.groups_csv(data))))
    assert {row["group"] for row in rows} == {"<b>Ana</b>", "'=1+1", "Shop"}


def test_csv_and_table_contain_all_results():
    result = meeting()
    data = group_figures.GroupFigureData(result, UNITS)
    rows = list(csv.DictReader(io.StringIO(group_texts.groups_csv(data))))
    assert len(rows) == 3 * 4
    first = rows[0]
    assert (first["group"], first["value"]) == ("Parents", "helpfulness")
    assert float(first["target_reward"]) == pytest.approx(ORACLE.base[0] + 0.9 * ORACLE.scale[0])
    assert float(first["worst_off_share"]) == pytest.approx(result.common[Rule.WORST_OFF].satisfaction[0])
    assert rows[1]["target_reward"] == ""
    header, lines = group_texts.table(data)
    assert header == ["Value", "Base", "Parents", "Clinic", "Shop", "Most equal", "Best overall compromise"]
    assert lines[1][1][2] == "–"
    assert "3 groups" in group_texts.levels_alt(data)
    assert "gets the least" in group_texts.shares_alt(data)
    assert not math.isnan(result.joint.margin.value)
