"""Tests of the agreement of judges: cases by hand, and bad input."""

from __future__ import annotations

import math

import pytest

from map_core.calibration import judge_agreement
from map_core.errors import InputError
from map_core.scoring.validation import Label


def labels(*replies: str) -> list[Label]:
    """Return a label per judge and reply; each text has the answers of the judges to one reply, in order: y, n or -."""
    return [
        Label(f"p{number // 5:02d}", number % 5, {"kind": int(answer == "y")}, f"judge {judge}")
        for number, answers in enumerate(replies)
        for judge, answer in enumerate(answers)
        if answer != "-"
    ]


def test_cohens_kappa_by_hand():
    # 20 both yes, 5 and 10 split, 15 both no: observed 0.7, expected 0.5.
    agreement = judge_agreement(labels(*["yy"] * 20, *["yn"] * 5, *["ny"] * 10, *["nn"] * 15), "kind")
    assert agreement.observed == pytest.approx(0.7)
    assert agreement.kappa == pytest.approx(0.4)
    assert agreement.low < 0.4 < agreement.high
    assert agreement.replies == 50
    assert agreement.judges == pytest.approx({"judge 0": 0.5, "judge 1": 0.6})
    assert agreement.agrees == pytest.approx({"judge 0": 0.7, "judge 1": 0.7})


def test_fleiss_kappa_by_hand():
    # Pairs agree 1, 1, 1/3, 1/3; half of all answers are yes.
    agreement = judge_agreement(labels("yyy", "nnn", "yyn", "ynn"), "kind")
    assert agreement.observed == pytest.approx(2 / 3)
    assert agreement.kappa == pytest.approx(1 / 3)
    assert math.isnan(agreement.low)  # one prompt


def test_judges_who_always_disagree():
    agreement = judge_agreement(labels(*["yn", "ny"] * 10), "kind")
    assert agreement.kappa == pytest.approx(-1)
    assert agreement.observed == 0


def test_kappa_is_undefined_where_judges_give_only_one_answer():
    assert math.isnan(judge_agreement(labels(*["yy"] * 10), "kind").kappa)


def test_an_interval_that_depends_on_one_prompt_is_undefined():
    # Without the second prompt all answers are yes, and kappa is undefined.
    agreement = judge_agreement(labels(*["yy"] * 5, "nn"), "kind")
    assert agreement.kappa == pytest.approx(1.0)
    assert math.isnan(agreement.low)
    assert math.isnan(agreement.high)


def test_one_judge_is_refused():
    with pytest.raises(InputError, match="two judges"):
        judge_agreement(labels("y", "n", "y"), "kind")
