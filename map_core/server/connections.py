"""The server's connections: headers must come in time, half requests take no room from whole ones, an end is orderly.

uvicorn waits for the rest of a request for as long as a client likes. :func:`http_protocol` gives a protocol that does
not, :class:`DrainingServer` a server that ends what runs before it goes. Constraint: uvicorn's h11 protocol is extended
and not replaced.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import time
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from map_core.service.service import GenerationService

#: Seconds within which the headers of a request must have come.
HEADER_SECONDS = 10.0
#: Share of the descriptors that connections may take, and most connections whatever the system allows.
SHARE_OF_DESCRIPTORS, MOST_CONNECTIONS = 0.5, 2000
#: Connections that are taken in before any is looked at.
BACKLOG = 32
#: Seconds between two looks at whether replies are still being written.
LOOK_SECONDS = 0.05


def most_connections() -> int:
    """Return how many connections may be open: what the system's limit on descriptors leaves."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_CONNECTIONS if soft < 0 else max(16, min(MOST_CONNECTIONS, int(SHARE_OF_DESCRIPTORS * soft)))


def http_protocol(header_seconds: float = HEADER_SECONDS, most: int | None = None) -> type[H11Protocol]:
    """Return a protocol for one server.

    Args:
        header_seconds: within which the headers of a request must have come.
        most: connections; beyond them the one that has waited longest for its headers is closed, and where all have
            sent theirs the new one.
    """
    limit = most_connections() if most is None else most
    waiting: dict[TimedProtocol, None] = {}  # for headers, the oldest first

    class TimedProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limit:
                oldest = next(iter(waiting), self)
                oldest._come()  # the next one of this batch takes another
                oldest.transport.abort()
            if not transport.is_closing():
                self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is h11.IDLE:
                self._wait()
            else:
                self._come()

        def connection_lost(self, exc: Exception | None) -> None:
            self._come()
            super().connection_lost(exc)

        def _wait(self) -> None:
            if self._timer is None:
                waiting[self] = None
                self._timer = self.loop.call_later(header_seconds, self._too_late)

        def _come(self) -> None:
            waiting.pop(self, None)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _too_late(self) -> None:
            self._come()
            # A connection that is kept between two requests has uvicorn's own timer.
            if not self.transport.is_closing():
                self.transport.abort()

    return TimedProtocol


class DrainingServer(uvicorn.Server):
    """A server that refuses new work on SIGTERM and ends when the replies that are being written are done.

    Args:
        config: of uvicorn.
        service: the generator.
        seconds: that replies may take to be finished.

    Attributes:
        draining: new work is refused.
    """

    def __init__(self, config: uvicorn.Config, service: GenerationService, seconds: float) -> None:
        super().__init__(config)
        self._service, self._drain_seconds = service, seconds
        self.draining = False
        self._at_once = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on SIGTERM; end at once on Ctrl-C or a second signal."""
        self._at_once = self.draining or sig == signal.SIGINT
        self.draining = True
        self.should_exit = True
        self._captured_signals.append(sig)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let replies end, notify whoever still waits, and close."""
        self.draining = True
        self._service.cancel_waiting()
        deadline = time.monotonic() + self._drain_seconds
        while not self._at_once and self._service.status().running and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
        self._service.close()
        await super().shutdown(sockets)


def uvicorn_settings() -> dict[str, Any]:
    """Return uvicorn's settings of every server here."""
    return {
        "log_level": "warning",
        "access_log": False,
        "ws": "none",
        "server_header": False,
        "timeout_graceful_shutdown": 2,
        "lifespan": "on",
        "http": http_protocol(),
        "backlog": BACKLOG,
    }
