"""The endpoints that answer with replies: chat completions, completions and responses."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from map_core.server.chat_body import ChatBody
from map_core.server.chat_format import ChatFormat
from map_core.server.completion_body import CompletionBody
from map_core.server.completion_format import CompletionFormat
from map_core.server.generations import Generations
from map_core.server.http import read_body
from map_core.server.request_parser import RequestParser
from map_core.server.responses_body import ResponsesBody
from map_core.server.responses_format import ResponsesFormat


def generation_router(parser: RequestParser, generations: Generations) -> APIRouter:
    """Return the routes; bodies are parsed and palettes solved in a thread."""
    router = APIRouter(tags=["replies"])
    streamed: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
    }

    @router.post("/v1/chat/completions", openapi_extra=body_schema(ChatBody), responses=streamed)
    async def chat(request: Request) -> Response:
        """Answer a chat, as OpenAI's chat completions do."""
        content = await read_body(request, parser.limits.body)
        replies = await asyncio.to_thread(parser.chat, content)
        return await generations.answer(request, replies, ChatFormat(replies))

    @router.post("/v1/completions", openapi_extra=body_schema(CompletionBody), responses=streamed)
    async def completion(request: Request) -> Response:
        """Continue texts, as OpenAI's completions do."""
        content = await read_body(request, parser.limits.body)
        replies = await asyncio.to_thread(parser.completion, content)
        return await generations.answer(request, replies, CompletionFormat(replies))

    @router.post("/v1/responses", openapi_extra=body_schema(ResponsesBody), responses=streamed)
    async def response(request: Request) -> Response:
        """Answer text or messages, as OpenAI's responses do; nothing is stored."""
        content = await read_body(request, parser.limits.body)
        replies = await asyncio.to_thread(parser.response, content)
        return await generations.answer(request, replies, ResponsesFormat(replies))

    return router


def body_schema(body: type[BaseModel]) -> dict[str, Any]:
    """Return a body's schema for /openapi.json."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": body.model_json_schema()}}}}
