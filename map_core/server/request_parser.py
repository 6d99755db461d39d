"""Turn a body into generation requests: model and palette, weights for K candidates, chat, seeds.

Constraint: everything that can be refused is refused here, before a generation is submitted. Thread-safe; loads a
tokenizer and no model.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from map_core.analysis.generation_weights import GenerationWeights, GenerationWeightsSolver
from map_core.core.types import SamplingSettings
from map_core.errors import InputError
from map_core.generation.request import GenerationRequest, Method
from map_core.models.chat_template import ChatTokenizer
from map_core.scoring import Specification, cards, scorable_values
from map_core.server.errors import Limits, Refusal
from map_core.server.request_body import ChatBody, read_body, read_chat, read_stops
from map_core.text.generation_weights import generation_notes

#: Larger weights would carry sums of weights times rewards beyond the largest number.
LARGEST_WEIGHT = 1e100


@dataclass(frozen=True)
class ChatRequest:
    """One body, read and checked.

    Args:
        requests: one a reply, the same but for their seeds.
        model: as the client named it, or the base model's name.
        palette: the palette's name, or None.
        aim: what was solved for it, or None where weights were given or nothing was.
        stops: texts before which a reply is cut.
        stream: whether it comes in pieces; ``usage``: and reports the tokens at the end.
        prompt_tokens: of the whole chat in the model's template; 0 where they cannot be counted here.
        viewer: whose turn it takes, where the body has a user.
        notes: what the client should know, a sentence each.
    """

    requests: tuple[GenerationRequest, ...]
    model: str
    palette: str | None
    aim: GenerationWeights | None
    stops: tuple[str, ...]
    stream: bool
    usage: bool
    prompt_tokens: int
    viewer: str
    notes: tuple[str, ...]

    @property
    def live(self) -> bool:
        """Whether the reply is certain from its first token on: one candidate, and nothing may be cut from it."""
        first = self.requests[0]
        return first.candidates == 1 and first.most_candidates is None and not self.stops

    @property
    def in_force(self) -> dict[str, Any]:
        """What the replies were steered by, as plain JSON values."""
        first, aim = self.requests[0], self.aim
        return {
            "palette": self.palette,
            "asked": dict(aim.asked) if aim else None,
            "targets": dict(aim.targets) if aim else None,
            "verdict": aim.verdict.value if aim else None,
            "weights": dict(first.weights),
            "method": first.method.value,
            "candidates": first.candidates,
            "sampling": first.settings.as_dict(),
            "notes": [*(generation_notes(aim.facts) if aim else ()), *self.notes],
        }


class PromptTokens:
    """Counts a chat's tokens as the model reads it, and refuses what its context does not hold.

    Args:
        folder: the model's folder; None for a model on another server, whose tokens cannot be counted here.
    """

    def __init__(self, folder: Path | None) -> None:
        self._tokenizer = ChatTokenizer(folder) if folder else None
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")) if folder else {}
        context = config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
        self._context: int | None = context if isinstance(context, int) else None

    def count(self, request: GenerationRequest) -> tuple[int, int | None]:
        """Count the tokens of a request's chat, and those that the context has left for the reply.

        Returns:
            The tokens of the chat, 0 where they cannot be counted, and the room, None where it is not known.

        Raises:
            Refusal: the chat leaves no room for a reply.
            InputError: the model's template or tokenizer refuses the chat.
        """
        if self._tokenizer is None:
            return 0, None
        count = len(self._tokenizer.render(request.draw_request().messages))
        if self._context is None:
            return count, None
        if count >= self._context:
            # In the words that clients of OpenAI's look for.
            raise Refusal(
                f"This model's maximum context length is {self._context} tokens. However, your messages resulted in "
                f"{count} tokens. Please reduce the length of the messages.",
                param="messages",
                code="context_length_exceeded",
            )
        return count, self._context - count


class RequestParser:
    """Reads bodies for one table, its palettes and one base model.

    Args:
        model: the base model's name, as clients know it.
        aims: of the table.
        palettes: (value,) levels in reward units by the palette's name.
        settings: how the base model is sampled unless a body says otherwise; those of the table.
        system: the table's system message, where it has one.
        tokens: counts a chat's tokens.
        limits: of a request.
        candidates: K where a body has none.
        own: how values that are not built in are scored, as the table records it.
    """

    def __init__(
        self,
        model: str,
        aims: GenerationWeightsSolver,
        palettes: Mapping[str, np.ndarray],
        settings: SamplingSettings,
        system: str | None,
        tokens: PromptTokens,
        limits: Limits,
        candidates: int = 16,
        own: Mapping[str, Specification] | None = None,
    ) -> None:
        self.model, self.limits = model, limits
        self._aims, self._palettes = aims, dict(palettes)
        self._settings, self._system = settings, system
        self._tokens, self._candidates = tokens, candidates
        self._scored = scorable_values(own or {})
        #: How the values that are not built in are scored.
        self.own = tuple(
            definition for name, definition in (own or {}).items() if name in self._scored and name not in cards()
        )
        #: Every name that a client may use for a model, and the palette that it stands for.
        self.models: dict[str, str | None] = {model: None} | {f"{model}:{name}": name for name in palettes}

    def read(self, content: bytes) -> ChatRequest:
        """Read and check a body.

        Raises:
            Refusal: it cannot be served; see the message.
        """
        body = read_body(content)
        try:
            return self._chat_request(body)
        except InputError as error:
            raise Refusal(str(error)) from error

    def _chat_request(self, body: ChatBody) -> ChatRequest:
        model, palette = self._names(body)
        weights, values = _weights(body, self._scored), _values(body, self._scored)
        if palette is not None and weights is not None:
            raise Refusal("There are a palette and weights; give one of them.", param="weights")
        steered = palette is not None or bool(weights)
        candidates, replies = self._sizes(body, steered)
        settings, notes = self._sampling(body, steered)
        system, history, prompt = read_chat(body.messages, self.limits)
        greedy = body.temperature == 0
        seed = (0 if greedy else secrets.randbelow(2**31)) if body.seed is None else body.seed
        if not 0 <= seed < 2**63:
            raise Refusal(f"seed is {seed}; expected a whole number from 0, below 2^63.", param="seed")
        extra: dict[str, Any] = {} if body.block is None else {"block": body.block}
        request = GenerationRequest(
            prompt=prompt,
            weights=weights or {},
            values=values,
            candidates=candidates,
            settings=settings,
            seed=seed,
            system=self._system if system is None else system,
            history=history,
            provisional=False,
            method=Method.BEST if greedy and steered and body.method in (None, Method.RESAMPLE) else _method(body),
            most_candidates=body.most_candidates,
            least_ess=body.least_ess,
            own=self.own,
            **extra,
        )
        prompt_tokens, room = self._tokens.count(request)
        if room is not None and settings.max_new_tokens > room:
            request = replace(request, settings=replace(settings, max_new_tokens=room))
            notes.append(f"The context has room for {room:,} tokens of a reply, so it ends there.")
        aim = None
        if palette is not None:
            aim = self._aims.solve(self._palettes[palette], body.most_candidates or candidates)
            targeted = tuple(name for name in aim.asked if name in self._scored)
            request = replace(request, weights=dict(aim.weights), values=(*targeted, *values))
        return ChatRequest(
            requests=tuple(replace(request, seed=reply_seed(seed, number)) for number in range(replies)),
            model=model,
            palette=palette,
            aim=aim,
            stops=read_stops(body.stop),
            stream=bool(body.stream),
            usage=bool((body.stream_options or {}).get("include_usage")),
            prompt_tokens=prompt_tokens,
            viewer=body.user or "",
            notes=tuple(notes),
        )

    def _names(self, body: ChatBody) -> tuple[str, str | None]:
        """Return the model's name and the palette's."""
        model = body.model or self.model
        if model not in self.models:
            raise Refusal(
                f"There is no model {_cut(model)!r} here; there are {', '.join(self.models)}.",
                status=404,
                param="model",
                code="model_not_found",
            )
        by_model, palette = self.models[model], body.palette
        if palette is not None and palette not in self._palettes:
            known = f"there are {', '.join(self._palettes)}" if self._palettes else "the server has none (--palettes)"
            raise Refusal(f"There is no palette {_cut(palette)!r} here; {known}.", param="palette")
        if palette is not None and by_model is not None and palette != by_model:
            raise Refusal(f"The model names the palette {by_model!r} and palette is {palette!r}.", param="palette")
        return model, palette if by_model is None else by_model

    def _sizes(self, body: ChatBody, steered: bool) -> tuple[int, int]:
        """Return K and n; without weights every reply is as good as any other, so K is 1 unless more are asked for."""
        candidates = body.candidates
        if candidates is None:
            candidates = self._candidates if steered or body.most_candidates else 1
        replies = 1 if body.n is None else body.n
        for name, number, most in (
            ("candidates", candidates, self.limits.candidates),
            ("most_candidates", body.most_candidates, self.limits.candidates),
            ("n", replies, self.limits.replies),
            ("block", body.block, self.limits.tokens),
        ):
            if number is not None and not 1 <= number <= most:
                raise Refusal(f"{name} is {number:,}; expected a whole number from 1 to {most:,}.", param=name)
        most = max(candidates, body.most_candidates or 0) * replies
        if most > self.limits.candidates:
            raise Refusal(
                f"n times candidates is {most:,}; expected at most {self.limits.candidates:,} in one request.",
                param="n",
            )
        if body.least_ess is not None and body.most_candidates is None:
            raise Refusal("least_ess needs most_candidates, where drawing ends in any case.", param="most_candidates")
        return candidates, replies

    def _sampling(self, body: ChatBody, steered: bool) -> tuple[SamplingSettings, list[str]]:
        """Return how the base model is sampled, and notes on it.

        At temperature 0 a palette or weights would have one reply to choose from, and be the base model: candidates are
        then drawn as the table was, and the one with the highest weighted reward is taken.
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
        overrides: dict[str, Any] = {"top_p": body.top_p, "top_k": body.top_k, "max_new_tokens": longest}
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
        table = self._settings.as_dict()
        others = [f"{name} {table[name]:g}" for name, value in settings.as_dict().items() if value != table[name]]
        if others and steered:
            notes.append(f"The table was sampled otherwise ({', '.join(others)}), so its forecast need not hold.")
        return settings, notes


def reply_seed(seed: int, number: int) -> int:
    """Return the seed of one of n replies: the request's own for the first, else the first word of (seed, number)."""
    return seed if number == 0 else int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _weights(body: ChatBody, known: Sequence[str]) -> dict[str, float] | None:
    if body.weights is None:
        return None
    _check_values("weights", tuple(body.weights), known)
    for name, weight in body.weights.items():
        if not abs(weight) <= LARGEST_WEIGHT:
            raise Refusal(
                f"The weight of {name!r} is {weight}; expected a finite number, at most {LARGEST_WEIGHT:g}.",
                param="weights",
            )
    return dict(body.weights)


def _values(body: ChatBody, known: Sequence[str]) -> tuple[str, ...]:
    names = tuple(body.values or ())
    _check_values("values", names, known)
    return names


def _check_values(field: str, names: tuple[str, ...], known: Sequence[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Refusal(f"{field} names {_cut(unknown[0])!r}; there are {', '.join(known)}.", param=field)


def _method(body: ChatBody) -> Method:
    if body.method is None:
        return Method.RESAMPLE
    if body.method not in list(Method):
        raise Refusal(f"method is {_cut(body.method)!r}; expected {', '.join(Method)}.", param="method")
    return Method(body.method)


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
