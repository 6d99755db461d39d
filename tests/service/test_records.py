"""Tests of generation records: by hand, from a running generation and its outcome, and safe for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest

from map_core.core import safe_csv
from map_core.core.types import Reply, Turn
from map_core.engines.tokens import Token
from map_core.generation.choice import choose
from map_core.generation.events import Begun, Finished, Tokens
from map_core.generation.request import GenerationRequest
from map_core.service import records
from map_core.service.generation import Generation
from map_core.service.snapshot import Phase

REQUEST = GenerationRequest(
    "=cmd()|calc", {"humor": 1.0}, values=("humor", "length"), candidates=3, seed=4, history=(Turn("Hi.", "Hello."),)
)
REWARDS = {"humor": (0.0, math.log(2.0), 0.0), "length": (1.0, math.nan, 3.0)}


def finished_event() -> Finished:
    replies = tuple(Reply(text, (1, 2), (-1.0, -0.5)) for text in ("@one", "two\nlines", "three, <b>"))
    return Finished(
        replies=replies,
        rewards=REWARDS,
        log_offsets=(0.0,) * 3,
        choice=choose([[r] for r in REWARDS["humor"]], [1.0], REQUEST.seed, base=REQUEST.base),
        tokens=6,
        sampling_seconds=0.1,
        provisional_seconds=0.0,
        scoring_seconds=0.0,
    )


@pytest.fixture
def generation() -> Generation:
    running = Generation(REQUEST, lambda name: None)
    running.apply(Begun(REQUEST.base))
    running.apply(Tokens(1, tuple(Token(k, 1, "word", -1.0, last=False, finished=False) for k in range(3))))
    return running


def test_the_record_of_an_outcome_by_hand():
    record = records.outcome_record(REQUEST, finished_event())
    assert [c["probability"] for c in record["candidates"]] == pytest.approx([0.25, 0.5, 0.25])
    assert record["aligned"] == record["candidates"][record["aligned_candidate"]]["reply"]
    assert record["base_candidate"] == REQUEST.base
    assert record["log_z"] == pytest.approx(math.log(4.0 / 3.0))
    assert record["ess"] == pytest.approx(1 / (0.25 + 0.0625 * 2))
    assert record["candidates"][1]["rewards"] == {"humor": math.log(2.0), "length": None}
    assert record["candidates"][0]["log_prob"] == -1.5
    assert record["history"] == [{"prompt": "Hi.", "reply": "Hello."}]


def test_record_of_a_generation_equals_that_of_its_outcome(generation):
    generation.apply(finished_event())
    from_buffer, from_outcome = (
        records.generation_record(generation, model="m"),
        records.outcome_record(REQUEST, finished_event()),
    )
    assert from_buffer.pop("model") == "m"
    for record in (from_buffer, from_outcome):
        for candidate in record["candidates"]:
            candidate.pop("log_prob", None)
            candidate.pop("tokens")
    assert from_buffer == from_outcome


def test_other_weights_and_further_palettes_choose_among_the_same_candidates(generation):
    generation.apply(finished_event())
    record = records.generation_record(generation, {"humor": 0.0}, {"Funny": {"humor": 50.0}})
    assert [c["probability"] for c in record["candidates"]] == pytest.approx([1 / 3] * 3)
    assert record["kl"] == pytest.approx(0.0)
    assert record["palettes"][0]["aligned_candidate"] == 1
    assert record["palettes"][0]["kl"] == pytest.approx(math.log(3.0), abs=1e-6)
    row = list(csv.DictReader(io.StringIO(records.candidates_csv([record]))))[1]
    assert (row["aligned (Funny)"], float(row["probability (Funny)"])) == ("1", pytest.approx(1.0))


def test_cancelled_generation_has_no_picks(generation):
    generation.end(Phase.CANCELLED)
    record = records.generation_record(generation)
    assert record["complete"] is False
    assert record["aligned"] is None
    assert record["candidates"][0]["reply"] == "word"
    row = next(csv.DictReader(io.StringIO(records.candidates_csv([record]))))
    assert (row["aligned"], row["probability"], row["ess"]) == ("0", "", "")


def test_json_lines_and_csv_are_complete_and_free_of_formulas(generation):
    generation.apply(finished_event())
    record = records.generation_record(generation, model="-m")
    lines = records.json_lines([record, record]).splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0]) == record
    rows = list(csv.DictReader(io.StringIO(records.candidates_csv([record, record]))))
    assert len(rows) == 6
    assert [row["generation"] for row in rows] == ["1"] * 3 + ["2"] * 3
    assert rows[0]["prompt"] == "'=cmd()|calc"
    assert [row["reply"] for row in rows[:3]] == ["'@one", "two\nlines", "three, <b>"]
    assert rows[0]["model"] == "'-m"
    assert (rows[1]["reward_length"], float(rows[1]["reward_humor"])) == ("", math.log(2.0))
    assert sum(int(row["base"]) for row in rows[:3]) == sum(int(row["aligned"]) for row in rows[:3]) == 1
    assert float(rows[0]["weight_humor"]) == 1.0
    assert rows[0]["top_p"] == "1.0"
    assert rows[0]["earlier_turns"] == "1"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1"])
def test_formulas_are_escaped(text):
    assert safe_csv.text_cell(text) == "'" + text
    assert safe_csv.text_cell("a" + text) == "a" + text
