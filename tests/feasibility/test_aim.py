"""A palette with all that it asks for as one table's targets: every use case, overrides, floors, moved shares."""

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


def aimed(columns: dict[str, float | str] | None = None, beside: Beside = Beside()) -> tuple[Aim, Palette]:  # noqa: B008
    palette = Palette(targets={"humor": Target(60.0)}, columns=columns or {}, beside=beside)
    return aim(TABLE, ORACLE, palette), palette


def test_levels_alone_leave_the_table_as_it_is():
    found, palette = aimed()
    assert found.table is TABLE
    assert found.standardised(palette).shape == (len(TABLE.values),)
    assert not found.locked(palette).any()


def test_every_use_case_is_a_column_for_each_that_the_solution_keeps():
    found, palette = aimed({"positivity>=p20@*": 0.9})
    (asked,) = found.asked
    assert [found.table.values[j] for j in asked.members] == [f"positivity>=p20@{name}" for name in USE_CASES]
    solution = assess(found.oracle, found.standardised(palette)).solution
    assert solution is not None
    shares = found.oracle.rewards_at(solution.levels)[list(asked.members)]
    assert (shares >= 0.9 - 1e-6).all()
    # By hand: the probabilities of the replies of each use case that reach the threshold.
    threshold = np.percentile(TABLE.rewards[:, TABLE.index("positivity")], 20)
    logits = found.oracle.standardise(found.table.rewards) @ solution.weights
    for name, share in zip(USE_CASES, shares, strict=True):
        of_prompts = []
        for i in np.flatnonzero(np.array(TABLE.use_cases) == name):
            rows = TABLE.rows(int(i))
            p = np.exp(logits[rows] - logits[rows].max())
            of_prompts.append(p @ (TABLE.rewards[rows, TABLE.index("positivity")] >= threshold) / p.sum())
        assert np.mean(of_prompts) == pytest.approx(share, abs=1e-9)


def test_a_use_case_of_its_own_takes_precedence():
    found, palette = aimed({"humor@*": "p40", f"humor@{USE_CASES[0]}": "p55"})
    every, own = found.asked
    assert len(every.members) == len(USE_CASES) - 1
    assert found.table.values[own.members[0]] == f"humor@{USE_CASES[0]}"
    rewards = found.oracle.rewards_at(found.standardised(palette))
    assert rewards[own.members[0]] == pytest.approx(np.percentile(TABLE.rewards[:, TABLE.index("humor")], 55))


def test_a_share_moves_on_the_same_columns():
    found, palette = aimed({"positivity>=p20@language=*": 0.9, "humor<p10": 0.05})
    moved = found.with_place(found.with_place(palette, "positivity>=p20@language=*", 97.0), "humor<p10", 98.0)
    assert moved.columns == {"positivity>=p20@language=*": 0.97, "humor<p10": 0.02}
    rewards = found.oracle.rewards_at(found.standardised(moved))
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
def test_a_level_written_anew_means_what_it_means_in_a_palette_made_with_it(
    name: str, before: float | str, after: float | str
):
    found, palette = aimed({name: before})
    made, moved = aimed({name: after})
    rewards = [
        aim.oracle.rewards_at(aim.standardised(replace(palette, columns=moved.columns))) for aim in (found, made)
    ]
    assert rewards[0] == pytest.approx(rewards[1], nan_ok=True)


def test_levels_taken_from_elsewhere_lower_one_use_case_alone():
    found, palette = aimed({"humor>=p20@*": 0.9})
    targets = np.full(len(found.table.values), np.nan)
    lowered = found.asked[0].members[1]
    targets[lowered] = (0.8 - found.oracle.base[lowered]) / found.oracle.scale[lowered]
    taken = found.with_levels(palette, targets)
    assert taken.columns == {"humor>=p20@*": 0.9, found.table.values[lowered]: pytest.approx(0.8)}


def test_once_every_use_case_has_its_own_target_the_common_one_is_gone():
    found, palette = aimed({"humor>=p20@*": 0.9})
    for j in found.asked[0].members:
        palette = found.with_level(palette, j, 0.8)
    assert palette.columns == {f"humor>=p20@{name}": 0.8 for name in USE_CASES}


def test_switches_are_floors_that_do_not_give_way():
    beside = Beside(no_worse_tail=("positivity",), no_cohort_below_base="use_case")
    found, palette = aimed({"positivity>=p20": 0.9}, beside)
    names, fixed = found.table.values, found.locked(palette)
    assert not fixed[names.index("positivity>=p20")]
    floors = [j for j, name in enumerate(names) if name.startswith("humor@")]
    assert len(floors) == len(USE_CASES)
    assert fixed[floors].all()
    assert found.standardised(palette)[floors] == pytest.approx(0.0)
    assert found.count(palette) == 4
    assert found.settled


def test_asking_for_more_is_never_cheaper_and_the_base_meets_the_switches():
    plain, palette = aimed()
    cost = assess(plain.oracle, plain.standardised(palette)).solution
    found, asked = aimed(None, Beside(no_worse_tail=("helpfulness",), no_cohort_below_base="language", any_mix=0.05))
    dearer = assess(found.oracle, found.standardised(asked)).solution
    assert cost is not None
    assert dearer is not None
    assert dearer.kl >= cost.kl - 1e-9
    kept = replace(asked, targets={"humor": Target(50.0, keep=True)})
    at_base = aim(TABLE, ORACLE, kept)
    assert assess(at_base.oracle, at_base.standardised(kept)).verdict is not Verdict.OUT_OF_REACH


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"humor>=p20": 1.2}, "from 0 to 1"),
        ({"humor>=p20@Nowhere": 0.9}, "No prompt has"),
        ({"humor@mood=*": "p50"}, "no column of text"),
        ({"humor>=p200": 0.9}, "between p0 and p100"),
    ],
)
def test_what_this_table_cannot_be_asked_for_is_said(columns: dict[str, float | str], says: str):
    with pytest.raises(InputError, match=says):
        aimed(columns)


def test_only_labels_with_several_cohorts_divide_a_table():
    assert labels_that_divide(TABLE) == ("use_case", "language")
    assert labels_that_divide(TABLE.select(USE_CASES[0])) == ("language",)
