"""Labels of single replies: whose they are, who may take them back, and what is refused."""

from __future__ import annotations

import pytest

from map_core.errors import AccessError, InputError
from map_core.store import labels
from map_core.store.labels import Said
from tests.store.test_matrix import ANN, BEN, GUEST, NOBODY, Kept, kept

__all__ = ["kept"]
REPLY = ("p1", 3)


def test_two_judges_of_one_reply_are_kept_apart_and_one_judge_says_one_thing(kept: Kept):
    mine, theirs = kept.of(ANN), kept.of(BEN)
    labels.keep(mine, "t", "humor", REPLY, Said.YES, ANN.id, 0.25)
    labels.keep(theirs, "t", "humor", REPLY, Said.NO, BEN.id, 0.25)
    labels.keep(mine, "t", "humor", REPLY, Said.UNSURE, ANN.id, 0.25)
    labels.keep(mine, "other", "humor", REPLY, Said.YES, ANN.id)
    listed = labels.list_labels(theirs, "t")
    assert {(label.judge, label.said, label.chance) for label in listed} == {
        (BEN.id, Said.NO, 0.25),
        (ANN.id, Said.UNSURE, 0.25),
    }
    assert listed[0].reply == REPLY
    assert len(labels.list_labels(mine, "other")) == 1


@pytest.mark.parametrize("other", [BEN, GUEST, NOBODY], ids=lambda who: who.name or "nobody")
def test_a_label_is_taken_back_by_who_gave_it_alone(kept: Kept, other):
    given = labels.keep(kept.of(ANN), "t", "humor", REPLY, Said.YES, ANN.id)
    with pytest.raises(AccessError):
        labels.withdraw(kept.of(other), given.id)
    # Under the same name somebody else's answer does not replace it.
    labels.keep(kept.of(other), "t", "humor", REPLY, Said.NO, ANN.id)
    assert len(labels.list_labels(kept.of(ANN), "t")) == 2
    assert labels.withdraw(kept.of(ANN), given.id)
    assert not labels.withdraw(kept.of(ANN), given.id)


def test_what_cannot_be_kept_is_said(kept: Kept):
    with pytest.raises(InputError, match=r"chance of a label is 1\.5"):
        labels.keep(kept.of(ANN), "t", "humor", REPLY, Said.YES, "ann", 1.5)
    with pytest.raises(InputError, match="name of the judge"):
        labels.keep(kept.of(ANN), "t", "humor", REPLY, Said.YES, "")
    with pytest.raises(InputError, match="table's key"):
        labels.keep(kept.of(ANN), "", "humor", REPLY, Said.YES, "ann")
    assert labels.list_labels(kept.of(ANN), "t") == ()


def test_a_value_is_kept_as_its_table_names_it_and_a_judge_typed_otherwise_is_the_same(kept: Kept):
    for judge, said in (("Ann B", Said.YES), (" Ann  B", Said.NO)):
        labels.keep(kept.of(ANN), "t", "odd  name ", REPLY, said, judge)
    (only,) = labels.list_labels(kept.of(ANN), "t")
    assert (only.value, only.judge, only.said) == ("odd  name ", "Ann B", Said.NO)
