"""Report: a preview of this viewer's palette as a document, and its downloads."""

from __future__ import annotations

import streamlit as st

from map_core import report as reports
from map_core.core.jobs import Job
from pages.view.session import header, palette_state, share
from pages.view.shell import background, html_frame, markup, page_words, wording

scene, palette = palette_state.current_counted()
assessment = palette_state.current_assessment(scene, palette)
header.draw_header(
    "Report", "The palette as one document for people who were not there: it needs no network and prints to PDF."
)
header.draw_palette_line(scene, assessment)
palette_state.draw_undo_line()

left, right = st.columns([1, 1.15], gap="large", vertical_alignment="bottom")
with left:
    name = st.text_input(
        "Name of the palette",
        key="report_name",
        max_chars=80,
        placeholder="For example: Support, calm and clear",
        persist_state="session",
    )
with right:
    share.draw_share_bar(scene, palette, assessment, name)
request, shown_wording = share.report_request(scene, palette, name), wording.current()


def draw_report(job: Job) -> None:
    """Draw the document once it is made; until then, what is being computed."""
    if job.error:
        st.html(markup.note(f"The report could not be made: {page_words.of(job.error)}"))
    elif job.result is None:
        with st.container(key="report_waiting"):
            st.html(markup.note(f"{job.partial or 'Starting'}: the report takes a second or two."))
    else:
        html_frame.draw_document(job.result, key="report_preview")


def work(job: Job) -> str:
    """Render the report in a background thread, without any call of Streamlit."""
    return reports.html(request.report(tell=job.report), shown_wording)


background.poll(background.job("report", (request.key(), shown_wording), work), draw_report)
