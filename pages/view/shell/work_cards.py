"""Cards of work that is done by processes of its own, as several pages draw them, with their buttons.

Constraint: nothing is known here but what the disk says, so it is right after the app was killed as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from map_core.catalog.jobs import TableJob, TableJobState
from map_core.errors import InputError
from pages.view.shell import account, errors, markup
from pages.view.shell.session_keys import Key

POLL_SECONDS = 1.0
#: The mark of each state: its icon and colour.
MARKS = {
    TableJobState.WAITING: (":material/schedule:", "blue"),
    TableJobState.RUNNING: (":material/progress_activity:", "blue"),
    TableJobState.DONE: (":material/check_circle:", "green"),
    TableJobState.STOPPED: (":material/pause_circle:", "orange"),
    TableJobState.FAILED: (":material/cancel:", "red"),
    TableJobState.INTERRUPTED: (":material/warning:", "orange"),
}


@dataclass(frozen=True)
class WorkCards:
    """The cards of one page.

    Args:
        title: what they are together, where drawing them fails.
        shown: whether a piece of work is one of this page.
        draw_card: draws one.
        rerun: set when the whole page has to be drawn again.
        refuse: called with why something could not be done.
    """

    title: str
    shown: Callable[[TableJob], bool]
    draw_card: Callable[[TableJob], None]
    rerun: Key[bool]
    refuse: Callable[[str], None]

    def draw(self) -> None:
        """Draw a card for each piece of work, drawn again while one of them runs."""
        running = any(job.going_on for job in self._jobs())

        @st.fragment(run_every=POLL_SECONDS if running else None)
        def piece() -> None:
            if self.rerun.pop():
                st.rerun()  # something was done here that the whole page shows
            with errors.guarded(self.title):
                now = self._jobs()
                for job in now:
                    with st.container(border=True, key=f"work_{job.name}"):
                        self.draw_card(job)
            if running and not any(job.going_on for job in now):
                st.rerun()  # once more as a whole, without the clock and with what was made in the list

        piece()

    def _jobs(self) -> list[TableJob]:
        return [job for job in account.tables().list_jobs() if self.shown(job)]

    def draw_button(
        self, label: str, key: str, job: TableJob, icon: str, action: Callable[[str], None], kind: str = "tertiary"
    ) -> None:
        """Draw a button that does something with a piece of work, given its name."""
        st.button(
            label,
            key=f"work_{key}_{job.name}",
            icon=icon,
            type=kind,  # type: ignore[arg-type]
            on_click=self._on_pressed,
            args=(action, job.name),
        )

    def draw_discard(self, job: TableJob) -> None:
        """Draw the button that gives a piece of work up."""
        with st.popover("Discard", icon=":material/delete:", type="tertiary", key=f"work_give_up_{job.name}"):
            st.html(markup.note("What was made so far is deleted."))
            self.draw_button("Delete", "gone", job, ":material/delete:", account.tables().discard)

    def _on_pressed(self, action: Callable[[str], None], name: str) -> None:
        try:
            action(name)
        except InputError as error:
            self.refuse(str(error))
        self.rerun.set(True)


def draw_state(job: TableJob, word: str = "") -> None:
    """Draw the mark of a piece of work: its state, or another word for it."""
    icon, colour = MARKS[job.state]
    st.badge(word or job.state.capitalize(), icon=icon, color=colour)  # type: ignore[arg-type]


def place_text(job: TableJob) -> str:
    """Return which place work has among those that wait."""
    if job.place == 1:
        return "It is next, and starts by itself when one of those that are being made is done."
    return f"It is number {job.place} in the queue, and starts by itself when its turn comes."
