"""Several groups at once: the agreement by hand and in stages, what is said of it, and what is drawn."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from map_core.core.types import Verdict
from map_core.errors import InputError
from map_core.figures import groups as drawn
from map_core.figures import groups_text as told
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
    """Two coins wanted by a group each: shares 0.5 and 0.5 for the worst-off, and 0.3 of each coin in the bargain."""
    groups = [Group("a", np.array([0.8, NAN])), Group("b", np.array([NAN, 0.4]))]
    agreed = agreement(AgreementCache(coins()), groups, nats(0.4) + nats(0.2))
    np.testing.assert_allclose(agreed.common[Rule.WORST_OFF].satisfaction, [0.5, 0.5], atol=1e-9)
    assert agreed.joint.kl == pytest.approx(nats(0.8) + nats(0.4), abs=1e-9)
    assert agreed.joint.values == ()
    assert agreed.reachable == (True, True)
    assert agreed.alone[1] == 1.0
    assert agreed.alone[0] < 1  # so the price is not the pair's fault
    assert [pair.relation for pair in agreed.pairs] == [Relation.TOGETHER]
    (sentence,) = pair_sentences(agreed, Units(coins(), None, "reward", ("x", "y")))
    assert "even alone" in sentence
    assert agreed.verdicts[Rule.WORST_OFF] is Verdict.ON_PAPER  # four replies are too few to trust


def test_stages_come_in_order_and_agree_with_the_parts():
    seen: list[GroupAgreement] = []
    groups = [Group("a", np.array([0.9, NAN, NAN, NAN])), Group("b", np.array([NAN, 0.9, 0.2, NAN]))]
    agreed = agreement(AgreementCache(ORACLE), groups, 0.3, seen.append)
    assert [sorted(stage.common) for stage in seen[:2]] == [["worst_off"], ["bargain", "worst_off"]]
    assert seen[0].alone is None
    assert all(stage.pairs is None for stage in seen)
    for rule, method in ((Rule.WORST_OFF, max_min), (Rule.BARGAIN, nash)):
        np.testing.assert_allclose(agreed.common[rule].satisfaction, method(ORACLE, groups, 0.3).satisfaction)
    assert agreed.pairs[0].relation is clashes(ORACLE, groups, 0.3)[0].relation


def test_what_is_remembered_is_the_same_as_what_is_computed():
    memory = AgreementCache(ORACLE)
    first = [Group("a", np.array([0.9, NAN, NAN, 0.1])), Group("b", np.array([NAN, 0.9, NAN, NAN]))]
    agreement(memory, first, 0.3)
    turned = [Group("x", np.array([NAN, 0.2, 0.5, NAN])), first[1], first[0]]
    again, fresh = agreement(memory, turned, 0.3), agreement(AgreementCache(ORACLE), turned, 0.3)
    np.testing.assert_allclose(again.alone, fresh.alone, atol=1e-9)
    for pair, other in zip(again.pairs, fresh.pairs, strict=True):
        assert (pair.first, pair.second, pair.relation) == (other.first, other.second, other.relation)
        assert pair.values == other.values
        assert pair.asked_by == other.asked_by


def test_pairs_can_be_asked_for_one_by_one():
    groups = meeting().groups
    every = {(pair.first, pair.second): pair.relation for pair in clashes(ORACLE, groups, 0.3)}
    only = clashes(ORACLE, groups, 0.3, among=[(0, 2)])
    assert {(pair.first, pair.second): pair.relation for pair in only} == {(0, 2): every[0, 2]}
    assert clashes(ORACLE, groups, 0.3, among=[]) == ()


def test_names_change_nothing():
    agreed = meeting()
    assert [group.name for group in agreed.named(["1", "2", "3"]).groups] == ["1", "2", "3"]
    assert agreed.named(["1", "2", "3"]).common is agreed.common


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


def test_what_a_common_palette_is_to_one_of_them():
    """Half of the way for both of two coins; whoever asked for less than that has it all."""
    groups = [Group("a", np.array([0.8, NAN])), Group("b", np.array([NAN, 0.4]))]
    agreed = agreement(AgreementCache(coins()), groups, nats(0.4) + nats(0.2))
    assert member_sentence(agreed, Rule.WORST_OFF, groups[0]) == "You get 50% of the way to what you ask for."
    assert member_sentence(agreed, Rule.WORST_OFF, Group("c", np.array([0.3, NAN]))) == "You get all that you ask for."
    assert member_sentence(agreed, Rule.WORST_OFF, Group("d", np.array([NAN, NAN]))) == "You get all that you ask for."
    assert member_sentence(GroupAgreement((), 0.3), Rule.WORST_OFF, groups[0]) == ""
    agreed = meeting()
    hurt = Group("e", np.array([NAN, NAN, NAN, 0.0]))
    assert agreed.common[Rule.WORST_OFF].solution.levels[3] < 0
    assert "lower than the model has it now" in member_sentence(agreed, Rule.WORST_OFF, hurt)


def test_the_levels_of_common_palettes_are_told_beside_a_wish():
    agreed = meeting()
    places = [round(UNITS.percentile(0, float(common.solution.levels[0]))) for common in agreed.common.values()]
    wanted = round(UNITS.percentile(0, 0.9))
    assert max(places) < wanted
    line = common_levels(agreed, UNITS, 0, 0.9)
    assert line.startswith("Together ")
    assert all(f"p{place}" in line for place in places)
    assert line.endswith(f"; you ask for p{wanted}")
    assert common_levels(agreed, UNITS, 0, -1.0).endswith(", as much as you ask for")
    assert "you" not in common_levels(agreed, UNITS, 0, NAN)
    assert common_levels(GroupAgreement((), 0.3), UNITS, 0, 0.9) == ""


def test_what_is_said_of_a_meeting():
    agreed = meeting()
    least = share_of_way(agreed.common[Rule.WORST_OFF].satisfaction.min())
    assert least in headline(agreed)
    assert "within the budget" in headline(agreed)
    assert least in outcome_sentence(agreed, Rule.WORST_OFF)
    lost = concession_sentences(agreed, Rule.WORST_OFF, UNITS)
    assert len(lost) == 3
    assert any(line.startswith("Clinic") and "alone" in line for line in lost)
    joint = joint_sentence(agreed, UNITS)
    assert "harmlessness" in joint or "budget" in joint
    apart = differences(agreed, UNITS)
    assert any("Clinic" in line and "harmlessness" in line.lower() for line in apart)
    assert any("no preference" in line for line in apart)


def test_a_clash_names_values_and_groups():
    groups = [Group("Loud", np.array([1.6, NAN, NAN, NAN])), Group("Calm", np.array([NAN, 1.6, NAN, NAN]))]
    agreed = agreement(AgreementCache(ORACLE), groups, 2.0)
    assert agreed.pairs[0].relation is Relation.CLASH
    sentences = pair_sentences(agreed, UNITS)
    assert sentences == [
        "Loud and Calm cannot both have all of theirs: "
        + " and ".join(f"{NAMES[j]} ({groups[j].name})" for j in agreed.pairs[0].values)
        + " pull against each other."
    ]
    assert "All wishes at once are not possible" in joint_sentence(agreed, UNITS)


def test_what_everybody_shares():
    groups = [Group("a", np.array([0.5, 0.2, NAN, NAN])), Group("b", np.array([0.5, -0.5, NAN, NAN]))]
    agreed = agreement(AgreementCache(ORACLE), groups, 1.0)
    alike, free = common_ground(agreed, UNITS)
    assert "helpfulness" in alike
    assert "harmlessness" not in alike
    assert free == "Nobody sets a target for humor and positivity."


def test_headlines_without_demands_and_without_a_budget():
    keeps = agreement(
        AgreementCache(ORACLE), [Group("a", np.full(4, NAN)), Group("b", np.array([NAN, -0.1, NAN, NAN]))], 1.0
    )
    assert headline(keeps) == "Nobody asks for more than the base model gives already."
    broke = agreement(AgreementCache(ORACLE), meeting().groups, 0.0)
    assert "the budget buys nothing" in headline(broke)
    alone = agreement(AgreementCache(ORACLE), [Group("Moon", np.array([9.0, NAN, NAN, NAN]))], 1.0)
    assert joint_sentence(alone, UNITS) == "What Moon asks for is not possible even alone."


def test_levels_are_drawn_where_they_are():
    agreed = meeting()
    data = drawn.GroupFigureData(agreed, UNITS)
    figure = drawn.levels(data)
    assert data.targeted == [0, 1, 2, 3]
    (humor,) = [trace for trace in figure.data if trace.name == "humor"]
    assert list(humor.text) == ["C"]
    assert humor.x[0] == pytest.approx(float(UNITS.of(2, np.array(0.3))))
    (fair,) = [trace for trace in figure.data if trace.name == "Most equal"]
    expected = [float(UNITS.of(j, agreed.common[Rule.WORST_OFF].solution.levels[j])) for j in range(4)]
    np.testing.assert_allclose(fair.x, expected)
    shares = drawn.shares(data)
    (alone,) = [trace for trace in shares.data if trace.name == "alone"]
    np.testing.assert_allclose(alone.x, 100 * agreed.alone)


def test_marks_never_hide_each_other():
    places = [50.0, 50.5, 51.0, 58.0, 50.2]
    on = drawn.stack_layers(places, 2.0)
    for a in range(5):
        for b in range(a):
            assert on[a] != on[b] or abs(places[a] - places[b]) >= 2.0
    assert drawn.stack_layers([], 1.0) == []
    assert [drawn.group_letter(k) for k in (0, 25, 26, 52)] == ["A", "Z", "AA", "BA"]


def test_many_groups_are_dots():
    rng = np.random.default_rng(0)
    groups = [Group(f"g{k}", np.array([rng.uniform(0.1, 0.6), NAN, NAN, NAN])) for k in range(20)]
    data = drawn.GroupFigureData(agreement(AgreementCache(ORACLE), groups, 0.1), UNITS)
    assert not data.lettered
    assert drawn.levels(data).data[2].mode == "markers"
    assert [trace.name for trace in drawn.shares(data).data] == ["Most equal", "Best overall compromise"]


def test_a_name_is_never_markup():
    assert drawn.group_label("<b>Ana</b> & co") == "&lt;b&gt;Ana&lt;/b&gt; &amp; co"
    assert "\n" not in drawn.group_label("two\nlines")
    assert len(drawn.group_label("x" * 90)) == drawn.MAX_NAME_LENGTH
    agreed = meeting().named(["<b>Ana</b>", "=1+1", "Shop"])
    data = drawn.GroupFigureData(agreed, UNITS)
    for figure in (drawn.levels(data), drawn.shares(data)):
        assert "<b>Ana" not in str(figure.to_dict())
    rows = list(csv.DictReader(io.StringIO(told.groups_csv(data))))
    assert {row["group"] for row in rows} == {"<b>Ana</b>", "'=1+1", "Shop"}


def test_the_file_has_everything():
    agreed = meeting()
    data = drawn.GroupFigureData(agreed, UNITS)
    rows = list(csv.DictReader(io.StringIO(told.groups_csv(data))))
    assert len(rows) == 3 * 4
    first = rows[0]
    assert (first["group"], first["value"]) == ("Parents", "helpfulness")
    assert float(first["target_reward"]) == pytest.approx(ORACLE.base[0] + 0.9 * ORACLE.scale[0])
    assert float(first["worst_off_share"]) == pytest.approx(agreed.common[Rule.WORST_OFF].satisfaction[0])
    assert rows[1]["target_reward"] == ""
    header, lines = told.table(data)
    assert header == ["Value", "Base", "Parents", "Clinic", "Shop", "Most equal", "Best overall compromise"]
    assert lines[1][1][2] == "–"
    assert "3 groups" in told.levels_alt(data)
    assert "gets the least" in told.shares_alt(data)
    assert not math.isnan(agreed.joint.margin.value)
