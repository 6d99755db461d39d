"""The steps from a custom value to a target: scoring, judging, training, use.

Constraint: each step says what is missing and offers the one thing to do next.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import urlencode

import streamlit as st

from map_core.access import Action, Kind, Visibility, may
from map_core.core import amounts
from map_core.core.jobs import Job, JobStatus
from map_core.custom_values import agreement, jobs, replies_key
from map_core.custom_values.active import clear_cache
from map_core.errors import PaletteError
from map_core.scoring import values_file
from map_core.scoring.pairwise import FIRST_PAIRS, MAX_PAIRS, MIN_PAIRS, RELIABLE_FROM, ROUGH_FROM, TrustLevel
from map_core.store import custom_values
from pages.view.session import scene as scenes
from pages.view.session import share
from pages.view.shell import account, background, markup, page_words, wording
from pages.view.shell.session_keys import Key
from pages.view.values import define, judge, training
from pages.view.values import markup as marks
from pages.view.values.state import SHOWN, CustomValue, ValuesView

CONFIRMED: Key[tuple[int, int] | None] = Key("values_sure", None)
FAILED: Key[str] = Key("values_failed", "")

#: The thresholds of the words reliable, rough and not to be used.
PLAIN_THRESHOLDS = (
    f"Reliable: agrees with people {amounts.fixed(100 * RELIABLE_FROM[0])} times in 100 or more, surely more than "
    f"{amounts.fixed(100 * RELIABLE_FROM[1])}. Rough: {amounts.fixed(100 * ROUGH_FROM[0])} times or more, and surely "
    f"better than guessing, which is 50. All else is not to be used. There is no word before "
    f"{MIN_PAIRS} pairs are judged."
)
PLAIN_ESTIMATED = (
    "Agreement is how often the scores put two replies to one prompt in the order in which a person does: 100 times in "
    "100 is always, 50 is guessing. The pairs are chosen evenly from those that the scores put close together and "
    "those that they put far apart; pairs that nobody can tell apart do not count."
)
THRESHOLDS = (
    f"Reliable: an AUC of {RELIABLE_FROM[0]:g} or more, whose 95% interval begins above {RELIABLE_FROM[1]:g}. "
    f"Rough: {ROUGH_FROM[0]:g} or more, and the interval begins above {ROUGH_FROM[1]:g}, so it is better than "
    f"guessing. All else is not to be used. There is no word before {MIN_PAIRS} pairs are judged."
)
ESTIMATED = (
    "The AUC is the chance that the scores put two replies to one prompt in the order in which a person does: 1 is "
    "always, 0.5 is guessing. The pairs are chosen evenly from those that the scores put close together and those that "
    "they put far apart; pairs that nobody can tell apart do not count."
)


def draw_workflow(view: ValuesView, own: CustomValue) -> None:
    """Draw the steps that are possible now."""
    mine = may(view.database.visitor, Action.CHANGE, own.value.thing)
    if mine:
        _draw_tools(view, own)
    else:
        st.html(markup.note(f"Defined by {own.value.owner_name or 'somebody else'}, who may change it."))
    st.html(marks.sides(own.value.definition.more, own.value.definition.less))
    if own.rewards is None:
        with st.container(key="values_step_score", gap="small"):
            if not account.draw_refusal(Kind.VALUE):
                _draw_scoring(view, own)
        return
    with st.container(key="values_step_judge", gap="small"):
        _draw_judging(own)
    if not mine:
        return
    training.draw_training(view, own)
    with st.container(key="values_step_use", gap="small"):
        _draw_use(view, own)


def _draw_tools(view: ValuesView, own: CustomValue) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="values_tools"):
        st.button(
            "Change",
            key="values_change",
            icon=":material/edit:",
            type="tertiary",
            on_click=define.begin,
            args=(own,),
        )
        st.download_button(
            "Values file",
            values_file([own.value.definition]),
            f"{own.key}.json",
            "application/json",
            icon=":material/terminal:",
            type="tertiary",
            key="values_file",
            on_click="ignore",
            help="For the command line: generate takes it as --values-file, and python -m map_core build "
            f"--extend TABLE --values-file FILE --values {own.value.definition.name} adds it to a table's file.",
        )
        if may(view.database.visitor, Action.SHARE, own.value.thing) and own.value.owner:
            query = urlencode({"value": own.key, "value_link": own.value.link})
            link = f"{share.app_address()}values?{query}" if own.value.link else ""
            account.draw_sharing(f"value_{own.key}", own.value.visibility, partial(_share, view, own), link=link)
        with st.popover("Delete", icon=":material/delete:", type="tertiary", key="values_delete"):
            versions = "1 version" if own.value.version == 1 else f"{own.value.version} versions"
            st.html(
                markup.note(
                    f"This deletes {own.value.definition.title} with {versions} and all its judgements. Palettes with "
                    "a target for it lose that target."
                )
            )
            st.button("Delete it", key="values_delete_sure", type="primary", on_click=_delete, args=(view, own))


def _draw_scoring(view: ValuesView, own: CustomValue) -> None:
    """Draw the scoring of a value: its progress, and buttons to start, stop or resume it."""
    if not view.table.replies:
        st.html(markup.note("This table has no reply texts, so nothing can be scored on it."))
        return
    key = replies_key(view.table)
    job = jobs.find_job(key, own.value.definition, own.value.id)
    if job is None or job.ended:
        failed = job is not None and job.status is JobStatus.FAILED
        if failed:
            st.warning("The scoring did not finish.", icon=":material/error:")
            st.text(page_words.of(job.error if job else ""))
        stopped = jobs.was_stopped(key, own.value.definition, own.value.id)
        st.html(
            markup.note(
                "Stopped. What was scored is kept."
                if stopped
                else f"The {len(view.table.replies):,} replies of this table are not scored on it yet."
            )
        )
        st.button(
            "Resume" if stopped else "Score again" if failed else "Score the table",
            key="values_score",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_start,
            args=(view, own),
        )
        return
    background.poll(job, partial(_draw_progress, view, own))


def _draw_progress(view: ValuesView, own: CustomValue, job: Job) -> None:
    if jobs.find_job(replies_key(view.table), own.value.definition, own.value.id) is not job:
        st.rerun()  # stopped for this value, while the job may go on for another one
    far = job.partial
    done, total = (0, len(view.table.prompts)) if far is None else (far.done, far.total)
    status = (
        f"Scoring: {done:,} of {total:,} prompts" if done else "Scoring: the model that reads the replies is loading"
    )
    with st.container(key="values_progress", gap="small"):
        st.progress(done / max(total, 1), status)
        st.html(
            markup.note(
                "The first value reads every reply once and takes a minute or two; the ones after it take seconds. "
                "You can leave this page meanwhile."
            )
        )
        mine = may(view.database.visitor, Action.STOP, own.value.thing)
        st.button(
            "Stop", key="values_stop", icon=":material/stop:", on_click=_stop, args=(view, own), disabled=not mine
        )


def _start(view: ValuesView, own: CustomValue) -> None:
    """Start or resume the scoring."""
    jobs.start(scenes.table_path(), replies_key(view.table), own.value.definition, own.value.id)


def _stop(view: ValuesView, own: CustomValue) -> None:
    """Stop the scoring of this value; another one with equal words is scored to the end."""
    jobs.stop(replies_key(view.table), own.value.definition, own.value.id)


def _draw_judging(own: CustomValue) -> None:
    result, done = own.agreement, len(own.judged)
    sentence = agreement.basis_sentence(result, wording.current().numbers)
    if result is not None and result.undecided:
        sentence += f" {result.undecided} more could not be told apart."
        if result.undecided > result.decided:
            sentence += " Replies of this table seldom differ in it, so there is little to choose between."
    sentence += f" {agreement.advice(result)}" if result else ""
    st.html(marks.word(result.trust_level if result else None, sentence))
    st.html(markup.note(wording.current().pick(ESTIMATED, PLAIN_ESTIMATED)))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="values_judge_line"):
        if done < MAX_PAIRS:
            more = judge.goal(own) - done
            st.button(
                f"Judge {more} {'more ' if done else ''}pairs",
                key="values_judge_begin",
                type="secondary" if result and result.enough else "primary",
                icon=":material/compare_arrows:",
                on_click=judge.begin,
                args=(own,),
                help="Two replies at a time, without their scores. Keys 1 and 2 for the replies, 0 for neither. "
                f"{FIRST_PAIRS} take about three minutes.",
            )
        with st.popover("What the words mean", type="tertiary", icon=":material/help:", key="values_words_mean"):
            st.html(markup.note(wording.current().pick(THRESHOLDS, PLAIN_THRESHOLDS)))


def _draw_use(view: ValuesView, own: CustomValue) -> None:
    agreement = own.agreement
    name = own.value.definition.title
    if own.used:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="values_used"):
            alone = agreement is not None and agreement.trust_level is TrustLevel.UNUSABLE
            where = "every page with sliders" + (", for you alone and marked as not to be used" if alone else "")
            st.html(markup.note(f"{name} has a slider on {where}."), width="content")
            st.page_link("palette.py", label="Set its target", icon=":material/tune:")
            st.button("Remove the slider", key="values_off", type="tertiary", on_click=_switch, args=(view, own, 0))
        return
    if own.value.in_use:
        st.html(markup.note(f"Version {own.value.in_use} is the one with a slider until you use this one."))
    enough = agreement is not None and agreement.enough
    doubtful = enough and agreement is not None and agreement.trust_level is TrustLevel.UNUSABLE
    if doubtful and CONFIRMED.get() == (own.value.id, own.value.version):
        st.warning(
            "The judgements say that it is not to be used: targets on it may change nothing, or the wrong thing.",
            icon=":material/warning:",
        )
        with st.container(horizontal=True, gap="small"):
            st.button(
                "Use it all the same", key="values_use_sure", on_click=_switch, args=(view, own, own.value.version)
            )
            st.button("Not now", key="values_use_not", type="tertiary", on_click=_ask_twice, args=(None,))
        return
    st.button(
        "Use it as a target",
        key="values_use",
        type="primary" if enough and not doubtful else "secondary",
        icon=":material/tune:",
        disabled=not enough,
        help=None if enough else f"Judge {MIN_PAIRS} pairs first, so that you know whether to trust it.",
        on_click=_ask_twice if doubtful else _switch,
        args=((own.value.id, own.value.version),) if doubtful else (view, own, own.value.version),
    )


def _ask_twice(version: tuple[int, int] | None) -> None:
    """Ask for confirmation before a value that the judgements advise against is used."""
    CONFIRMED.set(version)


def _switch(view: ValuesView, own: CustomValue, version: int) -> None:
    """Use a version of the value as a target; 0 for none."""
    CONFIRMED.pop()
    scenes.want(own.key)
    _try_change(lambda: custom_values.use(view.database, own.value.id, version))


def _delete(view: ValuesView, own: CustomValue) -> None:
    """Delete the value with everything that belongs to it."""
    if not may(view.database.visitor, Action.DELETE, own.value.thing):
        return
    if _try_change(lambda: custom_values.delete(view.database, own.value.id)):
        jobs.stop_all(own.value.id)
        SHOWN.pop()


def _share(view: ValuesView, own: CustomValue, visibility: Visibility) -> None:
    _try_change(lambda: custom_values.share(view.database, own.value.id, visibility))


def _try_change(change: Callable[[], object]) -> bool:
    """Make a change, or keep why it failed for the page; return whether it was made."""
    FAILED.pop()
    try:
        change()
    except PaletteError as error:
        FAILED.set(page_words.of(error))
        return False
    clear_cache()
    return True
