"""The result of a closed meeting, for everybody who still has its page open or opens its link again.

Constraint: light enough for a phone: no figure library. Names and wishes of others are deleted by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from map_core.core.jobs import shared_jobs
from map_core.groups import Group, Rule, satisfaction
from map_core.palettes.palette import Palette
from map_core.store import meetings, table_key
from map_core.store.meetings import ClosedMeeting, MeetingResult
from map_core.text import group_member
from map_core.text import groups as group_text
from map_core.text.wording import PLAIN
from pages.view.groups import markup, results, roster
from pages.view.groups.meeting_agreement import meeting_scene
from pages.view.groups.roster import SeatedGroup
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from pages.view.shell import markup as shell_markup
from pages.view.shell.account import database

#: Seconds for which closing a meeting waits for a common palette that is still being computed.
CLOSING_SECONDS = 10.0


def final_result(scene: Scene, groups: tuple[Group, ...], spend: float) -> MeetingResult:
    """Return the result of a meeting that is being closed.

    Args:
        scene: the table that the meeting is about.
        groups: what each member asks for.
        spend: nats that the common palette may spend.
    """
    if not groups:
        return MeetingResult(0)
    key = results.job_key(scene, groups, spend)
    job = shared_jobs().submit(key, results.agreement_work(scene, groups, spend))
    job.wait(CLOSING_SECONDS)
    agreement = results.partial_agreement(job, groups)
    values = scene.table.values
    targeted = [name for j, name in enumerate(values) if not all(np.isnan(group.targets[j]) for group in groups)]
    if agreement is None:
        return MeetingResult(len(groups), asked=targeted)
    levels = {
        rule.value: dict(zip(values, map(float, common.solution.levels), strict=True))
        for rule, common in agreement.common.items()
    }
    return MeetingResult(len(groups), group_text.headline(agreement, PLAIN), levels, targeted)


def is_about_open_table(meeting: meetings.Meeting) -> bool:
    """Return whether a meeting is about the open table and one of its use cases."""
    whole = scenes.load(scenes.ALL).table
    return meeting.table_key == table_key(whole) and meeting.use_case in (scenes.ALL, *whole.use_case_names)


def draw_closed(code: str, wishes: Palette | None = None) -> None:
    """Say that a meeting is closed, and draw its result as long as that is kept.

    Args:
        code: of the meeting.
        wishes: what this member asked for, where this phone remembers it.
    """
    closed = meetings.closed_meeting(database(), code)
    if closed is None:
        st.html(markup.title("This meeting is closed", "Its palettes are deleted; a new one can be opened."))
        return
    members, name = closed.result.members, closed.meeting.name
    took_part = "Nobody took part" if not members else f"{members} {'person' if members == 1 else 'people'} took part"
    st.html(markup.title(name, f"This meeting is closed. {took_part}; names and wishes are deleted."))
    if not is_about_open_table(closed.meeting):
        st.html(shell_markup.note("It was about another table than the one that is open here."))
    elif closed.result.levels:
        with st.container(key="meeting_result"):
            _draw_result(meeting_scene(closed.meeting), closed, wishes)
    elif members:
        st.html(shell_markup.note("It was closed before a common palette was computed."))


def _draw_result(scene: Scene, closed: ClosedMeeting, wishes: Palette | None) -> None:
    """Draw the common palettes, how near they are to this member's wishes, and a strip for each value asked for."""
    units, values = scene.units(), scene.table.values
    levels = {rule: _levels(closed.result.levels[rule.value], values) for rule in Rule if rule in closed.result.levels}
    known = wishes is not None and set(wishes.targets) == set(values)
    mine = roster.to_groups(scene, [SeatedGroup("You", wishes)])[0] if wishes is not None and known else None
    nearness = []
    if mine is not None and not np.isnan(mine.targets).all():
        for rule, of_rule in levels.items():
            share = float(satisfaction([mine], of_rule)[0])
            nearness.append((rule, min(max(share, 0.0), 1.0), group_member.nearness_sentence(share)))
    st.html(markup.common(closed.result.headline, nearness))
    asking = [j for j, name in enumerate(values) if name in closed.result.asked]
    targets = np.full(len(values), np.nan) if mine is None else mine.targets
    st.html(
        markup.strips(
            asking,
            [scene.title(j) for j in asking],
            [scene.percentile(j, 0.0) for j in asking],
            wishes=[np.array([units.percentile(j, float(targets[j]))]) for j in asking],
            mine=0,
            notes=[scene.title(j) for j in asking],
            common={rule: [units.percentile(j, float(of_rule[j])) for j in asking] for rule, of_rule in levels.items()},
            descriptions=[
                group_member.levels_sentence([float(of_rule[j]) for of_rule in levels.values()], units, j, targets[j])
                for j in asking
            ],
            theme=scene.theme,
        )
    )
    st.html(
        shell_markup.note(
            f"Diamonds are common palettes, the tick is the model as it is{', the ring is you' if nearness else ''}. "
            f"This stays here for {meetings.RESULT_DAYS} days."
        )
    )


def _levels(by_value: Mapping[str, float], values: Sequence[str]) -> np.ndarray:
    return np.array([by_value.get(name, np.nan) for name in values])
