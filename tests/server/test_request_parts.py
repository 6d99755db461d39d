"""Tests of how a request is read: turns, seeds and the weights of a palette."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.analysis.generation_weights import GenerationWeightsSolver
from map_core.data import table_format
from map_core.palettes.targets import resolve
from map_core.server.chat_body import ChatBody, read_chat
from map_core.server.errors import Refusal, RequestLimits
from map_core.server.fields import read_fields
from map_core.server.request_parser import reply_seed
from map_core.text.generation_weights import generation_notes


def test_a_chat_is_read_into_turns() -> None:
    turns = [
        {"role": role, "content": role[0] + str(i)} for i, role in enumerate(("user", "assistant") * 2 + ("user",))
    ]
    chat = read_chat([{"role": "developer", "content": "s"}, *turns], RequestLimits())
    assert (chat.system, chat.prompt, chat.beginning, chat.notes) == ("s", "u4", "", ())
    assert [(turn.prompt, turn.reply) for turn in chat.history] == [("u0", "a1"), ("u2", "a3")]
    with pytest.raises(Refusal, match="true or false"):
        read_fields(b'{"messages": [], "stream": 1}', ChatBody)


def test_seeds_of_replies_differ() -> None:
    assert len({reply_seed(seed, number) for seed in range(20) for number in range(16)}) == 320
    assert reply_seed(5, 0) == 5


def test_generation_weights_by_hand() -> None:
    table = table_format.load(table_format.DEFAULT_TABLE)
    solver = GenerationWeightsSolver(table, scored=("humor",))
    levels = resolve({"humor": "p60", "kindness": "p55"}, table, solver.oracle)
    full = solver.solve(levels, 64)
    assert full is solver.solve(levels, 1000)  # the whole table
    assert set(full.weights) == {"humor"}
    assert "no scorer for kindness" in generation_notes(full.facts)[-1]
    assert full.targets == pytest.approx(full.asked)
    single = solver.solve(levels, 1)
    assert not single.weights
    assert "nothing to choose from" in generation_notes(single.facts)[0]
    low = solver.solve(resolve({"humor": "p1"}, table, solver.oracle), 16)
    assert not low.weights
    assert np.isnan(levels).sum() == 6
