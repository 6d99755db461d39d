"""Limit the server's connections and shut it down gracefully.

uvicorn waits without limit for the headers of a request, and for a client to read the answer. :func:`http_protocol`
returns a protocol with timeouts and a limit of connections, in which incomplete requests make room for complete ones;
:class:`DrainingServer` finishes running replies before it ends. Constraint: uvicorn's h11 protocol is extended and not
replaced.
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

#: Seconds within which the headers of a request must arrive.
HEADER_SECONDS = 10.0
#: Seconds within which a client must read what was sent to it.
READING_SECONDS = 60.0
#: Share of the file descriptors that connections may take, and the most connections on any system.
SHARE_OF_DESCRIPTORS, MOST_CONNECTIONS = 0.5, 2000
#: Most connections that wait to be accepted.
BACKLOG = 32
#: Seconds between two checks whether replies are still being written.
POLL_SECONDS = 0.05


def most_connections() -> int:
    """Return how many connections may be open, given the system's limit on file descriptors."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_CONNECTIONS if soft < 0 else max(16, min(MOST_CONNECTIONS, int(SHARE_OF_DESCRIPTORS * soft)))


def http_protocol(
    header_seconds: float = HEADER_SECONDS, most: int | None = None, reading_seconds: float = READING_SECONDS
) -> type[H11Protocol]:
    """Return a protocol for one server.

    Args:
        header_seconds: within which the headers of a request must arrive.
        most: connections; beyond it the one that has waited longest for its headers is closed or, if all have sent
            theirs, the new one.
        reading_seconds: within which a client must read what was sent to it.
    """
    limit = most_connections() if most is None else most
    waiting: dict[TimedProtocol, None] = {}  # connections that wait for headers, the oldest first

    class TimedProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None
        _reading_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            transport.set_write_buffer_limits(high=0)  # whatever the system does not accept at once counts as unread
            if len(self.connections) > limit:
                oldest = next(iter(waiting), self)
                oldest._stop_timer()  # also takes it out of ``waiting``, so that the next connection closes another
                oldest.transport.abort()
            if not transport.is_closing():
                self._start_timer()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is h11.IDLE:
                self._start_timer()
            else:
                self._stop_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            self._stop_reading_timer()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reading_timer = self.loop.call_later(reading_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            self._stop_reading_timer()
            super().resume_writing()

        def _stop_reading_timer(self) -> None:
            if self._reading_timer is not None:
                self._reading_timer.cancel()
                self._reading_timer = None

        def _start_timer(self) -> None:
            if self._timer is None:
                waiting[self] = None
                self._timer = self.loop.call_later(header_seconds, self._time_out)

        def _stop_timer(self) -> None:
            waiting.pop(self, None)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _time_out(self) -> None:
            self._stop_timer()
            # An idle connection between two requests has uvicorn's own timer.
            if not self.transport.is_closing():
                self.transport.abort()

    return TimedProtocol


class DrainingServer(uvicorn.Server):
    """A server that refuses new work on SIGTERM and ends once running replies are finished.

    Args:
        config: of uvicorn.
        service: the generator.
        seconds: the most time that running replies get.

    Attributes:
        draining: whether new work is refused.
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
        """Cancel waiting requests, let running replies end, and close."""
        self.draining = True
        self._service.cancel_waiting()
        deadline = time.monotonic() + self._drain_seconds
        while not self._at_once and self._service.status().running and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
        self._service.close()
        await super().shutdown(sockets)


def uvicorn_settings() -> dict[str, Any]:
    """Return the settings of uvicorn for every server of this package."""
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
