"""``/get_reward``: a palette's weighted reward of given prompts and replies, with which a trainer can tune a model.

The weights are those of the whole table, which a tuned model approaches, and not those for a choice among K candidates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from map_core.analysis.generation_weights import GenerationWeights
from map_core.errors import EngineError, InputError
from map_core.generation.given_replies import GivenReplies
from map_core.generation.weighted_rewards import scored_values, weighted_rewards
from map_core.server.errors import Refusal
from map_core.server.fields import read_fields
from map_core.server.generation_routes import body_schema
from map_core.server.generations import Generations, poll, rate_limit_refusal
from map_core.server.http import JsonResponse, read_body
from map_core.server.replies import refusal_of
from map_core.server.request_parser import RequestParser
from map_core.server.reward_body import RewardBody, by_chat, read_rows
from map_core.service.messages import RepliesScored
from map_core.service.scoring_calls import ScoringError
from map_core.service.service import GenerationService
from map_core.text.generation_weights import generation_notes

#: The query parameters that stand in for fields of the body, for /openapi.json.
_QUERY_PARAMETERS = [
    {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "description": description}
    for name, description in (
        ("palette", "The name of a palette, if the body has none."),
        ("model", "MODEL:PALETTE names a palette, if the body has none."),
    )
]


@dataclass(frozen=True)
class RewardRequest:
    """A parsed and checked body.

    Args:
        given: the replies to each chat.
        rows: (chat,) indices of the request's rows that they come from.
        palette: the palette's name, or None where weights were given.
        aim: the palette's solution; None without a palette.
        weights: lambda by value, 1/reward.
        values: the values to score.
        notes: what the client should know, a sentence each.
    """

    given: tuple[GivenReplies, ...]
    rows: tuple[tuple[int, ...], ...]
    palette: str | None
    aim: GenerationWeights | None
    weights: Mapping[str, float]
    values: tuple[str, ...]
    notes: tuple[str, ...]

    def answer(self, answered: RepliesScored) -> dict[str, Any]:
        """Return rewards in OpenRLHF's format: lambda . r of each row, and each value's rewards."""
        count = sum(map(len, self.rows))
        by_value = {name: [0.0] * count for name in self.values}
        for rows, scored in zip(self.rows, answered.rewards, strict=True):
            for name in self.values:
                for row, reward in zip(rows, scored.rewards[name], strict=True):
                    by_value[name][row] = reward
        table, counted = weighted_rewards(by_value, self.weights, count)
        sums = [float(total) for total in table @ np.array(counted)]
        in_force = {
            "palette": self.palette,
            "asked": dict(self.aim.asked) if self.aim else None,
            "targets": dict(self.aim.targets) if self.aim else None,
            "verdict": self.aim.verdict.value if self.aim else None,
            "weights": dict(self.weights),
            "notes": [*self.notes, *answered.notes],
        }
        return {"rewards": sums, "scores": sums, "extra_logs": by_value, "value_palette": in_force}


def read_reward_request(parser: RequestParser, content: bytes, address: Mapping[str, str]) -> RewardRequest:
    """Parse a body.

    Args:
        parser: the server's parser.
        content: JSON.
        address: the query parameters; "palette" and "model" stand in for fields that the body lacks, since OpenRLHF's
            body has fixed fields.

    Raises:
        Refusal: the body is invalid or cannot be served.
    """
    body, notes = read_fields(content, RewardBody)
    steering = parser.steering
    _, palette = steering.named(body.model or address.get("model"), body.palette or address.get("palette"))
    weights = steering.weights(body.weights)
    if (palette is None) == (not weights):
        raise Refusal(
            "Give either a palette or weights, by which rewards are weighted. The address may have ?palette=NAME.",
            param="palette",
        )
    values = tuple(body.values or ())
    steering.check_values("values", values)
    aim = None
    if palette is not None:
        aim = steering.aim(palette)
        notes += [*generation_notes(aim.facts), *([steering.foreign] if steering.foreign else [])]
        weights, targeted = dict(aim.weights), tuple(name for name in aim.asked if name in steering.scored)
        values = (*targeted, *values)
    try:
        given, rows = by_chat(read_rows(body, parser.tokens.tokenizer, parser.limits), parser.system)
    except InputError as error:
        raise Refusal(str(error)) from error
    weights = weights or {}
    return RewardRequest(
        given=tuple(given),
        rows=tuple(map(tuple, rows)),
        palette=palette,
        aim=aim,
        weights=weights,
        values=scored_values((*weights, *values), steering.scored),
        notes=tuple(notes),
    )


def reward_router(parser: RequestParser, service: GenerationService, generations: Generations) -> APIRouter:
    """Return the route; replies are scored in the model's process."""
    router = APIRouter(tags=["rewards"])

    @router.post("/get_reward", openapi_extra=body_schema(RewardBody) | {"parameters": _QUERY_PARAMETERS})
    async def get_reward(request: Request) -> Response:
        """Score given replies: a palette's weighted reward, and each value's, in OpenRLHF's format."""
        content = await read_body(request, parser.limits.body)
        reward_request = await asyncio.to_thread(read_reward_request, parser, content, request.query_params)
        generations.check_open()
        try:
            scoring = service.score(reward_request.given, reward_request.values, parser.steering.own)
        except EngineError as error:
            raise rate_limit_refusal(error, generations.wait_seconds) from error
        try:
            while not scoring.done():
                await poll(request)
            answered = scoring.result()
        except ScoringError as error:
            raise refusal_of(error.failure) from error
        finally:
            scoring.cancel()
        return JsonResponse(reward_request.answer(answered))

    return router
