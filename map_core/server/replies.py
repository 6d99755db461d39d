"""The reply that a generation came to, with its certificate; or why there is none.

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

#: Seconds after which a request that failed for the moment may be sent again.
RETRY_SECONDS = 5
#: How servers say that a chat is too long: vLLM and OpenAI, llama.cpp, others.
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
        certificate: what the choice rests on, see :func:`certificate_of`.
    """

    text: str
    finish: str
    certificate: dict[str, Any]


class ReplyFormat(ABC):
    """One of OpenAI's interfaces: how replies are worded, whole or as server-sent events.

    Args:
        request: what is answered.
    """

    def __init__(self, request: ReplyRequest) -> None:
        self.request = request

    @abstractmethod
    def whole(self, replies: Sequence[ChosenReply], usage: Mapping[str, int]) -> dict[str, Any]:
        """Return all replies at once."""

    @abstractmethod
    def begin(self, number: int) -> str:
        """Return the events that open a reply."""

    @abstractmethod
    def piece(self, number: int, text: str) -> str:
        """Return the event with a piece of a reply's text."""

    @abstractmethod
    def end(self, number: int, reply: ChosenReply) -> str:
        """Return the events that close a reply."""

    @abstractmethod
    def last(self, replies: Sequence[ChosenReply], usage: Mapping[str, int]) -> str:
        """Return the events after all replies."""

    @abstractmethod
    def failed(self, refusal: Refusal) -> str:
        """Return the events of a stream that cannot go on."""


def event(data: Mapping[str, Any] | str, name: str | None = None) -> str:
    """Format one server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, allow_nan=False)
    return f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n"


def chosen_reply(request: ReplyRequest, number: int, snapshot: GenerationSnapshot) -> ChosenReply:
    """Return one reply of a request.

    Args:
        request: what is answered.
        number: which of its replies.
        snapshot: of a generation that has ended.

    Raises:
        Refusal: it failed.
    """
    if snapshot.phase is not Phase.DONE or snapshot.picked is None:
        raise failure_of(snapshot)
    text = snapshot.candidates[snapshot.picked].text
    cut = min((at for stop in request.stops if (at := text.find(stop)) >= 0), default=None)
    notes = list(snapshot.notes)
    if cut is not None:
        notes.append("The reply is cut at a stop text; its rewards are those of the whole reply.")
    ended = snapshot.candidates[snapshot.picked].finished or cut is not None
    certificate = certificate_of(snapshot) | {"seed": request.requests[number].seed, "notes": notes}
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
    """Return what the choice of a reply rests on, in nats and reward units.

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
    """Word why there is no reply."""
    if snapshot.phase is Phase.CANCELLED:
        return Refusal("The server is being stopped.", status=503, kind="server_error")
    reason = snapshot.error or "No candidate could be scored. Leave a value out, or draw more candidates."
    return refusal_of(GenerationFailed(reason, snapshot.command, snapshot.failure or FailureKind.INTERNAL))


def refusal_of(failure: GenerationFailed) -> Refusal:
    """Word a failure of the model process as HTTP does: 400, 502 or 503 for what others can mend, else 500."""
    reason = failure.error
    if failure.kind is FailureKind.REQUEST and _TOO_LONG.search(reason):
        tokens = _TOKENS.search(reason)
        if "maximum context length" not in reason and tokens:
            # In the words that clients of OpenAI's look for.
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
