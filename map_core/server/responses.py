"""From a generation to OpenAI's JSON, whole or in pieces, with the certificate of its choice.

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
from map_core.server.request_parser import Asked
from map_core.service.generation import GenerationSnapshot, Phase

#: A piece of a stream is a word with the space after it.
_PIECES = re.compile(r"\S*\s*")


class Answer:
    """The answer to one body: its envelope, and each reply as it comes.

    Args:
        asked: what the body asked for.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._id, self._created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())

    def whole(self, shown: Sequence[GenerationSnapshot]) -> dict[str, Any]:
        """All replies at once, ``chat.completion``.

        Raises:
            Refusal: one of them failed.
        """
        choices = []
        for number, one in enumerate(shown):
            text, finish, certificate = self.reply(number, one)
            choices.append(
                {
                    "index": number,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": finish,
                    "value_palette": certificate,
                }
            )
        own = {"choices": choices, "usage": self.usage(shown), "value_palette": self._asked.in_force}
        return self._envelope("chat.completion") | own

    def reply(self, number: int, shown: GenerationSnapshot) -> tuple[str, str, dict[str, Any]]:
        """Text, reason of the end and certificate of one reply.

        Raises:
            Refusal: it failed.
        """
        if shown.phase is not Phase.DONE or shown.picked is None:
            raise failure(shown)
        text = shown.candidates[shown.picked].text
        cut = min((at for stop in self._asked.stops if (at := text.find(stop)) >= 0), default=None)
        notes = list(shown.notes)
        if cut is not None:
            notes.append("The reply is cut at a stop text; its rewards are those of the whole reply.")
        ended = shown.candidates[shown.picked].finished or cut is not None
        certificate = certificate_of(shown) | {"seed": self._asked.requests[number].seed, "notes": notes}
        return text[:cut], "stop" if ended else "length", certificate

    def usage(self, shown: Sequence[GenerationSnapshot]) -> dict[str, int]:
        """Tokens of the chat, and of the replies that were chosen."""
        prompt = self._asked.prompt_tokens
        completion = sum(one.candidates[one.picked].tokens for one in shown if one.picked is not None)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def begin(self, number: int) -> str:
        """The event that says whose turn it is."""
        return self._piece(number, {"role": "assistant", "content": ""})

    def piece(self, number: int, text: str) -> str:
        """A piece of a reply's text."""
        return self._piece(number, {"content": text})

    def pieces(self, number: int, text: str) -> Iterator[str]:
        """A text in events of a word each."""
        for found in _PIECES.findall(text):
            if found:
                yield self.piece(number, found)

    def end(self, number: int, finish: str, certificate: Mapping[str, Any]) -> str:
        """The last event of a reply."""
        own = {"value_palette": self._asked.in_force}
        return self._piece(number, {}, finish, {"value_palette": dict(certificate)}, own)

    def used(self, shown: Sequence[GenerationSnapshot]) -> str:
        """The event that tells the tokens, after all replies."""
        return event(self._envelope("chat.completion.chunk") | {"choices": [], "usage": self.usage(shown)})

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
        return {"id": self._id, "object": kind, "created": self._created, "model": self._asked.model}


def event(data: Mapping[str, Any] | str) -> str:
    """One server-sent event."""
    return f"data: {data if isinstance(data, str) else json.dumps(data, allow_nan=False)}\n\n"


def certificate_of(shown: GenerationSnapshot) -> dict[str, Any]:
    """What the choice of a reply rests on, in nats and reward units.

    Args:
        shown: a generation that is done.
    """
    choice, picked = shown.choice, shown.picked
    assert choice is not None
    assert picked is not None
    chosen, base = shown.candidates[picked], shown.candidates[shown.base]
    return {
        "candidate": picked,
        "candidates": len(shown.candidates),
        "probability": chosen.probability,
        "rewards": dict(chosen.rewards),
        "ess": choice.ess,
        "kl": choice.kl,
        "log_z": choice.log_z,
        "log_k": shown.log_candidates,
        "error": choice.error,
        "more_would_help": choice.more_would_help,
        "base": {
            "candidate": shown.base,
            "reply": base.text,
            "rewards": dict(base.rewards),
            "probability": base.probability,
        },
        "tokens": shown.tokens,
        "seconds": shown.seconds,
        "restarts": shown.restarts,
    }


def failure(shown: GenerationSnapshot) -> Refusal:
    """Why there is no reply."""
    if shown.phase is Phase.CANCELLED:
        return Refusal("The server is being stopped.", status=503, kind="server_error")
    said = shown.error or "No candidate could be scored. Leave a value out, or draw more candidates."
    return Refusal(said, status=503 if shown.command else 500, kind="server_error")
