"""Tuned models: the verdict on each, three replies side by side, and where it can be used."""

from __future__ import annotations

import shlex
from functools import partial

import streamlit as st

from map_core import catalog
from map_core.access import Action, Kind, Visibility
from map_core.catalog.jobs import TUNE, TableJob
from map_core.core import amounts
from map_core.errors import InputError
from map_core.service.shared import close_deleted
from map_core.tuning.folder import read_record
from pages.view.shell import account, markup, page_words, server_paths
from pages.view.shell.replies import draw_reply
from pages.view.studies.tuned import draw_levels, draw_outcomes
from pages.view.tune import form, progress

COLUMNS = {"base": "Base model", "chosen": "Chosen among its replies", "tuned": "Tuned model"}


def draw_models() -> None:
    """Draw a card for each tuned model, the newest first."""
    jobs = {job.name: job for job in account.tables().list_jobs() if job.kind == TUNE}
    # A model that is still being checked has its card above.
    names = [name for name in account.tables().list_tuned() if name not in jobs or not jobs[name].going_on]
    if not names:
        return
    st.header("Tuned models")
    for name in names:
        with st.container(border=True, key=f"tuned_{name}"):
            _draw_model(name, jobs.get(name))


def _draw_model(name: str, job: TableJob | None) -> None:
    st.html(markup.name(name))
    if job is not None:
        st.html(markup.note(progress.about_text(job)))
    try:
        record = read_record(account.tables().tuned_folder(name))
    except InputError as error:
        st.text(page_words.of(error))
        return
    words = progress.level_words(job)
    for sentence in record.get("warnings") or ():
        st.html(markup.note(page_words.of(sentence)))
    if rounds := record.get("rounds"):
        kept = f"It was tuned {amounts.counted(len(rounds), 'time')}; round {record['round']} is kept."
        st.html(markup.note(f"{kept} Levels on prompts that it learned from:"))
        progress.draw_rounds(rounds, words)
    if check := record.get("check"):
        draw_outcomes(check, words)
    else:
        st.html(markup.note("It has not been checked on new prompts yet. The command for that is below."))
    if evidence := check or record.get("evidence"):
        draw_levels(evidence, record["palette"].get("asked", {}), words)
    if record.get("side_by_side"):
        _draw_replies(name, record["side_by_side"])
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"tuned_buttons_{name}"):
        _draw_buttons(name)
    with st.expander("For programs", icon=":material/terminal:", key=f"tuned_programs_{name}"):
        st.html(markup.note("Replies of the tuned model, each chosen among 5 to follow a palette:"))
        st.code(f"python -m map_core serve --tuned {shlex.quote(name)} --candidates 5", language=None, wrap_lines=True)
        st.html(markup.note("A plain reply:"))
        st.code(
            f"python -m map_core generate --model {shlex.quote(name)} --prompt 'My parcel is late!'",
            language=None,
            wrap_lines=True,
        )
        st.html(markup.note("A check on all prompts that it did not learn from:"))
        st.code(f"python -m map_core verify --model {shlex.quote(name)}", language=None, wrap_lines=True)
        if server_paths.are_shown():
            st.html(markup.note("The files, with a card for a model hub, are in:"))
            st.code(str(account.tables().tuned_folder(name)), language=None, wrap_lines=True)


def _draw_replies(name: str, shown: list[dict[str, str]]) -> None:
    index = st.selectbox(
        "Replies to a prompt that it did not learn from",
        range(len(shown)),
        format_func=lambda k: shown[k]["prompt"],
        key=f"tuned_prompt_{name}",
    )
    columns = st.columns(len(COLUMNS), gap="medium")
    for column, (key, title) in zip(columns, COLUMNS.items(), strict=True):
        with column:
            st.html(markup.name(title))
            draw_reply(shown[index or 0][key])


def _draw_buttons(name: str) -> None:
    st.page_link("compare.py", label="Listen", icon=":material/compare:")
    st.page_link("tables.py", label="Have a table made with it", icon=":material/table_chart:")
    access = catalog.access_of(name)
    if access.owner and account.tables().may(Action.SHARE, name):
        account.draw_sharing(f"tuned_{name}", access.visibility, partial(_share, name), linkable=False)
    elif access.owner:
        st.html(markup.note(f"Of {access.owner_name}."), width="content")
    if account.tables().may(Action.DELETE, name, Kind.BUILD):
        with st.popover("Delete", icon=":material/delete:", type="tertiary", key=f"tuned_delete_{name}"):
            st.html(markup.note("It is deleted for everybody who uses this app, and cannot be restored."))
            st.button("Delete it for good", key=f"tuned_gone_{name}", type="primary", on_click=_delete, args=(name,))


def _share(name: str, visibility: Visibility) -> None:
    try:
        account.tables().share(name, visibility)
    except InputError as error:
        form.MESSAGE.set(page_words.of(error))
        return
    form.MESSAGE.set(f"“{name}” can now be seen by {account.SEEN_BY[visibility]}.")


def _delete(name: str) -> None:
    try:
        account.tables().delete_tuned(name)
    except InputError as error:
        form.MESSAGE.set(page_words.of(error))
        return
    close_deleted()
    form.MESSAGE.set(f"“{name}” was deleted.")
