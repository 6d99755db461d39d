"""An OpenAI-compatible server for tests, on 127.0.0.1 in a thread: what it answers is a function, faults included.

A real server cannot be made to fail on demand, nor does every one mind seeds; :func:`from_model` puts a real model
behind this one, with a random stream of its own for each request, as vLLM has.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from map_core.core.types import SamplingSettings
from map_core.engines.base import LocalEngine
from tests.server_thread import ServerThread

Answer = Callable[[dict[str, Any]], "AsyncIterator[str] | Response"]


class ChatServer(ServerThread):
    """Serves ``/v1/models`` and ``/v1/chat/completions`` as long as its ``with`` block lasts.

    Args:
        answer: what a request gets: a stream of lines (:func:`piece`, :func:`line`), or a whole response. May be
            replaced at any time.
        owner: what the models are said to be owned by; "vllm", "sglang", "llamacpp" name servers.
        models: names of the models that it lists.
        key: the key that it wants, or none.
    """

    def __init__(
        self, answer: Answer, owner: str = "tests", models: Sequence[str] = ("tiny",), key: str | None = None
    ) -> None:
        self.answer, self.owner, self.models, self.key = answer, owner, models, key
        self.requests: list[dict[str, Any]] = []
        self.open = 0
        routes = [Route("/v1/models", self._list), Route("/v1/chat/completions", self._chat, methods=["POST"])]
        super().__init__(Starlette(routes=routes), timeout_graceful_shutdown=1)
        self.url = f"{self.origin}/v1"

    def model(self, name: str = "tiny") -> str:
        """The name by which an engine reaches a model here."""
        return f"{name}@{self.url}"

    def emptied(self, seconds: float = 5.0) -> bool:
        """Whether every stream has ended, within so many seconds."""
        until = time.monotonic() + seconds
        while self.open and time.monotonic() < until:
            time.sleep(0.005)
        return self.open == 0

    def _refused(self, request: Request) -> Response | None:
        given = request.headers.get("authorization", "")
        if self.key is None or given == f"Bearer {self.key}":
            return None
        return JSONResponse({"error": {"message": f"Incorrect API key provided: {given}"}}, 401)

    async def _list(self, request: Request) -> Response:
        data = [{"id": name, "object": "model", "created": 0, "owned_by": self.owner} for name in self.models]
        return self._refused(request) or JSONResponse({"object": "list", "data": data})

    async def _chat(self, request: Request) -> Response:
        if refusal := self._refused(request):
            return refusal
        body = await request.json()
        self.requests.append(body)
        answer = self.answer(body)
        if isinstance(answer, Response):
            return answer
        return StreamingResponse(self._counted(answer), media_type="text/event-stream")

    async def _counted(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        self.open += 1
        try:
            async for line in lines:
                yield line
        finally:
            self.open -= 1


def line(data: object) -> str:
    """One event of a stream."""
    return f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


def piece(
    text: str | None = None,
    finish: str | None = None,
    told: Sequence[tuple[str, float]] | None = None,
    index: int = 0,
    thought: str | None = None,
) -> str:
    """A piece of a reply as one event: text or thought, why it ends, and the tokens with their log-probabilities."""
    content = [{"token": token, "logprob": log_prob, "bytes": list(token.encode())} for token, log_prob in told or ()]
    choice = {"index": index, "delta": {} if text is None else {"content": text}, "finish_reason": finish}
    if thought is not None:
        choice["delta"] = {"content": None, "reasoning_content": thought}
    if told is not None:
        choice["logprobs"] = {"content": content}
    return line({"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "tiny", "choices": [choice]})


def saying(*lines: str) -> Answer:
    """The same lines for every request."""

    async def stream() -> AsyncIterator[str]:
        for line in lines:
            yield line
            await asyncio.sleep(0)

    return lambda request: stream()


def from_model(engine: LocalEngine, apart: bool = False) -> Answer:
    """Answers of a real model; each request's random stream depends on its seed alone.

    Args:
        engine: the model; its work is done in the server's thread, a token of each request in turn.
        apart: the end of a reply comes in an event of its own, as llama.cpp and transformers send it; else with the
            last token, and with the end-of-turn token among those told, as vLLM does.
    """

    async def stream(request: dict[str, Any]) -> AsyncIterator[str]:
        messages, most = request["messages"], request["max_tokens"]
        prompt = engine.tokenizer.render(messages)
        top_k = max(request.get("top_k", 0), 0)
        settings = SamplingSettings(request["temperature"], top_k, request["top_p"], most)
        seeds = [request["seed"] + index for index in range(request.get("n", 1))]
        telling = request.get("logprobs")
        yield piece("")
        steps = engine._stream(prompt, [[] for _ in seeds], settings, seeds)
        try:
            for step in steps:
                for token in step:
                    finish = "stop" if token.finished else "length" if token.last else None
                    named = "<|im_end|>" if token.finished else token.text
                    told = [(named, token.log_prob)] if telling and not (apart and token.finished) else None
                    if not apart:
                        yield piece(token.text, finish, told, token.candidate)
                        continue
                    if token.text or told:
                        yield piece(token.text, None, told, token.candidate)
                    if finish:
                        yield piece(None, finish, None, token.candidate)
                await asyncio.sleep(0)
        finally:
            steps.close()  # type: ignore[attr-defined]
        yield line("[DONE]")

    return stream
