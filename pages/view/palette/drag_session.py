"""One viewer's page while a fader moves: what the desk, the verdict and the example show of each move.

:mod:`pages.view.shell.live_channel` calls it without a script run; :mod:`pages.view.palette.faders` reads the changes
and :mod:`pages.view.session.live_answer` computes the answer. Constraint: nothing that is kept changes here; the page's
script hears of the last move when the fader rests.
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
    """What answers for one viewer's desk.

    Args:
        session: the desk's name.
        answer: what it shows while the hand rests.
        prompt: that the example is about.
        viewer: whose background work on the palette that is kept gives way to the hand.
    """

    def __init__(self, session: str, answer: LiveAnswer, prompt: int, viewer: str) -> None:
        self.session, self.prompt, self.viewer = session, prompt, viewer
        self._kept = self._seen = answer
        self._number = 0
        self._lock = threading.Lock()

    def answer(self, number: int, changes: dict[str, Any]) -> dict[str, Any]:
        """Return what the pieces of the page show after changes to the palette that is kept."""
        if self._seen is self._kept:
            for name in live_answer.JOBS:
                shared_jobs().release((self.viewer, name))
        palette, _ = faders.apply_changes(self._kept.scene, self._kept.palette, changes)
        seen = live_answer.compute_answer(self._kept.scene, palette, self._seen, moving=True)
        with self._lock:
            # Ranges may have come while the verdict was being found.
            self._seen = replace(seen, reach=self._seen.reach, when=self._seen.when)
            self._number = number
            return self._page_data()

    def later(self) -> dict[str, Any] | None:
        """Return the same with ranges, and the nearest palette, of now, once those that are shown are old enough."""
        seen = self._seen
        if not seen.hasty or time.monotonic() - seen.when < live_answer.RANGE_SECONDS:
            return None
        completed = live_answer.with_ranges(seen)
        with self._lock:
            still = self._seen is seen
            self._seen = completed if still else replace(self._seen, reach=completed.reach, when=completed.when)
            return self._page_data()

    def failed(self, number: int, failure: errors.Failure) -> dict[str, Any]:
        """Return what the answer shows where there is none; the desk goes on showing its guess, and asks again."""
        stamp = {"session": self.session, "ack": number, "settled": False}
        return {"answer": verdict.failure_data(failure) | stamp}

    def _page_data(self) -> dict[str, Any]:
        stamp = {"session": self.session, "ack": self._number, "settled": False}
        return {
            "desk": faders.fader_data(self._seen) | stamp,
            "answer": verdict.verdict_data(self._seen) | verdict.PENDING | stamp,
            "example": example.example_data(self._seen, self.prompt),
        }


def register(live: LiveAnswer) -> None:
    """Be ready for a hand on this viewer's desk, which shows what was seen; held by the visit, and gone with it."""
    page = DragSession(faders.desk_id(), live, example.prompt_number(), viewer_id())
    DRAG_SESSION.set(page)
    live_channel.register(page.session, page)
