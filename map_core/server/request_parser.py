"""Parse a body into generation requests: model and palette, weights for K candidates, prompts, seeds.

Constraint: every check is made here, before a generation is submitted. Thread-safe; loads a tokenizer and no model.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from map_core.analysis.generation_weights import GenerationWeights
from map_core.core.types import SamplingSettings
from map_core.data.derived_columns import Cohort
from map_core.errors import InputError
from map_core.generation.request import GenerationRequest, Method
from map_core.server.chat_body import Chat, ChatBody, read_chat, read_stops
from map_core.server.completion_body import CompletionBody, read_prompts
from map_core.server.errors import Refusal, RequestLimits, shortened
from map_core.server.fields import SteeredBody, read_fields
from map_core.server.prompt_tokens import PromptTokens
from map_core.server.responses_body import ResponsesBody, read_input
from map_core.server.steering import Steering
from map_core.text.generation_weights import generation_notes


@dataclass(frozen=True)
class ReplyRequest:
    """A parsed and checked body.

    Args:
        requests: one per reply, all replies to the first prompt first; those to one prompt differ in their seeds only.
        model: as the client named it, or the base model's name.
        palette: the palette's name, or None.
        aim: the palette's solution; None without a palette.
        stops: texts before which a reply is cut.
        stream: whether the reply is streamed.
        usage: whether the stream ends with token counts.
        prompt_tokens: of all prompts as the model reads them; 0 where only its server can count them.
        notes: what the client should know, a sentence each.
        longest: the longest reply that the body allows, in tokens; None without a limit.
        echo: fields that are returned unchanged.
        cohorts: the kinds of the prompt that the body names.
    """

    requests: tuple[GenerationRequest, ...]
    model: str
    palette: str | None
    aim: GenerationWeights | None
    stops: tuple[str, ...]
    stream: bool
    usage: bool
    prompt_tokens: int
    notes: tuple[str, ...]
    longest: int | None = None
    echo: Mapping[str, Any] = field(default_factory=dict)
    cohorts: tuple[Cohort, ...] = ()

    @property
    def live(self) -> bool:
        """Whether tokens can be sent as they are drawn: there is one candidate, and no stop text can cut it."""
        first = self.requests[0]
        return first.candidates == 1 and first.most_candidates is None and not self.stops

    @property
    def in_force(self) -> dict[str, Any]:
        """The palette, weights and sampling settings of the replies, as plain JSON values."""
        first, aim = self.requests[0], self.aim
        return {
            "palette": self.palette,
            "asked": dict(aim.asked) if aim else None,
            "targets": dict(aim.targets) if aim else None,
            "verdict": aim.verdict.value if aim else None,
            "weights": dict(first.weights),
            "method": first.method.value,
            "candidates": first.candidates,
            "cohort": [str(cohort) for cohort in self.cohorts],
            "sampling": first.settings.as_dict(),
            "notes": [*(generation_notes(aim.facts) if aim else ()), *self.notes],
        }


class RequestParser:
    """A parser of bodies for one table, its palettes and one base model.

    Args:
        steering: palettes and weights.
        settings: the table's sampling settings, the defaults of a body.
        system: the table's system message, if it has one.
        tokens: the counter of prompts' tokens.
        limits: of a request.
        candidates: the default K.
        default_length: the default length limit of replies, in tokens; None for the server's limit.
    """

    def __init__(
        self,
        steering: Steering,
        settings: SamplingSettings,
        system: str | None,
        tokens: PromptTokens,
        limits: RequestLimits,
        candidates: int = 16,
        default_length: int | None = None,
    ) -> None:
        self.steering, self.limits, self.tokens = steering, limits, tokens
        self.system = system
        self._settings, self.candidates = settings, candidates
        self._default_length = default_length

    def chat(self, content: bytes) -> ReplyRequest:
        """Read the body of a chat completion.

        Raises:
            Refusal: the body is invalid or cannot be served.
        """
        body, notes = read_fields(content, ChatBody)
        chat = read_chat(body.messages, self.limits)
        continues = bool(chat.beginning)
        for name, flag, behaviour in (
            ("continue_final_message", body.continue_final_message, continues),
            ("add_generation_prompt", body.add_generation_prompt, not continues),
        ):
            if flag not in (None, behaviour):
                actual = "continues the last message" if continues else "is a message of its own"
                raise Refusal(
                    f"{name} is {str(flag).lower()}, and the reply {actual}. Leave {name} out, or change the last "
                    "message: the assistant's is continued, the user's is answered.",
                    param=name,
                )
        return self._request(body, [self._of_chat(chat)], [*notes, *chat.notes])

    def completion(self, content: bytes) -> ReplyRequest:
        """Read the body of a completion of texts.

        Raises:
            Refusal: the body is invalid or cannot be served.
        """
        body, notes = read_fields(content, CompletionBody)
        prompts = read_prompts(body, self.limits)
        if body.palette or body.weights or self.steering.models.get(body.model or ""):
            notes.append(
                "The prompt is read without a chat; the table's replies answer chats, so its forecast need not hold."
            )
        return self._request(body, [{"prompt": prompt, "verbatim": True} for prompt in prompts], notes)

    def response(self, content: bytes) -> ReplyRequest:
        """Read the body of a response.

        Raises:
            Refusal: the body is invalid or cannot be served.
        """
        body, notes = read_fields(content, ResponsesBody)
        chat = read_input(body, self.limits)
        request = self._request(body, [self._of_chat(chat)], [*notes, *chat.notes])
        return replace(request, echo={"instructions": body.instructions, "metadata": body.metadata or {}})

    def _of_chat(self, chat: Chat) -> dict[str, Any]:
        """Return a chat as fields of a generation request."""
        system = self.system if chat.system is None else chat.system
        return {"prompt": chat.prompt, "system": system, "history": chat.history, "beginning": chat.beginning}

    def _request(self, body: SteeredBody, prompts: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> ReplyRequest:
        """Build the generation requests of a body, n for each prompt, given as fields of a generation request."""
        try:
            return self._checked_request(body, prompts, notes)
        except InputError as error:
            raise Refusal(str(error)) from error

    def _checked_request(
        self, body: SteeredBody, prompts: Sequence[Mapping[str, Any]], notes: Sequence[str]
    ) -> ReplyRequest:
        model, palette = self.steering.named(body.model, body.palette)
        weights, values = self.steering.weights(body.weights), tuple(body.values or ())
        self.steering.check_values("values", values)
        if palette is not None and weights is not None:
            raise Refusal("The request has both a palette and weights; give one of them.", param="weights")
        cohorts, floors = self.steering.cohorts(body.cohort), self.steering.floors(body.floors)
        if cohorts and palette is None:
            raise Refusal("cohort selects weights of a palette, and the request names no palette.", param="cohort")
        steered = palette is not None or bool(weights)
        candidates, replies = self._sizes(body, steered or bool(floors), len(prompts))
        settings, sampling_notes = self._sampling(body, steered)
        greedy = body.temperature == 0
        seed = (0 if greedy else secrets.randbelow(2**31)) if body.seed is None else body.seed
        if not 0 <= seed < 2**63:
            raise Refusal(f"seed is {seed}; expected a whole number from 0, below 2^63.", param="seed")
        extra: dict[str, Any] = {} if body.block is None else {"block": body.block}
        aim = None
        requests, prompt_tokens, rooms = [], 0, []
        for prompt in prompts:
            request = GenerationRequest(
                **prompt,
                weights=weights or {},
                values=values,
                candidates=candidates,
                settings=settings,
                seed=seed,
                provisional=False,
                method=Method.BEST if greedy and steered and body.method in (None, Method.RESAMPLE) else _method(body),
                most_candidates=body.most_candidates,
                headroom=body.headroom,
                least_ess=body.least_ess,
                own=self.steering.own,
                floors=floors,
                **extra,
            )
            count, room = self.tokens.count(request)
            prompt_tokens += count
            if room is not None and settings.max_new_tokens > room:
                request = replace(request, settings=replace(settings, max_new_tokens=room))
                rooms.append(room)
            requests.append(request)
        if rooms and body.longest is not None:
            notes = [*notes, f"The context leaves room for a reply of {min(rooms):,} tokens, so it ends there."]
        if palette is not None:
            aim = self.steering.aim(palette, body.most_candidates or candidates, cohorts)
            targeted = tuple(name for name in aim.asked if name in self.steering.scored)
            requests = [
                replace(request, weights=dict(aim.weights), values=(*targeted, *values)) for request in requests
            ]
        if steered and self.steering.foreign:
            notes = [*notes, self.steering.foreign]
        return ReplyRequest(
            requests=tuple(
                replace(request, seed=reply_seed(seed, index)) for request in requests for index in range(replies)
            ),
            model=model,
            palette=palette,
            aim=aim,
            stops=read_stops(body.stop),
            stream=bool(body.stream),
            usage=bool((body.stream_options or {}).get("include_usage")),
            prompt_tokens=prompt_tokens,
            notes=(*notes, *sampling_notes),
            longest=body.longest,
            cohorts=cohorts,
        )

    def _sizes(self, body: SteeredBody, steered: bool, prompts: int) -> tuple[int, int]:
        """Return K and n; without weights and floors nothing distinguishes candidates, so that K is 1 by default."""
        candidates = body.candidates
        if candidates is None:
            candidates = self.candidates if steered or body.most_candidates else 1
        replies = 1 if body.n is None else body.n
        for name, number, limit in (
            ("candidates", candidates, self.limits.candidates),
            ("most_candidates", body.most_candidates, self.limits.candidates),
            ("n", replies, self.limits.replies),
            ("block", body.block, self.limits.tokens),
        ):
            if number is not None and not 1 <= number <= limit:
                raise Refusal(f"{name} is {number:,}; expected a whole number from 1 to {limit:,}.", param=name)
        most = max(candidates, body.most_candidates or 0) * replies * prompts
        if replies * prompts > self.limits.replies:
            raise Refusal(
                f"n times prompts is {replies * prompts:,}; expected at most {self.limits.replies:,} in one request.",
                param="n",
            )
        if most > self.limits.candidates:
            raise Refusal(
                f"n times candidates is {most:,}; expected at most {self.limits.candidates:,} in one request.",
                param="n",
            )
        for name, goal in (("headroom", body.headroom), ("least_ess", body.least_ess)):
            if goal is not None and body.most_candidates is None:
                raise Refusal(f"{name} needs most_candidates, at which drawing ends.", param="most_candidates")
        return candidates, replies

    def _sampling(self, body: SteeredBody, steered: bool) -> tuple[SamplingSettings, list[str]]:
        """Return the sampling settings of the base model, and notes on them.

        At temperature 0 all candidates would be equal, so that a palette or weights would have no effect: candidates
        are then drawn with the table's settings, and the one with the highest weighted reward is picked.
        """
        for name, number in (("temperature", body.temperature), ("top_p", body.top_p)):
            if number is not None and not math.isfinite(number):
                raise Refusal(f"{name} is {number}; expected a finite number.", param=name)
        longest = body.longest
        if longest is not None and longest < 1:
            raise Refusal(f"max_tokens is {longest:,}; expected a whole number from 1.", param="max_tokens")
        notes = []
        if longest is not None and longest > self.limits.tokens:
            longest = self.limits.tokens
            notes.append(f"max_tokens is above the server's limit, so replies end at {longest:,} tokens.")
        top_k = 0 if body.top_k == -1 else body.top_k  # vLLM writes -1 for off
        overrides: dict[str, Any] = {
            "top_p": body.top_p,
            "top_k": top_k,
            "max_new_tokens": longest or min(self._default_length or self.limits.tokens, self.limits.tokens),
        }
        if body.temperature == 0 and steered:
            notes.append(
                "At temperature 0 candidates are drawn at the table's temperature, and the one with the highest "
                "weighted reward is taken; with the same seed it is always the same one."
            )
        elif body.temperature == 0:
            overrides |= {"top_k": 1}
        else:
            overrides |= {"temperature": body.temperature}
        settings = replace(self._settings, **{name: number for name, number in overrides.items() if number is not None})
        if steered:
            notes += self._differences(settings, has_length=longest is not None)
        return settings, notes

    def _differences(self, settings: SamplingSettings, has_length: bool) -> list[str]:
        """Return notes on settings that differ from the table's, for which its forecast need not hold."""
        notes = []
        table = self._settings.as_dict()
        different = {name for name, value in settings.as_dict().items() if value != table[name]}
        if not has_length and "max_new_tokens" in different:
            different.remove("max_new_tokens")
            if self._default_length is None:
                notes.append(
                    "Without max_tokens replies end by themselves; the table's ended at "
                    f"{self._settings.max_new_tokens:,} tokens, so its forecast need not hold."
                )
            else:
                notes.append(
                    f"Without max_tokens replies end at {settings.max_new_tokens:,} tokens at the latest. The table "
                    "does not say where its replies ended, and its forecast is for replies as long as those."
                )
        if different:
            others = ", ".join(f"{name} {table[name]:g}" for name in table if name in different)
            notes.append(f"The table was sampled with other settings ({others}), so its forecast need not hold.")
        return notes


def reply_seed(seed: int, index: int) -> int:
    """Return the seed of one of n replies: the request's own for the first, else a hash of (seed, index)."""
    return seed if index == 0 else int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def _method(body: SteeredBody) -> Method:
    if body.method is None:
        return Method.RESAMPLE
    if body.method not in list(Method):
        raise Refusal(f"method is {shortened(body.method)!r}; expected {', '.join(Method)}.", param="method")
    return Method(body.method)
