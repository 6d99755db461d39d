"""``/metrics``: measurements of the server in the text format of Prometheus.

Constraint: a label is the route, the method, the status or the name of a key, and never a client's free text.
"""

from __future__ import annotations

import time

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from map_core.server.http import get
from map_core.service.service import GenerationService

#: Upper bounds of the histogram of response times, in seconds.
SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
#: States of the model process, see :class:`map_core.service.service.ServiceStatus`.
STATES = ("stopped", "loading", "ready", "failed")


class Metrics:
    """The measurements of one server.

    Args:
        service: the generator.
    """

    def __init__(self, service: GenerationService) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "value_palette_requests", "Requests answered.", ("route", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "value_palette_request_seconds",
            "Seconds from a request to the end of its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.tokens = Counter(
            "value_palette_tokens", "Tokens of candidates that were drawn.", ("key",), registry=self.registry
        )
        self.registry.register(_ServiceCollector(service))


class _ServiceCollector(Collector):
    """A collector that reads the generator's state at each scrape."""

    def __init__(self, service: GenerationService) -> None:
        self._service = service

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the state of the model process and of the queue."""
        status = self._service.status()
        state = GaugeMetricFamily(
            "value_palette_model_state", "1 for the state of the model process.", labels=["state"]
        )
        for name in STATES:
            state.add_metric([name], float(name == status.state))
        return [
            state,
            GaugeMetricFamily("value_palette_generations_running", "Replies being written.", value=status.running),
            GaugeMetricFamily("value_palette_generations_waiting", "Replies that wait.", value=status.waiting),
            GaugeMetricFamily(
                "value_palette_model_starts", "Starts of the model process; more than 1: it died.", value=status.starts
            ),
        ]


def metrics_router(metrics: Metrics) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["status"])

    @get(router, "/metrics", include_in_schema=False)
    def measured() -> Response:
        """Return all metrics."""
        return Response(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


class CountRequests:
    """Middleware that counts requests by route, method and status, and measures their duration.

    Args:
        app: the inner application.
        metrics: the counters.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 499  # the status if the client disconnects before there is a response

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_observed)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "OPTIONS") else "other"
            self._metrics.requests.labels(route, method, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)
