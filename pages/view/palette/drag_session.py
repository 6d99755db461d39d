"""One viewer's page while a fader is dragged: what faders, verdict and example show after each move.

:mod:`pages.view.shell.live_channel` calls it without a script run; :mod:`pages.view.palette.faders` reads the changes
and :mod:`pages.view.session.live_answer` computes the answer. Constraint: the viewer's own palette does not change
here; the page's script applies the last move when the fader rests.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

from map_core.core.jobs import shared_jobs
from pages.view.palette import example, faders, verdict
from pages.view.session import live_answer
from pages.view.session.live_answer import LiveAnswer
from pages.view.shell import errors, live_channel
from pages.view.shell.session_keys import Key
from pages.view.shell.viewer import viewer_id

DRAG_SESSION: Key[DragSession | None] = Key("drag_session", None)


class DragSession:
    """The live page of one viewer's faders, as :class:`pages.view.shell.live_channel.LivePage`.

    Args:
        session: the name of the page.
        answer: what it shows while no fader moves.
        prompt: of the example.
        viewer: whose background work on the resting palette is released when a fader moves.
    """

    def __init__(self, session: str, answer: LiveAnswer, prompt: int, viewer: str) -> None:
        self.session, self.prompt, self.viewer = session, prompt, viewer
        self._resting = self._latest = answer
        self._number = 0
        self._lock = threading.Lock()

    def answer(self, number: int, changes: dict[str, Any]) -> dict[str, Any]:
        """Return what the pieces of the page show after changes to the resting palette."""
        if self._latest is self._resting:
            for name in live_answer.JOBS:
                shared_jobs().release((self.viewer, name))
        palette, _ = faders.apply_changes(self._resting.scene, self._resting.palette, changes)
        moved = live_answer.compute_answer(self._resting.scene, palette, self._latest, moving=True)
        with self._lock:
            # The other thread may have computed new ranges meanwhile.
            self._latest = replace(moved, reach=self._latest.reach, when=self._latest.when)
            self._number = number
            return self._page_data()

    def later(self) -> dict[str, Any] | None:
        """Return the page with new ranges and nearest palette; None while those that are shown are recent."""
        latest = self._latest
        if not latest.hasty or time.monotonic() - latest.when < live_answer.RANGE_SECONDS:
            return None
        completed = live_answer.with_ranges(latest)
        with self._lock:
            unmoved = self._latest is latest
            self._latest = completed if unmoved else replace(self._latest, reach=completed.reach, when=completed.when)
            return self._page_data()

    def failed(self, number: int, failure: errors.Failure) -> dict[str, Any]:
        """Return what the verdict shows after a failure; the faders keep their estimate and ask again."""
        stamp = {"session": self.session, "ack": number, "settled": False}
        return {"answer": verdict.failure_data(failure) | stamp}

    def _page_data(self) -> dict[str, Any]:
        stamp = {"session": self.session, "ack": self._number, "settled": False}
        return {
            "desk": faders.fader_data(self._latest) | stamp,
            "answer": verdict.verdict_data(self._latest) | verdict.PENDING | stamp,
            "example": example.example_data(self._latest, self.prompt),
        }


def register(live: LiveAnswer) -> None:
    """Register this viewer's page, as it is drawn now, with the live channel for as long as the visit lasts."""
    page = DragSession(faders.desk_id(), live, example.prompt_number(), viewer_id())
    DRAG_SESSION.set(page)
    live_channel.register(page.session, page)
