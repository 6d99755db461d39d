"""Create the FastAPI application: endpoints, authentication and error responses.

Constraint: the event loop only waits and sends; bodies are parsed and palettes solved in a thread, models run in the
worker process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from map_core.server.access import Access
from map_core.server.errors import REFUSALS, Refusal
from map_core.server.generation_routes import generation_router
from map_core.server.generations import Generations
from map_core.server.http import REQUEST_ID, JsonResponse, RequestIds
from map_core.server.metrics import CountRequests, Metrics, metrics_router
from map_core.server.model_routes import model_router
from map_core.server.promises import PromiseWatch, promise_router
from map_core.server.reference_page import reference_router
from map_core.server.request_parser import RequestParser
from map_core.server.reward_routes import reward_router
from map_core.server.status_routes import status_router
from map_core.service.service import GenerationService

#: Response headers that a page of another origin may read.
_SHOWN_HEADERS = (
    *(REQUEST_ID, "retry-after", "x-ratelimit-limit-requests"),
    *("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
)


def create_app(
    parser: RequestParser,
    service: GenerationService,
    *,
    access: Access | None = None,
    origins: Sequence[str] = (),
    values: Sequence[str] = (),
    ready: Callable[[], None] | None = None,
    draining: Callable[[], bool] | None = None,
    promises: PromiseWatch | None = None,
) -> FastAPI:
    """Create the application.

    Args:
        parser: of request bodies.
        service: the generator; the model is loaded when the application starts, and its process ends with it.
        access: the check of requests; None to accept every request to localhost.
        origins: of pages whose scripts may send requests from a browser.
        values: whose scorers are warmed up too.
        ready: called once requests are accepted.
        draining: whether new work is refused because the server is shutting down.
        promises: of the palettes; None to keep them in memory.
    """
    watch = promises or PromiseWatch(parser.steering, parser.candidates)
    access = Access() if access is None else access
    metrics = Metrics(service)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start(values, parser.steering.own)
        if ready is not None:
            ready()
        try:
            yield
        finally:
            await asyncio.to_thread(service.close)
            await asyncio.to_thread(watch.close)

    # FastAPI's own documentation pages load scripts from other sites; reference_page serves /docs instead.
    app = FastAPI(title="Value Palette", docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False)
    generations = Generations(
        service,
        parser.limits,
        access.keys,
        # Without keys a client is an address, and the number of labels would be unbounded.
        lambda client, tokens: metrics.tokens.labels(client if access.keys else "none").inc(tokens),
        draining,
        watch.note,
    )
    guarded = [Depends(access)]
    if access.keys:  # access checks the key; this only adds it to the OpenAPI description
        guarded.append(Depends(HTTPBearer(auto_error=False, description="A key of this server.")))
    app.include_router(generation_router(parser, generations), dependencies=guarded, responses=REFUSALS)
    app.include_router(reward_router(parser, service, generations), dependencies=guarded, responses=REFUSALS)
    app.include_router(model_router(parser.steering), dependencies=guarded, responses=REFUSALS)
    app.include_router(promise_router(watch), dependencies=guarded, responses=REFUSALS)
    app.include_router(metrics_router(metrics), dependencies=guarded)
    app.include_router(status_router(service, draining))
    app.include_router(reference_router(app))
    _add_error_handlers(app)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["*"],
            expose_headers=list(_SHOWN_HEADERS),
        )
    app.add_middleware(RequestIds)
    app.add_middleware(CountRequests, metrics=metrics)
    return app


def _add_error_handlers(app: FastAPI) -> None:
    """Answer every error in OpenAI's format."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return JsonResponse(refusal.as_json(), refusal.status, headers=refusal.headers)

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> Response:
        reasons = {404: "There is nothing at this address", 405: "This address does not take the method"}
        addresses = "POST /v1/chat/completions, /v1/completions, /v1/responses, /get_reward or GET /v1/models, /docs"
        reason = f"{reasons.get(error.status_code, error.detail)}; expected {addresses}."
        headers = dict(error.headers or {})
        if headers.get("Allow") in ("GET", "HEAD"):  # the two are separate routes, of which Starlette names one
            headers["Allow"] = "GET, HEAD"
        return JsonResponse(Refusal(reason).as_json(), error.status_code, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        fault = error.errors()[0]
        param = ".".join(map(str, fault["loc"]))
        return JsonResponse(Refusal(f"{param}: {fault['msg']}.", param=param).as_json(), 422)

    @app.exception_handler(ClientDisconnect)
    async def disconnected(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)  # for the metrics; the client is gone
