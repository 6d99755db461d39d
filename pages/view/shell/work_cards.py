"""Cards for jobs that run in processes of their own, with their buttons, as several pages draw them.

Constraint: the state is read from the disk, so it is also right after the app was killed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from map_core.catalog.jobs import TableJob, TableJobState
from map_core.errors import InputError
from pages.view.shell import account, errors, markup, page_words
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
        title: of all of them, for the log where drawing them fails.
        shown: returns whether a job belongs to this page.
        draw_card: draws one card.
        rerun: set when the whole page has to be drawn again.
        refuse: called with the reason where something could not be done.
    """

    title: str
    shown: Callable[[TableJob], bool]
    draw_card: Callable[[TableJob], None]
    rerun: Key[bool]
    refuse: Callable[[str], None]

    def draw(self) -> None:
        """Draw a card for each job, again and again while one of them runs."""
        running = any(job.going_on for job in self._jobs())

        @st.fragment(run_every=POLL_SECONDS if running else None)
        def polling_part() -> None:
            if self.rerun.pop():
                st.rerun()  # something was done here that the whole page shows
            with errors.guarded(self.title):
                now = self._jobs()
                for job in now:
                    with st.container(border=True, key=f"work_{job.name}"):
                        self.draw_card(job)
            if running and not any(job.going_on for job in now):
                st.rerun()  # the whole page, so that this fragment stops polling and lists show the result

        polling_part()

    def _jobs(self) -> list[TableJob]:
        return [job for job in account.tables().list_jobs() if self.shown(job)]

    def draw_button(
        self, label: str, key: str, job: TableJob, icon: str, action: Callable[[str], None], kind: str = "tertiary"
    ) -> None:
        """Draw a button that calls an action with the name of a job."""
        st.button(
            label,
            key=f"work_{key}_{job.name}",
            icon=icon,
            type=kind,  # type: ignore[arg-type]
            on_click=self._on_pressed,
            args=(action, job.name),
        )

    def draw_discard(self, job: TableJob) -> None:
        """Draw the button that discards a job."""
        with st.popover("Discard", icon=":material/delete:", type="tertiary", key=f"work_give_up_{job.name}"):
            st.html(markup.note("What was made so far is deleted."))
            self.draw_button("Delete", "gone", job, ":material/delete:", account.tables().discard)

    def _on_pressed(self, action: Callable[[str], None], name: str) -> None:
        try:
            action(name)
        except InputError as error:
            self.refuse(page_words.of(error))
        self.rerun.set(True)


def draw_state(job: TableJob, word: str = "") -> None:
    """Draw the badge of a job: its state, or another word for it."""
    icon, colour = MARKS[job.state]
    st.badge(word or job.state.capitalize(), icon=icon, color=colour)  # type: ignore[arg-type]


def place_text(job: TableJob) -> str:
    """Return the position of a job in the queue, in words."""
    if job.place == 1:
        return "It is next, and starts by itself when one of those that are running is done."
    return f"It is number {job.place} in the queue, and starts by itself when its turn comes."
