"""The panel of replies: mounted by the page's script, and updated by the live channel while a generation runs.

A click on *Generate* reaches the service in its callback; from there tokens go to the browser by
:mod:`pages.view.shell.live_feed`, and no script runs until the generation has ended. Where the channel is lost, the
browser reports it, and a fragment polls every :data:`POLL_SECONDS`. Constraint: only its visit holds a feed, under a
name that nobody can guess; it sends what that visit's page shows, without covered replies.
"""

from __future__ import annotations

import json
import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakSet

from map_core.core.change_signal import ChangeSignal
from map_core.feasibility import Assessment
from map_core.service.generation import Generation
from map_core.text.wording import NUMBERS, Wording
from pages.view.compare import comparison, generator, pinned, reply_panel
from pages.view.compare.comparison import ComparisonView
from pages.view.compare.pinned import PaletteColumn
from pages.view.session.scene import Scene
from pages.view.shell import component, live_channel, live_feed
from pages.view.shell import wording as wordings
from pages.view.shell.session_keys import Key

FEED: Key[ReplyFeed | None] = Key("reply_feed", None)
PANEL: Key[dict[str, Any]] = Key("reply_panel", {})
#: When the browser reported that it has no channel, on the monotonic clock; 0 while it has one.
LOST: Key[float] = Key("channel_lost", 0.0)

#: Seconds from one frame to the next, by the number of watched generations at most: each frame takes time from the
#: machine that writes the replies.
PAUSE_SECONDS = ((4, 0.2), (math.inf, 0.4))
#: The same without the channel, where each poll is a run of the page's script.
POLL_SECONDS = ((2, 0.12), (4, 0.4), (math.inf, 1.0))
#: The same while somebody drags a fader.
PATIENT_SECONDS = 0.6
#: The same before the first tokens are shown.
EAGER_SECONDS = 0.02

_mount = component.register(
    "replies",
    '<section class="vp-panel" aria-label="Replies"></section>',
    isolated=False,
    scripts=("nodes", "channel"),
)


@dataclass(frozen=True, eq=False)
class _Shown:
    """What the page of a visit shows: set by its script; a click also sets the generation."""

    scene: Scene
    assessment: Assessment
    columns: tuple[PaletteColumn, ...]
    generation: Generation | None
    owned: bool
    covered: bool
    drawn: bool
    wording: Wording = NUMBERS


@dataclass(frozen=True)
class _Sent:
    """What a reader has received: the panel without replies, the replies' blocks, and the basis of the other pieces."""

    rest: str
    blocks: dict[str, tuple[str, ...]]
    basis: Any


class ReplyFeed:
    """One visit's panel of replies, for the channel; thread-safe.

    Attributes:
        name: under which it is watched.
        changes: notifies of everything that a frame would show.
        read_at: when a socket last asked for a frame.
        other_pieces: returns the other pieces of the page that a frame updates when the choice has changed.
    """

    def __init__(self) -> None:
        self.name = secrets.token_hex(16)
        self.changes = ChangeSignal()
        self._lock = threading.Lock()
        self._shown: _Shown | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._eager = True
        self.read_at = 0.0
        self.other_pieces: Callable[[ComparisonView], dict[str, Any]] | None = None
        with _feeds_lock:
            _feeds.add(self)
        live_feed.register(self.name, self)

    @property
    def is_watched(self) -> bool:
        """Whether a socket watches it now."""
        return self.changes.listeners > 0

    @property
    def is_running(self) -> bool:
        """Whether its generation has not ended."""
        shown = self._shown
        return shown is not None and shown.generation is not None and not shown.generation.ended

    def show(self, shown: _Shown) -> None:
        """Set what the feed shows from now on."""
        with self._lock:
            before, self._shown = self._shown, shown
            if before is None or before.generation is not shown.generation:
                self._eager = True
                self._unsubscribe()
                changes = shown.generation.changes if shown.generation else None
                self._unsubscribe = changes.subscribe(self.changes.notify) if changes else lambda: None
        self.changes.notify()

    def follow(self, generation: Generation) -> None:
        """Show a new generation of this visit at once, before the page's script has drawn it."""
        if (shown := self._shown) is not None:
            self.show(replace(shown, generation=generation, owned=True))

    def stop(self) -> None:
        """Stop the generation, if this visit has started it."""
        shown = self._shown
        if shown is not None and shown.owned and shown.generation is not None and not shown.generation.ended:
            shown.generation.cancel()

    def pause(self) -> float:
        """Return the seconds from one frame to the next."""
        if self._eager:
            return EAGER_SECONDS
        if live_channel.is_busy():
            return PATIENT_SECONDS
        with _feeds_lock:
            feeds = tuple(_feeds)
        running = sum(feed.is_watched and feed.is_running for feed in feeds)
        return next(seconds for most, seconds in PAUSE_SECONDS if running <= most)

    def frame(self, sent: _Sent | None) -> tuple[dict[str, Any], _Sent] | None:
        """Return the current panel with only those blocks of replies that a reader lacks; None where it has all."""
        self.read_at = time.monotonic()
        if (shown := self._shown) is None or (generation := shown.generation) is None:
            return None
        snapshot = generation.snapshot()
        choices = comparison.choices(generation, snapshot, shown.columns)
        view = ComparisonView(
            shown.scene,
            shown.assessment,
            generation,
            snapshot,
            shown.columns,
            choices,
            shown.drawn,
            shown.wording,
        )
        self._eager = self._eager and not snapshot.tokens
        panel = reply_panel.panel_data(view, shown.covered)
        blocks = {slot["key"]: tuple(json.dumps(node) for node in slot["nodes"]) for slot in panel["slots"]}
        rest = {**panel, "n": 0, "slots": [{**slot, "nodes": None} for slot in panel["slots"]]}
        basis = (snapshot.id, choices, view.base_index, shown, self.other_pieces)
        sending = _Sent(json.dumps(rest), blocks, basis)
        if sent is not None and (sent.rest, sent.blocks) == (sending.rest, sending.blocks):
            return None
        for slot in panel["slots"]:
            known = () if sent is None else sent.blocks.get(slot["key"], ())
            keep = 0
            for current, sent_before in zip(blocks[slot["key"]], known, strict=False):
                if current != sent_before:
                    break
                keep += 1
            slot["keep"], slot["nodes"] = keep, slot["nodes"][keep:]
        pieces: dict[str, Any] = {"replies": panel | {"feed": self.name}}
        visible = choices[0] is not None and not shown.covered
        if self.other_pieces is not None and visible and (sent is None or sent.basis != basis):
            pieces |= self.other_pieces(view)
        return pieces, sending


_feeds: WeakSet[ReplyFeed] = WeakSet()
_feeds_lock = threading.Lock()


def feed() -> ReplyFeed:
    """Return this visit's feed, created at first use."""
    held = FEED.get()
    if held is None:
        held = ReplyFeed()
        FEED.set(held)
    return held


def follow(generation: Generation) -> None:
    """Show a generation that this visit has just begun at once."""
    if (held := FEED.get()) is not None:
        held.follow(generation)


def poll_interval(scene: Scene, running: bool) -> float | None:
    """Return the seconds between polls of the page's script; None where the channel is there or nothing runs."""
    if feed().read_at > LOST.get():  # a socket that is gone may be listed for a while, but reads nothing
        LOST.pop()
    if not running or not LOST.get():
        return None
    busy = generator.service(scene).status().running
    seconds = next(seconds for most, seconds in POLL_SECONDS if busy <= most)
    return max(seconds, PATIENT_SECONDS) if live_channel.is_busy() else seconds


def draw(view: ComparisonView, covered: bool) -> None:
    """Mount the panel with a generation, which the channel then updates."""
    owned = generator.is_owner(view.generation)
    shown = _Shown(view.scene, view.assessment, view.columns, view.generation, owned, covered, view.drawn, view.wording)
    _draw(reply_panel.panel_data(view, covered), shown)


def draw_empty(scene: Scene, assessment: Assessment, candidates: int, covered: bool) -> None:
    """Mount the panel before the first generation."""
    columns = pinned.columns(scene, assessment, candidates)
    shown = _Shown(scene, assessment, columns, None, True, covered, comparison.is_drawn(), wordings.current())
    _draw(reply_panel.empty_data(columns), shown)


def _draw(panel: dict[str, Any], shown: _Shown) -> None:
    held = feed()
    held.show(shown)
    data = panel | {"feed": held.name, "channel": live_channel.ADDRESS, "owned": shown.owned}
    _mount(
        key=PANEL.name,
        data=data,
        on_ended_change=lambda: None,
        on_stale_change=lambda: None,
        on_lost_change=lambda: LOST.set(time.monotonic()),
        on_stop_change=_on_stop,
    )


def _on_stop() -> None:
    """Stop the generation through the page, where there is no channel."""
    feed().stop()
