"""The member's page of a meeting: a name, a wish for each value that matters, the verdict on them, and the picture.

Only the phone's browser remembers who the member is: the same phone comes back as the same member, and somebody who is
sent its address is another one. The common palette is that of the host's screen, with how near it comes to this
member's wishes. Constraint: light enough for a phone, without a figure library.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from map_core.core.types import Verdict
from map_core.errors import PaletteError
from map_core.feasibility import Assessment
from map_core.groups import Group, GroupAgreement, Rule, satisfaction
from map_core.palettes.palette import Palette, Target
from map_core.store import meeting_numbers, meetings
from map_core.text import group_member, sentences
from map_core.text import groups as group_text
from pages.view.groups import markup, roster, seats
from pages.view.groups.meeting_agreement import meeting_budget, shared_agreement
from pages.view.groups.roster import SeatedGroup
from pages.view.session import palette_state
from pages.view.session.scene import Scene
from pages.view.shell import markup as shell_markup
from pages.view.shell import page_words, remember, wording
from pages.view.shell.account import database
from pages.view.shell.session_keys import Key, KeyFamily

CODE: Key[str] = Key("join_code", "")
MEMBER: Key[str] = Key("member", "")
WISHES: Key[dict[str, Wish]] = Key("wishes", {})
ASKED: KeyFamily[bool] = KeyFamily("ask_{}", False)
WISHED: KeyFamily[int] = KeyFamily("wish_{}", 0)
PROBLEM: Key[str] = Key("join_problem", "")
NAME: Key[str] = Key("join_name", "")
JOINED: Key[bool] = Key("was_in", False)

#: The cookie that identifies a phone when it comes back.
MEMBER_COOKIE = "value_palette_member"
#: Seconds between two polls for the other members.
LOOK_SECONDS = 3.0
#: A new wish, in percentile points above the base level.
FIRST_STEP = 10


@dataclass(frozen=True)
class Wish:
    """What a member asks of one value: a percentile, or nothing."""

    asked: bool
    percentile: int


def join_by_code() -> None:
    """Go to the meeting whose number or code was typed."""
    typed = str(CODE.get() or "")
    if code := typed_code(typed):
        st.query_params["meeting"] = code
    else:
        PROBLEM.set(no_meeting_text(typed))


def typed_code(text: str) -> str:
    """Return the code of the meeting that was typed; "" where there is none, or after too many wrong attempts."""
    address = remember.network_address()
    if not seats.may_try(address):
        return ""
    code = meeting_numbers.find_code(database(), text)
    if not code:
        seats.note_wrong(address)
    return code


def no_meeting_text(text: str) -> str:
    """Return the message that there is no such meeting, or that too many numbers were tried."""
    if not seats.may_try(remember.network_address()):
        return "Too many wrong numbers were tried. Wait a minute, or scan the QR code."
    return f"There is no open meeting with the number {text.strip()!r}. It has six digits and is shown on the screen."


def member_id() -> str:
    """Return the id of this phone: a random text that its browser remembers and no address shows."""
    if "me" in st.query_params:  # an address of an earlier version
        MEMBER.set(st.query_params["me"][:64])
        del st.query_params["me"]
    me = MEMBER.get() or remember.remembered(MEMBER_COOKIE) or secrets.token_urlsafe(12)
    MEMBER.set(me)
    remember.remember(MEMBER_COOKIE, me, meetings.OPEN_HOURS * 3600)
    return me


def current_wishes(scene: Scene, sent: meetings.MeetingEntry | None) -> dict[str, Wish]:
    """Return the wishes on this phone: those of this visit, else those that were sent, else none."""
    current = WISHES.get()
    if set(current) != set(scene.table.values):
        current = {}
        for j, name in enumerate(scene.table.values):
            low, high = scene.ranges[j]
            base = scene.percentile(j, 0.0)
            target = sent.palette.targets.get(name) if sent else None
            wanted = target is not None and not target.free
            percentile = target.percentile if target is not None and wanted else base + FIRST_STEP
            current[name] = Wish(wanted, int(np.clip(round(percentile), low, high)))
        WISHES.set(current)
    return current


def wished_palette(scene: Scene, use_case: str, current: Mapping[str, Wish]) -> Palette:
    """Return the wishes as a palette; values without a wish are free."""
    return Palette(
        use_case,
        {name: Target(float(current[name].percentile), free=not current[name].asked) for name in scene.table.values},
    )


def remembered_palette(use_case: str) -> Palette | None:
    """Return the wishes of this visit as a palette; None where it has none."""
    current = WISHES.get()
    targets = {name: Target(float(wish.percentile), free=not wish.asked) for name, wish in current.items()}
    return Palette(use_case, targets) if any(wish.asked for wish in current.values()) else None


def take_wishes(scene: Scene, targets: np.ndarray) -> None:
    """Make targets the wishes of this phone.

    Args:
        scene: the table.
        targets: (value,) in standard deviations above base, NaN for free values.
    """
    current = dict(current_wishes(scene, None))
    for j, name in enumerate(scene.table.values):
        low, high = scene.ranges[j]
        percentile = current[name].percentile if np.isnan(targets[j]) else scene.percentile(j, float(targets[j]))
        current[name] = Wish(not np.isnan(targets[j]), int(np.clip(np.floor(percentile), low, high)))
    WISHES.set(current)


def draw_faders(scene: Scene, current: Mapping[str, Wish]) -> None:
    """Draw a row per value: whether it matters, and how much of it is wished."""
    st.html(shell_markup.value_colours(len(scene.names), scene.theme))
    for j, name in enumerate(scene.table.values):
        if scene.oracle.constant[j]:
            continue
        low, high = scene.ranges[j]
        wish, title = current[name], scene.title(j)
        with st.container(key=f"value_{j}", gap=None):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.toggle(
                    shell_markup.plain(title),
                    bool(ASKED.of(name).show(wish.asked)),
                    key=ASKED.of(name).name,
                    on_change=_on_asked,
                    args=(name,),
                    help=shell_markup.plain(scene.cards[j].replace("**", "")),
                )
                wish_text = group_text.wish_text(wish.percentile, scene.percentile(j, 0.0)) if wish.asked else "no wish"
                st.html(shell_markup.readout(wish_text, ""), width="content")
            if wish.asked:
                st.slider(
                    f"{shell_markup.plain(title)}: better than this many of 100 replies of the base model",
                    low,
                    high,
                    WISHED.of(name).show(wish.percentile),
                    step=1,
                    format=f"{wording.current().mark}%d",
                    key=WISHED.of(name).name,
                    on_change=_on_wished,
                    args=(name,),
                    label_visibility="collapsed",
                )
                st.html(shell_markup.note(sentences.capitalised(sentences.better_than(wish.percentile)) + "."))


def _on_asked(name: str) -> None:
    current = WISHES.get()
    wish = Wish(bool(ASKED.of(name).get()), current[name].percentile)
    WISHES.set({**current, name: wish})


def _on_wished(name: str) -> None:
    wish = Wish(True, int(WISHED.of(name).get()))
    WISHES.set({**WISHES.get(), name: wish})


def draw_verdict(scene: Scene, mine: Palette) -> None:
    """Draw the verdict on the member's own wishes, with a button that lowers them to what is possible."""
    assessment = scene.assess(palette_state.standardised(scene, mine))
    if not np.any(~np.isnan(assessment.targets)):
        st.html(shell_markup.note("Switch on what matters to you. You have no preference for what you leave off."))
        return
    sentence = sentences.verdict(assessment, scene.oracle, scene.names, wording.current())
    if assessment.solution is not None:
        sentence += f" It {_cost(assessment.solution.kl)}."
    st.html(shell_markup.headline(assessment.verdict, sentences.HEADLINES[assessment.verdict], sentence))
    if assessment.verdict is not Verdict.REACHABLE and assessment.nearest is not None:
        st.button(
            "Lower my wishes to what is possible",
            key="ease",
            icon=":material/my_location:",
            on_click=_lower,
            args=(scene, assessment),
            width="stretch",
        )


def _cost(kl: float) -> str:
    shown = wording.current()
    return f"{shown.pick('costs', 'takes')} {group_text.price_in_drafts(kl, shown)}"


def _lower(scene: Scene, assessment: Assessment) -> None:
    """Set the nearest wishes that are possible, rounded down to whole percentiles."""
    assert assessment.nearest is not None
    current = dict(WISHES.get())
    for j in np.flatnonzero(~np.isnan(assessment.nearest.targets)):
        name, (low, high) = scene.table.values[j], scene.ranges[j]
        percentile = scene.percentile(int(j), float(assessment.nearest.targets[j]))
        current[name] = Wish(True, int(np.clip(np.floor(percentile), low, high)))
    WISHES.set(current)


def draw_send(scene: Scene, code: str, me: str, mine: Palette, sent: meetings.MeetingEntry | None) -> None:
    """Draw the buttons to send, to update, and to leave."""
    changed = sent is not None and (sent.palette != mine or sent.name != _name())
    with st.container(horizontal=True, vertical_alignment="center", key="join_send"):
        st.button(
            "Send" if sent is None else "Update",
            key="send",
            type="primary",
            icon=":material/send:",
            on_click=_send,
            args=(scene, code, me, mine.use_case),
            disabled=sent is not None and not changed,
        )
        if sent is not None:
            st.button("Leave", key="leave", type="tertiary", on_click=_leave, args=(code, me))
            if changed:
                st.html(shell_markup.note("Not sent yet."), width="content")
            else:
                st.html(markup.see_picture(), width="content")
    if problem := PROBLEM.pop():
        st.text(problem)


def _name() -> str:
    return " ".join(str(NAME.get() or "").split())


def _send(scene: Scene, code: str, me: str, use_case: str) -> None:
    if not _name():
        PROBLEM.set("First say who you are: a name, or the group that you speak for.")
        return
    # A slider that was released in the same moment counts as well.
    now = {}
    for name, wish in WISHES.get().items():
        wanted, wished = ASKED.of(name), WISHED.of(name)
        now[name] = Wish(
            wanted.get() if wanted.is_set() else wish.asked, wished.get() if wished.is_set() else wish.percentile
        )
    WISHES.set(now)
    try:
        with seats.seat(code, me, remember.network_address()):
            meetings.join(database(), code, me, _name(), wished_palette(scene, use_case, now))
    except PaletteError as error:
        PROBLEM.set(page_words.of(error))


def _leave(code: str, me: str) -> None:
    if meetings.leave(database(), code, me):  # the seat of a member whom the host has removed stays taken
        seats.give_back(code, me)


def draw_picture(scene: Scene, code: str, me: str) -> None:
    """Draw everybody's wishes, again and again as they change."""

    @st.fragment(run_every=LOOK_SECONDS)
    def live_part() -> None:
        meeting = meetings.meeting(database(), code)
        if meeting is None:
            st.rerun()  # closed meanwhile: the whole page says so
        members = meetings.entries(database(), code)
        inside = [entry.member for entry in members]
        mine = inside.index(me) if me in inside else None
        if mine is None:
            if JOINED.get():
                st.html(shell_markup.note("You are not in the picture any more. Send again to come back."))
            return
        JOINED.set(True)
        names = roster.member_names(entry.name for entry in members)
        groups = roster.to_groups(scene, [SeatedGroup(n, e.palette) for n, e in zip(names, members, strict=True)])
        others = len(members) - 1
        st.html(
            markup.count(
                f"You are in the picture, with {others} other{'' if others == 1 else 's'}."
                if others
                else "You are in the picture, the first one."
            )
        )
        agreement = shared_agreement(code, scene.key).look(scene, groups, meeting_budget(scene, meeting)).agreement
        _draw(scene, groups, mine, agreement or GroupAgreement((), 0.0))

    live_part()


def _draw(scene: Scene, groups: Sequence[Group], mine: int, agreement: GroupAgreement) -> None:
    """Draw the common palette as far as it is known, and a strip for each value that somebody asks for."""
    units, common = scene.units(), agreement.common
    if common:
        nearness = [(rule, *_near(agreement, rule, groups[mine])) for rule in common]
        st.html(markup.common(group_text.headline(agreement, wording.current()), nearness))
    wishes = [units.of(j, np.array([group.targets[j] for group in groups])) for j in range(len(scene.names))]
    asking = [j for j in range(len(wishes)) if not np.isnan(wishes[j]).all()]
    levels = {rule: member.solution.levels for rule, member in common.items()}
    st.html(
        markup.strips(
            asking,
            [scene.title(j) for j in asking],
            [scene.percentile(j, 0.0) for j in asking],
            wishes=[wishes[j] for j in asking],
            mine=mine,
            notes=[_in_words(scene.names[j], wishes[j], mine) for j in asking],
            common={
                rule: [units.percentile(j, float(rule_levels[j])) for j in asking]
                for rule, rule_levels in levels.items()
            },
            descriptions=[
                group_member.common_levels(agreement, units, j, float(groups[mine].targets[j])) for j in asking
            ],
            theme=scene.theme,
        )
    )
    signs = "Diamonds are common palettes, the" if common else "The"
    st.html(shell_markup.note(f"{signs} ring is you, dots are the others, the tick is the model as it is."))


def _near(agreement: GroupAgreement, rule: Rule, mine: Group) -> tuple[float, str]:
    """Return how near a common palette is to this member's wishes: a share from 0 to 1, and the same in words."""
    share = float(satisfaction([mine], agreement.common[rule].solution.levels)[0])
    return min(max(share, 0.0), 1.0), group_member.member_sentence(agreement, rule, mine)


def _in_words(name: str, wishes: np.ndarray, mine: int) -> str:
    count = int(np.sum(~np.isnan(wishes)))
    level = wording.current().level
    low, high = level(np.nanmin(wishes)), level(np.nanmax(wishes))
    text = f"{sentences.capitalised(name)}: {count} of {len(wishes)} ask for it, from {low} to {high}"
    return text if np.isnan(wishes[mine]) else f"{text}; you ask for {level(wishes[mine])}"
