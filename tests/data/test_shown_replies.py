"""Tests of replies as people read them: only those that reached the token limit are marked as cut."""

from __future__ import annotations

from dataclasses import replace

import pytest

from map_core.data.shown_replies import is_cut, shown_reply
from tests.tables import make_table

TABLE = make_table(prompts=2, candidates=2)
SAMPLING = {"temperature": 0.8, "max_new_tokens": 3}


def with_tokens(**metadata: object):
    tokens = ((1, 2, 3), (1, 2), (1,), (1, 2, 3, 4))
    return replace(TABLE, replies=("It is ", "It is.", "It.", "It is so"), tokens=tokens, metadata=metadata)


def test_reply_with_all_its_tokens_counts_as_cut():
    table = with_tokens(sampling=SAMPLING)
    assert [is_cut(table, row) for row in range(4)] == [True, False, False, True]
    assert [shown_reply(table, row) for row in range(4)] == ["It is\u00a0…", "It is.", "It.", "It is so\u00a0…"]


@pytest.mark.parametrize("metadata", [{}, {"sampling": {}}, {"sampling": None}, {"sampling": {"max_new_tokens": "3"}}])
def test_without_a_known_limit_no_reply_counts_as_cut(metadata: dict):
    assert not any(is_cut(with_tokens(**metadata), row) for row in range(4))


def test_without_tokens_no_reply_counts_as_cut():
    assert not is_cut(replace(with_tokens(sampling=SAMPLING), tokens=()), 0)
