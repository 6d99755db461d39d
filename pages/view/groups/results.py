"""The agreement of several groups, computed and drawn: on the page Agree, and large in a meeting.

The background job is named by what the groups ask for and not by what they are called, so everybody who asks for the
same shares it. Constraint: names of groups are shown as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from map_core.core import amounts
from map_core.core.jobs import Job
from map_core.feasibility import AttainableLevels
from map_core.feasibility.nearest import default_budget
from map_core.figures import groups as drawn
from map_core.figures import groups_text, theme
from map_core.groups import AgreementCache, Group, GroupAgreement, Rule, agreement
from map_core.text import groups as group_text
from map_core.text.sentences import HEADLINES
from map_core.text.wording import effort
from pages.view.groups import markup, roster
from pages.view.session import palette_state
from pages.view.session.scene import Scene
from pages.view.shell import markup as shell_markup
from pages.view.shell import page_words, wording

#: The smallest budget and the step of its slider, in nats.
MIN_BUDGET, BUDGET_STEP = 0.1, 0.1
#: Up to this many groups, what each gives up is shown unfolded.
MAX_EXPANDED = 4


@st.cache_resource(show_spinner=False, max_entries=16)
def _agreement_cache(key: tuple[Any, ...], _scene: Scene) -> AgreementCache:
    return AgreementCache(_scene.oracle, AttainableLevels(_scene.oracle))


def job_key(scene: Scene, groups: Sequence[Group], budget: float) -> tuple[Any, ...]:
    """Return the key of the job: the same for the same wishes, whatever the groups are called."""
    wishes = tuple((group.targets.tobytes(), group.importance) for group in groups)
    return ("groups", scene.key, wishes, budget)


def agreement_work(scene: Scene, groups: Sequence[Group], budget: float) -> Any:
    """Return the work of that job; it reports after each stage."""
    cache = _agreement_cache(scene.key, scene)
    nameless = [replace(group, name=str(g)) for g, group in enumerate(groups)]
    return lambda job: agreement(cache, nameless, budget, job.report)


def partial_agreement(job: Job, groups: Sequence[Group]) -> GroupAgreement | None:
    """Return the newest result of the job with the groups' names; None before its first report."""
    agreement: GroupAgreement | None = job.result or job.partial
    return None if agreement is None else agreement.named([group.name for group in groups])


def initial_budget(scene: Scene) -> float:
    """Return the usual budget, in nats."""
    return round(min(_max_budget(scene), default_budget(scene.oracle)), 1)


def _max_budget(scene: Scene) -> float:
    """Return the most nats that choosing among the table's candidates can spend, rounded down to the slider's step."""
    return float(np.floor(scene.oracle.log_candidates / BUDGET_STEP) * BUDGET_STEP)


def draw_budget(scene: Scene) -> float:
    """Draw the choice of the budget with its meaning, and return it in nats."""
    most = _max_budget(scene)
    budget = roster.BUDGET.get()
    if budget is None or not MIN_BUDGET <= budget <= most:
        roster.BUDGET.set(initial_budget(scene))
    help_text = (
        "How far the common palette may move the model from what it is. At most what choosing among the table's "
        "candidates can reach."
    )
    if not wording.current().numbers:
        return _draw_effort(most, help_text)
    chosen = st.slider(
        "Budget of the common palette",
        MIN_BUDGET,
        max(most, MIN_BUDGET + BUDGET_STEP),
        step=BUDGET_STEP,
        format="%.1f nats",
        key=roster.BUDGET.name,
        persist_state="session",
        help=help_text,
    )
    st.html(shell_markup.note(f"At most {group_text.price_in_drafts(float(chosen))}."))
    return float(chosen)


def _draw_effort(most: float, help_text: str) -> float:
    """Draw the budget as an effort, and return it in nats."""
    steps = [round(BUDGET_STEP * k, 1) for k in range(1, max(round(most / BUDGET_STEP), 2) + 1)]
    spend = float(roster.BUDGET.get() or steps[0])
    roster.BUDGET.set(min(steps, key=lambda step: abs(step - spend)))
    return float(
        st.select_slider(
            "Effort that the common palette may take",
            steps,
            format_func=lambda step: f"{effort(step)} ({amounts.percent(step / most)} of the most)",
            key=roster.BUDGET.name,
            persist_state="session",
            help=help_text,
        )
    )


def draw_agreement(scene: Scene, groups: Sequence[Group], agreement: GroupAgreement | None, error: str | None) -> None:
    """Draw the agreement on the page: the headline, figures, both rules, words, table and files."""
    if error:
        st.html(shell_markup.note(f"This could not be computed: {page_words.of(error)}"))
    if agreement is None:
        if not error:
            st.html(shell_markup.note("Looking for what these groups have in common."))
        return
    figure_data = drawn.GroupFigureData(agreement, scene.units(), theme=scene.theme)
    st.html(markup.headline(group_text.headline(agreement, wording.current())))
    st.html(markup.legend([group.name for group in groups], figure_data.lettered))
    draw_figures(figure_data, "page")
    draw_rules(scene, agreement, "page")
    draw_words(figure_data)
    with st.expander("What each gives up, in words", expanded=len(groups) <= MAX_EXPANDED):
        if agreement.alone is None:
            st.html(shell_markup.note("Calculating."))
        for rule in agreement.common if agreement.alone is not None else ():
            st.html(
                markup.titled_list(
                    group_text.RULES[rule], group_text.concession_sentences(agreement, rule, figure_data.units)
                )
            )
    with st.expander("Table"):
        st.html(shell_markup.levels_table(*groups_text.table(figure_data), theme=figure_data.theme))
    draw_downloads(scene, figure_data, "page")


def draw_figures(figure_data: drawn.GroupFigureData, key: str, settled: drawn.GroupFigureData | None = None) -> None:
    """Draw levels and shares side by side.

    Args:
        figure_data: the agreement whose levels are drawn.
        key: prefix of the widget keys.
        settled: the agreement whose shares are drawn, where that is the previous one.
    """
    settled = settled or figure_data
    # In a meeting the style sheet gives both the height that the screen leaves.
    height: Any = "stretch" if figure_data.large else "content"
    left, right = st.columns([1.55, 1], gap="medium")
    with left, st.container(key=f"{key}_levels_box", height=height):
        st.plotly_chart(
            drawn.levels(figure_data),
            height=height,
            key=f"{key}_levels",
            config=theme.CONFIG,
            alt=groups_text.levels_alt(figure_data),
        )
    with right, st.container(key=f"{key}_shares_box", height=height):
        st.plotly_chart(
            drawn.shares(settled),
            height=height,
            key=f"{key}_shares",
            config=theme.CONFIG,
            alt=groups_text.shares_alt(settled),
        )


def draw_rules(scene: Scene, agreement: GroupAgreement, key: str) -> None:
    """Draw what each rule gives, with a button that uses its palette."""
    with st.container(horizontal=True, key=f"{key}_rules"):
        for rule in Rule:
            with st.container(key=f"{key}_rule_{rule.value}"):
                verdict = agreement.verdicts.get(rule)
                outcome = group_text.outcome_sentence(agreement, rule, wording.current()) or "Calculating."
                st.html(markup.rule(rule, outcome, HEADLINES[verdict] if verdict else ""))
                if st.button(
                    "Use this common palette",
                    key=f"{key}_use_{rule.value}",
                    icon=":material/check:",
                    disabled=rule not in agreement.common,
                    on_click=_use,
                    args=(scene, agreement, rule),
                ):
                    st.rerun()  # of the whole page, from within a fragment


def _use(scene: Scene, agreement: GroupAgreement, rule: Rule) -> None:
    """Make a common palette the current one; values that no group asks for have no target."""
    now = palette_state.history().now
    targets = {name: replace(target, free=True, keep=False, locked=False) for name, target in now.targets.items()}
    levels = agreement.common[rule].targets
    palette = palette_state.with_levels(scene, replace(now, use_case=scene.use_case, targets=targets), levels)
    palette_state.apply_with_undo(
        palette, f"Switched to the common palette of {len(agreement.groups)} groups ({group_text.RULES[rule].lower()})."
    )


def draw_words(figure_data: drawn.GroupFigureData) -> None:
    """Draw where the groups differ most, what is not possible together, and what they share."""
    agreement, units = figure_data.agreement, figure_data.units
    joint = group_text.joint_sentence(agreement, units)
    with st.container(horizontal=True, key="group_words"):
        for title, lines in (
            ("Where they differ most", group_text.differences(agreement, units)),
            (
                "What is not possible together",
                [*([joint] if joint else []), *group_text.pair_sentences(agreement, units)],
            ),
            ("What they share", group_text.common_ground(agreement, units)),
        ):
            if lines:
                with st.container():
                    st.html(markup.titled_list(title, lines))


def draw_downloads(scene: Scene, figure_data: drawn.GroupFigureData, key: str) -> None:
    """Draw the downloads of the data and of the groups."""
    with st.container(horizontal=True):
        st.download_button(
            "Data (CSV)",
            lambda: groups_text.groups_csv(figure_data),
            "groups.csv",
            "text/csv",
            icon=":material/download:",
            type="tertiary",
            key=f"{key}_csv",
        )
        st.download_button(
            "Groups (JSON lines)",
            lambda: roster.groups_jsonl(scene, figure_data.agreement.groups),
            "groups.jsonl",
            "application/jsonl",
            icon=":material/download:",
            type="tertiary",
            key=f"{key}_jsonl",
            help="As this page and the command line read them.",
        )
