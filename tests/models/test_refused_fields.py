"""Tests of requests to servers that refuse fields: the fullest accepted form is determined once, then remembered."""

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


class RefusingServer:
    """A server that refuses some fields, and top_logprobs above a number.

    Args:
        fields: what it refuses.
        names: whether errors name the field, as those of transformers do, or not, as those of LiteLLM.
        most: the largest top_logprobs that it accepts.
    """

    def __init__(self, fields: set[str], names: bool, most: int = 20) -> None:
        self.fields, self.names, self.most = fields, names, most
        self.requests: list[dict[str, Any]] = []

    def __call__(self, form: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(form)
        refused = sorted(self.fields & form.keys())
        if form.get("top_logprobs", 0) > self.most:
            refused.append("top_logprobs")
        if refused:
            raise refusal(f"Unexpected fields: {set(refused)}" if self.names else "Error code: 422")
        return form


def subsets() -> list[set[str]]:
    names = ("max_tokens", "top_logprobs", "top_k", "seed")
    return [set(subset) for n in range(5) for subset in itertools.combinations(names, n)]


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("refused", subsets(), ids=lambda subset: "-".join(sorted(subset)) or "nothing")
@pytest.mark.parametrize("most", [20, 7, 2])
def test_the_fullest_accepted_form_is_determined_and_remembered(refused: set[str], names: bool, most: int) -> None:
    server, fields = RefusingServer(refused, names, most), RefusedFields(FIELDS)
    expected = {name: value for name, value in BODY.items() if name not in refused}
    if "max_tokens" in refused:
        expected["max_completion_tokens"] = 9
    if "top_logprobs" in expected:
        accepted = next((n for n in (20, 10, 5) if n <= most), None)
        expected = {name: value for name, value in expected.items() if name != "top_logprobs"}
        expected |= {} if accepted is None else {"top_logprobs": accepted}
    assert fields.send(BODY, server) == expected
    before = len(server.requests)
    assert fields.send(BODY | {"seed": 8}, server) == expected | ({} if "seed" in refused else {"seed": 8})
    assert len(server.requests) == before + 1
    assert fields.refused == refused | ({"top_logprobs"} if most < 20 else set())
    assert before <= 2 if not fields.refused or (names and fields.refused <= {"top_k"}) else before <= 12


def test_a_field_that_is_required_stays() -> None:
    server, fields = RefusingServer({"top_k", "seed"}, names=True), RefusedFields(FIELDS)
    with pytest.raises(openai.APIStatusError, match="top_k"):
        fields.send(BODY | {"top_k": 9}, server, required=("top_k",))
    assert all(form["top_k"] == 9 for form in server.requests)
    assert "top_k" not in fields.send(BODY, server)


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_for_another_reason_is_raised_and_nothing_is_remembered(status: int) -> None:
    fields, bodies = RefusedFields(FIELDS), []

    def full(form: dict[str, Any]) -> None:
        bodies.append(form)
        raise refusal("the context holds 256 tokens", status)

    with pytest.raises(openai.APIStatusError, match="the context holds 256 tokens"):
        fields.send(BODY, full)
    assert (len(bodies), fields.refused) == (2, frozenset())
    fields.send(BODY, RefusingServer(set(), names=False))
    with pytest.raises(openai.APIStatusError, match="the context holds 256 tokens"):
        fields.send(BODY, full)
    assert len(bodies) == 3  # a form that was accepted once is not searched again


def test_the_last_reason_is_raised_where_the_first_was_a_field() -> None:
    def pinned(form: dict[str, Any]) -> None:
        raise refusal("Unexpected field: top_k" if "top_k" in form else "there is no such model")

    with pytest.raises(openai.APIStatusError, match="there is no such model"):
        RefusedFields(FIELDS).send(BODY, pinned)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_other_errors_are_no_refusals_of_fields(status: int) -> None:
    bodies: list[dict[str, Any]] = []

    def fail(form: dict[str, Any]) -> None:
        bodies.append(form)
        raise refusal("no", status)

    with pytest.raises(openai.APIStatusError):
        RefusedFields(FIELDS).send(BODY, fail)
    assert len(bodies) == 1


def test_an_error_during_the_search_is_raised_and_not_taken_for_a_refusal() -> None:
    server, fields = RefusingServer({"top_k", "seed"}, names=False), RefusedFields(FIELDS)

    def overloaded(form: dict[str, Any]) -> dict[str, Any]:
        if len(server.requests) == 3:
            server.requests.append(form)
            raise refusal("too much to do", 429)
        return server(form)

    with pytest.raises(openai.APIStatusError, match="too much to do"):
        fields.send(BODY, overloaded)
    assert fields.refused == frozenset()
    fields.send(BODY, overloaded)
    assert fields.refused == {"top_k", "seed"}


def test_concurrent_requests_search_once_and_close_unused_responses() -> None:
    server, fields = RefusingServer({"top_k", "seed"}, names=False), RefusedFields(FIELDS)
    opened: list[int] = []

    async def call(form: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        response = server(form)
        opened.append(id(response))
        return response

    async def discard(response: dict[str, Any]) -> None:
        opened.remove(id(response))

    async def send_five() -> list[dict[str, Any]]:
        lock = asyncio.Lock()
        sending = (fields.send_async(BODY, call, discard, lock) for _ in range(5))
        return list(await asyncio.gather(*sending))

    responses = asyncio.run(send_five())
    assert all(
        response == {"model": "tiny", "max_tokens": 9, "logprobs": True, "top_logprobs": 20} for response in responses
    )
    assert len(opened) == 5
    single = RefusingServer({"top_k", "seed"}, names=False)
    RefusedFields(FIELDS).send(BODY, single)
    assert len(server.requests) == len(single.requests) + 2 * 4  # each of the others is refused once and accepted once


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("refused", subsets(), ids=lambda subset: "-".join(sorted(subset)) or "nothing")
def test_a_response_is_closed_only_after_a_fuller_one_was_opened(refused: set[str], names: bool) -> None:
    """A server with one random stream for all requests may go on drawing after a close and disturb the next one."""
    server, fields = RefusingServer(refused, names), RefusedFields(FIELDS)
    opened: list[dict[str, Any]] = []
    closed: list[dict[str, Any]] = []

    async def call(form: dict[str, Any]) -> dict[str, Any]:
        assert len(opened) - len(closed) <= 1
        opened.append(server(form))
        return form

    async def discard(response: dict[str, Any]) -> None:
        assert response != opened[-1]
        closed.append(response)

    response = asyncio.run(fields.send_async(BODY, call, discard, asyncio.Lock()))
    assert response == fields.accepted_form(BODY) == opened[-1]
    assert closed == opened[:-1]
    if names:
        assert len(opened) == 1


def test_a_response_is_closed_where_an_error_ends_the_search() -> None:
    server, fields = RefusingServer({"top_k", "seed"}, names=True), RefusedFields(FIELDS)
    closed: list[dict[str, Any]] = []

    async def overloaded(form: dict[str, Any]) -> dict[str, Any]:
        if len(server.requests) == 2:
            raise refusal("too much to do", 429)
        return server(form)

    async def discard(response: dict[str, Any]) -> None:
        closed.append(response)

    with pytest.raises(openai.APIStatusError, match="too much to do"):
        asyncio.run(fields.send_async(BODY, overloaded, discard, asyncio.Lock()))
    assert closed == [{name: value for name, value in BODY.items() if name not in ("top_k", "seed")}]


def test_an_error_is_released_as_soon_as_it_is_handled() -> None:
    """Without the garbage collector, since the error holds its connection."""
    collected: list[str] = []

    def watched_error() -> openai.APIStatusError:
        error = refusal("no", 422)
        weakref.finalize(error, collected.append, "no")
        return error

    def fail(form: dict[str, Any]) -> None:
        raise watched_error()

    gc.disable()
    try:
        with contextlib.suppress(openai.APIStatusError):
            RefusedFields(FIELDS).send(BODY, fail)
        assert collected == ["no"] * 2
    finally:
        gc.enable()
