"""Convert a finished generation to a reply with its certificate, or to an error.

Constraint: plain JSON values; nothing is awaited here.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from map_core.server.errors import Refusal
from map_core.server.request_parser import ReplyRequest
from map_core.service.messages import FailureKind, GenerationFailed
from map_core.service.snapshot import GenerationSnapshot, Phase

#: Seconds after which a request that failed temporarily may be sent again.
RETRY_SECONDS = 5
#: Errors of servers on chats that are too long: vLLM and OpenAI, llama.cpp, others.
_TOO_LONG = re.compile(
    r"maximum context length|context_length_exceeded|exceed_context_size|exceeds the available context size|"
    r"context (?:window|length|size) (?:of|is|exceeded)",
    re.IGNORECASE,
)
_TOKENS = re.compile(r"(\d[\d,]*) tokens")


@dataclass(frozen=True)
class ChosenReply:
    """One aligned reply.

    Args:
        text: cut at the first stop text.
        finish: "stop" where it ended by itself or at a stop text, "length" at the length limit.
        certificate: the figures of the choice, see :func:`certificate_of`.
    """

    text: str
    finish: str
    certificate: dict[str, Any]


class ReplyFormat(ABC):
    """The format of replies in one of OpenAI's interfaces, whole or as server-sent events.

    Args:
        request: the one that is answered.
    """

    def __init__(self, request: ReplyRequest) -> None:
        self.request = request

    @abstractmethod
    def whole(self, replies: Sequence[ChosenReply], usage: Mapping[str, int]) -> dict[str, Any]:
        """Return all replies at once."""

    @abstractmethod
    def begin(self, index: int) -> str:
        """Return the events that open a reply."""

    @abstractmethod
    def piece(self, index: int, text: str) -> str:
        """Return the event with a piece of a reply's text."""

    @abstractmethod
    def end(self, index: int, reply: ChosenReply) -> str:
        """Return the events that close a reply."""

    @abstractmethod
    def last(self, replies: Sequence[ChosenReply], usage: Mapping[str, int]) -> str:
        """Return the events after all replies."""

    @abstractmethod
    def failed(self, refusal: Refusal) -> str:
        """Return the events of a stream that has failed."""


def event(data: Mapping[str, Any] | str, name: str | None = None) -> str:
    """Format one server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, allow_nan=False)
    return f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n"


def chosen_reply(request: ReplyRequest, index: int, snapshot: GenerationSnapshot) -> ChosenReply:
    """Return one reply of a request.

    Args:
        request: the one that is answered.
        index: of the reply.
        snapshot: of a generation that has ended.

    Raises:
        Refusal: the generation failed.
    """
    if snapshot.phase is not Phase.DONE or snapshot.picked is None:
        raise failure_of(snapshot)
    text = snapshot.candidates[snapshot.picked].text
    cut = min((text.index(stop) for stop in request.stops if stop in text), default=None)
    notes = list(snapshot.notes)
    if cut is not None:
        notes.append("The reply is cut at a stop text; its rewards are those of the whole reply.")
    ended = snapshot.candidates[snapshot.picked].finished or cut is not None
    certificate = certificate_of(snapshot) | {"seed": request.requests[index].seed, "notes": notes}
    return ChosenReply(text[:cut], "stop" if ended else "length", certificate)


def usage_of(request: ReplyRequest, snapshots: Sequence[GenerationSnapshot]) -> dict[str, int]:
    """Count the tokens of the prompts, each once, and of the replies that were chosen."""
    pairs = zip(request.requests, snapshots, strict=True)
    by_prompt = {request.prompt: snapshot.prompt_tokens for request, snapshot in pairs}
    prompt = request.prompt_tokens or sum(count or 0 for count in by_prompt.values())
    completion = sum(s.candidates[s.picked].tokens for s in snapshots if s.picked is not None)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def certificate_of(snapshot: GenerationSnapshot) -> dict[str, Any]:
    """Return the figures of the choice of a reply, in nats and reward units.

    Args:
        snapshot: a generation that is done.
    """
    choice, picked = snapshot.choice, snapshot.picked
    assert choice is not None
    assert picked is not None
    chosen, base = snapshot.candidates[picked], snapshot.candidates[snapshot.base]
    return {
        "candidate": picked,
        "candidates": len(snapshot.candidates),
        "probability": chosen.probability,
        "rewards": dict(chosen.rewards),
        "ess": choice.ess,
        "kl": choice.kl,
        "log_z": choice.log_z,
        "log_k": snapshot.log_candidates,
        "error": choice.error,
        "more_would_help": choice.more_would_help,
        **({} if choice.decided is None else {"decided": choice.decided}),
        **({} if choice.floors is None else {"floors": choice.floors.as_dict()}),
        "base": {
            "candidate": snapshot.base,
            "reply": base.text,
            "rewards": dict(base.rewards),
            "probability": base.probability,
        },
        "tokens": snapshot.tokens,
        "seconds": snapshot.seconds,
        "restarts": snapshot.restarts,
    }


def failure_of(snapshot: GenerationSnapshot) -> Refusal:
    """Return the refusal for a generation without a reply."""
    if snapshot.phase is Phase.CANCELLED:
        return Refusal("The server is being stopped.", status=503, kind="server_error")
    reason = snapshot.error or "No candidate could be scored. Leave a value out, or draw more candidates."
    return refusal_of(GenerationFailed(reason, snapshot.command, snapshot.failure or FailureKind.INTERNAL))


def refusal_of(failure: GenerationFailed) -> Refusal:
    """Return the refusal for a failure of the model process: 400, 502 or 503 by its kind, else 500."""
    reason = failure.error
    if failure.kind is FailureKind.REQUEST and _TOO_LONG.search(reason):
        tokens = _TOKENS.search(reason)
        if "maximum context length" not in reason and tokens:
            # OpenAI's wording, which clients search for.
            reason = f"This model's maximum context length is {tokens[1]} tokens. {reason}"
        return Refusal(reason, param="messages", code="context_length_exceeded")
    match failure.kind:
        case FailureKind.REQUEST:
            return Refusal(reason)
        case FailureKind.UPSTREAM:
            return Refusal(reason, status=502, kind="server_error")
        case FailureKind.UNAVAILABLE:
            return Refusal(reason, status=503, kind="server_error", retry_after=RETRY_SECONDS)
    return Refusal(reason, status=503 if failure.command else 500, kind="server_error")
