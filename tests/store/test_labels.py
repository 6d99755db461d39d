"""Tests of labels of single replies: their owners, who may delete them, and what is refused."""

from __future__ import annotations

import pytest

from map_core.errors import AccessError, InputError
from map_core.store import labels
from map_core.store.labels import Said
from tests.store.test_matrix import ANN, BEN, GUEST, NOBODY, Kept, kept

__all__ = ["kept"]
REPLY = ("p1", 3)


def test_labels_are_separate_per_judge_and_one_per_judge(kept: Kept):
    as_ann, as_ben = kept.of(ANN), kept.of(BEN)
    labels.keep(as_ann, "t", "humor", REPLY, Said.YES, ANN.id, 0.25)
    labels.keep(as_ben, "t", "humor", REPLY, Said.NO, BEN.id, 0.25)
    labels.keep(as_ann, "t", "humor", REPLY, Said.UNSURE, ANN.id, 0.25)
    labels.keep(as_ann, "other", "humor", REPLY, Said.YES, ANN.id)
    listed = labels.list_labels(as_ben, "t")
    assert {(label.judge, label.said, label.chance) for label in listed} == {
        (BEN.id, Said.NO, 0.25),
        (ANN.id, Said.UNSURE, 0.25),
    }
    assert listed[0].reply == REPLY
    assert len(labels.list_labels(as_ann, "other")) == 1


@pytest.mark.parametrize("visitor", [BEN, GUEST, NOBODY], ids=lambda who: who.name or "nobody")
def test_only_its_judge_deletes_a_label(kept: Kept, visitor):
    label = labels.keep(kept.of(ANN), "t", "humor", REPLY, Said.YES, ANN.id)
    with pytest.raises(AccessError):
        labels.withdraw(kept.of(visitor), label.id)
    # An answer of somebody else with the same name does not replace it.
    labels.keep(kept.of(visitor), "t", "humor", REPLY, Said.NO, ANN.id)
    assert len(labels.list_labels(kept.of(ANN), "t")) == 2
    assert labels.withdraw(kept.of(ANN), label.id)
    assert not labels.withdraw(kept.of(ANN), label.id)


def test_invalid_labels_are_refused(kept: Kept):
    with pytest.raises(InputError, match=r"chance of a label is 1\.5"):
        labels.keep(kept.of(ANN), "t", "humor", REPLY, Said.YES, "ann", 1.5)
    with pytest.raises(InputError, match="name of the judge"):
        labels.keep(kept.of(ANN), "t", "humor", REPLY, Said.YES, "")
    with pytest.raises(InputError, match="table's key"):
        labels.keep(kept.of(ANN), "", "humor", REPLY, Said.YES, "ann")
    assert labels.list_labels(kept.of(ANN), "t") == ()


def test_value_names_are_exact_and_judges_are_normalised(kept: Kept):
    for judge, answer in (("Ann B", Said.YES), (" Ann  B", Said.NO)):
        labels.keep(kept.of(ANN), "t", "odd  name ", REPLY, answer, judge)
    (only,) = labels.list_labels(kept.of(ANN), "t")
    assert (only.value, only.judge, only.said) == ("odd  name ", "Ann B", Said.NO)
