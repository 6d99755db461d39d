"""A fake OpenAI-compatible server on 127.0.0.1 in a thread, whose answers come from a function, faults included.

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
    """Serve ``/v1/models`` and ``/v1/chat/completions`` for a ``with`` block.

    Args:
        answer: from a request to a stream of lines (:func:`chunk`, :func:`line`), or a complete response. May be
            replaced at any time.
        owner: the listed owner of the models; "vllm", "sglang" and "llamacpp" identify servers.
        models: names of the models that it lists.
        key: the required key, or none.
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
        """Return the name by which an engine reaches a model on this server."""
        return f"{name}@{self.url}"

    def wait_until_idle(self, seconds: float = 5.0) -> bool:
        """Wait for the end of all streams; return whether they have ended in time."""
        until = time.monotonic() + seconds
        while self.open and time.monotonic() < until:
            time.sleep(0.005)
        return self.open == 0

    def _refused(self, request: Request) -> Response | None:
        authorization = request.headers.get("authorization", "")
        if self.key is None or authorization == f"Bearer {self.key}":
            return None
        return JSONResponse({"error": {"message": f"Incorrect API key provided: {authorization}"}}, 401)

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
    """Return one event of a stream."""
    return f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


def chunk(
    text: str | None = None,
    finish: str | None = None,
    log_probs: Sequence[tuple[str, float]] | None = None,
    index: int = 0,
    thought: str | None = None,
) -> str:
    """Return a chunk of a reply as one event: text or thought, finish reason, and tokens with log-probabilities."""
    content = [{"token": token, "logprob": number, "bytes": list(token.encode())} for token, number in log_probs or ()]
    choice = {"index": index, "delta": {} if text is None else {"content": text}, "finish_reason": finish}
    if thought is not None:
        choice["delta"] = {"content": None, "reasoning_content": thought}
    if log_probs is not None:
        choice["logprobs"] = {"content": content}
    return line({"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "tiny", "choices": [choice]})


def fixed_answer(*lines: str) -> Answer:
    """Answer every request with the same lines."""

    async def stream() -> AsyncIterator[str]:
        for line in lines:
            yield line
            await asyncio.sleep(0)

    return lambda request: stream()


def from_model(engine: LocalEngine, apart: bool = False) -> Answer:
    """Answer with a real model; each request's random stream depends only on its seed.

    Args:
        engine: the model; it runs in the server's thread, one token of each request in turn.
        apart: send the end of a reply as a separate event, as llama.cpp and transformers do; otherwise with the
            last token, and with the log-probability of the end-of-turn token, as vLLM does.
    """

    async def stream(request: dict[str, Any]) -> AsyncIterator[str]:
        messages, most = request["messages"], request["max_tokens"]
        prompt = engine.tokenizer.render(messages)
        top_k = max(request.get("top_k", 0), 0)
        settings = SamplingSettings(request["temperature"], top_k, request["top_p"], most)
        seeds = [request["seed"] + index for index in range(request.get("n", 1))]
        telling = request.get("logprobs")
        yield chunk("")
        steps = engine._stream(prompt, [[] for _ in seeds], settings, seeds)
        try:
            for step in steps:
                for token in step:
                    finish = "stop" if token.finished else "length" if token.last else None
                    named = "<|im_end|>" if token.finished else token.text
                    log_probs = [(named, token.log_prob)] if telling and not (apart and token.finished) else None
                    if not apart:
                        yield chunk(token.text, finish, log_probs, token.candidate)
                        continue
                    if token.text or log_probs:
                        yield chunk(token.text, None, log_probs, token.candidate)
                    if finish:
                        yield chunk(None, finish, None, token.candidate)
                await asyncio.sleep(0)
        finally:
            steps.close()  # type: ignore[attr-defined]
        yield line("[DONE]")

    return stream
