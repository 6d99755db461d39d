"""Train a custom value on its judgements, and compare the trained version with the description.

Constraint: nothing changes until the trained version is used; its figure comes from pairs that it was not trained on.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st

from map_core.core import amounts
from map_core.core.jobs import Job, JobStatus
from map_core.custom_values import agreement, jobs, replies_key
from map_core.custom_values.active import clear_cache
from map_core.errors import PaletteError
from map_core.scoring.head_training import MIN_DECIDED
from map_core.scoring.head_weights import HeadComparison, HeadWeights
from map_core.store import custom_values
from pages.view.session import scene as scenes
from pages.view.shell import background, markup, page_words
from pages.view.shell.session_keys import Key
from pages.view.values.state import CustomValue, ValuesView

REFUSED: Key[str] = Key("values_train_refused", "")

EXPLAINED = (
    "Training keeps your words as its start and learns from your judgements what they miss. Each pair is put in order "
    "by a version that has seen no pair of its prompt, so the figure is of prompts that are new to it."
)


def draw_training(view: ValuesView, own: CustomValue) -> None:
    """Draw the training step: how many judgements are missing, the button, the progress, or the result."""
    pairs = agreement.training_pairs(view.database, view.table, own.value)
    if not pairs:
        return
    with st.container(key="values_step_train", gap="small"):
        if len(pairs) < MIN_DECIDED:
            st.html(
                markup.note(
                    f"From {MIN_DECIDED} decided pairs on, this value can be trained on your judgements; there "
                    f"{'is' if len(pairs) == 1 else 'are'} {len(pairs)}."
                )
            )
            return
        job = jobs.training_job(replies_key(view.table), own.value.definition, pairs, own.value.id)
        if job is None or job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            _draw_offer(view, own, pairs, job)
        elif job.ended:
            _draw_result(view, own, job.result)
        else:
            background.poll(job, partial(_draw_progress, view, own, pairs))
        if refusal := REFUSED.get():
            st.warning("The trained version could not be saved.", icon=":material/error:")
            st.text(refusal)


def comparison_sentence(comparison: HeadComparison) -> str:
    """Return how the trained version compares with the description, in plain words.

    Example:
        >>> comparison_sentence(Comparison(0.82, 0.7, 0.9, 100, 60, 0.7, 0.02, 0.22))
        'It orders 82 of 100 of your pairs as you do, the description 70. Better: yes.'
    """
    ordered, before = (
        amounts.significant(round(2 * share * comparison.pairs) / 2)
        for share in (comparison.head, comparison.before or 0.0)
    )
    better = "yes" if comparison.better else "not shown yet"
    return (
        f"It orders {ordered} of {comparison.pairs} of your pairs as you do, the description {before}. "
        f"Better: {better}."
    )


def interval_sentence(comparison: HeadComparison) -> str:
    """Return the confidence interval of the difference, in pairs of a hundred."""
    low, high = (
        amounts.fixed(None if end is None else 100 * end, signed=True).replace("-", "−")
        for end in (comparison.difference_low, comparison.difference_high)
    )
    return (
        f"Of 100 pairs of other prompts, {low} to {high} more would be ordered as you do, with 95% certainty. Better "
        "is said where both numbers are above 0."
    )


def _draw_offer(view: ValuesView, own: CustomValue, pairs: list[tuple[int, int]], job: Job | None) -> None:
    if job is not None and job.status is JobStatus.FAILED:
        st.warning("The training did not finish.", icon=":material/error:")
        st.text(page_words.of(job.error))
    st.button(
        "Train on your judgements",
        key="values_train",
        icon=":material/model_training:",
        on_click=_start,
        args=(view, own, pairs),
        help=f"Learns from the {len(pairs)} decided pairs; takes under a minute, and changes nothing yet.",
    )
    st.html(markup.note(EXPLAINED))


def _draw_progress(view: ValuesView, own: CustomValue, pairs: list[tuple[int, int]], job: Job) -> None:
    if jobs.training_job(replies_key(view.table), own.value.definition, pairs, own.value.id) is not job:
        st.rerun()  # stopped for this value, while the job may go on for another one
    far = job.partial
    share = 0.0 if far is None else far.done / max(far.total, 1)
    with st.container(key="values_train_progress", gap="small"):
        st.progress(share, "Training" if far else "Training: the model that reads the replies is loading")
        st.button("Stop", key="values_train_stop", icon=":material/stop:", on_click=_stop, args=(view, own, pairs))


def _draw_result(view: ValuesView, own: CustomValue, head: HeadWeights) -> None:
    assert head.evidence is not None
    comparison = head.evidence.overall
    current = own.value.definition.head
    if current is not None and current.key == head.key:
        st.html(
            markup.note(
                f"This version is trained on all {comparison.pairs} decided pairs. Judge more to train it again."
            )
        )
        return
    st.subheader("Trained on your judgements", anchor=False)
    with st.container(key="values_train_result", gap=None):
        st.text(comparison_sentence(comparison))
    st.html(markup.note(f"{interval_sentence(comparison)} {EXPLAINED}"))
    st.button(
        "Use the trained version",
        key="values_train_use",
        type="primary" if comparison.better else "secondary",
        icon=":material/check:",
        on_click=_use,
        args=(view, own, head),
        help="Makes a new version of this value and scores the table on it. Earlier versions and judgements stay.",
    )


def _start(view: ValuesView, own: CustomValue, pairs: list[tuple[int, int]]) -> None:
    """Start the training in the background."""
    REFUSED.pop()
    jobs.start_training(scenes.table_path(), replies_key(view.table), own.value.definition, pairs, own.value.id)


def _stop(view: ValuesView, own: CustomValue, pairs: list[tuple[int, int]]) -> None:
    """Stop the training of this value."""
    jobs.stop_training(replies_key(view.table), own.value.definition, pairs, own.value.id)


def _use(view: ValuesView, own: CustomValue, head: HeadWeights) -> None:
    """Save the trained version as the newest one and score the table on it."""
    REFUSED.pop()
    definition = replace(own.value.definition, head=head)
    try:
        custom_values.revise(view.database, own.value.id, definition)
    except PaletteError as error:
        REFUSED.set(page_words.of(error))
        return
    clear_cache()
    jobs.start(scenes.table_path(), replies_key(view.table), definition, own.value.id)
