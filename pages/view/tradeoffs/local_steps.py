"""Small changes: raise or lower one target a little, with the effect shown before it is applied."""

from __future__ import annotations

import numpy as np
import streamlit as st

from map_core.analysis.local_steps import Keep, LocalStep, local_step
from map_core.core import amounts
from map_core.core.jobs import Job
from map_core.feasibility import AttainableLevels
from map_core.text import sentences
from pages.view.session import palette_state
from pages.view.shell import background, markup, page_words
from pages.view.shell import wording as wordings
from pages.view.tradeoffs.shared import CurrentPalette, rerun_if_changed, take_targets

SIZES = (0.05, 0.1, 0.2)
_SIZE_NAMES = {0.05: "Tiny", 0.1: "Small", 0.2: "Medium"}
_KEEP_TITLES = {Keep.COST: "Keep the cost", Keep.OTHERS: "Keep the others"}
_KEEP_MEANINGS = {
    Keep.COST: "The cost stays as it is. A step more: the other targets are lowered as little as possible. A step "
    "less: they rise together by what was saved.",
    Keep.OTHERS: "The other targets stay as they are, and the cost follows.",
}
_KEEP_SENTENCES = {Keep.COST: "The cost was kept.", Keep.OTHERS: "The others were kept."}

LocalSteps = dict[tuple[int, int], LocalStep | None]


def draw_local_steps(current: CurrentPalette) -> None:
    """Draw the size of a step, what is kept, and a row for each target."""
    st.header("Small changes")
    own = current.assessment.solution
    if not current.wanted:
        st.html(markup.note("No value has a target, so there is nothing to move. Set one on the page Set."))
        return
    if own is None:
        st.html(markup.note("Your palette is not possible. Steps start from the nearest one that is."))
        if current.assessment.nearest is None:
            st.html(markup.note("Nothing near it is possible: unlock a value, or lower a target, on the page Set."))
        else:
            st.button(
                "Go to the nearest palette that works",
                key="steps_nearest",
                icon=":material/my_location:",
                on_click=palette_state.take_targets,
                args=(current.scene, current.assessment.nearest.targets, "Switched to the nearest palette that works."),
            )
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="steps_controls"):
        keep: Keep = st.segmented_control(
            "What stays",
            list(Keep)[::-1],
            format_func=_KEEP_TITLES.__getitem__,
            default=Keep.COST,
            required=True,
            key="steps_keep",
            persist_state="session",
        )
        size = st.segmented_control(
            wordings.current().pick("Step in standard deviations", "Size of a step"),
            list(SIZES),
            format_func=_size_label,
            default=0.1,
            required=True,
            key="steps_size",
            persist_state="session",
        )
        st.html(markup.note(_KEEP_MEANINGS[keep]))

    def work(job: Job) -> LocalSteps:
        oracle, steps = current.scene.oracle, LocalSteps()
        attainable = AttainableLevels(oracle)
        for j in current.wanted:
            for sign in (-1, 1):
                steps[j, sign] = local_step(
                    oracle,
                    current.targets,
                    j,
                    sign * size,
                    keep,
                    now=own,
                    fixed=current.fixed,
                    attainable=attainable,
                )
            job.report(dict(steps))
        return steps

    key = (current.scene.key, current.targets.tobytes(), current.fixed.tobytes(), size, keep)
    background.poll(background.job("steps", key, work), lambda job: _draw(job, current, keep))


def _draw(job: Job, current: CurrentPalette, keep: Keep) -> None:
    rerun_if_changed()
    steps: LocalSteps = job.result or job.partial or {}
    if job.error:
        st.html(markup.note(f"The steps could not be computed: {page_words.of(job.error)}"))
    for j in current.wanted:
        with st.container(key=f"steps_{j}", horizontal=True, vertical_alignment="top", gap="medium"):
            percentile = current.scene.percentile(j, float(current.targets[j]))
            with st.container(key=f"steps_name_{j}"):
                chip = f"{current.titles[j]} {wordings.current().level(percentile)}"
                st.html(markup.chips([(j, chip)], current.scene.theme))
            for sign, label, icon in ((-1, "Less", "remove"), (1, "More", "add")):
                with st.container(key=f"steps_{j}_{'more' if sign > 0 else 'less'}", gap="small"):
                    step = steps.get((j, sign))
                    caption = f"{current.titles[j]}: a step {label.lower()}. {_KEEP_SENTENCES[keep]}"
                    st.button(
                        f"{label} {markup.plain(current.names[j])}",
                        key=f"step_{j}_{sign}",
                        icon=f":material/{icon}:",
                        disabled=step is None,
                        width="stretch",
                        on_click=take_targets,
                        args=None if step is None else (current.scene, _moved(current, step), caption),
                    )
                    if step is None:
                        st.html(markup.note(_why_not(current, keep, j, sign) if (j, sign) in steps else "…"))
                    else:
                        st.html(markup.readout(_from_to(current, j, step), _cost(step)))
                        others = _others(current, j, step)
                        if others:
                            st.html(markup.chips(others, current.scene.theme))
                        elif keep is Keep.COST and len(current.wanted) > 1:
                            st.html(markup.note("The others hardly move."))


def _moved(current: CurrentPalette, step: LocalStep) -> np.ndarray:
    """Return the targets that a step changes, (value,), NaN for the others."""
    return np.where(np.abs(step.targets - current.targets) > 1e-9, step.targets, np.nan)


def _why_not(current: CurrentPalette, keep: Keep, value: int, sign: int) -> str:
    """Return why a step is not possible."""
    if keep is Keep.OTHERS:
        return "Not possible with the other targets as they are."
    if not np.any(np.delete(~np.isnan(current.targets) & ~current.fixed, value)):
        return f"No other target can be {'lowered' if sign > 0 else 'raised instead'}."
    return "The others cannot be lowered far enough."


def _size_label(size: float) -> str:
    return wordings.current().pick(amounts.significant(size), _SIZE_NAMES[size])


def _cost(step: LocalStep) -> str:
    numbers = wordings.current().numbers
    if abs(step.nats) < 5e-3:
        text = "costs the same" if numbers else "the same effort"
    elif numbers:
        text = f"{sentences.number(abs(step.nats), 2)} nats {'more' if step.nats > 0 else 'less'}"
    else:
        text = sentences.more_effort(step.nats) if step.nats > 0 else "less effort"
    return text if step.trusted else f"{text}; not reliable"


def _others(current: CurrentPalette, value: int, step: LocalStep) -> list[tuple[int, str]]:
    """Return the other targets that move by a percentile, the one that moves most first."""
    ends = {j: _ends(current, j, step) for j in current.wanted if j != value}
    moved = [j for j, (before, after) in ends.items() if amounts.percentile(before) != amounts.percentile(after)]
    moved.sort(key=lambda j: -abs(ends[j][1] - ends[j][0]))
    return [(j, f"{current.names[j]} {_from_to(current, j, step)}") for j in moved]


def _ends(current: CurrentPalette, value: int, step: LocalStep) -> tuple[float, float]:
    """Return a target before and after, in percentiles."""
    before, after = (
        current.scene.percentile(value, float(targets[value])) for targets in (current.targets, step.targets)
    )
    return before, after


def _from_to(current: CurrentPalette, value: int, step: LocalStep) -> str:
    before, after = _ends(current, value, step)
    digits = 0 if amounts.percentile(after) != amounts.percentile(before) else 1
    wording = wordings.current()
    return f"{wording.level(before, digits)} → {wording.level(after, digits)}"
