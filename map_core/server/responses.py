"""Word generations as OpenAI's JSON, whole or in pieces, with the certificate of the choice.

Constraint: plain JSON values; nothing is awaited here.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from map_core.server.errors import Refusal
from map_core.server.request_parser import ChatRequest
from map_core.service.generation import GenerationSnapshot, Phase

#: A piece of a stream is a word with the space after it.
_PIECES = re.compile(r"\S*\s*")


class ChatCompletion:
    """The response to one body: its envelope, and each reply as it comes.

    Args:
        chat: the body.
    """

    def __init__(self, chat: ChatRequest) -> None:
        self._chat = chat
        self._id, self._created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())

    def whole(self, snapshots: Sequence[GenerationSnapshot]) -> dict[str, Any]:
        """Return all replies at once, ``chat.completion``.

        Raises:
            Refusal: one of them failed.
        """
        choices = []
        for number, snapshot in enumerate(snapshots):
            text, finish, certificate = self.reply(number, snapshot)
            choices.append(
                {
                    "index": number,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": finish,
                    "value_palette": certificate,
                }
            )
        own = {"choices": choices, "usage": self.usage(snapshots), "value_palette": self._chat.in_force}
        return self._envelope("chat.completion") | own

    def reply(self, number: int, snapshot: GenerationSnapshot) -> tuple[str, str, dict[str, Any]]:
        """Return text, reason of the end and certificate of one reply.

        Raises:
            Refusal: it failed.
        """
        if snapshot.phase is not Phase.DONE or snapshot.picked is None:
            raise failure(snapshot)
        text = snapshot.candidates[snapshot.picked].text
        cut = min((at for stop in self._chat.stops if (at := text.find(stop)) >= 0), default=None)
        notes = list(snapshot.notes)
        if cut is not None:
            notes.append("The reply is cut at a stop text; its rewards are those of the whole reply.")
        ended = snapshot.candidates[snapshot.picked].finished or cut is not None
        certificate = certificate_of(snapshot) | {"seed": self._chat.requests[number].seed, "notes": notes}
        return text[:cut], "stop" if ended else "length", certificate

    def usage(self, snapshots: Sequence[GenerationSnapshot]) -> dict[str, int]:
        """Count the tokens of the chat, and of the replies that were chosen."""
        prompt = self._chat.prompt_tokens
        completion = sum(s.candidates[s.picked].tokens for s in snapshots if s.picked is not None)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def begin(self, number: int) -> str:
        """Return the event that opens the assistant's message."""
        return self._piece(number, {"role": "assistant", "content": ""})

    def piece(self, number: int, text: str) -> str:
        """Return the event with a piece of a reply's text."""
        return self._piece(number, {"content": text})

    def pieces(self, number: int, text: str) -> Iterator[str]:
        """Yield a text in events of a word each."""
        for word in _PIECES.findall(text):
            if word:
                yield self.piece(number, word)

    def end(self, number: int, finish: str, certificate: Mapping[str, Any]) -> str:
        """Return the last event of a reply."""
        own = {"value_palette": self._chat.in_force}
        return self._piece(number, {}, finish, {"value_palette": dict(certificate)}, own)

    def used(self, snapshots: Sequence[GenerationSnapshot]) -> str:
        """Return the event with the numbers of tokens, after all replies."""
        return event(self._envelope("chat.completion.chunk") | {"choices": [], "usage": self.usage(snapshots)})

    def _piece(
        self,
        number: int,
        delta: Mapping[str, Any],
        finish: str | None = None,
        of_choice: Mapping[str, Any] | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> str:
        choice = {"index": number, "delta": delta, "logprobs": None, "finish_reason": finish} | dict(of_choice or {})
        return event(self._envelope("chat.completion.chunk") | {"choices": [choice]} | dict(own or {}))

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._chat.model}


def event(data: Mapping[str, Any] | str) -> str:
    """Format one server-sent event."""
    return f"data: {data if isinstance(data, str) else json.dumps(data, allow_nan=False)}\n\n"


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


def failure(snapshot: GenerationSnapshot) -> Refusal:
    """Word why there is no reply."""
    if snapshot.phase is Phase.CANCELLED:
        return Refusal("The server is being stopped.", status=503, kind="server_error")
    reason = snapshot.error or "No candidate could be scored. Leave a value out, or draw more candidates."
    return Refusal(reason, status=503 if snapshot.command else 500, kind="server_error")
