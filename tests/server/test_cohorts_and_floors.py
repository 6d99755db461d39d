"""Tests of requests with the cohort of their prompt, and with floors: levels that every reply must have."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from map_core.analysis.generation_weights import GenerationWeightsSolver
from map_core.core.types import SamplingSettings
from map_core.data import table_format
from map_core.oracle import MemoryOracle
from map_core.palettes.target_columns import with_target_columns
from map_core.palettes.targets import resolve
from map_core.server.errors import Refusal, RequestLimits
from map_core.server.prompt_tokens import PromptTokens
from map_core.server.request_parser import ReplyRequest, RequestParser
from map_core.server.steering import Steering

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def parser() -> RequestParser:
    table = table_format.load(table_format.DEFAULT_TABLE)
    targets = {"helpfulness": "p60", "kindness>=p20@Workplace writing": 0.95, "kindness>=p20@Health information": 0.95}
    with_shares, oracle, (named_targets,) = with_target_columns(table, MemoryOracle.of(table), [targets])
    steering = Steering(
        "tiny", GenerationWeightsSolver(with_shares), {"kind": resolve(named_targets, with_shares, oracle)}
    )
    settings = SamplingSettings.from_metadata(table.metadata)
    return RequestParser(steering, settings, None, PromptTokens(None), RequestLimits(), 64)


def read(parser: RequestParser, **fields: Any) -> ReplyRequest:
    return parser.chat(json.dumps({"messages": HELLO, "max_tokens": 8} | fields).encode())


def test_the_weights_of_a_cohort_count_for_its_prompts_alone(parser: RequestParser):
    overall = read(parser, palette="kind")
    at_work = read(parser, palette="kind", cohort="Workplace writing")
    by_name = read(parser, palette="kind", cohort=["use_case=Workplace writing"])
    shares = [name for name in at_work.requests[0].weights if ">=" in name]
    assert len(shares) == 1
    assert shares[0].startswith("kindness>=")
    assert not any(">=" in name for name in overall.requests[0].weights)
    assert by_name.requests[0].weights == at_work.requests[0].weights
    assert at_work.in_force["cohort"] == ["Workplace writing"]
    assert any("the kind of prompt is not given" in note for note in overall.in_force["notes"])
    assert not any("the kind of prompt is not given" in note for note in at_work.in_force["notes"])


def test_floors_are_levels_of_the_table_and_draw_several_candidates(parser: RequestParser):
    table = table_format.load(table_format.DEFAULT_TABLE)
    request = read(parser, floors={"kindness": "p20", "humor": 0.5}).requests[0]
    assert request.floors["humor"] == 0.5
    assert request.floors["kindness"] == pytest.approx(
        np.percentile(table.rewards[:, table.index("kindness")], 20), abs=0.05
    )
    assert request.candidates == 64
    assert set(request.scored) == {"kindness", "humor"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"palette": "kind", "cohort": "Nowhere"}, "No prompt has 'Nowhere' as its use case"),
        ({"palette": "kind", "cohort": "mood=good"}, "no column of text 'mood'"),
        ({"cohort": "Workplace writing"}, "names no palette"),
        ({"cohort": 3}, "cohort is 3; expected text or a list of texts"),
        ({"floors": {"wit": 1.0}}, "floors names 'wit'"),
        ({"floors": {"kindness": "high"}}, "The target of kindness is 'high'"),
        ({"floors": {"kindness": True}}, "expected a number in reward units, or text such as p20"),
        ({"floors": ["kindness"]}, "floors is ['kindness']; expected an object"),
    ],
)  # fmt: skip
def test_invalid_cohorts_and_floors_are_refused(parser: RequestParser, fields: dict[str, Any], message: str):
    with pytest.raises(Refusal) as refusal:
        read(parser, **fields)
    assert message in str(refusal.value)
