"""Requests to servers that refuse fields: the fullest form that is taken is found for every kind of refusal, once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import weakref
from typing import Any

import httpx2
import openai
import pytest

from map_core.models.refused_fields import OptionalField, RefusedFields, left_out, lowered, renamed

FIELDS = (
    OptionalField("max_tokens", (renamed("max_completion_tokens"),)),
    OptionalField("top_logprobs", (lowered("top_logprobs", 10), lowered("top_logprobs", 5), left_out)),
    OptionalField("top_k"),
    OptionalField("seed"),
)
BODY = {"model": "tiny", "max_tokens": 9, "logprobs": True, "top_logprobs": 20, "top_k": -1, "seed": 7}


def refusal(message: str, status: int = 400) -> openai.APIStatusError:
    response = httpx2.Response(status, request=httpx2.Request("POST", "http://127.0.0.1/v1"))
    return openai.APIStatusError(message, response=response, body={"message": message})


class Refuser:
    """A server that refuses some fields, and top_logprobs above a number.

    Args:
        fields: what it refuses.
        names: it says which field it is, as transformers does; else it says nothing, as LiteLLM does.
        most: alternatives that it tells.
    """

    def __init__(self, fields: set[str], names: bool, most: int = 20) -> None:
        self.fields, self.names, self.most = fields, names, most
        self.asked: list[dict[str, Any]] = []

    def __call__(self, form: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(form)
        wrong = sorted(self.fields & form.keys())
        if form.get("top_logprobs", 0) > self.most:
            wrong.append("top_logprobs")
        if wrong:
            raise refusal(f"Unexpected fields: {set(wrong)}" if self.names else "Error code: 422")
        return form


def subsets() -> list[set[str]]:
    names = ("max_tokens", "top_logprobs", "top_k", "seed")
    return [set(some) for n in range(5) for some in itertools.combinations(names, n)]


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("refused", subsets(), ids=lambda some: "-".join(sorted(some)) or "nothing")
@pytest.mark.parametrize("most", [20, 7, 2])
def test_the_fullest_form_that_is_taken_is_found_and_remembered(refused: set[str], names: bool, most: int) -> None:
    server, fields = Refuser(refused, names, most), RefusedFields(FIELDS)
    expected = {name: value for name, value in BODY.items() if name not in refused}
    if "max_tokens" in refused:
        expected["max_completion_tokens"] = 9
    if "top_logprobs" in expected:
        fewer = next((n for n in (20, 10, 5) if n <= most), None)
        expected = {name: value for name, value in expected.items() if name != "top_logprobs"}
        expected |= {} if fewer is None else {"top_logprobs": fewer}
    assert fields.send(BODY, server) == expected
    before = len(server.asked)
    assert fields.send(BODY | {"seed": 8}, server) == expected | ({} if "seed" in refused else {"seed": 8})
    assert len(server.asked) == before + 1
    assert fields.refused == refused | ({"top_logprobs"} if most < 20 else set())
    assert before <= 2 if not fields.refused or (names and fields.refused <= {"top_k"}) else before <= 12


def test_a_field_that_is_required_stays() -> None:
    server, fields = Refuser({"top_k", "seed"}, names=True), RefusedFields(FIELDS)
    with pytest.raises(openai.APIStatusError, match="top_k"):
        fields.send(BODY | {"top_k": 9}, server, required=("top_k",))
    assert all(form["top_k"] == 9 for form in server.asked)
    assert "top_k" not in fields.send(BODY, server)


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_of_another_kind_is_the_servers_and_nothing_is_remembered(status: int) -> None:
    fields, bodies = RefusedFields(FIELDS), []

    def full(form: dict[str, Any]) -> None:
        bodies.append(form)
        raise refusal("the context holds 256 tokens", status)

    with pytest.raises(openai.APIStatusError, match="the context holds 256 tokens"):
        fields.send(BODY, full)
    assert (len(bodies), fields.refused) == (2, frozenset())
    fields.send(BODY, Refuser(set(), names=False))
    with pytest.raises(openai.APIStatusError, match="the context holds 256 tokens"):
        fields.send(BODY, full)
    assert len(bodies) == 3  # what the server has taken once is not blamed again


def test_the_last_reason_is_told_where_the_first_was_a_field() -> None:
    def pinned(form: dict[str, Any]) -> None:
        raise refusal("Unexpected field: top_k" if "top_k" in form else "there is no such model")

    with pytest.raises(openai.APIStatusError, match="there is no such model"):
        RefusedFields(FIELDS).send(BODY, pinned)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_other_faults_are_no_refusals_of_fields(status: int) -> None:
    bodies: list[dict[str, Any]] = []

    def fault(form: dict[str, Any]) -> None:
        bodies.append(form)
        raise refusal("no", status)

    with pytest.raises(openai.APIStatusError):
        RefusedFields(FIELDS).send(BODY, fault)
    assert len(bodies) == 1


def test_a_fault_while_it_is_found_out_ends_it_and_is_not_taken_for_a_refusal() -> None:
    server, fields = Refuser({"top_k", "seed"}, names=False), RefusedFields(FIELDS)

    def stumbling(form: dict[str, Any]) -> dict[str, Any]:
        if len(server.asked) == 3:
            server.asked.append(form)
            raise refusal("too much to do", 429)
        return server(form)

    with pytest.raises(openai.APIStatusError, match="too much to do"):
        fields.send(BODY, stumbling)
    assert fields.refused == frozenset()
    fields.send(BODY, stumbling)
    assert fields.refused == {"top_k", "seed"}


def test_requests_side_by_side_find_it_out_once_and_close_what_they_do_not_use() -> None:
    server, fields = Refuser({"top_k", "seed"}, names=False), RefusedFields(FIELDS)
    opened: list[int] = []

    async def call(form: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        answer = server(form)
        opened.append(id(answer))
        return answer

    async def discard(answer: dict[str, Any]) -> None:
        opened.remove(id(answer))

    async def several() -> list[dict[str, Any]]:
        lock = asyncio.Lock()
        sending = (fields.send_async(BODY, call, discard, lock) for _ in range(5))
        return list(await asyncio.gather(*sending))

    answers = asyncio.run(several())
    assert all(answer == {"model": "tiny", "max_tokens": 9, "logprobs": True, "top_logprobs": 20} for answer in answers)
    assert len(opened) == 5
    alone = Refuser({"top_k", "seed"}, names=False)
    RefusedFields(FIELDS).send(BODY, alone)
    assert len(server.asked) == len(alone.asked) + 2 * 4  # each of the others is refused once and taken once


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("refused", subsets(), ids=lambda some: "-".join(sorted(some)) or "nothing")
def test_an_answer_is_closed_only_after_a_fuller_one_was_opened(refused: set[str], names: bool) -> None:
    """A server with one random stream for all requests may draw on after a close, and disturb the next request."""
    server, fields = Refuser(refused, names), RefusedFields(FIELDS)
    opened: list[dict[str, Any]] = []
    closed: list[dict[str, Any]] = []

    async def call(form: dict[str, Any]) -> dict[str, Any]:
        assert len(opened) - len(closed) <= 1
        opened.append(server(form))
        return form

    async def discard(answer: dict[str, Any]) -> None:
        assert answer != opened[-1]
        closed.append(answer)

    answer = asyncio.run(fields.send_async(BODY, call, discard, asyncio.Lock()))
    assert answer == fields.accepted_form(BODY) == opened[-1]
    assert closed == opened[:-1]
    if names:
        assert len(opened) == 1


def test_an_answer_is_closed_where_a_fault_ends_the_search() -> None:
    server, fields = Refuser({"top_k", "seed"}, names=True), RefusedFields(FIELDS)
    closed: list[dict[str, Any]] = []

    async def stumbling(form: dict[str, Any]) -> dict[str, Any]:
        if len(server.asked) == 2:
            raise refusal("too much to do", 429)
        return server(form)

    async def discard(answer: dict[str, Any]) -> None:
        closed.append(answer)

    with pytest.raises(openai.APIStatusError, match="too much to do"):
        asyncio.run(fields.send_async(BODY, stumbling, discard, asyncio.Lock()))
    assert closed == [{name: value for name, value in BODY.items() if name not in ("top_k", "seed")}]


def test_an_error_goes_as_soon_as_it_is_dealt_with() -> None:
    """Without the garbage collector: with it goes the connection that it came by."""
    collected: list[str] = []

    def watched() -> openai.APIStatusError:
        error = refusal("no", 422)
        weakref.finalize(error, collected.append, "no")
        return error

    def fault(form: dict[str, Any]) -> None:
        raise watched()

    gc.disable()
    try:
        with contextlib.suppress(openai.APIStatusError):
            RefusedFields(FIELDS).send(BODY, fault)
        assert collected == ["no"] * 2
    finally:
        gc.enable()
