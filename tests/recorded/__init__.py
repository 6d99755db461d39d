"""Recorded answers of real servers, written by ``record.py``, and a fake server that replays them."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from starlette.responses import Response

from tests.chat_server import Answer, ChatServer

FOLDER = Path(__file__).parent
NAMES = ("llama_cpp", "llama_cpp_thinking", "transformers_serve", "litellm", "litellm_transformers")


@dataclass(frozen=True)
class RecordedReply:
    """The content of one recorded stream, parsed without the engine.

    Args:
        text: of the reply.
        thoughts: reasoning that the server returned separately.
        log_probs: of every token that the server reports.
        tokens: as the server counts them, thoughts and end of turn included.
        finish: "stop" or "length".
    """

    text: str
    thoughts: str
    log_probs: tuple[float, ...]
    tokens: int
    finish: str


@dataclass(frozen=True)
class Recording:
    """The recorded answers of one server."""

    name: str

    @cached_property
    def exchanges(self) -> dict[str, Any]:
        """Return the exchanges of the recorded file."""
        return dict(json.loads((FOLDER / f"{self.name}.json").read_text(encoding="utf-8")))

    @property
    def model(self) -> str:
        """Return the model's name in requests."""
        return str(self.exchanges["model"])

    @property
    def owner(self) -> str:
        """Return the owner that the server lists for its models; "" without one."""
        listed = self.exchanges["models"]
        return str(json.loads(listed["text"])["data"][0]["owned_by"]) if listed["status"] == 200 else ""

    @property
    def refused(self) -> set[str]:
        """Return the fields that the server refuses."""
        return {name for name, answer in self.exchanges["fields"].items() if answer["status"] >= 400}

    @cached_property
    def replies(self) -> list[RecordedReply]:
        """Return the recorded streams in the order of their seeds."""
        return [_read(stream["text"]) for stream in self.exchanges["streams"]]

    def answer(self) -> Answer:
        """Return the answer function: recorded streams in turn, or the error for a refused field or a long prompt."""
        streams = itertools.cycle(self.exchanges["streams"])

        async def lines(text: str) -> AsyncIterator[str]:
            for event in text.split("\n\n"):
                if event.strip():
                    yield event.strip() + "\n\n"

        def answer(request: dict[str, Any]) -> AsyncIterator[str] | Response:
            fields = self.exchanges["fields"]
            refusals = [fields[name] for name in request if name in self.refused]
            if sum(len(str(message["content"])) for message in request["messages"]) > 1000:
                long = self.exchanges["overflow_stream" if request.get("stream") else "overflow"]
                if long["status"] >= 400:
                    refusals.append(long)
            if refusals:
                return Response(refusals[0]["text"], refusals[0]["status"], media_type=refusals[0]["type"])
            if not request.get("stream"):
                return Response(self.exchanges["whole"][0]["text"], media_type="application/json")
            text = next(streams)["text"]
            return lines(text if "logprobs" in request else _without_log_probs(text))

        return answer

    def server(self) -> ChatServer:
        """Return a fake server that replays the recording, for a ``with`` block."""
        listed = self.exchanges["models"]["status"] == 200
        return ChatServer(self.answer(), owner=self.owner, models=(self.model,) if listed else ())


def _events(text: str) -> list[dict[str, Any]]:
    lines = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {"))
    return [json.loads(line) for line in lines]


def _read(text: str) -> RecordedReply:
    events = _events(text)
    choices = [choice for event in events for choice in event.get("choices") or ()]
    deltas = [choice.get("delta") or {} for choice in choices]
    tokens = [token for choice in choices for token in (choice.get("logprobs") or {}).get("content") or ()]
    (usage,) = [event["usage"] for event in events if event.get("usage")][-1:]
    (finish,) = {choice["finish_reason"] for choice in choices if choice.get("finish_reason")}
    return RecordedReply(
        text="".join(delta.get("content") or "" for delta in deltas),
        thoughts="".join(delta.get("reasoning_content") or "" for delta in deltas),
        log_probs=tuple(float(token["logprob"]) for token in tokens),
        tokens=int(usage["completion_tokens"]),
        finish=str(finish),
    )


def _without_log_probs(text: str) -> str:
    events = []
    for event in _events(text):
        for choice in event.get("choices") or ():
            choice.pop("logprobs", None)
        events.append(f"data: {json.dumps(event)}")
    return "\n\n".join([*events, "data: [DONE]"])
