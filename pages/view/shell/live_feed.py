"""What the server sends by the channel without being asked: the latest state of one feed, as fast as its reader reads.

A page names the feed that it watches (``{"watch": NAME}``), and says of each frame that it was drawn (``{"got": N}``).
The next frame goes out after that and holds the state of that moment, so a slow reader misses states in between and
never the last one, and nothing piles up for it here. A socket that was lost is opened again by the page and begins
with the whole state. Constraint: a feed is known by its name alone, which the visit that owns it keeps to itself.
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

#: Characters of the name of a feed that are read.
MAX_NAME_LENGTH = 64

log = logging.getLogger("value_palette")


class LiveFeed(Protocol):
    """What a page shows of work that goes on; every method may be called from any thread."""

    #: Tells of everything that a frame would show.
    changes: ChangeSignal

    def frame(self, shown: Any) -> tuple[dict[str, Any], Any] | None:
        """Return the pieces of the page as they are now, and what the reader has once it has drawn them.

        Args:
            shown: what this returned for the reader's last frame; None for its first one.

        Returns:
            None where the reader has all of it.
        """

    def pause(self) -> float:
        """Return the seconds from one frame to the next, at the least."""

    def stop(self) -> None:
        """Stop the work, where this feed's visit may."""


#: Each is held by its visit alone and is gone when the visit ends.
_feeds: WeakValueDictionary[str, LiveFeed] = WeakValueDictionary()


def register(name: str, feed: LiveFeed) -> None:
    """Let a feed be watched under a name that nobody can guess, for as long as the caller holds the feed."""
    _feeds[name] = feed


@dataclass(frozen=True)
class FeedMessage:
    """What a reader says: which feed it watches from now on, which frame it has drawn, or that work is to stop."""

    watch: str | None = None
    got: int | None = None
    stop: str | None = None


def parse_message(message: dict[str, Any]) -> FeedMessage | None:
    """Return what a reader says; None where a message is none of a reader."""
    watch, got, stop = message.get("watch"), message.get("got"), message.get("stop")
    if isinstance(watch, str) and len(watch) <= MAX_NAME_LENGTH:
        return FeedMessage(watch=watch)
    if isinstance(got, int) and not isinstance(got, bool):
        return FeedMessage(got=got)
    if isinstance(stop, str) and len(stop) <= MAX_NAME_LENGTH:
        return FeedMessage(stop=stop)
    return None


class FeedReader:
    """One socket that watches one feed at a time. Constraint: used in the event loop's thread alone.

    Args:
        send: sends pieces of the page by the socket.
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
        """Take in what the reader says."""
        if message.watch is not None:
            self._watch(message.watch)
        elif message.got is not None:
            self._drawn = max(self._drawn, min(message.got, self._number))
            self._woken.set()
        elif message.stop is not None and (feed := _feeds.get(message.stop)) is not None and feed is self._feed:
            feed.stop()

    def close(self) -> None:
        """Watch nothing any more."""
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
        """Look at the feed soon; called from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._woken.set)
        except RuntimeError:  # the server is being stopped
            return

    async def run(self) -> None:
        """Send frames for as long as the socket is there."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            if (feed := self._feed) is None or self._drawn < self._number:
                continue
            wait = self._sent_at + feed.pause() - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
                self._woken.clear()  # what changed meanwhile is in the frame
            watches = self._watches
            try:
                made = await anyio.to_thread.run_sync(feed.frame, self._shown)
            except Exception:  # a frame that fails is logged; the page goes on by way of its script
                log.exception("A frame of a feed could not be made.")
                continue
            if watches != self._watches:  # the reader has begun anew, perhaps with the same feed, and has nothing of it
                self._woken.set()
                continue
            if made is None:
                continue
            pieces, self._shown = made
            self._number += 1
            self._sent_at = time.monotonic()
            await self._send(pieces | {"frame": self._number})
