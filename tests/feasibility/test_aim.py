"""Tests of turning a palette into targets on one table: use cases, overrides, floors and changed shares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from map_core.core.types import Verdict
from map_core.errors import InputError
from map_core.feasibility import assess
from map_core.feasibility.aim import Aim, aim, labels_that_divide
from map_core.oracle import MemoryOracle
from map_core.palettes.beside import Beside
from map_core.palettes.palette import Palette, Target
from tests.tables import USE_CASES, make_table

TABLE = replace(make_table(prompts=12, candidates=16, seed=2), labels={"language": ("de", "en", "fr") * 4})
ORACLE = MemoryOracle.of(TABLE)


def aim_palette(columns: dict[str, float | str] | None = None, beside: Beside = Beside()) -> tuple[Aim, Palette]:  # noqa: B008
    palette = Palette(targets={"humor": Target(60.0)}, columns=columns or {}, beside=beside)
    return aim(TABLE, ORACLE, palette), palette


def test_levels_alone_leave_the_table_unchanged():
    aimed, palette = aim_palette()
    assert aimed.table is TABLE
    assert aimed.standardised(palette).shape == (len(TABLE.values),)
    assert not aimed.locked(palette).any()


def test_target_of_every_use_case_becomes_one_column_each():
    aimed, palette = aim_palette({"positivity>=p20@*": 0.9})
    (group,) = aimed.asked
    assert [aimed.table.values[j] for j in group.members] == [f"positivity>=p20@{name}" for name in USE_CASES]
    solution = assess(aimed.oracle, aimed.standardised(palette)).solution
    assert solution is not None
    shares = aimed.oracle.rewards_at(solution.levels)[list(group.members)]
    assert (shares >= 0.9 - 1e-6).all()
    # By hand: the total probability, per use case, of the replies that reach the threshold.
    threshold = np.percentile(TABLE.rewards[:, TABLE.index("positivity")], 20)
    logits = aimed.oracle.standardise(aimed.table.rewards) @ solution.weights
    for name, share in zip(USE_CASES, shares, strict=True):
        prompt_shares = []
        for i in np.flatnonzero(np.array(TABLE.use_cases) == name):
            rows = TABLE.rows(int(i))
            p = np.exp(logits[rows] - logits[rows].max())
            prompt_shares.append(p @ (TABLE.rewards[rows, TABLE.index("positivity")] >= threshold) / p.sum())
        assert np.mean(prompt_shares) == pytest.approx(share, abs=1e-9)


def test_target_of_one_use_case_overrides_the_common_one():
    aimed, palette = aim_palette({"humor@*": "p40", f"humor@{USE_CASES[0]}": "p55"})
    common, single = aimed.asked
    assert len(common.members) == len(USE_CASES) - 1
    assert aimed.table.values[single.members[0]] == f"humor@{USE_CASES[0]}"
    rewards = aimed.oracle.rewards_at(aimed.standardised(palette))
    assert rewards[single.members[0]] == pytest.approx(np.percentile(TABLE.rewards[:, TABLE.index("humor")], 55))


def test_changed_share_keeps_its_columns():
    aimed, palette = aim_palette({"positivity>=p20@language=*": 0.9, "humor<p10": 0.05})
    changed = aimed.with_place(aimed.with_place(palette, "positivity>=p20@language=*", 97.0), "humor<p10", 98.0)
    assert changed.columns == {"positivity>=p20@language=*": 0.97, "humor<p10": 0.02}
    rewards = aimed.oracle.rewards_at(aimed.standardised(changed))
    assert rewards[len(TABLE.values) :] == pytest.approx([0.97, 0.97, 0.97, 0.98])


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (f"humor@{USE_CASES[0]}", "+0.1sd", "+0.2sd"),
        ("humor@language=*", "p40", "+0.1sd"),
        ("positivity>=p20@*", 0.9, "95%"),
        ("positivity<p20", 0.1, "+0sd"),
    ],
)
def test_changed_level_equals_that_of_a_new_palette(name: str, before: float | str, after: float | str):
    aimed, palette = aim_palette({name: before})
    aimed_anew, new_palette = aim_palette({name: after})
    rewards = [
        result.oracle.rewards_at(result.standardised(replace(palette, columns=new_palette.columns)))
        for result in (aimed, aimed_anew)
    ]
    assert rewards[0] == pytest.approx(rewards[1], nan_ok=True)


def test_levels_can_override_a_single_use_case():
    aimed, palette = aim_palette({"humor>=p20@*": 0.9})
    targets = np.full(len(aimed.table.values), np.nan)
    lowered = aimed.asked[0].members[1]
    targets[lowered] = (0.8 - aimed.oracle.base[lowered]) / aimed.oracle.scale[lowered]
    overridden = aimed.with_levels(palette, targets)
    assert overridden.columns == {"humor>=p20@*": 0.9, aimed.table.values[lowered]: pytest.approx(0.8)}


def test_common_target_is_removed_when_every_use_case_has_its_own():
    aimed, palette = aim_palette({"humor>=p20@*": 0.9})
    for j in aimed.asked[0].members:
        palette = aimed.with_level(palette, j, 0.8)
    assert palette.columns == {f"humor>=p20@{name}": 0.8 for name in USE_CASES}


def test_switches_are_locked_floors():
    beside = Beside(no_worse_tail=("positivity",), no_cohort_below_base="use_case")
    aimed, palette = aim_palette({"positivity>=p20": 0.9}, beside)
    names, locked = aimed.table.values, aimed.locked(palette)
    assert not locked[names.index("positivity>=p20")]
    floors = [j for j, name in enumerate(names) if name.startswith("humor@")]
    assert len(floors) == len(USE_CASES)
    assert locked[floors].all()
    assert aimed.standardised(palette)[floors] == pytest.approx(0.0)
    assert aimed.count(palette) == 4
    assert aimed.settled


def test_switches_never_lower_the_cost_and_the_base_model_meets_them():
    aimed_plain, palette = aim_palette()
    plain_solution = assess(aimed_plain.oracle, aimed_plain.standardised(palette)).solution
    aimed, demanding_palette = aim_palette(
        None, Beside(no_worse_tail=("helpfulness",), no_cohort_below_base="language", any_mix=0.05)
    )
    demanding_solution = assess(aimed.oracle, aimed.standardised(demanding_palette)).solution
    assert plain_solution is not None
    assert demanding_solution is not None
    assert demanding_solution.kl >= plain_solution.kl - 1e-9
    at_base_palette = replace(demanding_palette, targets={"humor": Target(50.0, keep=True)})
    aimed_at_base = aim(TABLE, ORACLE, at_base_palette)
    assert assess(aimed_at_base.oracle, aimed_at_base.standardised(at_base_palette)).verdict is not Verdict.OUT_OF_REACH


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"humor>=p20": 1.2}, "from 0 to 1"),
        ({"humor>=p20@Nowhere": 0.9}, "No prompt has"),
        ({"humor@mood=*": "p50"}, "no column of text"),
        ({"humor>=p200": 0.9}, "between p0 and p100"),
    ],
)
def test_invalid_columns_are_refused(columns: dict[str, float | str], message: str):
    with pytest.raises(InputError, match=message):
        aim_palette(columns)


def test_only_labels_with_several_cohorts_divide_a_table():
    assert labels_that_divide(TABLE) == ("use_case", "language")
    assert labels_that_divide(TABLE.select(USE_CASES[0])) == ("language",)
