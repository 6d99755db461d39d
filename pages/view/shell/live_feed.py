"""What the server pushes over the live channel: the latest state of one feed, as fast as its reader draws it.

A page names the feed that it watches (``{"watch": NAME}``) and acknowledges each frame once it is drawn
(``{"got": N}``). Only then is the next frame sent, with the state of that moment, so a slow reader skips intermediate
states but never the last one, and nothing is queued for it. A page reopens a lost socket and starts with the whole
state. Constraint: a feed is known only by its name, which is secret to the visit that owns it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakValueDictionary

import anyio

from map_core.core.change_signal import ChangeSignal

#: Maximum length of the name of a feed.
MAX_NAME_LENGTH = 64

log = logging.getLogger("value_palette")


class LiveFeed(Protocol):
    """The state of running work as a page shows it; every method is thread-safe."""

    #: Notifies of everything that a frame would show.
    changes: ChangeSignal

    def frame(self, shown: Any) -> tuple[dict[str, Any], Any] | None:
        """Return the current pieces of the page, and what to pass as ``shown`` for the reader's next frame.

        Args:
            shown: returned with the reader's last frame; None for its first one.

        Returns:
            None where the reader is up to date.
        """

    def pause(self) -> float:
        """Return the minimum number of seconds from one frame to the next."""

    def stop(self) -> None:
        """Stop the work, where this feed's visit may."""


#: Each is held by its visit alone and is gone when the visit ends.
_feeds: WeakValueDictionary[str, LiveFeed] = WeakValueDictionary()


def register(name: str, feed: LiveFeed) -> None:
    """Register a feed under a name that nobody can guess, for as long as the caller holds a reference to it."""
    _feeds[name] = feed


@dataclass(frozen=True)
class FeedMessage:
    """A message of a reader: the feed that it watches from now on, a frame that it has drawn, or a feed to stop."""

    watch: str | None = None
    got: int | None = None
    stop: str | None = None


def parse_message(message: dict[str, Any]) -> FeedMessage | None:
    """Return the message of a reader; None where it is another message."""
    watch, got, stop = message.get("watch"), message.get("got"), message.get("stop")
    if isinstance(watch, str) and len(watch) <= MAX_NAME_LENGTH:
        return FeedMessage(watch=watch)
    if isinstance(got, int) and not isinstance(got, bool):
        return FeedMessage(got=got)
    if isinstance(stop, str) and len(stop) <= MAX_NAME_LENGTH:
        return FeedMessage(stop=stop)
    return None


class FeedReader:
    """One socket that watches one feed at a time. Constraint: used only in the event loop's thread.

    Args:
        send: sends pieces of the page over the socket.
    """

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self._send = send
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._feed: LiveFeed | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._shown: Any = None
        self._watches = 0
        self._number = self._drawn = 0
        self._sent_at = 0.0

    def hear(self, message: FeedMessage) -> None:
        """Handle a message of the reader."""
        if message.watch is not None:
            self._watch(message.watch)
        elif message.got is not None:
            self._drawn = max(self._drawn, min(message.got, self._number))
            self._woken.set()
        elif message.stop is not None and (feed := _feeds.get(message.stop)) is not None and feed is self._feed:
            feed.stop()

    def close(self) -> None:
        """Stop watching."""
        self._unsubscribe()
        self._watches += 1
        self._feed, self._unsubscribe = None, lambda: None

    def _watch(self, name: str) -> None:
        self.close()
        self._feed = _feeds.get(name)
        self._shown, self._drawn, self._sent_at = None, self._number, 0.0
        if self._feed is not None:
            self._unsubscribe = self._feed.changes.subscribe(self._wake)
        self._woken.set()

    def _wake(self) -> None:
        """Wake :meth:`run` after a change; thread-safe."""
        try:
            self._loop.call_soon_threadsafe(self._woken.set)
        except RuntimeError:  # the server is being stopped
            return

    async def run(self) -> None:
        """Send frames until the task is cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            if (feed := self._feed) is None or self._drawn < self._number:
                continue
            wait = self._sent_at + feed.pause() - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
                self._woken.set()  # start again, because another feed may be watched by now
                continue
            watches = self._watches
            try:
                frame = await anyio.to_thread.run_sync(feed.frame, self._shown)
            except Exception:  # a frame that fails is logged; the page is then drawn by its script
                log.exception("A frame of a feed could not be made.")
                continue
            if watches != self._watches:  # the reader has started again, perhaps with the same feed
                self._woken.set()
                continue
            if frame is None:
                continue
            pieces, self._shown = frame
            self._number += 1
            self._sent_at = time.monotonic()
            await self._send(pieces | {"frame": self._number})
