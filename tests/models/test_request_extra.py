"""Tests of extra request fields: passed on unchanged, and refused where they set what the program sets."""

from __future__ import annotations

import pytest

from map_core.engines.factory import open_engine
from map_core.errors import InputError
from map_core.models.request_extra import check_request_extra, nested_names, parse_request_extra, recorded_request_extra


def test_fields_are_passed_on() -> None:
    text = '{"chat_template_kwargs": {"enable_thinking": false}, "generation_config": "{\\"top_k\\": 0}"}'
    extra = parse_request_extra(text)
    assert extra == {"chat_template_kwargs": {"enable_thinking": False}, "generation_config": '{"top_k": 0}'}
    assert nested_names(extra) == {"enable_thinking", "top_k"}
    assert recorded_request_extra({"request_extra": extra}) == extra
    assert recorded_request_extra({}) == recorded_request_extra({"request_extra": "no"}) == {}


@pytest.mark.parametrize(
    "name", ["model", "messages", "seed", "n", "top_k", "max_completion_tokens", "logprobs", "tools"]
)
def test_fields_that_the_program_sets_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"set {name}, which has an option of its own"):
        check_request_extra({name: 1})
    with pytest.raises(InputError, match=f"set {name}"):
        recorded_request_extra({"request_extra": {name: 1}})


@pytest.mark.parametrize("nested", [{"temperature": 2}, '{"temperature": 2}', {"a": {"temperature": 2}}])
def test_nested_fields_that_the_program_sets_are_refused(nested: object) -> None:
    with pytest.raises(InputError, match="set temperature"):
        check_request_extra({"generation_config": nested})


@pytest.mark.parametrize("text", ["", "[1]", "7", "{'a': 1}"])
def test_text_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"extra request fields are not (a )?JSON"):
        parse_request_extra(text)


def test_a_model_on_this_machine_gets_no_requests() -> None:
    with pytest.raises(InputError, match="which is on this machine and gets no requests"):
        open_engine("smollm2-135m-instruct", request_extra={"a": 1})
